import { type DesiredState, identityKey, type VirdomainIdentity } from "../fleet/desired-state.ts";
import type { PlanInput } from "./build-plan.ts";
import { targetsOn } from "./cluster-index.ts";
import type { Operation } from "./plan.ts";

/** A VM nobody asks for under its identity any more, on a cluster where another one is to be made. */
export interface Orphan {
  readonly cluster: string;
  readonly identity: VirdomainIdentity;
  /** The revision applied to it last: it says where the VM had its identity from. Platforms may keep its beginning only. */
  readonly revision: string;
}

/** A rename that a revision takes back: `from` is what the VM is marked as, `to` what it was before and is to be again. */
export interface UndoneRename {
  readonly cluster: string;
  readonly from: VirdomainIdentity;
  readonly to: VirdomainIdentity;
}

/** VMs, also in quarantine, that one of the creations may have been before. */
export function findOrphans(input: PlanInput, operations: readonly Operation[]): readonly Orphan[] {
  const clusters = new Set(operations.filter(({ kind }) => kind === "create").map(({ cluster }) => cluster));
  return [...clusters].flatMap((cluster) => {
    const { virdomains = [], quarantined = [] } = input.live.get(cluster)?.state ?? {};
    const wanted = new Set(
      targetsOn(input.desired, cluster).flatMap((target) =>
        target.virdomains.flatMap(({ identity, formerIdentities }) => [identity, ...formerIdentities].map(identityKey)),
      ),
    );
    return [...virdomains, ...quarantined].flatMap(({ mark, clone, replica }) => {
      if (mark?.revision === undefined || clone || replica) return [];
      const { instance, identity, revision } = mark;
      const ours = instance === input.instance && identity.repository === input.desired.repository;
      return ours && !wanted.has(identityKey(identity)) ? [{ cluster, identity, revision }] : [];
    });
  });
}

/** What the orphan was renamed from by its revision, where one of the creations is that VM. */
export function findUndoneRename(
  { cluster, identity }: Orphan,
  applied: DesiredState,
  operations: readonly Operation[],
): UndoneRename | undefined {
  const key = identityKey(identity);
  const virdomains = targetsOn(applied, cluster).flatMap((target) => target.virdomains);
  const before = virdomains.find((virdomain) => identityKey(virdomain.identity) === key)?.formerIdentities ?? [];
  const created = operations.find(
    (operation) =>
      operation.kind === "create" &&
      operation.cluster === cluster &&
      before.some((former) => identityKey(former) === identityKey(operation.identity)),
  );
  return created === undefined ? undefined : { cluster, from: identity, to: created.identity };
}

/** The same wish, which also knows VMs by the names that renames gave them and that are taken back. */
export function withUndoneRenames(desired: DesiredState, renames: readonly UndoneRename[]): DesiredState {
  const clusters = new Set(renames.map(({ cluster }) => cluster));
  const targets = [...desired.targets].map(([key, target]) => {
    if (!clusters.has(target.cluster)) return [key, target] as const;
    const virdomains = target.virdomains.map((virdomain) => {
      const more = renames
        .filter(({ cluster, to }) => cluster === target.cluster && identityKey(to) === identityKey(virdomain.identity))
        .map(({ from }) => from);
      return more.length === 0
        ? virdomain
        : { ...virdomain, formerIdentities: [...virdomain.formerIdentities, ...more] };
    });
    return [key, { ...target, virdomains }] as const;
  });
  return { ...desired, targets: new Map(targets) };
}
