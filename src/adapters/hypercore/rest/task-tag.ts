import type { HypercoreClient } from "./client.ts";
import { Pacer } from "../../pause.ts";
import { fillText } from "./refusal.ts";
import { type TaskStatus, toTaskStatus } from "./wire.ts";

/**
 * How a task ended. `unknown` proves nothing either way (the tag was forgotten, or the limit passed): the object decides.
 * Even `failed` is not the last word, as the wanted state may have been reached by other means.
 */
export type TaskOutcome =
  | { readonly kind: "complete" }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "unknown"; readonly message: string };

/** Waits for tasks of one cluster. It learns how long they take there, to ask early where they are short. */
export class TaskWaiter {
  readonly #client: HypercoreClient;
  readonly #limitMs: number;
  /** About how long a task takes that takes long enough to be looked at twice. */
  #typicalMs = 50;

  constructor(client: HypercoreClient, limitMs: number) {
    this.#client = client;
    this.#limitMs = limitMs;
  }

  /** Resolves when the task is over. An empty tag means there was none. `progress` hears of long ones: per cent done. */
  async wait(
    taskTag: string,
    signal: AbortSignal,
    progress: (percent: number) => void = () => {},
  ): Promise<TaskOutcome> {
    if (taskTag === "") return { kind: "complete" };
    const began = Date.now();
    const tell = rising(progress);
    const pacer = new Pacer(Math.min(500, Math.max(20, this.#typicalMs)));
    for (let looks = 1; ; looks++) {
      await pacer.rest(signal);
      const outcome = await this.#look(taskTag, signal, tell);
      const tookMs = Date.now() - began;
      if (outcome !== undefined) {
        // Over at the first look: it may have been over for a while.
        this.#typicalMs = looks === 1 ? 0.9 * this.#typicalMs : 0.7 * this.#typicalMs + 0.3 * tookMs;
        return outcome;
      }
      if (tookMs > this.#limitMs)
        return { kind: "unknown", message: `its task ${taskTag} still runs after ${Math.round(tookMs / 1000)} s` };
    }
  }

  async #look(taskTag: string, signal: AbortSignal, tell: (percent: number) => void): Promise<TaskOutcome | undefined> {
    const [task] = await this.#client.list(`TaskTag/${encodeURIComponent(taskTag)}`, toTaskStatus, signal);
    // A tag nobody remembers is over; the object tells how.
    if (task === undefined) return { kind: "complete" };
    if (isActive(task)) {
      tell(task.progressPercent);
      return undefined;
    }
    if (task.state === "COMPLETE") return { kind: "complete" };
    if (task.state === "ERROR") return { kind: "failed", message: describeTask(task) };
    return { kind: "unknown", message: `its task reads ${task.state || "nothing"}` };
  }
}

/** Tells a number only when it is larger than the last one, and never the 0 that every task begins with. */
function rising(tell: (percent: number) => void): (percent: number) => void {
  let told = 0;
  return (percent) => {
    if (percent <= told) return;
    told = percent;
    tell(percent);
  };
}

export function isActive(task: TaskStatus | undefined): boolean {
  return task?.state === "QUEUED" || task?.state === "RUNNING";
}

/** A task in the cluster's own words. */
export function describeTask(task: TaskStatus): string {
  const message = fillText(task.formattedMessage, task.messageParameters);
  if (message !== "") return message;
  const description = fillText(task.formattedDescription, task.descriptionParameters);
  return description === ""
    ? "the task has no message"
    : `"${description}" ${isActive(task) ? "is running" : "failed"}`;
}
