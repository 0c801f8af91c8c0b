import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Clone, ForgeLab } from "./forge-lab.ts";

describe("the simulated forge's faults", () => {
  let lab: ForgeLab;
  let clone: Clone;
  let number: number;

  beforeEach(async () => {
    lab = await ForgeLab.open();
    clone = await lab.seeded();
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    number = await lab.openPull("topic");
  });
  afterEach(() => lab[Symbol.asyncDispose]());

  const comment = (): Promise<unknown> => lab.repo("POST", `/issues/${number}/comments`, { body: "plan" });
  const comments = async (): Promise<number> => (await lab.repo("GET", `/issues/${number}/comments`)).list.length;

  it("answers in the forge's place as often as it was told", async () => {
    const headers = { "retry-after": "3" };
    await lab.control("POST", "/faults", {
      kind: "status",
      status: 502,
      headers,
      body: "<html>bad gateway</html>",
      times: 1,
      match: { method: "POST", path: "/comments$" },
    });
    expect(await comments()).toBe(0);
    const refused = (await comment()) as { status: number; text: string; headers: Headers };
    expect(refused).toMatchObject({ status: 502, text: "<html>bad gateway</html>" });
    expect(refused.headers.get("retry-after")).toBe("3");
    expect(await comment()).toMatchObject({ status: 201 });
  });

  it("cuts the connection before the work, or after it", async () => {
    await lab.control("POST", "/faults", [{ kind: "drop-before", times: 1, match: { method: "POST" } }]);
    await expect(comment()).rejects.toThrow("fetch failed");
    expect(await comments()).toBe(0);
    await lab.control("POST", "/faults", [{ kind: "drop-after", times: 1, match: { method: "POST" } }]);
    await expect(comment()).rejects.toThrow("fetch failed");
    expect(await comments()).toBe(1);
  });

  it("hangs before the head of an answer, or before its body", async () => {
    for (const kind of ["hang", "hang-body"]) {
      await lab.control("POST", "/faults", { kind, times: 1, match: { path: "/pulls" } });
      const call = fetch(`${lab.url}/repos/acme/fleet/pulls`, { signal: AbortSignal.timeout(300) });
      await expect(call.then((answer) => answer.text())).rejects.toThrow("aborted");
    }
  });

  it("takes its time when told to", async () => {
    await lab.control("POST", "/faults", { kind: "latency", ms: 150, times: 1 });
    const started = performance.now();
    expect(await comments()).toBe(0);
    expect(performance.now() - started).toBeGreaterThan(140);
  });

  it("loses the answer of a push that arrived", async () => {
    const sha = await clone.commit("More", { "b.txt": "2\n" });
    await lab.control("POST", "/faults", {
      kind: "drop-after",
      times: 1,
      match: { path: "git-receive-pack$", method: "POST" },
    });
    await expect(clone.git("push", "origin", "topic")).rejects.toThrow("git push");
    expect((await lab.refs()).get(`refs/pull/${number}/head`)).toBe(sha);
  });

  it("stops when the faults are cleared, and refuses faults it does not know", async () => {
    await lab.control("POST", "/faults", { kind: "status", status: 500 });
    expect((await lab.repo("GET", "/pulls")).status).toBe(500);
    await lab.control("DELETE", "/faults");
    expect((await lab.repo("GET", "/pulls")).status).toBe(200);
    expect((await lab.control("POST", "/faults", { kind: "earthquake" })).status).toBe(400);
    expect((await lab.control("POST", "/faults", { kind: "hang", match: { path: "(" } })).status).toBe(400);
  });

  it("counts calls and shows them without tokens", async () => {
    await lab.call("GET", "/user?access_token=planted-secret");
    const calls = await lab.control("GET", "/calls");
    expect(calls.json).toMatchObject({ counts: { "GET /user": 1, "POST /repos/:owner/:repo/pulls": 1 } });
    expect(calls.text).not.toContain("planted-secret");
    expect(calls.text).not.toContain("alice-token");
    expect(calls.text).toContain("alice");
  });

  it("makes repositories for tests, forks too", async () => {
    expect(await lab.control("POST", "/repos", { owner: "other", name: "fork", forkOf: "acme/fleet" })).toMatchObject({
      status: 201,
    });
    expect((await lab.call("GET", "/repos/other/fork")).json).toMatchObject({
      fork: true,
      parent: { full_name: "acme/fleet" },
    });
    expect((await lab.control("POST", "/repos", { owner: "other", name: "fork" })).status).toBe(422);
    expect((await lab.control("POST", "/repos", { owner: "..", name: "x" })).status).toBe(422);
  });
});
