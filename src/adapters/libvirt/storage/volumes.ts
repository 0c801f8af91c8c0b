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
  return namesIn(listed).filter((name) => name.startsWith(prefix));
}

/** The first column of a list, which is names. */
export function namesIn(listed: string): string[] {
  return listed.split("\n").flatMap((line) => line.trim().split(/\s+/)[0] || []);
}

/**
 * Capacities in bytes by `idOfSource`; what does not exist, or is in no pool, is left out. Nothing that is wrong with
 * other people's pools stands in the way. With the `folder` of our pool, where it is known, libvirt finds a volume in half
 * the time.
 */
export async function capacitiesOf(
  host: Host,
  sources: readonly (VolumeSource | FileSource)[],
  signal: AbortSignal,
  folder?: string,
): Promise<Map<string, number>> {
  const isOurs = (source: VolumeSource | FileSource): boolean =>
    "volume" in source && source.pool === host.options.pool;
  const [ours, others] = await Promise.all([
    readCapacities(host, sources.filter(isOurs), signal, { folder, lenient: false }),
    readCapacities(
      host,
      sources.filter((source) => !isOurs(source)),
      signal,
      { folder: undefined, lenient: true },
    ),
  ]);
  return new Map([...ours, ...others]);
}

async function readCapacities(
  host: Host,
  sources: readonly (VolumeSource | FileSource)[],
  signal: AbortSignal,
  { folder, lenient }: { readonly folder: string | undefined; readonly lenient: boolean },
): Promise<readonly (readonly [string, number])[]> {
  const commands = sources.map((source) => {
    if ("file" in source) return `vol-info --bytes ${quoted(source.file)}`;
    const { pool, volume } = source;
    return folder === undefined
      ? `vol-info --bytes ${quoted(volume)} --pool ${quoted(pool)}`
      : `vol-info --bytes ${quoted(`${folder}/${volume}`)}`;
  });
  const answers = await host.virsh.batch(commands, { what: "read volumes", signal, lenient });
  return sources.flatMap((source, index) => {
    const capacity = Number(/^Capacity:\s+(\d+)/m.exec(answers[index] ?? "")?.[1]);
    return Number.isFinite(capacity) ? [[idOfSource(source), capacity] as const] : [];
  });
}

/** virsh reads its own quotes; names that could end them are left to libvirt to refuse. */
export function quoted(name: string): string {
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

/**
 * A full copy of an image, converted on the host, and enlarged: the copy itself takes the image's capacity whatever is
 * asked for. Both in one process; when the first fails, so does the second.
 */
export async function copyVolume(
  host: Host,
  image: { readonly volume: string; readonly capacityBytes: number },
  volume: NewVolume,
  changing: Changing,
): Promise<void> {
  const { pool } = host.options;
  const { name, capacityBytes } = volume;
  await withFile(host, volumeXml({ ...volume, capacityBytes: image.capacityBytes }), async (path) => {
    changing.beforeChange();
    const copy = `vol-create-from ${quoted(pool)} ${quoted(path)} ${image.volume} --inputpool ${quoted(pool)}`;
    const enlarge =
      capacityBytes > image.capacityBytes ? [`vol-resize ${name} ${capacityBytes}B --pool ${quoted(pool)}`] : [];
    await host.virsh.runInOne([copy, ...enlarge], {
      what: `copy ${image.volume} to ${name}`,
      signal: changing.signal,
      limitMs: host.timeouts.transferMs,
    });
  });
}

/** A new volume with the content of a small file of ours. */
export async function importVolume(
  host: Host,
  name: string,
  file: string,
  bytes: number,
  changing: Changing,
): Promise<void> {
  const { pool } = host.options;
  await withFile(host, volumeXml({ name, format: "raw", capacityBytes: bytes }), async (path) => {
    changing.beforeChange();
    const commands = [
      `vol-create ${quoted(pool)} ${quoted(path)}`,
      `vol-upload ${name} ${quoted(file)} --pool ${quoted(pool)}`,
    ];
    await host.virsh.runInOne(commands, { what: `make volume ${name}`, signal: changing.signal });
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
