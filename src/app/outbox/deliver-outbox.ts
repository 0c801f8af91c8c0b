import { WatcherError } from "../../lib/errors.ts";
import { orderDelivery } from "../../sync/outbox-order.ts";
import type { Forge } from "../../ports/forge.ts";
import type { DeliveryJob, JobAnswer } from "../../ports/job-queue.ts";
import type { StoredOutboxEntry } from "../../ports/state-store.ts";
import type { Engine } from "../engine.ts";
import { keepLease } from "../process/keep-lease.ts";

/** How long messages wait after the process that delivered them was killed. */
const leaseMs = 10_000;
const batch = 200;
/** Tries of one message that the forge refuses for its content, before it is given up so that others get through. */
const maxRefusals = 5;
const longestPauseMs = 60_000;

/** Delivers what waits for one repository's forge, in order, by one process at a time. */
export interface Courier {
  deliver(job: DeliveryJob, signal: AbortSignal): Promise<JobAnswer>;
}

export function createCourier(engine: Engine): Courier {
  const lastToldMs = new Map<string, number>();
  const refusals = new Map<string, number>();
  const failuresInARow = new Map<string, number>();

  /** What is written while something is on its way goes out with it: nobody else may deliver meanwhile. */
  async function deliverAll(repository: string, signal: AbortSignal): Promise<JobAnswer> {
    const { forge } = await engine.repository(repository);
    for (;;) {
      const waiting = await engine.store.listOutbox(repository, batch);
      const { deliver, drop, againInMs } = orderDelivery(waiting, lastToldMs, engine.clock.now(), forge.isScarce());
      await engine.store.removeOutbox(
        repository,
        drop.map((entry) => entry.sequence),
      );
      for (const entry of deliver) {
        const again = await deliverOne(repository, forge, entry, signal);
        if (again !== undefined) return again;
      }
      if (deliver.length > 0 || drop.length > 0) continue;
      return againInMs === undefined ? { kind: "done" } : { kind: "again", inMs: againInMs };
    }
  }

  async function deliverOne(
    repository: string,
    forge: Forge,
    entry: StoredOutboxEntry,
    signal: AbortSignal,
  ): Promise<JobAnswer | undefined> {
    try {
      await send(forge, entry, signal);
      lastToldMs.set(entry.key, engine.clock.now());
      if (lastToldMs.size > 10_000) lastToldMs.delete(lastToldMs.keys().next().value ?? "");
    } catch (error) {
      signal.throwIfAborted();
      if (!isGivenUp(repository, entry, error)) return pause(repository, entry, error);
      engine.log.error({ err: error, repository, key: entry.key }, "the forge refuses this message for good, given up");
    }
    failuresInARow.delete(repository);
    refusals.delete(`${repository}/${entry.sequence}`);
    await engine.store.removeOutbox(repository, [entry.sequence]);
    return undefined;
  }

  function isGivenUp(repository: string, entry: StoredOutboxEntry, error: unknown): boolean {
    if (!(error instanceof WatcherError) || error.code !== "forge-refused") return false;
    const key = `${repository}/${entry.sequence}`;
    refusals.set(key, (refusals.get(key) ?? 0) + 1);
    return (refusals.get(key) ?? 0) >= maxRefusals;
  }

  function pause(repository: string, entry: StoredOutboxEntry, error: unknown): JobAnswer {
    const failures = (failuresInARow.get(repository) ?? 0) + 1;
    failuresInARow.set(repository, failures);
    const asked = error instanceof WatcherError ? error.retryAfterMs : undefined;
    const inMs =
      asked ?? Math.min(longestPauseMs, 1_000 * 2 ** Math.min(failures - 1, 6)) * (0.5 + engine.random() / 2);
    engine.log.warn(
      { err: error, repository, key: entry.key, againInMs: Math.round(inMs) },
      "the forge did not take a message, it waits in the outbox",
    );
    return { kind: "again", inMs };
  }

  return {
    async deliver(job, signal) {
      const lease = await engine.store.acquireLease(`outbox/${job.repository}`, leaseMs);
      if (lease === undefined) return { kind: "again", inMs: 250 };
      await using kept = keepLease(lease, leaseMs, engine.clock);
      try {
        return await deliverAll(job.repository, AbortSignal.any([signal, kept.lost]));
      } catch (error) {
        // Whoever holds the lease now goes on; what is on its way twice is recognised by reading before writing.
        if (!kept.lost.aborted || signal.aborted) throw error;
        return { kind: "again", inMs: 250 };
      }
    },
  };
}

async function send(forge: Forge, entry: StoredOutboxEntry, signal: AbortSignal): Promise<void> {
  const { message } = entry;
  if (message.kind === "status") await forge.ensureCommitStatus(message.revision, message.status, signal);
  else if (message.kind === "deployment") await forge.ensureDeployment(message.deployment, signal);
  else await forge.ensureComment(message.pullRequest, message.marker, message.markdown, signal);
}
