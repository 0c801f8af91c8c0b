import { mkdtemp, readFile, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withFileLock } from "../../src/adapters/file-lock.ts";
import { kill, startScript } from "../support/child-process.ts";

const holderScript = fileURLToPath(new URL("../support/file-lock-holder.ts", import.meta.url));
const done = (): Promise<string> => Promise.resolve("done");
let folder: string;
let lock: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lock-"));
  lock = join(folder, "a.lock");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("a lock file", () => {
  it("lets one after another work, and leaves nothing behind", async () => {
    let inside = 0;
    const work = async (): Promise<number> => {
      inside += 1;
      expect(inside).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      return (inside -= 1);
    };
    await Promise.all(Array.from({ length: 5 }, () => withFileLock(lock, {}, work)));
    await expect(withFileLock(lock, {}, () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    expect(await readdir(folder)).toEqual([]);
  });

  it("is not taken from a process that lives, and is as soon as that one is killed", async () => {
    const { child } = await startScript(holderScript, [lock], /held/);
    let looks = 0;
    const patience = { patienceMs: 50, busy: () => new Error("busy"), waiting: async () => void (looks += 1) };
    await expect(withFileLock(lock, patience, done)).rejects.toThrow("busy");
    expect(looks).toBeGreaterThan(0);
    const waiting = withFileLock(lock, {}, done);
    await kill(child);
    expect(await waiting).toBe("done");
    expect(await readdir(folder)).toEqual([]);
  });

  it("ends waiting when its asker leaves", async () => {
    const { child } = await startScript(holderScript, [lock], /held/);
    const asker = new AbortController();
    const reason = new Error("not needed any more");
    const left = async (): Promise<void> => asker.abort(reason);
    await expect(withFileLock(lock, { signal: asker.signal, waiting: left }, done)).rejects.toBe(reason);
    await kill(child);
  });

  it("is taken from a holder on another machine only when that one did not touch it for long", async () => {
    await writeFile(lock, "1 other-machine/pid someone");
    const patience = { patienceMs: 50, busy: () => new Error("busy") };
    await expect(withFileLock(lock, patience, done)).rejects.toThrow("busy");
    await utimes(lock, new Date(), new Date(Date.now() - 60_000));
    expect(await withFileLock(lock, patience, done)).toBe("done");
  });

  it("is gone for a holder that finds another's mark in it", async () => {
    await withFileLock(lock, {}, async (lost) => {
      await writeFile(lock, "1 other-machine/pid someone");
      await new Promise((resolve) => lost.addEventListener("abort", resolve, { once: true }));
    });
    expect(await readFile(lock, "utf8")).toContain("someone");
  });
});
