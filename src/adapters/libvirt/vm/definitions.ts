import { type Domain, nameDisks } from "../domain/domain.ts";
import { idOfSource, sourceOfId } from "../domain/devices.ts";
import type { DiskNote, Ownership } from "../domain/ownership.ts";
import { writeOwnership } from "../domain/edit.ts";
import { toXml, type XmlElement } from "../domain/xml.ts";
import { getDomain, type Host, listDomains, withFile } from "../host.ts";
import { deleteVolume, type Changing } from "../storage/volumes.ts";

/** Writes a definition; libvirt checks it against its schema, as it would silently drop what it does not know. */
export async function define(host: Host, definition: XmlElement, name: string, context: Changing): Promise<void> {
  await withFile(host, toXml(definition), async (path) => {
    context.beforeChange();
    await host.virsh.run(["define", path, "--validate"], { what: `define VM ${name}`, signal: context.signal });
  });
}

/** Changes what we remember on a VM and nothing else. */
export async function noteOn(host: Host, domain: Domain, ownership: Ownership, context: Changing): Promise<Domain> {
  writeOwnership(domain.config, ownership);
  await define(host, domain.config, domain.name, context);
  return getDomain(host, domain.uuid, context.signal);
}

/** Notes of volumes that are in no device of the VM, running or to be started. */
export function unattached(domain: Domain): DiskNote[] {
  const present = new Set(
    [domain.config, ...(domain.live === undefined ? [] : [domain.live])]
      .flatMap((definition) => nameDisks(definition, domain.ownership))
      .map(({ note }) => note),
  );
  return domain.ownership.disks.filter((note) => !present.has(note));
}

/** What an earlier attempt left behind: volumes that were to be made or removed and are in no device. */
export function leftovers(domain: Domain): DiskNote[] {
  return unattached(domain).filter(({ state }) => state === "making" || state === "removing");
}

/**
 * Deletes the volumes of these notes. Only volumes noted as half made or given up get here, and even those stay when
 * another domain uses them, e.g. one on which somebody looks into a disk: libvirt deletes a running VM's disk without a
 * question.
 */
export async function discardVolumes(
  host: Host,
  uuid: string,
  notes: readonly DiskNote[],
  context: Changing,
): Promise<void> {
  const doomed = notes.flatMap(({ role, source }) => (role === "drive" || source === undefined ? [] : [source]));
  if (doomed.length === 0) return;
  const used = await sourcesOfOthers(host, uuid, context.signal);
  for (const id of doomed) {
    const source = sourceOfId(id);
    if (used.has(id)) host.log("warn", { cluster: host.cluster, source: id }, "a disk stays: another VM uses it");
    else if ("volume" in source && source.pool === host.options.pool) await deleteVolume(host, source.volume, context);
    else await discardForeign(host, id, context);
  }
}

async function sourcesOfOthers(host: Host, uuid: string, signal: AbortSignal): Promise<Set<string>> {
  const others = (await listDomains(host, signal)).filter((domain) => domain.uuid !== uuid);
  return new Set(
    others.flatMap(({ disks }) =>
      disks.flatMap(({ device }) => (device.source === undefined ? [] : [idOfSource(device.source)])),
    ),
  );
}

/** A disk somebody made, in another pool or in none: what is in no pool cannot be deleted through libvirt. */
async function discardForeign(host: Host, source: string, context: Changing): Promise<void> {
  const place = sourceOfId(source);
  const args = "volume" in place ? [place.volume, "--pool", place.pool] : [place.file];
  context.beforeChange();
  await host.virsh
    .run(["vol-delete", ...args], { what: `delete disk ${source}`, signal: context.signal })
    .catch((error: unknown) => {
      context.signal.throwIfAborted();
      host.log("warn", { cluster: host.cluster, source, err: error }, "a disk that was taken over stays on the host");
    });
}
