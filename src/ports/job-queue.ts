/**
 * Durable work for any process. Jobs only wake somebody up: what there is to do is read from the state store, so a job
 * that runs twice, late or after a crash does no harm. Adding a job whose id is known already changes nothing.
 */
export interface JobQueue extends AsyncDisposable {
  /** Looks at one cluster of a sync and takes its next step. `wake` makes the id unique per reason. */
  addAdvance(job: AdvanceJob, wake: string, delayMs?: number): Promise<void>;
  addOperations(jobs: readonly OperationJob[]): Promise<void>;
  /** Delivers what waits in a repository's outbox. */
  addDelivery(job: DeliveryJob, wake: string): Promise<void>;
  /** Starts taking jobs. Disposing the answer stops taking, waits for those under way up to `graceMs`, then lets go. */
  work(handlers: JobHandlers, options: WorkOptions): Promise<AsyncDisposable>;
  /** Waiting, active and delayed jobs by queue, for `status`. */
  counts(): Promise<Readonly<Record<string, number>>>;
}

export interface AdvanceJob {
  readonly schemaVersion: 1;
  readonly syncId: string;
  readonly cluster: string;
}

export interface OperationJob {
  readonly schemaVersion: 1;
  readonly syncId: string;
  readonly cluster: string;
  readonly round: number;
  readonly operationId: string;
}

export interface DeliveryJob {
  readonly schemaVersion: 1;
  readonly repository: string;
}

/** Done, or to be looked at again later (which costs no retry). */
export type JobAnswer = { readonly kind: "done" } | { readonly kind: "again"; readonly inMs: number };

export interface JobHandlers {
  advance(job: AdvanceJob, signal: AbortSignal): Promise<JobAnswer>;
  operation(job: OperationJob, signal: AbortSignal): Promise<JobAnswer>;
  deliver(job: DeliveryJob, signal: AbortSignal): Promise<JobAnswer>;
}

export interface WorkOptions {
  readonly concurrency: { readonly advance: number; readonly operations: number; readonly delivery: number };
  readonly graceMs: number;
}
