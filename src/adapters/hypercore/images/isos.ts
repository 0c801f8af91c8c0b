import { WatcherError } from "../../../lib/errors.ts";
import { type ClusterAccess, taskFailed } from "../access.ts";
import { poll } from "../../pause.ts";
import { type Removal, type ReadyIso, type Transfer, fetchAsset, fileBody, imageName } from "./transfer.ts";
import { type ChangeReply, type Iso, toIso } from "../rest/wire.ts";

/** An ISO takes four calls: record, data, ready flag, and a look at its path. A record without the flag is unfinished. */
export async function ensureIso(transfer: Transfer): Promise<ReadyIso> {
  const { access, asset, signal } = transfer;
  const description = await access.assets.describe(asset, access.cluster, signal);
  const name = imageName(asset, description.version);
  const ready = (await listIsos(access, signal)).find((iso) => iso.name === name && isReady(iso));
  if (ready !== undefined) return ready;
  return access.exclusive(`upload/${access.cluster}/${name}`, signal, (held) =>
    bringIso({ ...transfer, signal: held }, name),
  );
}

async function bringIso(transfer: Transfer, name: string): Promise<ReadyIso> {
  const { access, signal } = transfer;
  const before = await findReadyIso(transfer, name);
  if (before !== undefined) return before;
  const file = await fetchAsset(transfer);
  const meanwhile = await findReadyIso(transfer, name);
  if (meanwhile !== undefined) return meanwhile;
  const uuid = await createRecord(transfer, name, file.sizeBytes);
  transfer.beforeChange();
  const path = `ISO/${uuid}/data`;
  // The answer is neither JSON nor a task.
  await access.client.send(
    { method: "PUT", path, ...fileBody(transfer, file), limitMs: access.timeouts.stallMs },
    signal,
  );
  return markReady(transfer, uuid);
}

export async function listIsos(access: ClusterAccess, signal: AbortSignal): Promise<Iso[]> {
  return access.client.list("ISO", toIso, signal);
}

async function findReadyIso(transfer: Transfer, name: string): Promise<ReadyIso | undefined> {
  const { access, signal } = transfer;
  for (;;) {
    const named = (await listIsos(access, signal))
      .filter((iso) => iso.name === name)
      .sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
    const ready = named.find(isReady);
    if (ready !== undefined) return ready;
    const unfinished = named[0];
    if (unfinished === undefined) return undefined;
    if (await staysUnfinished(transfer, unfinished.uuid)) await removeIso(transfer, unfinished.uuid);
  }
}

function isReady({ readyForInsert, path }: Iso): boolean {
  return readyForInsert && path !== "";
}

/** Somebody of another instance may be sending the data right now. */
async function staysUnfinished({ access, signal }: Transfer, uuid: string): Promise<boolean> {
  const changed = await poll(access.timeouts.orphanMs, signal, async () => {
    const iso = await findIso(access, uuid, signal);
    return iso === undefined || iso.readyForInsert ? true : undefined;
  });
  return changed === undefined;
}

async function findIso(access: ClusterAccess, uuid: string, signal: AbortSignal): Promise<Iso | undefined> {
  return (await access.client.list(`ISO/${uuid}`, toIso, signal)).find((iso) => iso.uuid === uuid);
}

export async function removeIso({ access, signal, beforeChange }: Removal, uuid: string): Promise<void> {
  access.log("info", { cluster: access.cluster, iso: uuid }, "removing an unfinished ISO upload");
  beforeChange();
  const reply = await access.client.change("DELETE", `ISO/${uuid}`, undefined, signal);
  await access.tasks.wait(reply.taskTag, signal);
  // The record vanishes a moment after the answer.
  await poll(access.timeouts.verifyMs, signal, async () =>
    (await findIso(access, uuid, signal)) === undefined ? true : undefined,
  );
}

async function createRecord(transfer: Transfer, name: string, sizeBytes: number): Promise<string> {
  const { access, signal } = transfer;
  transfer.beforeChange();
  const reply = await access.client.change("POST", "ISO", { name, size: sizeBytes, readyForInsert: false }, signal);
  await finish(transfer, reply);
  if (reply.createdUUID !== "") return reply.createdUUID;
  const created = (await listIsos(access, signal)).find((iso) => iso.name === name);
  if (created === undefined)
    throw new WatcherError("task-failed", `cluster ${access.cluster}: the new ISO ${name} is not there`);
  return created.uuid;
}

async function markReady(transfer: Transfer, uuid: string): Promise<ReadyIso> {
  const { access, asset, signal } = transfer;
  transfer.beforeChange();
  await finish(transfer, await access.client.change("PATCH", `ISO/${uuid}`, { readyForInsert: true }, signal));
  const ready = await poll(access.timeouts.verifyMs, signal, async () => {
    const iso = await findIso(access, uuid, signal);
    return iso !== undefined && isReady(iso) ? iso : undefined;
  });
  if (ready === undefined)
    throw new WatcherError(
      "task-failed",
      `cluster ${access.cluster}: ISO of asset "${asset.name}" does not become ready`,
    );
  return ready;
}

async function finish({ access, asset, signal }: Transfer, reply: ChangeReply): Promise<void> {
  const outcome = await access.tasks.wait(reply.taskTag, signal);
  if (outcome.kind === "failed")
    throw await taskFailed(
      access,
      { what: `preparing ISO asset "${asset.name}"`, needsRoom: true },
      outcome.message,
      signal,
    );
}
