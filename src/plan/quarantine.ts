import { type DesiredVirdomain, identityKey } from "../fleet/desired-state.ts";
import { compareText } from "../lib/compare.ts";
import { diffVirdomain } from "./diff-virdomain.ts";
import type { LiveVirdomain, PlatformTraits, QuarantineNote } from "./live-state.ts";

/** Platforms put names into names of files, which end at 255 bytes; far below that people read them anyway. */
const longestName = 120;
const suffix = /\.quarantined-[0-9a-z]{1,40}(?:-[0-9a-f]{1,8})?$/;

/**
 * The name of a VM in quarantine: `web-1.quarantined-1a2b3c4`. With `id` for when that is taken. A long name loses its
 * end here; the whole one is in the mark.
 */
export function quarantinedName({ name, revision }: Pick<QuarantineNote, "name" | "revision">, id?: string): string {
  const distinct = id === undefined ? "" : `-${id.replaceAll("-", "").slice(0, 8)}`;
  const end = `.quarantined-${revision.slice(0, 7)}${distinct}`;
  let start = withoutSuffix(name);
  while (Buffer.byteLength(start) > longestName - end.length) start = Array.from(start).slice(0, -1).join("");
  return `${start}${end}`;
}

/** The name a VM had before: one that is taken back out of quarantine by halves still carries the other. */
export function withoutSuffix(name: string): string {
  return name.replace(suffix, "");
}

/** The rename comes last, so a VM in quarantine that still has its name is only on its way there. */
export function isUnfinished({ name, mark }: Pick<LiveVirdomain, "name" | "mark">): boolean {
  return mark?.quarantine !== undefined && name === mark.quarantine.name;
}

/** VMs in quarantine that this desired VM once was, the newest first. One that is being taken apart is none any more. */
export function quarantinedOf(
  { identity, formerIdentities }: Pick<DesiredVirdomain, "identity" | "formerIdentities">,
  quarantined: ReadonlyMap<string, readonly LiveVirdomain[]>,
): readonly LiveVirdomain[] {
  return [identity, ...formerIdentities].flatMap((each) => newestFirst(quarantined.get(identityKey(each)) ?? []));
}

function newestFirst(found: readonly LiveVirdomain[]): LiveVirdomain[] {
  return found
    .filter(({ mark, clone, replica }) => mark?.building === false && !clone && !replica)
    .sort((a, b) => atMsOf(b) - atMsOf(a) || compareText(a.id, b.id));
}

function atMsOf({ mark }: LiveVirdomain): number {
  return mark?.quarantine?.atMs ?? 0;
}

/** Whether it can be the desired VM again with its disks: what would have to be rebuilt stays where it is. */
export function canComeBack(desired: DesiredVirdomain, live: LiveVirdomain, traits: PlatformTraits): boolean {
  return diffVirdomain(desired, live, traits).changes.every(({ disruption }) => disruption !== "rebuild");
}
