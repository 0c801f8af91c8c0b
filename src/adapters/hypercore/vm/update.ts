import { WatcherError } from "../../../lib/errors.ts";
import type { LiveVirdomain } from "../../../plan/live-state.ts";
import { checkpoint } from "../../boundaries.ts";
import { type Convergence, converge } from "./converge.ts";
import { requireOurs } from "./delete.ts";
import { readOwnership } from "../marks/ownership.ts";
import { resume } from "./resume.ts";
import type { VirDomain } from "../rest/wire.ts";

/**
 * Brings an existing VM to its desired state. A VM planned without a mark is being adopted; a rename carries the old
 * mark until the last step and the new one after it, so a second run may meet either.
 */
export async function updateVm(live: LiveVirdomain, run: Omit<Convergence, "adopt">): Promise<VirDomain> {
  const { access, context, mark } = run;
  checkpoint(context);
  const vm = await resume(access, live.id, context);
  const carried = readOwnership(vm);
  const adopt = live.mark === undefined;
  if (!adopt || carried.mark !== undefined || carried.clone || vm.sourceVirDomainUUID !== "") {
    requireOurs(access, vm, mark, ...(live.mark === undefined ? [] : [live.mark]));
  }
  refuseCommas(run);
  return converge({ ...run, adopt }, vm);
}

/** A comma would make two tags of one. */
export function refuseCommas({ desired }: Pick<Convergence, "desired">): void {
  const bad = desired.tags.find((tag) => tag.includes(","));
  if (bad !== undefined)
    throw new WatcherError(
      "cluster-refused",
      `tag "${bad}" of ${desired.name} contains a comma, which HyperCore cannot keep within one tag`,
    );
}
