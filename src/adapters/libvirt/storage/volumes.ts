import { WatcherError } from "../../../lib/errors.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { poll } from "../../pause.ts";
import { type FileSource, idOfSource, type VolumeSource } from "../domain/devices.ts";
import { tag } from "../domain/xml.ts";
import { type Host, withFile } from "../host.ts";
import { isTrouble } from "../virsh/virsh-errors.ts";

/** What may be changed in the pool, by whoever asks. */
export type Changing = Pick<ChangeContext, "signal" | "beforeChange">;

/** Names of the pool's volumes that begin with a prefix. */
export async function listVolumes(host: Host, prefix: string, signal: AbortSignal): Promise<string[]> {
  const what = `list volumes of pool ${host.options.pool}`;
  const listed = await host.virsh.run(["vol-list", host.options.pool], { what, signal });
  return listed
    .split("\n")
    .map((line) => line.trim().split(/\s+/)[0] ?? "")
    .filter((name) => name.startsWith(prefix));
}

/** Capacities in bytes by `idOfSource`; what does not exist, or is in no pool, is left out. */
export async function capacitiesOf(
  host: Host,
  sources: readonly (VolumeSource | FileSource)[],
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const commands = sources.map((source) =>
    "volume" in source
      ? `vol-info --bytes ${quoted(source.volume)} --pool ${quoted(source.pool)}`
      : `vol-info --bytes ${quoted(source.file)}`,
  );
  const answers = await host.virsh.batch(commands, { what: "read volumes", signal });
  return new Map(
    sources.flatMap((source, index) => {
      const capacity = Number(/^Capacity:\s+(\d+)/m.exec(answers[index] ?? "")?.[1]);
      return Number.isFinite(capacity) ? [[idOfSource(source), capacity] as const] : [];
    }),
  );
}

/** virsh reads its own quotes; names that could end them are left to libvirt to refuse. */
function quoted(name: string): string {
  return `'${name.replaceAll("'", "'\\''")}'`;
}

export interface NewVolume {
  readonly name: string;
  readonly format: "raw" | "qcow2";
  readonly capacityBytes: number;
  /** Image it lies on top of, whole and unchanged for as long as this volume exists. */
  readonly backing?: { readonly path: string; readonly format: "raw" | "qcow2" };
}

/**
 * Sparse; 0600, as disks and seeds hold what guests hold. qcow2 of version 3, since older ones cannot be enlarged while
 * they have snapshots (QEMU: "Can't resize a v2 image which has snapshots").
 */
function volumeXml({ name, format, capacityBytes, backing }: NewVolume): string {
  return [
    `<volume><name>${name}</name>`,
    `<capacity unit="bytes">${capacityBytes}</capacity><allocation unit="bytes">0</allocation>`,
    `<target>${tag("format", { type: format })}${format === "qcow2" ? "<compat>1.1</compat>" : ""}`,
    `<permissions><mode>0600</mode></permissions></target>`,
    backing === undefined
      ? ""
      : `<backingStore><path>${backing.path}</path>${tag("format", { type: backing.format })}</backingStore>`,
    `</volume>`,
  ].join("");
}

/** An empty volume, or an overlay. */
export async function createVolume(host: Host, volume: NewVolume, changing: Changing): Promise<void> {
  const { pool } = host.options;
  await withFile(host, volumeXml(volume), async (path) => {
    changing.beforeChange();
    await host.virsh.run(["vol-create", pool, path], { what: `create volume ${volume.name}`, signal: changing.signal });
  });
}

/** A full copy of an image, converted on the host. Its capacity is the image's. */
export async function copyVolume(host: Host, from: string, volume: NewVolume, changing: Changing): Promise<void> {
  const { pool } = host.options;
  await withFile(host, volumeXml(volume), async (path) => {
    changing.beforeChange();
    await host.virsh.run(["vol-create-from", pool, path, from, "--inputpool", pool], {
      what: `copy ${from} to ${volume.name}`,
      signal: changing.signal,
      limitMs: host.timeouts.transferMs,
    });
  });
}

/** Only ever larger: virsh refuses to shrink without being told to. */
export async function enlargeVolume(host: Host, name: string, bytes: number, changing: Changing): Promise<void> {
  const { pool } = host.options;
  changing.beforeChange();
  await host.virsh.run(["vol-resize", name, `${bytes}B`, "--pool", pool], {
    what: `enlarge volume ${name}`,
    signal: changing.signal,
  });
}

/**
 * Deletes a volume of which the caller knows that nobody uses it: libvirt itself deletes disks of running VMs without a
 * question. Gone already is success; one that is still being written by a call that was cut off is waited for.
 */
export async function deleteVolume(host: Host, name: string, changing: Changing): Promise<void> {
  const { pool } = host.options;
  const gone = await poll(host.timeouts.busyMs, changing.signal, async () => {
    try {
      changing.beforeChange();
      await host.virsh.run(["vol-delete", name, "--pool", pool], {
        what: `delete volume ${name}`,
        signal: changing.signal,
      });
      return true;
    } catch (error) {
      if (isTrouble(error, "absent")) return true;
      if (isTrouble(error, "busy")) return undefined;
      throw error;
    }
  });
  if (gone !== true)
    throw new WatcherError(
      "cluster-busy",
      `cluster ${host.cluster}: volume ${name} is still being written by an earlier attempt`,
    );
}
