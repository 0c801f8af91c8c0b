import { advanceSync } from "../../../src/app/sync/advance-sync.ts";
import type { Engine } from "../../../src/app/engine.ts";
import { runOperationJob } from "../../../src/app/operation/run-operation.ts";
import type { AcceptedRevision } from "../../../src/app/signatures/signature-gate.ts";
import { startSync } from "../../../src/app/sync/start-sync.ts";
import { Handles } from "../../../src/lib/handles.ts";
import { waitFor } from "../../support/wait-for.ts";

/** The first sync of repository "fleet", by the engine's own workers. Milliseconds from its begin to its verdict, which must be success. */
export async function firstSync(
  engine: Engine,
  revision: string,
  operation: typeof runOperationJob = runOperationJob,
  begin: () => void = () => {},
): Promise<number> {
  const signal = AbortSignal.timeout(120_000);
  const repository = await engine.repository("fleet");
  await repository.git.fetchBranch(signal);
  await using handles = new Handles();
  const working = engine.queue.work(
    {
      advance: (job, stop) => advanceSync(engine, job, stop),
      operation: (job, stop) => operation(engine, job, stop),
      deliver: () => Promise.resolve({ kind: "done" }),
    },
    { concurrency: { advance: 4, operations: engine.config().workers.concurrency, delivery: 1 }, graceMs: 1_000 },
  );
  handles.use(await working);
  const branch = { observed: revision, currentSync: undefined, synced: undefined, attempted: undefined };
  const request = {
    revision: revision as AcceptedRevision,
    branch,
    rewritten: false,
    everything: true,
    predecessors: [],
  };
  begin();
  const began = performance.now();
  const id = await startSync(engine, repository, request, signal);
  const state = await waitFor(
    async () => {
      const [found] = await engine.store.readSyncStates([id]);
      return found?.kind === "finished" ? found : undefined;
    },
    { what: "the verdict", timeoutMs: 120_000 },
  );
  if (state.verdict.state !== "success") throw new Error(state.verdict.description);
  return performance.now() - began;
}
