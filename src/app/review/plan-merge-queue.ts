import { describePlan } from "../../report/status-text.ts";
import { approvalsByComment } from "../planning/approvals.ts";
import type { Engine, Repository } from "../engine.ts";
import { loadRevision } from "../planning/load-revision.ts";
import { statusEntry } from "../outbox/messages.ts";
import { comparedWith } from "./signature-notes.ts";
import { affectedTargets, planMerge, planState } from "./plan-merge.ts";

/** Heads of a merge queue that were planned, remembered by the watcher alone: planning one twice says the same again. */
const maxRemembered = 1_000;

export type QueuePlanner = (base: string, signal: AbortSignal) => Promise<void>;

/**
 * Plans the temporary commits of the forge's merge queue, where it has one: a queue whose required check is never
 * reported stands still. A commit of the queue is already merged with what stands before it, so its own tree is planned.
 */
export function createQueuePlanner(engine: Engine, name: string): QueuePlanner {
  const planned = new Set<string>();
  return async (base, signal) => {
    const repository = await engine.repository(name);
    const prefix = repository.forge.limits.queueBranches?.(repository.config.branch);
    if (prefix === undefined) return;
    const heads = await repository.git.listBranches(prefix, signal);
    for (const [branch, head] of heads) {
      const key = `${head} ${base}`;
      if (planned.has(key)) continue;
      await planQueued(engine, repository, { branch, head, base }, signal);
      planned.add(key);
      if (planned.size > maxRemembered) planned.delete(planned.values().next().value ?? "");
    }
  };
}

async function planQueued(
  engine: Engine,
  repository: Repository,
  { branch, head, base }: { readonly branch: string; readonly head: string; readonly base: string },
  signal: AbortSignal,
): Promise<void> {
  const { name } = repository.config;
  await repository.git.ensureRevisions([{ revision: head, ref: `refs/heads/${branch}` }], signal);
  const before = await loadRevision(engine, repository, await comparedWith(engine, repository, base, signal), signal);
  const merged = await loadRevision(engine, repository, head, signal);
  const affected = affectedTargets(before.desired, merged.desired);
  const preview = { merged, conflictFiles: [] };
  const approvals = new Set((await approvalsByComment(engine, name)).keys());
  const candidate = { head, base, untrusted: false, approvals, before, preview, affected };
  const plan = await planMerge(engine, repository, candidate, signal);
  const place = { repository: name, prefix: engine.config().statusPrefix, context: "plan" as const };
  const status = statusEntry(place, head, "final", planState(plan, []), describePlan(plan), { branch });
  await engine.store.appendOutbox([status]);
  await engine.queue.addDelivery({ schemaVersion: 1, repository: name }, `queue-${head}-${base}`);
}
