import { WatcherError } from "../lib/errors.ts";
import type { ChangeContext } from "../ports/hypervisor.ts";

/** A boundary between two steps: nothing is under way, so a newer revision may take over here. */
export function checkpoint(context: ChangeContext): void {
  context.signal.throwIfAborted();
  if (context.stop.aborted) throw stopped();
}

function stopped(): WatcherError {
  return new WatcherError("stopped", "stopped at a safe boundary: a newer revision takes over");
}

/**
 * Runs something that may be cut off at any moment, such as waiting or transferring, under a signal that also aborts
 * when a newer revision appears; that abort surfaces as `stopped`.
 */
export async function interruptible<T>(context: ChangeContext, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  checkpoint(context);
  const controller = new AbortController();
  const onSignal = (): void => controller.abort(context.signal.reason);
  const onStop = (): void => controller.abort(stopped());
  context.signal.addEventListener("abort", onSignal, { once: true });
  context.stop.addEventListener("abort", onStop, { once: true });
  try {
    return await work(controller.signal);
  } finally {
    context.signal.removeEventListener("abort", onSignal);
    context.stop.removeEventListener("abort", onStop);
  }
}
