import { WatcherError } from "../../../lib/errors.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { type DiskDevice, idOfDisk } from "../domain/devices.ts";
import type { Domain } from "../domain/domain.ts";
import { attribute, find } from "../domain/xml.ts";
import type { Host } from "../host.ts";
import type { Changing } from "../storage/volumes.ts";

/** The parts of QEMU's `query-block` this driver uses (QEMU QMP reference). */
interface Block {
  readonly qdev?: string;
  readonly inserted?: {
    readonly drv: string;
    readonly "node-name": string;
    readonly image: { readonly snapshots?: readonly { readonly name: string }[] };
  };
}

/** Snapshots every disk of a running VM at one moment; answers the disks' targets. Their content is as after a power cut. */
export async function snapshotBlocks(
  host: Host,
  domain: Domain,
  name: string,
  context: ChangeContext,
): Promise<string[]> {
  const disks = domain.disks.filter(({ device }) => device.device === "disk");
  const all = await queryBlocks(host, domain, context.signal);
  const blocks = disks.flatMap(({ device }) => all.find((block) => isBlockOf(block, device)) ?? []);
  if (blocks.length < disks.length || blocks.some(({ inserted }) => inserted?.drv !== "qcow2"))
    throw new WatcherError(
      "cluster-refused",
      `cluster ${host.cluster}: VM ${domain.name} has a disk that is no qcow2 image, which cannot be snapshotted (${disks.map(({ device }) => idOfDisk(device)).join(", ")}); convert it, or take no snapshots (policy.snapshots.before: [])`,
    );
  const actions = blocks.map(({ inserted }) => ({
    type: "blockdev-snapshot-internal-sync",
    data: { device: inserted?.["node-name"], name },
  }));
  context.beforeChange();
  await command(host, domain, { execute: "transaction", arguments: { actions } }, "take a snapshot", context.signal);
  return disks.map(({ device }) => device.target);
}

/** Removes a snapshot from the disks of a running VM; libvirt itself only forgets it then and leaves it in the files. */
export async function removeFromBlocks(host: Host, domain: Domain, name: string, changing: Changing): Promise<void> {
  for (const { inserted } of await queryBlocks(host, domain, changing.signal)) {
    if (inserted?.image.snapshots?.some((snapshot) => snapshot.name === name) !== true) continue;
    changing.beforeChange();
    const removal = {
      execute: "blockdev-snapshot-delete-internal-sync",
      arguments: { device: inserted["node-name"], name },
    };
    await command(host, domain, removal, "remove a snapshot", changing.signal);
  }
}

/** libvirt calls a running device by its alias, which QEMU has in the path of the device. */
function isBlockOf({ qdev }: Block, { element }: DiskDevice): boolean {
  const alias = attribute(find(element, "alias"), "name");
  return alias !== undefined && qdev !== undefined && qdev.split("/").includes(alias);
}

async function queryBlocks(host: Host, domain: Domain, signal: AbortSignal): Promise<readonly Block[]> {
  return (await command(host, domain, { execute: "query-block" }, "read disks", signal)) as readonly Block[];
}

async function command(
  host: Host,
  { uuid, name }: Domain,
  message: object,
  what: string,
  signal: AbortSignal,
): Promise<unknown> {
  const words = ["qemu-monitor-command", uuid, JSON.stringify(message)];
  const answer = JSON.parse(await host.virsh.run(words, { what: `${what} of VM ${name}`, signal })) as {
    readonly return?: unknown;
    readonly error?: { readonly desc: string };
  };
  if (answer.error !== undefined)
    throw new WatcherError("task-failed", `cluster ${host.cluster}: ${what} of VM ${name}: ${answer.error.desc}`);
  return answer.return;
}
