import { describe, expect, it } from "vitest";
import type { OutboxEntry, StoredOutboxEntry } from "../../ports/state-store.ts";
import { createCourier } from "./deliver-outbox.ts";
import type { Engine } from "../engine.ts";
import { statusEntry } from "./messages.ts";

const place = { repository: "fleet", prefix: "kraken-gitops", context: "plan" as const };
const entry = (text: string, weight: OutboxEntry["weight"] = "first", revision = "9f8e7d6"): OutboxEntry =>
  statusEntry(place, revision, weight, "pending", text);

/** A courier for a forge that hears statuses; `meanwhile` is written while it hears the text of that name. */
function open(
  waiting: readonly OutboxEntry[],
  meanwhile: Readonly<Record<string, readonly OutboxEntry[]>>,
  scarce = false,
) {
  let sequence = 0;
  let outbox: StoredOutboxEntry[] = [];
  const append = (entries: readonly OutboxEntry[]): void =>
    void outbox.push(...entries.map((one) => ({ ...one, sequence: ++sequence })));
  append(waiting);
  const heard: string[] = [];
  const store = {
    acquireLease: () => Promise.resolve({ renew: () => Promise.resolve(true), release: () => Promise.resolve() }),
    listOutbox: (_repository: string, limit: number) => Promise.resolve(outbox.slice(0, limit)),
    removeOutbox(_repository: string, sequences: readonly number[]) {
      outbox = outbox.filter((one) => !sequences.includes(one.sequence));
      return Promise.resolve();
    },
  };
  const forge = {
    isScarce: () => scarce,
    ensureCommitStatus(_revision: string, { description }: { readonly description: string }) {
      heard.push(description);
      append(meanwhile[description] ?? []);
      return Promise.resolve();
    },
  };
  const clock = { now: () => 1_000_000 };
  const engine = { store, clock, repository: () => Promise.resolve({ forge }) } as unknown as Engine;
  const courier = createCourier(engine);
  const deliver = () => courier.deliver({ schemaVersion: 1, repository: "fleet" }, new AbortController().signal);
  return { deliver, heard, left: () => outbox.map(({ message }) => message) };
}

describe("delivering the outbox", () => {
  it("takes along what is written while something is on its way", async () => {
    const { deliver, heard, left } = open([entry("Planning")], { Planning: [entry("Planned", "final")] });
    expect(await deliver()).toEqual({ kind: "done" });
    expect(heard).toEqual(["Planning", "Planned"]);
    expect(left()).toEqual([]);
  });

  it("delivers more than one batch in one go", async () => {
    const many = Array.from({ length: 450 }, (_, index) => entry(`number ${index}`, "first", `revision-${index}`));
    const { deliver, heard } = open(many, {});
    expect(await deliver()).toEqual({ kind: "done" });
    expect(heard).toEqual(many.map((_, index) => `number ${index}`));
  });

  it("comes again for progress that was told too recently, and drops what it overtook", async () => {
    const meanwhile = { half: [entry("more", "progress"), entry("most", "progress")] };
    const { deliver, heard, left } = open([entry("half", "progress")], meanwhile);
    expect(await deliver()).toEqual({ kind: "again", inMs: 15_000 });
    expect(heard).toEqual(["half"]);
    expect(left()).toMatchObject([{ status: { description: "most" } }]);
  });

  it("spends no scarce request on progress", async () => {
    const waiting = [entry("Syncing"), entry("half", "progress", "other"), entry("Synced", "final")];
    const { deliver, heard, left } = open(waiting, {}, true);
    expect(await deliver()).toEqual({ kind: "done" });
    expect(heard).toEqual(["Syncing", "Synced"]);
    expect(left()).toEqual([]);
  });
});
