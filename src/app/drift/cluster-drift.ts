import { WatcherError } from "../../lib/errors.ts";
import { compareWithApplied, isCorrected, ownedBy, sightOf } from "../../plan/compare-applied.ts";
import type { DriftedVirdomain } from "../../plan/compare-applied.ts";
import type { LiveVirdomain } from "../../plan/live-state.ts";
import type { Hypervisor } from "../../ports/hypervisor.ts";
import { holdOnCluster, type HoldRules } from "../../sync/pauses.ts";
import { correctDrift, movingMs, tell } from "./correct-drift.ts";
import type { Engine } from "../engine.ts";
import { appliedOn, readLastApplied, readStanding, type Standing } from "./find-drift.ts";
import { readHoldRules, recheckAtMs } from "../holds.ts";

export type DriftEngine = Pick<Engine, "clock" | "config" | "log" | "queue" | "repository" | "store">;

/** Changes come in bursts: one look after the first of them. */
const settleMs = 1_000;
/** Until the next look after one that failed. */
const troubleMs = 30_000;
/** Above as many VMs the whole cluster is read, in one call. */
const mostSingleReads = 8;

/** VMs of one cluster as far as they were read; `whole` when nothing is missing. */
interface Reading {
  readonly virdomains: readonly LiveVirdomain[];
  readonly whole: boolean;
}

/** A repository as far as its drift on this cluster is concerned. */
interface Place {
  readonly name: string;
  readonly standing: Standing;
  readonly holds: HoldRules;
  /** Until when it is left alone: its sync is under way, or people or the clock hold it. */
  readonly closedUntilMs: number | undefined;
}

/**
 * Compares one cluster with what was applied to it: whole in rounds, and single VMs where the platform tells that they were
 * changed. Notices are hints: whatever they say, the VM itself is looked at. On a cluster without events whatever waits
 * waits for the next round, so that a round costs one list call and nothing is asked in between.
 */
export class ClusterDrift {
  readonly #engine: DriftEngine;
  readonly #hypervisor: Hypervisor;
  /** When to look at a VM, by id; `undefined` stands for all of them. */
  readonly #due = new Map<string | undefined, number>();
  /** What was told last, by identity: the same sight is told once. */
  readonly #told = new Map<string, string>();
  #quietUntilMs = 0;

  constructor(engine: DriftEngine, hypervisor: Hypervisor) {
    this.#engine = engine;
    this.#hypervisor = hypervisor;
  }

  /** A VM was changed, or (`undefined`) any of them may have been. */
  notice(id: string | undefined): void {
    this.#due.set(id, Math.min(this.#engine.clock.now() + settleMs, this.#due.get(id) ?? Number.POSITIVE_INFINITY));
  }

  /** It is time to compare everything. */
  beginRound(): void {
    this.#due.set(undefined, this.#engine.clock.now());
  }

  #lookAgain(id: string | undefined, dueMs: number): void {
    if (!this.#hypervisor.traits.events) return;
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
      const alarming = error instanceof WatcherError && error.code === "cluster-emptied";
      log[alarming ? "warn" : "info"](
        { err: error, cluster: this.#hypervisor.cluster },
        "cluster cannot be compared now",
      );
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
    const places = await Promise.all(this.#engine.config().repositories.map(({ name }) => this.#findPlace(name)));
    const synced = places.filter(({ standing }) => standing.kind !== "unsynced");
    if (synced.every(({ closedUntilMs }) => closedUntilMs !== undefined)) return this.#wait(ids, synced);
    const reading = await this.#read(ids, signal);
    for (const place of synced) await this.#orLater(ids, signal, () => this.#judge(place, reading, signal));
  }

  async #findPlace(name: string): Promise<Place> {
    const { cluster } = this.#hypervisor;
    const nowMs = this.#engine.clock.now();
    const standing = await readStanding(this.#engine, name);
    const holds = await readHoldRules(this.#engine, name, cluster);
    const hold = holdOnCluster(holds, { repository: name, cluster }, nowMs);
    const heldUntilMs = hold === undefined ? undefined : recheckAtMs(hold, nowMs);
    return { name, standing, holds, closedUntilMs: standing.kind === "moving" ? nowMs + movingMs : heldUntilMs };
  }

  /** A sync changes VM after VM: its own notices must not make us look all the time. */
  #wait(ids: readonly (string | undefined)[], closed: readonly Place[]): void {
    if (closed.length === 0) return;
    this.#engine.log.debug({ cluster: this.#hypervisor.cluster }, "cluster is not compared now: held, or being synced");
    if (!this.#hypervisor.traits.events) return;
    this.#quietUntilMs = Math.min(...closed.flatMap(({ closedUntilMs }) => closedUntilMs ?? []));
    for (const id of ids) this.#lookAgain(id, this.#quietUntilMs);
  }

  /** All of the cluster when a VM is gone: its mark went with it, so only what is left tells whose it was. */
  async #read(ids: readonly (string | undefined)[], signal: AbortSignal): Promise<Reading> {
    const single = ids.filter((id) => id !== undefined);
    if (single.length === ids.length && ids.length <= mostSingleReads) {
      const found = await Promise.all(single.map((id) => this.#hypervisor.findVirdomain(id, signal)));
      const virdomains = found.filter((live) => live !== undefined);
      if (virdomains.length === found.length) return { virdomains, whole: false };
    }
    return { virdomains: (await this.#hypervisor.readLiveState(signal)).virdomains, whole: true };
  }

  async #judge({ name, standing, holds, closedUntilMs }: Place, reading: Reading, signal: AbortSignal): Promise<void> {
    const { whole } = reading;
    const owned = ownedBy(reading.virdomains, this.#engine.config().instance, name);
    if (standing.kind === "unsynced" || (owned.length === 0 && !whole)) return;
    if (standing.kind === "moving" || closedUntilMs !== undefined) {
      for (const id of whole ? [undefined] : owned.map((live) => live.id)) this.#lookAgain(id, closedUntilMs ?? 0);
      return;
    }
    const { cluster, traits } = this.#hypervisor;
    const { revision, syncId, stopped } = standing;
    const applied = appliedOn(await readLastApplied(this.#engine, name, revision, signal), cluster);
    const comparison = compareWithApplied(applied, { owned, whole }, traits);
    for (const { id } of comparison.unsteady) this.#lookAgain(id, this.#engine.clock.now() + movingMs);
    this.#report(name, comparison.drifted);
    for (const key of comparison.steady) this.#told.delete(key);
    if (stopped) return;
    const ensureReady = (): Promise<void> => this.#hypervisor.ensureReady(signal);
    const scene = { repository: name, cluster, revision, syncId, holds, applied, ensureReady };
    for (const { drift, atMs } of await correctDrift(this.#engine, scene, comparison))
      this.#lookAgain(drift.live?.id, atMs);
  }

  /** Drift that policy leaves as it is. */
  #report(repository: string, drifted: readonly DriftedVirdomain[]): void {
    const news = drifted.filter((drift) => !isCorrected(drift) && this.#told.get(drift.key) !== sightOf(drift));
    const { cluster } = this.#hypervisor;
    tell(this.#engine, "warn", { cluster, repository }, news, "drift found, left as it is by policy");
    for (const drift of news) this.#told.set(drift.key, sightOf(drift));
  }
}
