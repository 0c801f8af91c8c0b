import { isOurMark } from "./marks.ts";

/** A VM's tags by whose they are. */
export interface SortedTags {
  readonly manifest: readonly string[];
  readonly marks: readonly string[];
  readonly people: readonly string[];
}

/**
 * The order on a VM whose tags hold our marks: the manifest's tags (the UI groups by the first one), ours, then whatever
 * people added after ours. Without marks all tags count as the manifest's.
 */
export function sortTags(tags: readonly string[]): SortedTags {
  const first = tags.findIndex(isOurMark);
  if (first < 0) return { manifest: tags, marks: [], people: [] };
  return {
    manifest: tags.slice(0, first),
    marks: tags.filter(isOurMark),
    people: tags.slice(first).filter((tag) => !isOurMark(tag)),
  };
}

/** A manifest cannot name marks of ours, and a tag that people gave as well stands once. */
export function joinTags({ manifest, marks, people }: SortedTags): string {
  const wanted = manifest.map((tag) => tag.trim()).filter((tag) => tag !== "" && !isOurMark(tag));
  return [...wanted, ...marks, ...people.filter((tag) => !wanted.includes(tag))].join(",");
}

/** One comma-separated string. `""` is no tag, not one empty tag. */
export function splitTags(tags: string): string[] {
  return tags
    .split(",")
    .map((tag) => tag.trim())
    .filter((tag) => tag !== "");
}
