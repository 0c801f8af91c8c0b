/** What ordering needs to know of a waiting message. */
export interface WaitingMessage {
  readonly sequence: number;
  readonly key: string;
  readonly weight: "first" | "progress" | "latest" | "final";
}

/** Progress of one key is told at most this often. */
export const progressIntervalMs = 15_000;

export interface DeliveryOrder<T> {
  /** To be delivered now, in order. */
  readonly deliver: readonly T[];
  /** Overtaken by something newer of the same key, or not worth a scarce request: to be dropped. */
  readonly drop: readonly T[];
  /** Progress told too recently: when to look again. */
  readonly againInMs: number | undefined;
}

/**
 * Orders the outbox: first and final messages always go out and in their order; the others give way to anything newer
 * of their key, and progress is told at most every 15 s; not at all while requests are scarce.
 */
export function orderDelivery<T extends WaitingMessage>(
  waiting: readonly T[],
  lastToldMs: ReadonlyMap<string, number>,
  nowMs: number,
  scarce = false,
): DeliveryOrder<T> {
  const newest = new Map(waiting.map((message) => [message.key, message.sequence]));
  const deliver: T[] = [];
  const drop: T[] = [];
  let againInMs: number | undefined;
  for (const message of waiting) {
    if (message.weight === "first" || message.weight === "final") deliver.push(message);
    else if (newest.get(message.key) !== message.sequence) drop.push(message);
    else if (scarce && message.weight === "progress") drop.push(message);
    else if (message.weight === "latest") deliver.push(message);
    else {
      const waitMs = (lastToldMs.get(message.key) ?? Number.NEGATIVE_INFINITY) + progressIntervalMs - nowMs;
      if (waitMs <= 0) deliver.push(message);
      else againInMs = Math.min(againInMs ?? waitMs, waitMs);
    }
  }
  return { deliver, drop, againInMs };
}
