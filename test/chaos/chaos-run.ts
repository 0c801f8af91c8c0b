import { setMaxListeners } from "node:events";
import type { DesiredState, DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import { identityKey } from "../../src/fleet/desired-state.ts";
import { WatcherError } from "../../src/lib/errors.ts";
import { buildPlan } from "../../src/plan/build-plan.ts";
import type { LiveState } from "../../src/plan/live-state.ts";
import type { Operation, Plan } from "../../src/plan/plan.ts";
import type { Hypervisor } from "../../src/ports/hypervisor.ts";
import type { CallReport } from "../../src/simulator/hypercore/calls.ts";
import { isPermitted, maxRounds, nextPassStep } from "../../src/sync/cluster-pass.ts";
import type { OperationOutcome } from "../../src/sync/sync-record.ts";
import { Chance } from "../crash/chance.ts";
import { exclusiveTurns } from "../support/exclusive-turns.ts";
import { type HypercoreLab, instance, openHypercoreLab, quickTimeouts } from "../support/hypercore-lab.ts";
import { readState } from "./cluster-state.ts";
import { compareAll } from "./compare.ts";
import { Crew } from "./crew.ts";
import { type ChaosReport, reportOf, sumOf, troublesOf } from "./report.ts";
import { seedStrangers, type Strangers } from "./strangers.ts";
import { Weather } from "./weather.ts";
import { mediaShelf, Wishes } from "./wishes.ts";

export interface ChaosOptions {
  readonly seed: number;
  /** Operations carried out under fire, at least. */
  readonly operations: number;
  readonly say?: (line: string) => void;
}

const cluster = "lab";
const kept = 2;
const haste = 40;
/** Rounds the quiet end may take: operations that wait for others, such as a name that has to come free, take one each. */
const quietRounds = 3;
const timeouts = {
  ...quickTimeouts,
  readMs: 1_000,
  stallMs: 1_000,
  connectMs: 1_000,
  idleMs: 300,
  orphanMs: 200,
  settleMs: 100,
};

/** Random revisions through every trouble at once; throws when anything is not as wished at the end. */
export async function chaosRun(options: ChaosOptions): Promise<ChaosReport> {
  const { seed } = options;
  const simulator = { nodes: 3, seed, taskMs: 20, rememberedCalls: 200, icosVersion: versionOf(seed) };
  await using lab = await openHypercoreLab(simulator, { timeouts, exclusive: exclusiveTurns() });
  const run = new ChaosRun(lab, await lab.open({ auth: "session" }), options);
  try {
    return await run.play();
  } catch (error) {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const again = `KRAKEN_CHAOS_SEED=${seed} KRAKEN_CHAOS_OPERATIONS=${options.operations} npm run test:chaos`;
    throw new Error(`repeat with ${again}\n${reason}\n${run.describe()}`, { cause: error });
  }
}

/** Every other seed is a cluster that keeps labels, and with them our marks. */
function versionOf(seed: number): string {
  return seed % 2 === 0 ? "9.6.27.225000" : "9.8.2.231000";
}

class ChaosRun {
  readonly #lab: HypercoreLab;
  readonly #options: ChaosOptions;
  readonly #drivers: readonly [Hypervisor, Hypervisor];
  readonly #wishes: Wishes;
  readonly #weather: Weather;
  readonly #crew: Crew;
  readonly #chance: Chance;
  /** How each VM was wanted last: what its deletion goes by. */
  readonly #known = new Map<string, DesiredVirdomain>();
  readonly #diary: string[] = [];
  #base: DesiredState | undefined;
  #revisions = 0;
  #superseded = 0;

  constructor(lab: HypercoreLab, second: Hypervisor, options: ChaosOptions) {
    const { seed } = options;
    this.#lab = lab;
    this.#options = options;
    this.#drivers = [lab.driver, second];
    this.#chance = new Chance(seed + 1);
    this.#wishes = new Wishes(cluster, new Chance(seed), mediaShelf(new Chance(seed + 2), lab));
    this.#weather = new Weather(lab, new Chance(seed + 3));
    this.#crew = new Crew({
      drivers: this.#drivers,
      perCluster: 8,
      haste,
      chance: new Chance(seed + 4),
      beforeAttempt: async () => this.#weather.tick(),
    });
  }

  async play(): Promise<ChaosReport> {
    const strangers = await this.#begin();
    await this.#lab.control("DELETE", "calls");
    await this.#weather.begin();
    while (this.#operations() < this.#options.operations) await this.#revision();
    const calls = (await this.#lab.control("GET", "calls")) as CallReport;
    await this.#weather.end();
    await this.#settle();
    await this.#clean();
    const { busy } = (await this.#lab.control("GET", "calls")) as CallReport;
    const evidence = { wishes: this.#wishes.virdomains, state: await readState(this.#lab), strangers };
    const report = reportOf({
      seed: this.#options.seed,
      version: versionOf(this.#options.seed),
      revisions: this.#revisions,
      superseded: this.#superseded,
      crew: this.#crew.counts,
      calls: { ...calls, busy },
      events: this.#weather.seen,
      evidence,
    });
    this.#options.say?.(report.summary);
    const troubles = [...compareAll(evidence), ...troublesOf(busy), ...this.#bugs()];
    if (troubles.length > 0) throw new Error(`${report.summary}\n${troubles.join("\n")}`);
    return report;
  }

  /** What the watcher does once an hour: two looks make sure of what is left of broken uploads. */
  async #clean(): Promise<void> {
    const never = new AbortController().signal;
    const context = { signal: never, stop: never, beforeChange() {}, progress() {} };
    for (let look = 0; look < 2; look++) await this.#lab.driver.removeOrphanedUploads(context);
  }

  /** For a failure's message. */
  describe(): string {
    return this.#diary.slice(-40).join("\n");
  }

  /** VMs that are there before the first fault, with things of other people on and beside them. */
  async #begin(): Promise<Strangers> {
    await this.#lab.control("POST", "update", { phase: "complete" });
    await this.#wishes.begin(kept);
    await this.#sync(new AbortController().signal);
    const { virdomains } = await readState(this.#lab);
    return seedStrangers(
      this.#lab,
      virdomains.map(({ uuid }) => uuid),
    );
  }

  /** One revision; sometimes the next one comes before it is in place. */
  async #revision(): Promise<void> {
    const story = await this.#wishes.turn();
    this.#note(`revision ${this.#wishes.revision.slice(-4)}: ${story.join(", ")}`);
    this.#revisions += 1;
    const stop = new AbortController();
    // Every operation of the revision listens to it.
    setMaxListeners(0, stop.signal);
    const supersedeAfter = this.#chance.isTrue(0.25) ? this.#chance.between(2, 8) : undefined;
    await this.#sync(stop.signal, (outcomes) => {
      if (supersedeAfter === undefined || outcomes < supersedeAfter || stop.signal.aborted) return;
      this.#superseded += 1;
      stop.abort();
    });
  }

  /** Rounds of planning and carrying out, as a sync has them. */
  async #sync(stop: AbortSignal, ended: (outcomes: number) => void = () => {}, rounds = maxRounds): Promise<void> {
    const { state, revision } = this.#wishes;
    for (const virdomain of this.#wishes.virdomains) {
      for (const identity of [virdomain.identity, ...virdomain.formerIdentities])
        this.#known.set(identityKey(identity), virdomain);
    }
    let outcomes = 0;
    for (let round = 1; round <= rounds && !stop.aborted; round += 1) {
      const plan = await this.#plan();
      const operations = plan.operations.filter((operation) => isPermitted(operation, plan.deletions));
      if (operations.length === 0) break;
      await this.#round(operations, revision, stop, () => ended((outcomes += 1)));
    }
    this.#base = state;
  }

  async #round(
    operations: readonly Operation[],
    revision: string,
    stop: AbortSignal,
    ended: () => void,
  ): Promise<void> {
    const outcomes = new Map<string, OperationOutcome>();
    const pass = { cluster, round: 1, operations, conflicts: [], held: undefined, failures: [], completed: [] };
    const wanted = new Map(this.#wishes.virdomains.map((virdomain) => [identityKey(virdomain.identity), virdomain]));
    for (;;) {
      const step = nextPassStep(pass, outcomes, operations.length);
      if (step.kind === "plan-again" || stop.aborted) return;
      await Promise.all(
        step.operations.map(async (operation) => {
          const key = identityKey(operation.identity);
          const removal = operation.kind === "delete" || operation.kind === "quarantine";
          const desired = removal ? this.#known.get(key) : wanted.get(key);
          const outcome = await this.#crew.carryOut({ operation, desired, revision, stop });
          if (outcome === undefined) return;
          if (outcome.kind !== "done")
            this.#note(`${operation.kind} ${operation.virdomain}: ${JSON.stringify(outcome)}`);
          outcomes.set(operation.id, outcome);
          ended();
        }),
      );
    }
  }

  async #plan(): Promise<Plan> {
    const { state, revision } = this.#wishes;
    const traits = this.#drivers[0].traits;
    return buildPlan({
      instance,
      revision,
      baseRevision: undefined,
      desired: state,
      base: this.#base,
      live: new Map([[cluster, { state: await this.#read(), traits }]]),
      held: [],
      traitsOfHeld: new Map(),
      enforced: new Set(state.targets.keys()),
      scope: undefined,
      rewritten: false,
      approvals: new Set(),
      offline: false,
    });
  }

  /** A cluster that cannot be read is held and asked again. */
  async #read(): Promise<LiveState> {
    for (;;) {
      try {
        return await this.#chance.pick(this.#drivers).readLiveState(AbortSignal.timeout(20_000));
      } catch (error) {
        if (!(error instanceof WatcherError)) throw error;
        await this.#weather.tick();
      }
    }
  }

  /** Without any fault, planning comes to rest soon. */
  async #settle(): Promise<void> {
    await this.#sync(new AbortController().signal, undefined, quietRounds);
    const plan = await this.#plan();
    const left = plan.operations.map(
      ({ kind, virdomain, changes }) => `${kind} ${virdomain} ${JSON.stringify(changes)}`,
    );
    const troubles = [...left, ...plan.conflicts.map(({ message }) => message)];
    if (troubles.length > 0) throw new Error(`still planned after ${quietRounds} rounds:\n${troubles.join("\n")}`);
  }

  /** What the code did not foresee is repeated as well, and is a bug all the same. */
  #bugs(): readonly string[] {
    return Object.keys(this.#crew.counts.retries).filter((key) => key.startsWith("internal"));
  }

  #operations(): number {
    return sumOf(this.#crew.counts.operations);
  }

  #note(line: string): void {
    this.#diary.push(line);
    this.#options.say?.(line);
  }
}
