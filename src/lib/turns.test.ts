import { describe, expect, it } from "vitest";
import { Turns } from "./turns.ts";

const patient = new AbortController().signal;

describe("turns", () => {
  it("lets askers of one key go one after another, in order", async () => {
    const turns = new Turns();
    const seen: string[] = [];
    let inside = 0;
    const work = async (name: string): Promise<void> => {
      const leave = await turns.enter("image", patient);
      inside += 1;
      expect(inside).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(name);
      inside -= 1;
      leave();
    };
    await Promise.all(["a", "b", "c"].map(work));
    expect(seen).toEqual(["a", "b", "c"]);
  });

  it("keeps keys apart", async () => {
    const turns = new Turns();
    await turns.enter("one", patient);
    await expect(turns.enter("other", patient)).resolves.toBeTypeOf("function");
  });

  it("passes over an asker who left while waiting", async () => {
    const turns = new Turns();
    const leaveFirst = await turns.enter("image", patient);
    const impatient = new AbortController();
    const second = turns.enter("image", impatient.signal);
    const third = turns.enter("image", patient);
    impatient.abort(new Error("stopped"));
    await expect(second).rejects.toThrow("stopped");
    leaveFirst();
    await expect(third).resolves.toBeTypeOf("function");
  });
});
