import type { LiveVirdomain } from "../../../plan/live-state.ts";
import { checkpoint } from "../../boundaries.ts";
import type { Domain } from "../domain/domain.ts";
import { getDomain } from "../host.ts";
import { converge } from "./converge.ts";
import type { Convergence } from "./convergence.ts";
import { requireOurs } from "./require-ours.ts";

/**
 * Brings an existing VM to its desired state. A VM planned without a mark is being adopted; a rename carries the old
 * mark until the last step and the new one after it, so a second run may meet either.
 */
export async function updateVm(live: LiveVirdomain, run: Omit<Convergence, "adopt">): Promise<Domain> {
  const { host, context, mark } = run;
  checkpoint(context);
  const domain = await getDomain(host, live.id, context.signal);
  const adopt = live.mark === undefined;
  const { ownership } = domain;
  if (!adopt || ownership.mark !== undefined || ownership.clone)
    requireOurs(host, domain, mark, ...(live.mark === undefined ? [] : [live.mark]));
  return converge({ ...run, adopt }, domain);
}
