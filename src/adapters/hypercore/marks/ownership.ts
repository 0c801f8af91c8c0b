import {
  type MarkContent,
  type MarkNotes,
  formatMarks,
  noteTags,
  ownerText,
  parseMarks,
  parseNotedTags,
} from "./marks.ts";
import { type Labels, foreignLabels, packMarks, sameLabels, unpackMarks } from "./ownership-labels.ts";
import { joinTags, sortTags, splitTags } from "./ownership-tags.ts";
import type { VirDomain } from "../rest/wire.ts";

type MarkedVm = Pick<VirDomain, "uuid" | "tags" | "labels">;

/** Everything we and people wrote on a VM. */
export interface OwnershipRecord extends MarkNotes {
  readonly place: "tags" | "labels" | "nowhere";
  readonly manifestTags: readonly string[];
  /** Tags that people added: kept, and never a difference. */
  readonly peopleTags: readonly string[];
}

/**
 * What a VM remembers. Marks in labels come before marks in tags: a VM gets labels when its cluster knows them, and what
 * its tags still say is then older, or was pasted there.
 */
export function readOwnership(vm: MarkedVm): OwnershipRecord {
  const tags = sortTags(splitTags(vm.tags));
  const labelled = unpackMarks(vm.labels ?? new Map());
  if (labelled.length === 0) {
    const place = tags.marks.length === 0 ? "nowhere" : "tags";
    return { ...parseMarks(tags.marks, vm.uuid), place, manifestTags: tags.manifest, peopleTags: tags.people };
  }
  const noted = new Set(parseNotedTags(labelled));
  const visible = [...tags.manifest, ...tags.people];
  return {
    ...parseMarks(labelled, vm.uuid),
    place: "labels",
    manifestTags: visible.filter((tag) => noted.has(tag)),
    peopleTags: visible.filter((tag) => !noted.has(tag)),
  };
}

/** Cheap enough for every VM of a cluster: whether a VM may carry the mark of this owner. */
export function mayBelongTo(vm: MarkedVm, owner: string): boolean {
  return vm.tags.includes(owner) || (vm.labels !== undefined && vm.labels.size > 0);
}

export function isOwnedBy(vm: VirDomain, owner: string): boolean {
  if (!mayBelongTo(vm, owner) || vm.sourceVirDomainUUID !== "") return false;
  const { mark } = readOwnership(vm);
  return mark !== undefined && ownerText(mark) === owner;
}

export interface OwnershipContent extends MarkContent {
  readonly manifestTags: readonly string[];
  readonly peopleTags: readonly string[];
}

/** Members of a VM that hold our marks. */
export interface OwnershipMembers {
  readonly tags: string;
  readonly labels?: Labels;
}

/** Marks in tags, as every version takes them, and as a VM has to be born with them. */
export function marksInTags(content: OwnershipContent): string {
  const { manifestTags: manifest, peopleTags: people } = content;
  return joinTags({ manifest, marks: formatMarks(content), people });
}

/**
 * What to write on an existing VM: labels where the cluster knows them (and 64 of them are enough), else tags. Moving
 * from one to the other takes the marks off the old place in the same call.
 */
export function toMembers(vm: MarkedVm, content: OwnershipContent, knowsLabels: boolean): OwnershipMembers {
  const { manifestTags: manifest, peopleTags: people } = content;
  const before = vm.labels ?? new Map<string, string>();
  const tags = joinTags({ manifest, marks: [], people });
  const noted = noteTags(splitTags(joinTags({ manifest, marks: [], people: [] })));
  const labels = knowsLabels ? packMarks([...formatMarks(content), ...noted], before) : undefined;
  if (labels !== undefined) return { tags, labels };
  const rest = new Map(foreignLabels(before));
  return { tags: marksInTags(content), ...(knowsLabels && !sameLabels(rest, before) ? { labels: rest } : {}) };
}
