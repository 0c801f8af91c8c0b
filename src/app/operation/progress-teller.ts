import type { Operation } from "../../plan/plan.ts";
import type { OperationJob } from "../../ports/job-queue.ts";
import type { Log } from "../../ports/log.ts";
import type { Engine } from "../engine.ts";

/** Between two words of one operation in the state store. */
const spacingMs = 1_000;

/** Tells what an operation is doing: every line to the log, and one a second to the state store, for `status`. */
export interface ProgressTeller extends AsyncDisposable {
  readonly tell: (text: string) => void;
}

/** Disposing takes the operation's last word back: it does nothing any more. */
export function progressTeller(
  engine: Pick<Engine, "store" | "clock">,
  job: OperationJob,
  operation: Operation,
  log: Log,
): ProgressTeller {
  const { application, virdomain, kind } = operation;
  let toldAtMs = Number.NEGATIVE_INFINITY;
  let telling = Promise.resolve();

  function record(text: string | undefined): void {
    const progress =
      text === undefined
        ? undefined
        : { cluster: job.cluster, application, virdomain, kind, text, atMs: engine.clock.now() };
    // One after another, so that the last word is the last one; losing one costs nobody anything.
    telling = telling
      .then(() => engine.store.recordProgress(job.syncId, job.cluster, job.operationId, progress))
      .catch((error: unknown) => log.debug({ err: error }, "progress of an operation cannot be told now"));
  }

  return {
    tell(text) {
      log.info({ progress: text }, "operation progress");
      if (engine.clock.now() - toldAtMs < spacingMs) return;
      toldAtMs = engine.clock.now();
      record(text);
    },
    async [Symbol.asyncDispose]() {
      if (toldAtMs !== Number.NEGATIVE_INFINITY) record(undefined);
      await telling;
    },
  };
}
