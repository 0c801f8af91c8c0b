import { hypercoreTraits } from "../../../src/adapters/hypercore/traits.ts";
import { assumeApplied } from "../../../src/plan/assume-applied.ts";
import type { LiveVirdomain } from "../../../src/plan/live-state.ts";
import type { Hypervisor } from "../../../src/ports/hypervisor.ts";

/** A cluster whose every call is over at once, so that what is left is the engine's own time. For this one row only. */
export function instantHypervisor(cluster: string): Hypervisor {
  const virdomains = new Map<string, LiveVirdomain>();
  const change = (id: string, power: LiveVirdomain["power"]): Promise<void> => {
    const virdomain = virdomains.get(id);
    if (virdomain !== undefined) virdomains.set(id, { ...virdomain, power });
    return Promise.resolve();
  };
  return {
    cluster,
    traits: hypercoreTraits,
    prepare: () => Promise.resolve(),
    readLiveState: () => Promise.resolve({ cluster, virdomains: [...virdomains.values()] }),
    readCapacity: () => Promise.resolve({ nodes: [], tiers: [], complaints: [] }),
    findVirdomain: (id) => Promise.resolve(virdomains.get(id)),
    readCloudInit: () => Promise.resolve({ kind: "unknown" }),
    watchChanges: () => Promise.resolve(),
    ensureReady: () => Promise.resolve(),
    create(desired, mark) {
      const virdomain: LiveVirdomain = {
        ...assumeApplied(desired, mark.instance, mark.revision),
        mark: { ...mark, building: false },
        power: "shutoff",
      };
      virdomains.set(virdomain.id, virdomain);
      return Promise.resolve(virdomain);
    },
    update: (live) => Promise.resolve(live),
    remark: (live, mark, name) => Promise.resolve({ ...live, mark, name: name ?? live.name }),
    start: (id) => change(id, "running"),
    stop: (id) => change(id, "shutoff"),
    delete(live) {
      virdomains.delete(live.id);
      return Promise.resolve();
    },
    ensureSnapshot: (live, { label }) => Promise.resolve({ id: `of ${live.id}`, virdomainId: live.id, label }),
    findSnapshot: () => Promise.resolve(undefined),
    listSnapshots: () => Promise.resolve([]),
    restoreSnapshot: (source, { snapshotId }) => Promise.resolve({ live: source, source, snapshotId, kept: undefined }),
    handOver: ({ live }, { mark, name }) => Promise.resolve({ ...live, mark, name }),
    removeExpiredSnapshots: () => Promise.resolve([]),
    removeOrphanedUploads: () => Promise.resolve([]),
    check: () => Promise.resolve([]),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
