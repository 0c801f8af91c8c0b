import type { DriftEngine } from "../../src/app/drift/cluster-drift.ts";
import type { Target } from "../../src/fleet/desired-state.ts";
import { WatcherError } from "../../src/lib/errors.ts";
import type { OutboxEntry, Pause } from "../../src/ports/state-store.ts";
import type { DriftRecord } from "../../src/sync/drift-pace.ts";
import type { LiveVirdomain, PlatformTraits } from "../../src/plan/live-state.ts";
import type { Hypervisor } from "../../src/ports/hypervisor.ts";
import { type RecordedLog, recordLog } from "./recorded-log.ts";
import { desiredState, desiredVirdomain, liveVirdomain, target, traits } from "./virdomains.ts";

export const revision = "b".repeat(40);
const listening: PlatformTraits = { ...traits, events: true };

/** One cluster with two VMs as the last sync left them, a clock that moves by hand, and everything that is asked of them. */
export class DriftLab {
  nowMs = 1_000_000;
  targets: readonly Target[] = [
    target("lab", [desiredVirdomain({ resource: "web" }), desiredVirdomain({ resource: "db" })]),
  ];
  /** Applied hashes by target key; those of `targets` unless a test says otherwise. */
  applied: ReadonlyMap<string, string> | undefined;
  sync: "running" | "finished" | "superseded" | "none" = "finished";
  /** Clusters that the last sync's rollout kept from beginning. */
  notStarted = 0;
  observed = revision;
  /** The cluster does not answer. */
  away = false;
  readonly virdomains = new Map<string, LiveVirdomain>();
  readonly log: RecordedLog = recordLog();
  /** Targets of each sync that was asked for. */
  readonly asked: string[] = [];
  readonly told: OutboxEntry[] = [];
  readonly records = new Map<string, DriftRecord>();
  /** When somebody last asked for a sync. */
  restartedAtMs = 0;
  pauses: readonly Pause[] = [];
  /** The cluster must not be changed at the moment. */
  updating = false;
  readonly reads: string[] = [];
  readonly hypervisor: Hypervisor;
  readonly engine: DriftEngine;

  /** Without `events` the cluster tells of nothing by itself. */
  constructor({ events = true, intervalMs = 300_000 } = {}) {
    for (const desired of this.targets.flatMap(({ virdomains }) => virdomains)) this.put(liveVirdomain(desired));
    this.hypervisor = {
      cluster: "lab",
      traits: { ...listening, events },
      ensureReady: () =>
        this.updating ? Promise.reject(new WatcherError("cluster-updating", "an update runs")) : Promise.resolve(),
      findVirdomain: (id: string) => {
        if (this.away) return Promise.reject(new WatcherError("cluster-unreachable", "no answer"));
        this.reads.push(id);
        return Promise.resolve(this.virdomains.get(id));
      },
      readLiveState: () => {
        if (this.away) return Promise.reject(new WatcherError("cluster-unreachable", "no answer"));
        this.reads.push("all");
        return Promise.resolve({ cluster: "lab", virdomains: [...this.virdomains.values()] });
      },
    } as unknown as Hypervisor;
    this.engine = this.#engine(intervalMs);
  }

  put(live: LiveVirdomain): void {
    this.virdomains.set(live.id, live);
  }

  /** Somebody changes a VM behind our back. */
  change(id: string, facts: Partial<LiveVirdomain>): void {
    const live = this.virdomains.get(id);
    if (live === undefined) throw new Error(`no VM ${id}`);
    this.put({ ...live, ...facts });
  }

  /** What a sync does: every VM becomes as it is wanted. */
  correct(): void {
    const wanted = this.targets.flatMap(({ virdomains }) => virdomains);
    for (const desired of wanted) this.put(liveVirdomain(desired));
  }

  #engine(intervalMs: number): DriftEngine {
    const config = {
      instance: "edge",
      repositories: [{ name: "fleet", branch: "main", clusters: [] }],
      clusters: [{ name: "lab", driver: "libvirt" }],
      assets: { allowHttp: false },
      statusPrefix: "kraken-gitops",
      drift: { intervalMs, pauseMs: 60_000, corrections: 5, withinMs: 86_400_000 },
    };
    const repository = {
      config: config.repositories[0],
      git: { ensureRevisions: () => Promise.resolve() },
      manifests: { load: () => Promise.resolve({ desired: desiredState(this.targets), treeId: "t" }) },
    };
    const store = {
      readBranch: () => Promise.resolve({ observed: this.observed, currentSync: "s" }),
      readSync: () =>
        Promise.resolve(
          this.sync === "none"
            ? undefined
            : {
                // Whatever is asked for has run by the next look.
                record: { id: `after ${this.asked.length} wishes`, revision },
                state: { kind: this.sync, verdict: { notStarted: this.notStarted } },
              },
        ),
      readApplied: () => Promise.resolve(new Map([...this.#appliedHashes()].map(([key, hash]) => [key, { hash }]))),
      requestSync: (_name: string, targets: readonly string[] = ["everything"]) => {
        this.asked.push(targets.join(" "));
        return Promise.resolve();
      },
      listPauses: () => Promise.resolve(this.pauses),
      readDrift: () => Promise.resolve({ records: new Map(this.records), restartedAtMs: this.restartedAtMs }),
      recordDrift: (
        _name: string,
        records: ReadonlyMap<string, DriftRecord | undefined>,
        entries: readonly OutboxEntry[],
      ) => {
        for (const [key, record] of records)
          if (record === undefined) this.records.delete(key);
          else this.records.set(key, record);
        this.told.push(...entries);
        return Promise.resolve();
      },
    };
    return {
      clock: { now: () => this.nowMs, sleep: () => Promise.reject(new Error("nobody sleeps here")) },
      config: () => config,
      log: this.log.log,
      queue: { addDelivery: () => Promise.resolve() },
      repository: () => Promise.resolve(repository),
      store,
    } as unknown as DriftEngine;
  }

  #appliedHashes(): ReadonlyMap<string, string> {
    return this.applied ?? new Map(this.targets.map((each) => [`${each.cluster}/${each.application}`, each.hash]));
  }
}

/** The id of a VM of the lab. */
export function idOf(name: string): string {
  return `uuid-${name}`;
}
