import { EventEmitter, once } from "node:events";
import { expect, it } from "vitest";
import { SharedWork } from "./shared-work.ts";

async function tellAndFail(_signal: AbortSignal, progress: (text: string) => void): Promise<string> {
  await Promise.resolve();
  progress("half");
  throw new Error("broken");
}

const never = (): AbortSignal => new AbortController().signal;

it("does the work once for everybody who asks meanwhile, and again for who asks later", async () => {
  const shared = new SharedWork<number>();
  let runs = 0;
  const work = async (): Promise<number> => ++runs;
  expect(await Promise.all([shared.run("a", work, never()), shared.run("a", work, never())])).toEqual([1, 1]);
  expect(await shared.run("a", work, never())).toBe(2);
});

it("keeps working for the others when one leaves", async () => {
  const shared = new SharedWork<string>();
  const gate = new EventEmitter();
  const work = async (): Promise<string> => {
    await once(gate, "open");
    return "done";
  };
  const leaver = new AbortController();
  const left = shared.run("a", work, leaver.signal);
  const stayed = shared.run("a", work, never());
  leaver.abort(new Error("off I go"));
  await expect(left).rejects.toThrow("off I go");
  gate.emit("open");
  expect(await stayed).toBe("done");
});

it("aborts the work when the last one leaves", async () => {
  const shared = new SharedWork<string>();
  let inner: AbortSignal | undefined;
  const work = async (signal: AbortSignal): Promise<string> => {
    inner = signal;
    return new Promise(() => {});
  };
  const leaver = new AbortController();
  const left = shared.run("a", work, leaver.signal);
  leaver.abort(new Error("off I go"));
  await expect(left).rejects.toThrow("off I go");
  expect(inner?.aborted).toBe(true);
});

it("tells every asker of progress and of failure", async () => {
  const shared = new SharedWork<string>();
  const heard: string[] = [];
  const asked = ["x", "y"].map(async (name) =>
    shared.run("a", tellAndFail, never(), (text) => heard.push(`${name} ${text}`)),
  );
  const results = await Promise.allSettled(asked);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(heard).toEqual(["x half", "y half"]);
});
