import { identityKey } from "../../../fleet/desired-state.ts";
import { WatcherError } from "../../../lib/errors.ts";
import type { OwnershipMark } from "../../../plan/live-state.ts";
import type { Domain } from "../domain/domain.ts";
import type { Host } from "../host.ts";

/** A VM whose mark was edited, copied with a clone, or is somebody else's is not ours to change. */
export function requireOurs(host: Host, { name, uuid, ownership }: Domain, ...marks: readonly OwnershipMark[]): void {
  const where = `cluster ${host.cluster}: VM ${name} (${uuid})`;
  if (ownership.clone) throw new WatcherError("virdomain-conflict", `${where} is a clone and is left alone`);
  const { mark } = ownership;
  if (mark !== undefined && marks.some((expected) => sameOwner(expected, mark))) return;
  throw new WatcherError("virdomain-changed", `${where} does not carry the mark it was planned with`);
}

export function sameOwner(a: OwnershipMark, b: OwnershipMark): boolean {
  return a.instance === b.instance && identityKey(a.identity) === identityKey(b.identity);
}
