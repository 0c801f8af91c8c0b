import { WatcherError } from "../../../lib/errors.ts";
import { type OwnershipMark, sameQuarantine } from "../../../plan/live-state.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { checkpoint } from "../../boundaries.ts";
import { type Domain, isOff } from "../domain/domain.ts";
import { findDomain, type Host } from "../host.ts";
import { consoleLogName } from "../storage/volume-names.ts";
import { type Changing, deleteVolume, listVolumes } from "../storage/volumes.ts";
import { isTrouble } from "../virsh/virsh-errors.ts";
import { discardVolumes, noteOn } from "./definitions.ts";
import { requireOurs } from "./require-ours.ts";

/** Removes a switched-off VM after reading once more that it is the one meant. Gone already is success. */
export async function deleteVm(host: Host, uuid: string, mark: OwnershipMark, context: ChangeContext): Promise<void> {
  checkpoint(context);
  const domain = await findDomain(host, uuid, context.signal);
  if (domain === undefined) return;
  requireOurs(host, domain, mark);
  const found = domain.ownership.mark;
  if (found !== undefined && !sameQuarantine(found, mark))
    throw new WatcherError(
      "virdomain-changed",
      `cluster ${host.cluster}: VM ${domain.name} went into or out of quarantine meanwhile and is not deleted`,
    );
  await removeDomain(host, domain, context);
}

/**
 * The disks go first and the definition last, which says from the first step on that it is being taken apart: cut off
 * anywhere, the VM is found again, is never started, and nothing of it stays behind.
 */
export async function removeDomain(host: Host, domain: Domain, context: Changing): Promise<void> {
  const { mark, disks } = domain.ownership;
  if (mark === undefined) throw new Error("only a marked VM is removed");
  requireOff(host, domain);
  const doomed = disks.map((note) => ({ ...note, state: "removing" as const }));
  const ownership = { ...domain.ownership, mark: { ...mark, building: true }, disks: doomed };
  // From here on we start it no more; whoever did so a moment ago keeps the disks.
  requireOff(host, await noteOn(host, domain, ownership, context));
  await discardVolumes(host, domain.uuid, doomed, context);
  await discardConsoleLogs(host, domain.uuid, context);
  await undefine(host, domain, context);
}

function requireOff(host: Host, domain: Domain): void {
  if (isOff(domain)) return;
  throw new WatcherError(
    "virdomain-changed",
    `cluster ${host.cluster}: VM ${domain.name} is not off and is therefore not deleted`,
  );
}

/** Firmware variables, TPM state, saved memory and snapshots' notes go with the definition; none need exist. */
async function undefine(host: Host, { uuid, name }: Domain, context: Changing): Promise<void> {
  context.beforeChange();
  const alsoGone = ["--nvram", "--tpm", "--managed-save", "--snapshots-metadata", "--checkpoints-metadata"];
  await host.virsh
    .run(["undefine", uuid, ...alsoGone], { what: `delete VM ${name}`, signal: context.signal })
    .catch((error: unknown) => {
      if (!isTrouble(error, "absent")) throw error;
    });
}

/** virtlogd writes and rotates them into the pool's folder, where libvirt sees them once it looks again. */
async function discardConsoleLogs(host: Host, uuid: string, changing: Changing): Promise<void> {
  const { options, virsh } = host;
  if (options.consoleLogs !== "pool") return;
  await virsh.run(["pool-refresh", options.pool], { what: "look for console logs", signal: changing.signal });
  const logs = await listVolumes(host, consoleLogName(options.instance, uuid), changing.signal);
  for (const name of logs) await deleteVolume(host, name, changing);
}
