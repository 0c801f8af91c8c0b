import { WatcherError } from "../../lib/errors.ts";
import type { LiveState } from "../../plan/live-state.ts";
import type { Hypervisor } from "../../ports/hypervisor.ts";
import type { VirdomainSightings } from "../../ports/virdomain-sightings.ts";

/**
 * A cluster whose answers are compared with what it had before: one that shows none of this instance's VMs although some
 * were there, and not all of them were deleted by us, is not believed (`cluster-emptied`). Else every one of them would be
 * made anew, beside the old ones when those are only hidden. Everything that reads a cluster reads it this way.
 */
export function sightedHypervisor(hypervisor: Hypervisor, store: VirdomainSightings, instance: string): Hypervisor {
  const { cluster } = hypervisor;
  const believed: Pick<Hypervisor, "delete" | "readLiveState"> = {
    async readLiveState(signal) {
      const state = await hypervisor.readLiveState(signal);
      const owned = ownedIds(state, instance);
      if (owned.length > 0) {
        await store.recordSighted(cluster, owned);
        return state;
      }
      const missed = await store.listSighted(cluster);
      if (missed.length === 0) return state;
      const what = missed.length === 1 ? "the VM that was" : `the ${missed.length} VMs that were`;
      throw new WatcherError(
        "cluster-emptied",
        `shows none of ${what} there; if gone for good: kraken-gitops sync --accept-empty ${cluster}`,
      );
    },
    async delete(live, context) {
      await store.expectGone(cluster, live.id);
      await hypervisor.delete(live, context);
    },
  };
  return new Proxy(hypervisor, {
    get(target, name) {
      const member: unknown = Reflect.get(name in believed ? believed : target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

/** VMs that carry this instance's mark, those in quarantine too; a clone carries somebody else's. */
function ownedIds({ virdomains, quarantined = [] }: LiveState, instance: string): readonly string[] {
  return [...virdomains, ...quarantined]
    .filter(({ mark, clone }) => mark?.instance === instance && !clone)
    .map(({ id }) => id);
}
