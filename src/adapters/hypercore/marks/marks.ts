import type { VirdomainIdentity } from "../../../fleet/desired-state.ts";
import type { OwnershipMark, QuarantineNote } from "../../../plan/live-state.ts";

/**
 * The texts in which we remember a VM on the VM itself: whose it is, and which of its devices is which. Where they are
 * kept (tags or labels) is ownership.ts's business. Revisions and hashes are abbreviated to 12 digits to stay readable.
 */
export interface MarkNotes {
  readonly mark: OwnershipMark | undefined;
  /** The mark is a copy: it was written for another VM. */
  readonly clone: boolean;
  readonly disks: ReadonlyMap<string, DiskNote>;
  /** NIC name -> beginning of the device's uuid. */
  readonly nics: ReadonlyMap<string, string>;
}

export type Bus = "virtio" | "ide" | "scsi";

/** Where a manifest disk is: on a known device, or (written before the device exists) in a slot. */
export type DiskNote = { readonly assetId: string | undefined } & ({ readonly uuidPrefix: string } | SlotPlace);
export interface SlotPlace {
  readonly bus: Bus;
  readonly slot: number;
}

const ours = /^kg-(?:(?:own|vm|rev|ci|dep|disk|nic|tag|quarantine|restoring):|(?:building|protect)$)/;
const shortLength = 12;

export function isOurMark(text: string): boolean {
  return ours.test(text.trim());
}

/** What alone is on a copy made from a snapshot until it is handed over: no mark, so that nobody takes it for a VM of ours. */
export function restoringTag(snapshotUuid: string): string {
  return `kg-restoring:${snapshotUuid}`;
}

/** Takes marks apart. Malformed ones are dropped rather than trusted. */
export function parseMarks(marks: readonly string[], vmUuid: string): MarkNotes {
  const owner = parseOwner(valueOf(marks, "own"));
  const vm = valueOf(marks, "vm");
  const building = marks.includes("kg-building");
  const clone = vm !== undefined && !(vm.length >= 8 && vmUuid.startsWith(vm));
  const whole = owner !== undefined && !clone && (vm !== undefined || building);
  return {
    clone,
    mark: whole ? toMark(owner, marks, building) : undefined,
    disks: parseDisks(marks),
    nics: parseNics(marks),
  };
}

/** Tags of the manifest, where they are noted among the marks. */
export function parseNotedTags(marks: readonly string[]): string[] {
  return valuesOf(marks, "tag").map(decodePart);
}

export function noteTags(tags: readonly string[]): string[] {
  return tags.map((tag) => `kg-tag:${encodePart(tag)}`);
}

interface Owner {
  readonly instance: string;
  readonly identity: VirdomainIdentity;
}

function toMark(owner: Owner, marks: readonly string[], building: boolean): OwnershipMark {
  const deployment = valueOf(marks, "dep");
  const quarantine = parseQuarantine(valueOf(marks, "quarantine"));
  return {
    ...owner,
    deployment: deployment === undefined ? undefined : decodePart(deployment),
    revision: valueOf(marks, "rev"),
    cloudInitHash: valueOf(marks, "ci"),
    building,
    protected: marks.includes("kg-protect"),
    ...(quarantine === undefined ? {} : { quarantine }),
  };
}

/** `<from>/<until>/<commit>/<name>`, times in milliseconds. One that cannot be read is none: then nothing is purged. */
function parseQuarantine(value: string | undefined): QuarantineNote | undefined {
  const [at = "", until = "", revision = "", name = ""] = value?.split("/") ?? [];
  if (!/^\d{1,15}$/.test(at) || !/^\d{1,15}$/.test(until) || name === "") return undefined;
  return { atMs: Number(at), untilMs: Number(until), revision: decodePart(revision), name: decodePart(name) };
}

function quarantineText({ atMs, untilMs, revision, name }: QuarantineNote): string {
  return [String(atMs), String(untilMs), encodePart(revision.slice(0, shortLength)), encodePart(name)].join("/");
}

function parseOwner(value: string | undefined): Owner | undefined {
  const parts = value?.split("/").map(decodePart) ?? [];
  const [instance, repository, application, resource, ordinal = "0"] = parts;
  if (
    parts.length > 5 ||
    instance === undefined ||
    repository === undefined ||
    application === undefined ||
    resource === undefined
  )
    return undefined;
  if (!/^\d+$/.test(ordinal)) return undefined;
  return { instance, identity: { repository, application, resource, ordinal: Number(ordinal) } };
}

function parseDisks(marks: readonly string[]): Map<string, DiskNote> {
  const disks = new Map<string, DiskNote>();
  for (const value of valuesOf(marks, "disk")) {
    const match = /^([^=]*)=(?:(virtio|ide|scsi)(\d+)|([0-9A-Fa-f-]{8,}))(?:\.(.*))?$/.exec(value);
    if (match === null) continue;
    const assetId = match[5] === undefined ? undefined : decodePart(match[5]);
    const place = match[4] === undefined ? { bus: match[2] as Bus, slot: Number(match[3]) } : { uuidPrefix: match[4] };
    disks.set(decodePart(match[1] ?? ""), { assetId, ...place });
  }
  return disks;
}

function parseNics(marks: readonly string[]): Map<string, string> {
  const nics = new Map<string, string>();
  for (const value of valuesOf(marks, "nic")) {
    const [name = "", prefix = ""] = value.split("=");
    if (prefix.length >= 8) nics.set(decodePart(name), prefix);
  }
  return nics;
}

function valuesOf(marks: readonly string[], key: string): string[] {
  return marks.filter((tag) => tag.startsWith(`kg-${key}:`)).map((tag) => tag.slice(key.length + 4));
}

function valueOf(marks: readonly string[], key: string): string | undefined {
  return valuesOf(marks, key)[0];
}

/** What goes onto a VM. `vmUuid` is left out while it is being built: the uuid is not known before the VM exists. */
export interface MarkContent {
  readonly mark: OwnershipMark;
  readonly vmUuid: string | undefined;
  readonly disks: ReadonlyMap<string, DiskNote>;
  readonly nics: ReadonlyMap<string, string>;
}

export function formatMarks({ mark, vmUuid, disks, nics }: MarkContent): string[] {
  return [
    `kg-own:${ownerText(mark)}`,
    vmUuid === undefined ? undefined : `kg-vm:${vmUuid.slice(0, 8)}`,
    mark.building ? "kg-building" : undefined,
    mark.protected ? "kg-protect" : undefined,
    mark.quarantine === undefined ? undefined : `kg-quarantine:${quarantineText(mark.quarantine)}`,
    optional("rev", mark.revision?.slice(0, shortLength)),
    optional("ci", mark.cloudInitHash?.slice(0, shortLength)),
    optional("dep", mark.deployment === undefined ? undefined : encodePart(mark.deployment)),
    ...byName(disks).map(([name, note]) => `kg-disk:${encodePart(name)}=${noteText(note)}`),
    ...byName(nics).map(([name, prefix]) => `kg-nic:${encodePart(name)}=${prefix}`),
  ].filter((mark) => mark !== undefined);
}

/** Equal texts mean the same VM of the same instance. */
export function ownerText(mark: Pick<OwnershipMark, "instance" | "identity">): string {
  const { repository, application, resource, ordinal } = mark.identity;
  const parts = [mark.instance, repository, application, resource].map(encodePart);
  return [...parts, ...(ordinal === 0 ? [] : [String(ordinal)])].join("/");
}

/** Sorted, so that another order in the manifest leaves the tags as they are. */
function byName<T>(notes: ReadonlyMap<string, T>): [string, T][] {
  return [...notes].sort(([a], [b]) => (a < b ? -1 : 1));
}

function optional(key: string, value: string | undefined): string | undefined {
  return value === undefined ? undefined : `kg-${key}:${value}`;
}

function noteText(note: DiskNote): string {
  const place = "uuidPrefix" in note ? note.uuidPrefix : `${note.bus}${note.slot}`;
  return note.assetId === undefined ? place : `${place}.${encodePart(note.assetId)}`;
}

/** Percent-encodes everything but letters, digits and `_ . ~ -`: no commas, spaces, slashes or equal signs in a mark. */
function encodePart(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9_.~-]/gu, (character) =>
    [...Buffer.from(character, "utf8")].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}

/** People can edit marks: what is not valid encoding is taken as it stands. */
function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
