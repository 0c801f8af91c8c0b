import { type DesiredState, identityKey } from "../fleet/desired-state.ts";
import { defaultPolicy } from "../manifest/document.ts";
import { deleteOperation, quarantineOperation } from "./build-operation.ts";
import { plannedApplications } from "./cluster-index.ts";
import type { Conflict, Operation, TargetSummary } from "./plan.ts";
import { inScope, type Planner } from "./planner.ts";
import { isUnfinished } from "./quarantine.ts";

/** VMs that carry our mark and that no manifest asks for any more. Whether they may really go is the deletion rules' decision. */
export function planRemovals(planner: Planner): {
  operations: Operation[];
  conflicts: Conflict[];
  summaries: TargetSummary[];
} {
  const { input } = planner;
  const { cluster } = input.live;
  const operations: Operation[] = [];
  const conflicts: Conflict[] = [];
  const summaries = new Map<string, TargetSummary>();
  const known = plannedApplications(input.desired);
  const lastStep = Math.max(0, ...[...planner.base.values()].map((virdomain) => virdomain.step));
  const leaving = [...planner.quarantined.values()].flat().filter(isUnfinished);
  for (const virdomain of [...[...planner.owned.values()].flat(), ...leaving]) {
    const mark = virdomain.mark;
    if (mark === undefined || planner.claimed.has(virdomain.id)) continue;
    const { application } = mark.identity;
    if (!inScope(input, { cluster, application }) || planner.wanted.has(identityKey(mark.identity))) continue;
    const keep = reasonToKeep(input.desired, application, known);
    const summary = summaries.get(application) ?? {
      cluster,
      application,
      deployment: mark.deployment,
      unchanged: 0,
      operations: 0,
      notices: [],
    };
    if (keep !== undefined) {
      summaries.set(application, {
        ...summary,
        unchanged: summary.unchanged + 1,
        notices: [...summary.notices, { code: "stays-incomplete", path: "", message: keep, virdomain: virdomain.name }],
      });
    } else if (mark.protected && mark.quarantine === undefined) {
      const message = `VM ${virdomain.name} is protected and stays; take the protection off in a commit of its own before removing the manifest`;
      conflicts.push({ code: "protected", cluster, application, virdomain: virdomain.name, message });
      summaries.set(application, { ...summary, unchanged: summary.unchanged + 1 });
    } else {
      const before = planner.base.get(identityKey(mark.identity));
      const step = deletionStep(lastStep, before?.step);
      const policy = before?.policy ?? defaultPolicy;
      // What was never whole, or is being taken apart, holds nothing to keep.
      const keeps = (policy.quarantineMs > 0 && !mark.building) || isUnfinished(virdomain);
      operations.push(
        keeps
          ? quarantineOperation(cluster, virdomain, mark.deployment, step, policy)
          : deleteOperation(cluster, virdomain, mark.deployment, step),
      );
      summaries.set(application, { ...summary, operations: summary.operations + 1 });
    }
  }
  return { operations, conflicts, summaries: [...summaries.values()] };
}

function reasonToKeep(desired: DesiredState, application: string, known: ReadonlySet<string>): string | undefined {
  if (desired.drafts?.has(application) === true) return `kept: ${application} is a draft`;
  if (desired.brokenApplications.has(application)) return `kept: the manifest of ${application} has problems`;
  if (known.has(application) || desired.undeployed.has(application) || desired.complete) return undefined;
  return `kept: a file of the repository cannot be read, and ${application} may be in it`;
}

function deletionStep(lastStep: number, stepBefore: number | undefined): number {
  return lastStep + 1 + (lastStep - Math.min(stepBefore ?? lastStep, lastStep));
}
