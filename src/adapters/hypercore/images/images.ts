import { WatcherError } from "../../../lib/errors.ts";
import type { AssetFile } from "../../../ports/asset-store.ts";
import { type ClusterAccess, taskFailed } from "../access.ts";
import { poll } from "../../pause.ts";
import { type Removal, type Transfer, fetchAsset, fileBody, imageName } from "./transfer.ts";
import { type VirtualDisk, toVirtualDisk } from "../rest/wire.ts";

/** An image on the cluster, ready to be attached. */
export interface ReadyImage {
  readonly uuid: string;
  readonly capacityBytes: number;
}

/** Uploads an image unless it is there, and answers when it can be attached. */
export async function ensureImage(transfer: Transfer): Promise<ReadyImage> {
  const { access, asset, signal } = transfer;
  const description = await access.assets.describe(asset, access.cluster, signal);
  const name = imageName(asset, description.version);
  const ready = oldestNamed(await listImages(access, signal), name);
  if (ready !== undefined) return ready;
  return access.exclusive(`upload/${access.cluster}/${name}`, signal, (held) =>
    bringImage({ ...transfer, signal: held }, name),
  );
}

/** What is on its way is waited for, and what nobody feeds any more removed, before anything is uploaded. */
async function bringImage(transfer: Transfer, name: string): Promise<ReadyImage> {
  const before = await findReady(transfer, name);
  if (before !== undefined) return before;
  const file = await fetchAsset(transfer);
  // The download may have taken an hour: somebody of another instance may have been quicker.
  const meanwhile = await findReady(transfer, name);
  if (meanwhile !== undefined) return meanwhile;
  const uploaded = await upload(transfer, name, file);
  return settleRace(transfer, name, uploaded);
}

export async function listImages(access: ClusterAccess, signal: AbortSignal): Promise<VirtualDisk[]> {
  return access.client.list("VirtualDisk", toVirtualDisk, signal);
}

/** The finished image of this name, after waiting for one on its way and removing an upload that nobody feeds any more. */
async function findReady(transfer: Transfer, name: string): Promise<ReadyImage | undefined> {
  const { access, signal } = transfer;
  for (;;) {
    const all = await listImages(access, signal);
    const ready = oldestNamed(all, name);
    if (ready !== undefined) return ready;
    const converting = all.find((disk) => disk.name === `converting-${name}`);
    if (converting !== undefined) await waitForConversion(transfer, converting.uuid, name);
    const uploading = all.find((disk) => disk.name === `uploading-${name}`);
    if (converting === undefined && uploading === undefined) return undefined;
    if (uploading !== undefined && (await standsStill(transfer, uploading))) await removeImage(transfer, uploading);
  }
}

/** Of several equal ones everybody picks the same. */
function oldestNamed(all: readonly VirtualDisk[], name: string): VirtualDisk | undefined {
  return all.filter((disk) => disk.name === name).sort((a, b) => (a.uuid < b.uuid ? -1 : 1))[0];
}

/** Somebody of another instance may be uploading this very image: one that neither grows nor changes for a while is an orphan. */
async function standsStill(transfer: Transfer, seen: VirtualDisk): Promise<boolean> {
  const { access, signal } = transfer;
  const moved = await poll(access.timeouts.orphanMs, signal, async () => {
    const now = await findImage(access, seen.uuid, signal);
    return now === undefined || now.name !== seen.name || now.allocatedBytes !== seen.allocatedBytes ? true : undefined;
  });
  return moved === undefined;
}

export async function removeImage({ access, signal, beforeChange }: Removal, disk: VirtualDisk): Promise<void> {
  access.log("info", { cluster: access.cluster, image: disk.name }, "removing an unfinished or doubled upload");
  beforeChange();
  const reply = await access.client.change("DELETE", `VirtualDisk/${disk.uuid}`, undefined, signal);
  await access.tasks.wait(reply.taskTag, signal);
  // The record vanishes a moment after the answer.
  await poll(access.timeouts.verifyMs, signal, async () =>
    (await findImage(access, disk.uuid, signal)) === undefined ? true : undefined,
  );
}

async function findImage(access: ClusterAccess, uuid: string, signal: AbortSignal): Promise<VirtualDisk | undefined> {
  return (await access.client.list(`VirtualDisk/${uuid}`, toVirtualDisk, signal)).find((disk) => disk.uuid === uuid);
}

async function upload(transfer: Transfer, name: string, file: AssetFile): Promise<ReadyImage> {
  const { access, asset, signal } = transfer;
  transfer.beforeChange();
  const path = `VirtualDisk/upload?filename=${encodeURIComponent(name)}&filesize=${file.sizeBytes}`;
  const reply = await access.client.upload({ method: "PUT", path, ...fileBody(transfer, file) }, signal);
  const outcome = await access.tasks.wait(reply.taskTag, signal);
  if (outcome.kind === "failed")
    throw await taskFailed(
      access,
      { what: `uploading asset "${asset.name}"`, needsRoom: true },
      outcome.message,
      signal,
    );
  const uuid = reply.createdUUID !== "" ? reply.createdUUID : await findUploaded(transfer, name);
  return waitForConversion(transfer, uuid, name);
}

async function findUploaded({ access, signal }: Transfer, name: string): Promise<string> {
  const mine = (await listImages(access, signal)).find((disk) => phasesOf(name).includes(disk.name));
  if (mine === undefined)
    throw new WatcherError("task-failed", `cluster ${access.cluster}: the uploaded image ${name} is not there`);
  return mine.uuid;
}

/** The task of an upload does not cover the conversion; only the final name says that an image can be attached. */
async function waitForConversion({ access, signal, asset }: Transfer, uuid: string, name: string): Promise<ReadyImage> {
  const found = await poll(access.timeouts.convertMs, signal, async () => {
    const disk = await findImage(access, uuid, signal);
    if (disk === undefined) return "gone" as const;
    return disk.name === name ? disk : undefined;
  });
  if (found === undefined)
    throw new WatcherError("task-failed", `cluster ${access.cluster}: asset "${asset.name}" is still not converted`);
  if (found === "gone")
    throw new WatcherError(
      "task-failed",
      `cluster ${access.cluster}: the image of asset "${asset.name}" vanished during its conversion`,
    );
  return found;
}

/**
 * Two processes may have uploaded at once. The one with the lowest uuid is kept: whoever has another waits for that one,
 * removes its own and uses the one kept. A third process that was quick to attach the removed one has to repeat that.
 * An upload that stands still wins nothing.
 */
async function settleRace(transfer: Transfer, name: string, mine: ReadyImage): Promise<ReadyImage> {
  for (;;) {
    const all = await listImages(transfer.access, transfer.signal);
    const rivals = all.filter((disk) => disk.uuid < mine.uuid && phasesOf(name).includes(disk.name));
    const kept = oldestNamed(rivals, name);
    const own = all.find((disk) => disk.uuid === mine.uuid);
    if (kept !== undefined && own !== undefined) await removeImage(transfer, own);
    if (kept !== undefined) return kept;
    const [unfinished] = rivals;
    if (unfinished === undefined || (await standsStill(transfer, unfinished))) return mine;
  }
}

/** The names a record goes through before it can be attached. */
function phasesOf(name: string): string[] {
  return [name, `converting-${name}`, `uploading-${name}`];
}
