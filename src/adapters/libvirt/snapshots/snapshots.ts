import { WatcherError } from "../../../lib/errors.ts";
import type { LiveVirdomain } from "../../../plan/live-state.ts";
import type { ChangeContext, KeptSnapshot, SnapshotReference, SnapshotRequest } from "../../../ports/hypervisor.ts";
import { checkpoint } from "../../boundaries.ts";
import { disksOf, idOfSource } from "../domain/devices.ts";
import type { Domain } from "../domain/domain.ts";
import { escapeXml, find, parseXml, textOf, toXml } from "../domain/xml.ts";
import { findDomain, getDomain, type Host, withFile, wordsOf } from "../host.ts";
import { requireOurs } from "../vm/require-ours.ts";
import { snapshotBlocks } from "./running-blocks.ts";

/**
 * Snapshots inside the VM's own qcow2 disks: nothing is copied, and they go with the disks. libvirt refuses them for a VM
 * that runs on UEFI, and would stop a running BIOS guest to save its memory; of a running VM the disks are therefore
 * taken through QEMU, all in one transaction, and the note of it written after.
 */
export interface Snapshot {
  readonly name: string;
  readonly description: string;
  readonly takenAtMs: number;
  /** What was in the VM's disks then, as `idOfSource` says it. */
  readonly sources: ReadonlySet<string>;
}

/** Says whose it is and when it goes, so that people reading `snapshot-list` know, too. */
function nameOf(instance: string, atMs: number, keepUntilMs: number, taken: ReadonlySet<string>): string {
  const until = `until-${Math.ceil(keepUntilMs / 1000)}`;
  for (let number = 1; ; number += 1) {
    const name = `kg.${instance}.${Math.floor(atMs / 1000)}-${number}.${until}`;
    if (!taken.has(name)) return name;
  }
}

export function expiryOf(name: string, instance: string): number | undefined {
  const prefix = `kg.${instance}.`;
  const seconds = name.startsWith(prefix) ? /^\d+-\d+\.until-(\d+)$/.exec(name.slice(prefix.length))?.[1] : undefined;
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}

/** How a snapshot of this instance describes itself; an instance's name has no spaces, so none begins another. */
function fullLabel(instance: string, label: string): string {
  return `kraken-gitops/${instance} ${label}`;
}

/** The label as it was asked for, when this instance took the snapshot. */
export function ownLabel({ name, description }: Snapshot, instance: string): string | undefined {
  const prefix = fullLabel(instance, "");
  if (expiryOf(name, instance) === undefined || !description.startsWith(prefix)) return undefined;
  return description.slice(prefix.length);
}

export async function listSnapshots({ virsh }: Host, uuid: string, signal: AbortSignal): Promise<Snapshot[]> {
  const call = { what: "list snapshots", signal };
  const [names] = await virsh.batch([`snapshot-list ${uuid} --name`], call);
  const all = wordsOf(names);
  const answers = await virsh.batch(
    all.map((name) => `snapshot-dumpxml ${uuid} ${name}`),
    call,
  );
  return answers.flatMap((answer) => (answer === undefined ? [] : [toSnapshot(answer)]));
}

function toSnapshot(text: string): Snapshot {
  const element = parseXml(text);
  const domain = find(element, "domain");
  return {
    name: textOf(find(element, "name")),
    description: textOf(find(element, "description")),
    takenAtMs: Number(textOf(find(element, "creationTime"))) * 1000,
    sources: new Set(
      domain === undefined
        ? []
        : disksOf(domain).flatMap(({ source }) => (source === undefined ? [] : [idOfSource(source)])),
    ),
  };
}

/** Every snapshot of ours of a VM, the newest first. */
export async function listKept(host: Host, uuid: string, signal: AbortSignal): Promise<KeptSnapshot[]> {
  const { instance } = host.options;
  if ((await findDomain(host, uuid, signal)) === undefined) return [];
  return (await listSnapshots(host, uuid, signal))
    .flatMap((snapshot) => {
      const label = ownLabel(snapshot, instance);
      if (label === undefined) return [];
      const { takenAtMs, name } = snapshot;
      return [{ ...toReference(uuid, snapshot, label), takenAtMs, expiresAtMs: expiryOf(name, instance) }];
    })
    .sort((a, b) => b.takenAtMs - a.takenAtMs || (a.id < b.id ? 1 : -1));
}

/** What snapshots of a VM, whoever took them, still need. */
export async function volumesInSnapshots(host: Host, uuid: string, signal: AbortSignal): Promise<Set<string>> {
  return new Set((await listSnapshots(host, uuid, signal)).flatMap(({ sources }) => [...sources]));
}

export async function ensureSnapshot(
  host: Host,
  live: LiveVirdomain,
  request: SnapshotRequest,
  context: ChangeContext,
): Promise<SnapshotReference> {
  checkpoint(context);
  const domain = await getDomain(host, live.id, context.signal);
  requireManaged(host, domain, live, request.adopt);
  const { instance } = host.options;
  const all = await listSnapshots(host, domain.uuid, context.signal);
  const known = request.fresh ? undefined : newest(all, instance, request.label);
  if (known !== undefined && (expiryOf(known.name, instance) ?? 0) > Date.now())
    return toReference(domain.uuid, known, request.label);
  const name = nameOf(instance, Date.now(), request.keepUntilMs, new Set(all.map((each) => each.name)));
  const description = fullLabel(instance, request.label);
  if (domain.live === undefined) await takeWhileOff(host, domain, name, description, context);
  else await takeWhileRunning(host, domain, name, description, context);
  const taken = (await listSnapshots(host, domain.uuid, context.signal)).find((each) => each.name === name);
  if (taken === undefined)
    throw new WatcherError(
      "task-failed",
      `cluster ${host.cluster}: take a snapshot of ${domain.name}: libvirt does not list it`,
    );
  return toReference(domain.uuid, taken, request.label);
}

/** A snapshot uses room and touches the VM: a VM that is not ours is asked for only when it is about to become so. */
function requireManaged(host: Host, domain: Domain, live: LiveVirdomain, adopt: boolean): void {
  if (live.mark !== undefined) return requireOurs(host, domain, live.mark);
  const { mark, clone } = domain.ownership;
  if (mark !== undefined || clone) return requireOurs(host, domain);
  if (!adopt)
    throw new WatcherError(
      "virdomain-conflict",
      `cluster ${host.cluster}: VM ${domain.name} does not carry our mark and no snapshot of it is taken`,
    );
}

async function takeWhileOff(
  { virsh }: Host,
  { uuid, name: vm }: Domain,
  name: string,
  description: string,
  context: ChangeContext,
): Promise<void> {
  context.beforeChange();
  const args = ["snapshot-create-as", uuid, "--name", name, "--description", description, "--atomic"];
  await virsh.run(args, { what: `take a snapshot of VM ${vm}`, signal: context.signal });
}

/** Cut off in between, the disks hold a snapshot nobody knows of, which costs room; the repeat takes one that counts. */
async function takeWhileRunning(
  host: Host,
  domain: Domain,
  name: string,
  description: string,
  context: ChangeContext,
): Promise<void> {
  const blocks = await snapshotBlocks(host, domain, name, context);
  const definition = [
    `<domainsnapshot><name>${name}</name><description>${escapeXml(description)}</description><state>shutoff</state>`,
    `<creationTime>${Math.floor(Date.now() / 1000)}</creationTime><memory snapshot="no"/>`,
    `<disks>${blocks.map((target) => `<disk name="${target}" snapshot="internal"/>`).join("")}</disks>`,
    toXml(domain.config),
    "</domainsnapshot>",
  ].join("");
  await withFile(host, definition, async (path) => {
    context.beforeChange();
    const what = `note the snapshot of VM ${domain.name}`;
    await host.virsh.run(["snapshot-create", domain.uuid, path, "--redefine"], { what, signal: context.signal });
  });
}

/** The newest one of a VM under a label. */
export async function findSnapshot(
  host: Host,
  uuid: string,
  label: string,
  signal: AbortSignal,
): Promise<SnapshotReference | undefined> {
  if ((await findDomain(host, uuid, signal)) === undefined) return undefined;
  const found = newest(await listSnapshots(host, uuid, signal), host.options.instance, label);
  return found === undefined ? undefined : toReference(uuid, found, label);
}

function newest(all: readonly Snapshot[], instance: string, label: string): Snapshot | undefined {
  return all
    .filter((snapshot) => ownLabel(snapshot, instance) === label)
    .sort((a, b) => b.takenAtMs - a.takenAtMs || (a.name < b.name ? 1 : -1))[0];
}

/** libvirt names snapshots within a VM only. */
export function toReference(virdomainId: string, { name }: Snapshot, label: string): SnapshotReference {
  return { id: `${virdomainId}/${name}`, virdomainId, label };
}
