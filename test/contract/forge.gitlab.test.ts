import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startGitlabBench } from "../support/gitlab-bench.ts";
import { forgeContract } from "./forge.contract.ts";

forgeContract("gitlab", startGitlabBench);

describe("a status on GitLab", () => {
  const signal = AbortSignal.timeout(900_000);
  let bench: Awaited<ReturnType<typeof startGitlabBench>>;
  beforeAll(async () => {
    bench = await startGitlabBench();
  });
  afterAll(() => bench.close());

  it("is moved along by workers that race, and none of them fails", async () => {
    const revision = await bench.newCommit();
    const texts = ["Waiting", "Syncing: 1 of 9", "Syncing: 2 of 9", "Syncing: 3 of 9"];
    const write = (description: string, state: "pending" | "success") =>
      bench.open().ensureCommitStatus(revision, { context: "sync", state, description, targetUrl: undefined }, signal);
    await Promise.all([...texts, ...texts].map((text) => write(text, "pending")));
    expect(await bench.open().findCommitStatus(revision, "sync", signal)).toMatchObject({ state: "pending" });
    await write("Synced", "success");
    expect(await bench.open().findCommitStatus(revision, "sync", signal)).toMatchObject({
      state: "success",
      description: "Synced",
    });
    // Pending, running, success at the most, whoever came first.
    expect((await bench.listStatuses(revision)).length).toBeLessThanOrEqual(3);
  });

  it("begins anew when the commit is synced again after its verdict", async () => {
    const revision = await bench.newCommit();
    const write = (description: string, state: "pending" | "failure" | "error" | "success") =>
      bench.open().ensureCommitStatus(revision, { context: "sync", state, description, targetUrl: undefined }, signal);
    await write("Failed", "failure");
    await write("Syncing", "pending");
    expect(await bench.open().findCommitStatus(revision, "sync", signal)).toMatchObject({ state: "pending" });
    await write("Superseded by 1234567", "error");
    await write("Superseded by 1234567", "error");
    expect(await bench.open().findCommitStatus(revision, "sync", signal)).toMatchObject({
      state: "failure",
      description: "Superseded by 1234567",
    });
    expect(await bench.listStatuses(revision)).toHaveLength(3);
  });
});
