import type { LiveVirdomain } from "../../../plan/live-state.ts";
import { checkpoint } from "../../boundaries.ts";
import { readOwnership } from "../marks/ownership.ts";
import type { VirDomain } from "../rest/wire.ts";
import { type Convergence, marksOn, patchVm } from "./converge.ts";
import { requireOurs } from "./delete.ts";
import { resume } from "./resume.ts";

type Remarking = Pick<Convergence, "access" | "context" | "knowsLabels" | "mark">;

/** Writes the mark and, where one is given, the name, in one PATCH; what is noted of devices and tags stays. */
export async function remarkVm(live: LiveVirdomain, name: string | undefined, run: Remarking): Promise<VirDomain> {
  const { access, context, mark } = run;
  checkpoint(context);
  const vm = await resume(access, live.id, context);
  requireOurs(access, vm, mark);
  const marks = marksOn(run, vm, { ...readOwnership(vm), mark, vmUuid: vm.uuid });
  return patchVm(run, vm, { ...marks, ...(name === undefined || name === vm.name ? {} : { name }) });
}
