import { applyOperation } from "../../src/app/operation/apply-operation.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { type DesiredVirdomain, identityKey } from "../../src/fleet/desired-state.ts";
import { messageOf, WatcherError } from "../../src/lib/errors.ts";
import { Turns } from "../../src/lib/turns.ts";
import type { Operation } from "../../src/plan/plan.ts";
import type { ChangeContext, Hypervisor } from "../../src/ports/hypervisor.ts";
import { decideRetry } from "../../src/sync/retry.ts";
import type { OperationOutcome } from "../../src/sync/sync-record.ts";
import type { Chance } from "../crash/chance.ts";
import { freeLease } from "../support/desired-vm.ts";
import { instance } from "../support/hypercore-lab.ts";

export interface CrewOptions {
  /** One driver per worker process; each attempt goes to one of them. */
  readonly drivers: readonly Hypervisor[];
  /** Operations under way on the cluster at once, over all workers. */
  readonly perCluster: number;
  /** Pauses between attempts are shorter by this factor, as every limit of the drivers is. */
  readonly haste: number;
  readonly chance: Chance;
  readonly beforeAttempt: () => Promise<void>;
}

/** What an operation is carried out for. */
export interface Errand {
  readonly operation: Operation;
  readonly desired: DesiredVirdomain | undefined;
  readonly revision: string;
  /** A newer revision is there. */
  readonly stop: AbortSignal;
}

export interface CrewCounts {
  readonly operations: Record<string, number>;
  /** Changing calls announced, by kind of operation. */
  readonly changes: Record<string, number>;
  readonly outcomes: Record<string, number>;
  /** Attempts that failed and were repeated, by code. */
  readonly retries: Record<string, number>;
  readonly givenUp: string[];
  attempts: number;
}

/** Workers that carry out operations as the engine's do: a place on the cluster, one writer per VM, production's retries. */
export class Crew {
  readonly counts: CrewCounts = { operations: {}, changes: {}, outcomes: {}, retries: {}, givenUp: [], attempts: 0 };
  readonly #options: CrewOptions;
  readonly #turns = new Turns();
  readonly #places: string[];
  #next = 0;

  constructor(options: CrewOptions) {
    this.#options = options;
    this.#places = Array.from({ length: options.perCluster }, (_, index) => `place ${index}`);
  }

  /** Until the operation has an outcome; undefined when it stopped for a newer revision. */
  async carryOut(errand: Errand): Promise<OperationOutcome | undefined> {
    const { operation, stop } = errand;
    for (let attempt = 1; ; attempt += 1) {
      if (stop.aborted) return undefined;
      const error = await this.#attempt(errand, attempt);
      if (typeof error === "object" && error !== null && "kind" in error)
        return this.#noted(operation, error as OperationOutcome);
      if (stop.aborted) return undefined;
      const decision = decideRetry(error, attempt, this.#options.chance.next());
      const code = error instanceof WatcherError ? error.code : "internal";
      if (decision.kind === "give-up") {
        this.counts.givenUp.push(`${operation.kind} ${operation.virdomain}: ${decision.code}: ${decision.message}`);
        const { message, fault } = decision;
        return this.#noted(operation, { kind: "failed", atMs: Date.now(), code: decision.code, message, fault });
      }
      add(this.counts.retries, code === "internal" ? `internal: ${messageOf(error)}` : code);
      if (error instanceof WatcherError && error.retry === "wait") attempt -= 1;
      await systemClock.sleep(decision.inMs / this.#options.haste, stop).catch(() => {});
    }
  }

  #noted(operation: Operation, outcome: OperationOutcome): OperationOutcome {
    add(this.counts.operations, operation.kind);
    add(this.counts.outcomes, outcome.kind);
    return outcome;
  }

  /** One attempt: its outcome, or what it threw. */
  async #attempt(errand: Errand, attempt: number): Promise<unknown> {
    const never = new AbortController().signal;
    this.counts.attempts += 1;
    this.#next += 1;
    const leavePlace = await this.#turns.enter(this.#places[this.#next % this.#places.length] ?? "", never);
    const leaveVm = await this.#turns.enter(`vm ${identityKey(errand.operation.identity)}`, never);
    try {
      await this.#options.beforeAttempt();
      return await this.#work(errand, attempt, never);
    } catch (error) {
      return error;
    } finally {
      leaveVm();
      leavePlace();
    }
  }

  async #work(
    { operation, desired, revision, stop }: Errand,
    attempt: number,
    signal: AbortSignal,
  ): Promise<OperationOutcome> {
    const hypervisor = this.#options.chance.pick(this.#options.drivers);
    const context: ChangeContext = {
      signal,
      stop,
      beforeChange: () => add(this.counts.changes, operation.kind),
      progress: () => {},
    };
    await hypervisor.ensureReady(signal);
    const world = { instance, revision, hypervisor, clock: systemClock, probe: noProbe };
    const token = `${operation.id}-${revision.slice(0, 8)}`;
    const end = await applyOperation(
      { operation, desired, attempt, token, onSnapshot: () => {}, leaseQuarantined: freeLease, ...world },
      context,
    );
    const atMs = Date.now();
    return end.kind === "done" ? { kind: "done", atMs, durationMs: 0 } : { kind: "stale", atMs, message: end.message };
  }
}

const noProbe = { tcp: () => Promise.resolve(false), http: () => Promise.resolve(false) };

function add(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}
