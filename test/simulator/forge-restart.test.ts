import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Journal } from "../../src/simulator/common/journal.ts";
import { Store } from "../../src/simulator/forge/store.ts";
import { at, type Clone, ForgeLab } from "./forge-lab.ts";

describe("the simulated forge after a restart", () => {
  let lab: ForgeLab;
  let clone: Clone;

  beforeEach(async () => {
    lab = await ForgeLab.open();
    clone = await lab.seeded();
  });
  afterEach(() => lab[Symbol.asyncDispose]());

  it("knows its pull requests, comments and statuses, and gives no number twice", async () => {
    const head = await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    const kept = await lab.repo("POST", `/issues/${number}/comments`, { body: "kept" });
    const gone = await lab.repo("POST", `/issues/${number}/comments`, { body: "gone" });
    await lab.repo("DELETE", `/issues/comments/${String(gone.json["id"])}`);
    await lab.repo("POST", `/statuses/${head}`, { state: "success", context: "plan" });
    await lab.restart();
    expect((await lab.repo("GET", `/issues/${number}/comments`)).list).toMatchObject([
      { id: kept.json["id"], body: "kept" },
    ]);
    expect((await lab.repo("GET", `/commits/${head}/statuses`)).list).toMatchObject([
      { state: "success", context: "plan" },
    ]);
    const next = await lab.repo("POST", `/issues/${number}/comments`, { body: "next" });
    expect(Number(next.json["id"])).toBeGreaterThan(Number(gone.json["id"]));
  });

  it("finishes a merge that was cut off between moving the base and writing it down", async () => {
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    const merged = await lab.repo("PUT", `/pulls/${number}/merge`, { merge_method: "squash" });
    await lab.restartAfter((store) => {
      const pull = store.pulls.all()[0];
      if (pull?.merge)
        store.pulls.replace({ ...pull, state: "open", merge: undefined, merging: pull.merge, closedAt: undefined });
    });
    expect(await lab.pull(number)).toMatchObject({
      state: "closed",
      merged: true,
      merge_commit_sha: merged.json["sha"],
    });
  });

  it("forgets a merge that was cut off before it moved the base", async () => {
    const head = await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    await lab.restartAfter((store) => {
      const pull = store.pulls.all()[0];
      if (pull) store.pulls.replace({ ...pull, merging: { at: 1, by: "alice", commit: head, commits: [] } });
    });
    expect(await lab.pull(number)).toMatchObject({ state: "open", merged: false });
    expect((await lab.repo("PUT", `/pulls/${number}/merge`)).status).toBe(200);
  });

  it("takes in pushes whose effects a kill cut off", async () => {
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    const fresh = await clone.commit("More", { "b.txt": "2\n" });
    await clone.git("push", "--quiet", lab.bareRepository(1), "topic");
    expect(at(await lab.pull(number), "head", "sha")).not.toBe(fresh);
    await lab.restart();
    expect(at(await lab.pull(number), "head", "sha")).toBe(fresh);
  });
});

describe("a simulated forge killed with SIGKILL", () => {
  let folder: string;
  let child: ChildProcess | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "forge-kill-"));
  });
  afterEach(async () => {
    if (child) await stop(child, "SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });

  async function start(): Promise<string> {
    const script = fileURLToPath(new URL("forge-process.ts", import.meta.url));
    child = spawn(process.execPath, ["--import", "tsx", script, join(folder, "data")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (!child.stdout) throw new Error("no output to read");
    for await (const line of createInterface(child.stdout)) {
      const ready = JSON.parse(line) as { ready: boolean; apiUrl: string };
      expect(ready.ready).toBe(true);
      return ready.apiUrl;
    }
    throw new Error("the forge ended before it was ready");
  }

  it("has every write it answered", async () => {
    const answered: string[] = [];
    for (let round = 0; round < 2; round += 1) {
      const api = await start();
      for (let count = 0; count < 6; count += 1) {
        const name = `r${round}-${count}`;
        const call = createRepository(api, name);
        if (count === 4) child?.kill("SIGKILL");
        if (await call) answered.push(name);
      }
      if (child) await stop(child, "SIGKILL");
    }
    const api = await start();
    expect(answered.length).toBeGreaterThanOrEqual(8);
    for (const name of answered) {
      const answer = await fetch(`${api}/repos/alice/${name}`, { headers: { authorization: "Bearer alice-token" } });
      expect(answer.status).toBe(200);
    }
  });

  it("ends with code 0 when it is asked to stop", async () => {
    await start();
    expect(child && (await stop(child, "SIGTERM"))).toBe(0);
  });
});

async function createRepository(api: string, name: string): Promise<boolean> {
  const headers = { authorization: "Bearer alice-token" };
  const call = fetch(`${api}/user/repos`, { method: "POST", headers, body: JSON.stringify({ name }) });
  return call.then(
    ({ status }) => status === 201,
    () => false,
  );
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
  return child.exitCode;
}

describe("the journal", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "journal-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("cuts off a line that was only half written and goes on behind the last whole one", async () => {
    const path = join(folder, "a.jsonl");
    const first = Journal.open<{ n: number }>(path);
    first.journal.append({ n: 1 });
    first.journal.close();
    await appendFile(path, '{"n":2');
    const second = Journal.open<{ n: number }>(path);
    expect(second.rows).toEqual([{ n: 1 }]);
    second.journal.append({ n: 3 });
    second.journal.close();
    expect(Journal.open(path).rows).toEqual([{ n: 1 }, { n: 3 }]);
  });

  it("is replaced as a whole when compacted, and goes on growing", async () => {
    const path = join(folder, "a.jsonl");
    const { journal } = Journal.open<{ n: number }>(path);
    for (let n = 0; n < 100; n += 1) journal.append({ n });
    journal.compact([{ n: 99 }]);
    expect(journal.appended).toBe(0);
    journal.append({ n: 100 });
    journal.close();
    expect(await readFile(path, "utf8")).toBe('{"n":99}\n{"n":100}\n');
  });

  it("stays small under a store that rewrites one row for ever, and keeps removed ids taken", async () => {
    const path = join(folder, "store.jsonl");
    const store = new Store(path);
    const row = {
      owner: "acme",
      private: false,
      defaultBranch: "main",
      forkOf: undefined,
      createdAt: 0,
      formerNames: [],
    };
    const kept = store.repositories.insert({ ...row, name: "kept" });
    const gone = store.repositories.insert({ ...row, name: "gone" });
    store.repositories.remove(gone.id);
    for (let count = 0; count < 20_010; count += 1) store.repositories.replace({ ...kept, createdAt: count });
    store.close();
    expect((await readFile(path, "utf8")).split("\n").length).toBeLessThan(100);
    const again = new Store(path);
    expect(again.repositories.all()).toMatchObject([{ name: "kept", createdAt: 20_009 }]);
    expect(again.repositories.insert({ ...row, name: "next" }).id).toBe(gone.id + 1);
    again.close();
  });
});
