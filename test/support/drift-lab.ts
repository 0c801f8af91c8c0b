import type { DriftEngine } from "../../src/app/cluster-drift.ts";
import type { Target } from "../../src/fleet/desired-state.ts";
import { WatcherError } from "../../src/lib/errors.ts";
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
  observed = revision;
  /** The cluster does not answer. */
  away = false;
  readonly virdomains = new Map<string, LiveVirdomain>();
  readonly log: RecordedLog = recordLog();
  readonly asked: string[] = [];
  readonly reads: string[] = [];
  readonly hypervisor: Hypervisor;
  readonly engine: DriftEngine;

  constructor() {
    for (const desired of this.targets.flatMap(({ virdomains }) => virdomains)) this.put(liveVirdomain(desired));
    this.hypervisor = {
      cluster: "lab",
      traits: listening,
      findVirdomain: (id: string) => {
        if (this.away) return Promise.reject(new WatcherError("cluster-unreachable", "no answer"));
        this.reads.push(id);
        return Promise.resolve(this.virdomains.get(id));
      },
      readLiveState: () => {
        this.reads.push("all");
        return Promise.resolve({ cluster: "lab", virdomains: [...this.virdomains.values()] });
      },
    } as unknown as Hypervisor;
    this.engine = this.#engine();
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

  #engine(): DriftEngine {
    const config = {
      instance: "edge",
      repositories: [{ name: "fleet", branch: "main", clusters: [] }],
      clusters: [{ name: "lab", driver: "libvirt" }],
      assets: { allowHttp: false },
    };
    const repository = {
      config: config.repositories[0],
      git: { ensureRevisions: () => Promise.resolve() },
      manifests: { load: () => Promise.resolve({ desired: desiredState(this.targets), treeId: "t" }) },
    };
    const store = {
      readBranch: () => Promise.resolve({ observed: this.observed, currentSync: "s" }),
      readSync: () =>
        Promise.resolve(this.sync === "none" ? undefined : { record: { revision }, state: { kind: this.sync } }),
      readApplied: () => Promise.resolve(new Map([...this.#appliedHashes()].map(([key, hash]) => [key, { hash }]))),
      requestSync: (name: string) => {
        this.asked.push(name);
        return Promise.resolve();
      },
    };
    return {
      clock: { now: () => this.nowMs, sleep: () => Promise.reject(new Error("nobody sleeps here")) },
      config: () => config,
      log: this.log.log,
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
