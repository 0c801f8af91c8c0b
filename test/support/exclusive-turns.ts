import { Turns } from "../../src/lib/turns.ts";
import type { Exclusive } from "../../src/ports/exclusive.ts";

/** What leases are to processes, for drivers that stand for processes within one. */
export function exclusiveTurns(): Exclusive {
  const turns = new Turns();
  return async (name, signal, work) => {
    const leave = await turns.enter(name, signal);
    return work(signal).finally(leave);
  };
}
