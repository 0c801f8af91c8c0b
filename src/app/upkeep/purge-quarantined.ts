import { messageOf, WatcherError } from "../../lib/errors.ts";
import type { LiveVirdomain } from "../../plan/live-state.ts";
import { type PurgeInput, reasonToStay } from "../../plan/judge-purge.ts";
import type { ChangeContext, Hypervisor } from "../../ports/hypervisor.ts";
import type { Engine } from "../engine.ts";
import { readStanding } from "../drift/find-drift.ts";
import { quarantineLeaseMs, quarantineLeaseName, withinLease } from "../operation/leave-quarantine.ts";
import { loadRevision } from "../planning/load-revision.ts";
import { purgeVirdomain } from "../operation/remove-virdomain.ts";

export type PurgingEngine = Pick<Engine, "clock" | "config" | "log" | "repository" | "store">;

/**
 * Deletes the VMs whose quarantine is over. Everything is asked twice: when the cluster is looked through, and once more
 * right before a VM goes, under a lease that keeps its return out. Whatever cannot be found out keeps a VM.
 */
export async function purgeQuarantined(
  engine: PurgingEngine,
  hypervisor: Hypervisor,
  context: ChangeContext,
): Promise<readonly LiveVirdomain[]> {
  const { instance } = engine.config();
  const { virdomains, quarantined = [] } = await hypervisor.readLiveState(context.signal);
  const purged: LiveVirdomain[] = [];
  for (const live of quarantined) {
    if (live.mark?.instance !== instance) continue;
    const reason = await whyStay(engine, hypervisor.cluster, live, virdomains, context.signal);
    if (reason !== undefined) tellIfLate(engine, hypervisor.cluster, live, reason);
    else if (await purgeOne(engine, hypervisor, live, context)) purged.push(live);
  }
  return purged;
}

async function purgeOne(
  engine: PurgingEngine,
  hypervisor: Hypervisor,
  { id }: LiveVirdomain,
  context: ChangeContext,
): Promise<boolean> {
  const leaseEndsMs = engine.clock.now() + quarantineLeaseMs;
  const lease = await engine.store.acquireLease(quarantineLeaseName(hypervisor.cluster, id), quarantineLeaseMs);
  if (lease === undefined) return false;
  try {
    const live = await hypervisor.findVirdomain(id, context.signal);
    if (live === undefined) return false;
    const { virdomains } = await hypervisor.readLiveState(context.signal);
    if ((await whyStay(engine, hypervisor.cluster, live, virdomains, context.signal)) !== undefined) return false;
    await purgeVirdomain(hypervisor, live, withinLease(context, engine.clock, leaseEndsMs));
    return true;
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof WatcherError)) throw error;
    engine.log.warn({ err: error, cluster: hypervisor.cluster, id }, "VM in quarantine cannot be deleted now");
    return false;
  } finally {
    await lease.release().catch(() => undefined);
  }
}

async function whyStay(
  engine: PurgingEngine,
  cluster: string,
  live: LiveVirdomain,
  others: readonly LiveVirdomain[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const { instance } = engine.config();
  // What the VM itself says is enough for most of them, and costs no look at its repository.
  const judge = (repository: PurgeInput["repository"]): string | undefined =>
    reasonToStay({ cluster, instance, live, others, nowMs: engine.clock.now(), repository });
  return judge("gone") ?? judge(await readRepository(engine, live.mark?.identity.repository ?? "", signal));
}

async function readRepository(
  engine: PurgingEngine,
  name: string,
  signal: AbortSignal,
): Promise<PurgeInput["repository"]> {
  const { repositories } = engine.config();
  if (repositories.length === 0) return unknown("no repository is configured");
  if (repositories.every((repository) => repository.name !== name)) return "gone";
  try {
    const condition = await engine.store.readCondition(name);
    if (condition?.ok !== true) return unknown("its repository was not seen in order when it was last looked at");
    const standing = await readStanding(engine, name);
    if (standing.kind === "moving") return unknown("a sync of its repository is under way");
    if (standing.kind === "unsynced") return { uncertain: undefined, desired: undefined };
    const repository = await engine.repository(name);
    return {
      uncertain: undefined,
      desired: (await loadRevision(engine, repository, standing.revision, signal)).desired,
    };
  } catch (error) {
    signal.throwIfAborted();
    return unknown(`its repository cannot be read (${messageOf(error)})`);
  }
}

function unknown(uncertain: string): PurgeInput["repository"] {
  return { uncertain, desired: undefined };
}

/** News only once its time is over. */
function tellIfLate({ clock, log }: PurgingEngine, cluster: string, live: LiveVirdomain, reason: string): void {
  const untilMs = live.mark?.quarantine?.untilMs ?? Number.POSITIVE_INFINITY;
  if (clock.now() >= untilMs)
    log.info({ cluster, virdomain: live.name, reason }, "VM stays in quarantine although its time is over");
}
