import { identityKey } from "../../fleet/desired-state.ts";
import { WatcherError } from "../../lib/errors.ts";
import { defaultPolicy } from "../../manifest/document.ts";
import { type LiveState, toLiveState } from "../../plan/live-state.ts";
import { withoutSuffix } from "../../plan/quarantine.ts";
import type { ChangeContext, KeptSnapshot } from "../../ports/hypervisor.ts";
import { holdOnOperation } from "../../sync/pauses.ts";
import type { Engine } from "../engine.ts";
import { keepLease } from "../process/keep-lease.ts";
import { quarantineLeaseMs, quarantineLeaseName } from "../operation/leave-quarantine.ts";
import { readClusters } from "../planning/read-clusters.ts";
import {
  type Family,
  type MarkedVirdomain,
  presentOf,
  type RestoreResult,
  restoreVirdomain,
} from "./restore-virdomain.ts";

export type RestoreEngine = Pick<Engine, "clock" | "config" | "hypervisor" | "log" | "store">;

/** A VM of ours by its name, with everything it can go back to. */
export interface Restorable extends Family {
  readonly cluster: string;
  readonly key: string;
  readonly snapshots: readonly MemberSnapshot[];
}

/** A snapshot with the VM it is of: the one in use, or one of the same identity in quarantine. */
export interface MemberSnapshot extends KeptSnapshot {
  readonly member: MarkedVirdomain;
}

/** How long the hold on a VM outlives a killed process. */
const holdMs = 10_000;

/** Finds the VM with this name on these clusters. Throws `usage` when there is none, or more than one. */
export async function findRestorable(
  engine: RestoreEngine,
  name: string,
  clusters: readonly string[],
  signal: AbortSignal,
): Promise<Restorable> {
  const { live, held } = await readClusters(engine, clusters, signal, 60_000);
  const { instance } = engine.config();
  const found = [...live].flatMap(([cluster, { state }]) =>
    familiesOf(state, instance, name).map((family) => ({ cluster, ...family })),
  );
  const [first, ...others] = found;
  const unread = held.map(({ cluster, reason }) => `; ${cluster} could not be asked: ${reason}`).join("");
  if (first === undefined)
    throw new WatcherError(
      "usage",
      `no VM ${name} of instance ${instance} was found on ${clusters.join(", ")}${unread}`,
    );
  if (others.length > 0)
    throw new WatcherError(
      "usage",
      `several VMs are called ${name} (${found.map(({ cluster, key }) => `${key} on ${cluster}`).join(", ")}); say which with --cluster`,
    );
  return { ...first, snapshots: await listOf(engine, first.cluster, first.members, signal) };
}

function familiesOf(state: LiveState, instance: string, name: string): (Family & { readonly key: string })[] {
  const families = new Map<string, MarkedVirdomain[]>();
  for (const live of [...state.virdomains, ...(state.quarantined ?? [])]) {
    const { mark } = live;
    if (mark === undefined || mark.instance !== instance || mark.building || live.clone || live.replica) continue;
    const key = identityKey(mark.identity);
    families.set(key, [...(families.get(key) ?? []), { ...live, mark }]);
  }
  return [...families].flatMap(([key, members]) => {
    const called = nameOf(members);
    return called === name ? [{ key, name: called, members }] : [];
  });
}

/** Of the VM in use; else of the one that left last. */
function nameOf(members: readonly MarkedVirdomain[]): string {
  const present = members.find(({ mark }) => mark.quarantine === undefined);
  const last = members.toSorted((a, b) => (b.mark.quarantine?.atMs ?? 0) - (a.mark.quarantine?.atMs ?? 0))[0];
  return withoutSuffix(present?.name ?? last?.mark.quarantine?.name ?? "");
}

async function listOf(
  engine: RestoreEngine,
  cluster: string,
  members: readonly MarkedVirdomain[],
  signal: AbortSignal,
): Promise<readonly MemberSnapshot[]> {
  const hypervisor = await engine.hypervisor(cluster);
  const found: MemberSnapshot[] = [];
  for (const member of members)
    for (const snapshot of await hypervisor.listSnapshots(member.id, signal)) found.push({ ...snapshot, member });
  return found.sort((a, b) => b.takenAtMs - a.takenAtMs);
}

/** The snapshot a person means: by its whole id, or the end of it. Throws `usage`. */
export function pickSnapshot({ name, snapshots }: Restorable, id: string): MemberSnapshot {
  const exact = snapshots.filter((snapshot) => snapshot.id === id);
  const found = exact.length > 0 ? exact : snapshots.filter((snapshot) => id.length >= 8 && snapshot.id.includes(id));
  const [only, ...others] = found;
  if (only !== undefined && others.length === 0) return only;
  const why = only === undefined ? "has no snapshot" : "has several snapshots";
  throw new WatcherError("usage", `VM ${name} ${why} ${id}; list them: kraken-gitops restore ${name}`);
}

/** Why a VM must not be restored now, as a sentence; undefined when nothing speaks against it. */
export async function reasonToWait(engine: RestoreEngine, restorable: Restorable): Promise<string | undefined> {
  const { cluster, name, members } = restorable;
  const [any] = members;
  if (any === undefined) return "it is not there";
  const { repository, application } = any.mark.identity;
  const now = engine.clock.now();
  const rules = { pauses: await engine.store.listPauses(now), repositoryWindows: [], clusterWindows: [] };
  const held = holdOnOperation(rules, repository, { cluster, application, virdomain: name }, now);
  if (held === undefined)
    return `syncs of it are not paused, and the next one would do again what you go back from: kraken-gitops pause --vm ${cluster}/${name}`;
  const inUse = members.filter(({ mark }) => mark.quarantine === undefined);
  if (inUse.length > 1) return `${inUse.length} VMs carry its mark; remove the mark from the wrong one first`;
  return undefined;
}

/**
 * Carries it out: holds the VM against every operation of every process, reads everything again under that hold, and
 * goes back to the snapshot.
 */
export async function restoreHeld(
  engine: RestoreEngine,
  seen: { readonly restorable: Restorable; readonly snapshot: MemberSnapshot; readonly start: boolean },
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<RestoreResult> {
  const { cluster, key, name } = seen.restorable;
  const lease = await engine.store.holdVirdomain(cluster, key, holdMs);
  if (lease === undefined)
    throw new WatcherError("cluster-busy", `an operation on VM ${name} is under way; try again when it has ended`);
  let validUntilMs = engine.clock.now() + holdMs;
  const renew = async (): Promise<boolean> => {
    const askedAtMs = engine.clock.now();
    const renewed = await lease.renew();
    if (renewed) validUntilMs = askedAtMs + holdMs;
    return renewed;
  };
  await using kept = keepLease({ ...lease, renew }, holdMs, engine.clock);
  const held = AbortSignal.any([signal, kept.lost]);
  const context = contextOf(held, progress, () => engine.clock.now() < validUntilMs);
  const hypervisor = await engine.hypervisor(cluster);
  await hypervisor.ensureReady(context.signal);
  const state = toLiveState(cluster, await readAll(engine, cluster, context.signal));
  const family = familiesOf(state, engine.config().instance, name).find((each) => each.key === key);
  const reason = family === undefined ? "it is gone" : await reasonToWait(engine, { ...seen.restorable, ...family });
  if (family === undefined || reason !== undefined)
    throw new WatcherError("virdomain-conflict", `VM ${name} on ${cluster} is not restored: ${reason}`);
  const revision = presentOf(family)?.mark.revision ?? "restore";
  const result = await restoreVirdomain(
    {
      hypervisor,
      clock: engine.clock,
      leaseQuarantined: (id) => engine.store.acquireLease(quarantineLeaseName(cluster, id), quarantineLeaseMs),
    },
    {
      family,
      sourceId: seen.snapshot.member.id,
      snapshotId: seen.snapshot.id,
      terms: { nowMs: engine.clock.now(), keepMs: defaultPolicy.quarantineMs, revision },
      shutdown: defaultPolicy,
    },
    context,
  );
  if (seen.start) await hypervisor.start(result.live.id, context);
  return result;
}

async function readAll(engine: RestoreEngine, cluster: string, signal: AbortSignal) {
  const { virdomains, quarantined = [] } = await (await engine.hypervisor(cluster)).readLiveState(signal);
  return [...virdomains, ...quarantined];
}

/** A person waits for it: no newer revision ends it in the middle. Nothing is written after a sleep longer than the hold. */
function contextOf(signal: AbortSignal, progress: (text: string) => void, holds: () => boolean): ChangeContext {
  return {
    signal,
    stop: new AbortController().signal,
    beforeChange() {
      signal.throwIfAborted();
      if (!holds())
        throw new WatcherError("lease-lost", "another process may be working on this VM: the hold on it ran out");
    },
    progress,
  };
}
