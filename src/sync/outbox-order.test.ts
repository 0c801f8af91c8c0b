import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { orderDelivery, progressIntervalMs, type WaitingMessage } from "./outbox-order.ts";

const message = (sequence: number, key: string, weight: WaitingMessage["weight"]): WaitingMessage => ({
  sequence,
  key,
  weight,
});
const sequences = (list: readonly WaitingMessage[]): number[] => list.map((each) => each.sequence);

describe("orderDelivery", () => {
  it("delivers the first and the final message of a key and drops the progress between them", () => {
    const order = orderDelivery(
      [message(1, "a", "first"), message(2, "a", "progress"), message(3, "a", "final")],
      new Map(),
      0,
    );
    expect(sequences(order.deliver)).toEqual([1, 3]);
    expect(sequences(order.drop)).toEqual([2]);
  });

  it("delivers only the newest version of a comment, at once", () => {
    const order = orderDelivery([message(1, "c", "latest"), message(2, "c", "latest")], new Map([["c", 0]]), 1);
    expect(sequences(order.deliver)).toEqual([2]);
    expect(sequences(order.drop)).toEqual([1]);
  });

  it("keeps progress back until the key was quiet for a while", () => {
    const waiting = [message(5, "a", "progress")];
    const told = new Map([["a", 1_000]]);
    expect(orderDelivery(waiting, told, 2_000)).toEqual({
      deliver: [],
      drop: [],
      againInMs: progressIntervalMs - 1_000,
    });
    expect(sequences(orderDelivery(waiting, told, 1_000 + progressIntervalMs).deliver)).toEqual([5]);
  });

  it("tells no progress while requests are scarce, and everything else", () => {
    const waiting = [
      message(1, "a", "first"),
      message(2, "a", "progress"),
      message(3, "b", "latest"),
      message(4, "c", "final"),
    ];
    const order = orderDelivery(waiting, new Map(), 0, true);
    expect(sequences(order.deliver)).toEqual([1, 3, 4]);
    expect(sequences(order.drop)).toEqual([2]);
    expect(order.againInMs).toBeUndefined();
  });

  it("never drops a first or final message and never changes the order", () => {
    const messages = fc.array(
      fc.record({
        key: fc.constantFrom("a", "b"),
        weight: fc.constantFrom("first" as const, "progress" as const, "latest" as const, "final" as const),
      }),
    );
    fc.assert(
      fc.property(messages, (list) => {
        const waiting = list.map((each, index) => message(index + 1, each.key, each.weight));
        const { deliver, drop } = orderDelivery(waiting, new Map(), 0);
        expect(sequences(deliver)).toEqual(sequences(deliver).toSorted((a, b) => a - b));
        expect(drop.every(({ weight }) => weight === "progress" || weight === "latest")).toBe(true);
        for (const { key, weight, sequence } of waiting) {
          if (weight === "first" || weight === "final") expect(sequences(deliver)).toContain(sequence);
          else if (drop.some((each) => each.sequence === sequence))
            expect(waiting.some((later) => later.key === key && later.sequence > sequence)).toBe(true);
        }
      }),
    );
  });
});
