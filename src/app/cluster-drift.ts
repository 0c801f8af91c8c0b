import { identityKey } from "../fleet/desired-state.ts";
import type { LiveVirdomain } from "../plan/live-state.ts";
import type { Hypervisor } from "../ports/hypervisor.ts";
import { DriftPace } from "./drift-pace.ts";
import type { Engine } from "./engine.ts";
import {
  type AppliedVirdomain,
  driftOf,
  readAppliedVirdomains,
  readStanding,
  sightOf,
  type Standing,
} from "./find-drift.ts";

export type DriftEngine = Pick<Engine, "clock" | "config" | "log" | "repository" | "store">;

/** Changes come in bursts: one look after the first of them. */
const settleMs = 1_000;
/** Until the next look at a cluster while a repository is being synced, or a VM is on its way from one state to another. */
const movingMs = 5_000;
/** Until the next look after one that failed. */
const troubleMs = 30_000;
/** Above as many VMs the whole cluster is read, in one call. */
const mostSingleReads = 8;
/** VMs named in one line of the log. */
const mostTold = 20;

/** VMs of one cluster as far as they were read. */
interface Sight {
  readonly virdomains: readonly LiveVirdomain[];
  /** Nothing is missing: a VM that is not among them is not there. */
  readonly whole: boolean;
}

/** A VM that is not as it was applied. `id` is undefined when it is gone. */
interface Drift {
  readonly key: string;
  readonly id: string | undefined;
  readonly applied: AppliedVirdomain;
  readonly sight: string;
  readonly paths: readonly string[];
}

/**
 * Judges notices of changed VMs on one cluster: looks what became of the VM, and asks for a sync of its repository when
 * it is no longer as it was applied. Notices are hints: whatever they say, the VM itself is looked at.
 */
export class ClusterDrift {
  readonly #engine: DriftEngine;
  readonly #hypervisor: Hypervisor;
  /** When to look at a VM, by id; `undefined` stands for all of them. */
  readonly #due = new Map<string | undefined, number>();
  /** What was judged last, by identity: the same sight causes nothing. */
  readonly #judged = new Map<string, string>();
  readonly #pace = new DriftPace();
  #quietUntilMs = 0;

  constructor(engine: DriftEngine, hypervisor: Hypervisor) {
    this.#engine = engine;
    this.#hypervisor = hypervisor;
  }

  /** A VM was changed, or (`undefined`) any of them may have been. */
  notice(id: string | undefined): void {
    this.#lookAgain(id, this.#engine.clock.now() + settleMs);
  }

  #lookAgain(id: string | undefined, dueMs: number): void {
    this.#due.set(id, Math.min(dueMs, this.#due.get(id) ?? dueMs));
  }

  /** Looks at what is due by now. Trouble waits for another look. */
  async look(signal: AbortSignal): Promise<void> {
    const ids = this.#takeDue();
    if (ids.length === 0) return;
    await this.#orLater(ids, signal, () => this.#lookAt(ids, signal));
  }

  async #orLater(ids: readonly (string | undefined)[], signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (signal.aborted) return;
      const { clock, log } = this.#engine;
      log.info({ err: error, cluster: this.#hypervisor.cluster }, "changed VMs cannot be looked at now");
      for (const id of ids) this.#lookAgain(id, clock.now() + troubleMs);
    }
  }

  #takeDue(): (string | undefined)[] {
    const nowMs = this.#engine.clock.now();
    if (nowMs < this.#quietUntilMs) return [];
    const ids = [...this.#due].flatMap(([id, dueMs]) => (dueMs <= nowMs ? [id] : []));
    for (const id of ids) this.#due.delete(id);
    return ids;
  }

  async #lookAt(ids: readonly (string | undefined)[], signal: AbortSignal): Promise<void> {
    const { config } = this.#engine;
    const names = config().repositories.map(({ name }) => name);
    const standings = await Promise.all(
      names.map(async (name) => ({ name, standing: await readStanding(this.#engine, name) })),
    );
    if (standings.every(({ standing }) => standing.kind === "moving")) return this.#wait(ids);
    const sight = await this.#read(ids, signal);
    for (const { name, standing } of standings)
      await this.#orLater(ids, signal, () => this.#judge(name, standing, sight, signal));
  }

  /** A sync changes VM after VM: its own notices must not make us look all the time. */
  #wait(ids: readonly (string | undefined)[]): void {
    this.#quietUntilMs = this.#engine.clock.now() + movingMs;
    for (const id of ids) this.#lookAgain(id, this.#quietUntilMs);
  }

  /** All of the cluster when a VM is gone: its mark went with it, so only what is left tells whose it was. */
  async #read(ids: readonly (string | undefined)[], signal: AbortSignal): Promise<Sight> {
    const single = ids.filter((id) => id !== undefined);
    if (single.length === ids.length && ids.length <= mostSingleReads) {
      const found = await Promise.all(single.map((id) => this.#hypervisor.findVirdomain(id, signal)));
      const virdomains = found.filter((live) => live !== undefined);
      if (virdomains.length === found.length) return { virdomains, whole: false };
    }
    return { virdomains: (await this.#hypervisor.readLiveState(signal)).virdomains, whole: true };
  }

  async #judge(name: string, standing: Standing, { virdomains, whole }: Sight, signal: AbortSignal): Promise<void> {
    const { instance } = this.#engine.config();
    const owned = virdomains.filter(
      ({ mark }) => mark?.instance === instance && mark.identity.repository === name && mark.quarantine === undefined,
    );
    if (standing.kind === "unsynced" || (owned.length === 0 && !whole)) return;
    if (standing.kind === "moving") return this.#wait(whole ? [undefined] : owned.map(({ id }) => id));
    const { cluster } = this.#hypervisor;
    const applied = await readAppliedVirdomains(this.#engine, name, standing.revision, cluster, signal);
    const drifts = [...this.#changed(applied, owned), ...(whole ? this.#missing(applied, owned) : [])];
    await this.#correct(name, drifts);
  }

  *#changed(applied: ReadonlyMap<string, AppliedVirdomain>, owned: readonly LiveVirdomain[]): Generator<Drift> {
    for (const live of owned) {
      const key = live.mark === undefined ? "" : identityKey(live.mark.identity);
      const wish = applied.get(key);
      // A VM under construction is what a sync has left; copies and replicas are never touched.
      if (wish === undefined || live.mark?.building === true || live.clone || live.replica) continue;
      if (live.busy || live.power === "shutting-down") this.#lookAgain(live.id, this.#engine.clock.now() + movingMs);
      else yield* this.#drift(key, wish, live);
    }
  }

  *#missing(applied: ReadonlyMap<string, AppliedVirdomain>, owned: readonly LiveVirdomain[]): Generator<Drift> {
    const present = new Set(owned.map(({ mark }) => (mark === undefined ? "" : identityKey(mark.identity))));
    for (const [key, wish] of applied) if (!present.has(key)) yield* this.#drift(key, wish, undefined);
  }

  *#drift(key: string, applied: AppliedVirdomain, live: LiveVirdomain | undefined): Generator<Drift> {
    const sight = sightOf(applied, live);
    if (this.#judged.get(key) === sight) return;
    const paths = driftOf(applied, live, this.#hypervisor.traits);
    if (paths.length === 0) this.#judged.set(key, sight);
    else yield { key, id: live?.id, applied, sight, paths };
  }

  /** Asks for one sync for all that may cause one by now. A VM that is gone is made again, whatever policy says of drift. */
  async #correct(repository: string, drifts: readonly Drift[]): Promise<void> {
    const nowMs = this.#engine.clock.now();
    const early = drifts.filter(({ key }) => this.#pace.dueMs(key) > nowMs);
    for (const { id, key } of early) this.#lookAgain(id, this.#pace.dueMs(key));
    const ripe = drifts.filter((drift) => !early.includes(drift));
    const reported = ripe.filter(({ id, applied }) => id !== undefined && applied.desired.policy.drift === "report");
    const corrected = ripe.filter((drift) => !reported.includes(drift));
    this.#tell("warn", repository, reported, "drift found, left as it is by policy");
    this.#tell("info", repository, corrected, "drift found, asking for a sync");
    if (corrected.length > 0) await this.#engine.store.requestSync(repository);
    for (const { key, sight } of ripe) this.#judged.set(key, sight);
    for (const { key, id } of corrected) {
      this.#pace.note(key, nowMs);
      // Once more when the sync is over, whether it changed anything or not.
      this.#lookAgain(id, this.#pace.dueMs(key));
    }
  }

  #tell(level: "info" | "warn", repository: string, drifts: readonly Drift[], message: string): void {
    if (drifts.length === 0) return;
    const virdomains = drifts
      .slice(0, mostTold)
      .map(({ applied, paths }) => `${applied.desired.name}: ${paths.join(", ")}`);
    const { cluster } = this.#hypervisor;
    this.#engine.log[level]({ cluster, repository, count: drifts.length, virdomains }, message);
  }
}
