import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { at, type Clone, ForgeLab } from "./forge-lab.ts";

describe("the simulated forge's pull requests", () => {
  let lab: ForgeLab;
  let clone: Clone;

  beforeEach(async () => {
    lab = await ForgeLab.open();
    clone = await lab.seeded();
  });
  afterEach(() => lab[Symbol.asyncDispose]());

  it("keeps refs/pull/N/head at the head through pushes", async () => {
    const first = await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    expect((await lab.refs()).get(`refs/pull/${number}/head`)).toBe(first);
    const second = await clone.commit("More", { "b.txt": "2\n" });
    await clone.git("push", "--quiet", "origin", "topic");
    expect((await lab.refs()).get(`refs/pull/${number}/head`)).toBe(second);
    expect(at(await lab.pull(number), "head", "sha")).toBe(second);
  });

  it("answers mergeable with null first and then with the test merge", async () => {
    const head = await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    expect((await lab.pull(number))["mergeable"]).toBeNull();
    const pull = await lab.settledPull(number);
    expect(pull).toMatchObject({ mergeable: true, mergeable_state: "clean", commits: 1 });
    expect((await lab.refs()).get(`refs/pull/${number}/merge`)).toBe(pull["merge_commit_sha"]);
    await clone.git("fetch", "--quiet", "origin", `refs/pull/${number}/merge`);
    expect(await clone.git("show", "-s", "--format=%P", "FETCH_HEAD")).toBe(
      `${await clone.git("rev-parse", "main")} ${head}`,
    );
  });

  it("has no refs/pull/N/merge for a conflict and refuses to merge it with 405", async () => {
    await clone.pushBranch("topic", { "base.txt": "theirs\n" });
    const number = await lab.openPull("topic");
    await clone.git("checkout", "--quiet", "main");
    await clone.commit("Ours", { "base.txt": "ours\n" });
    await clone.git("push", "--quiet", "origin", "main");
    expect(await lab.settledPull(number)).toMatchObject({ mergeable: false, mergeable_state: "dirty" });
    expect((await lab.refs()).has(`refs/pull/${number}/merge`)).toBe(false);
    for (const merge_method of ["merge", "squash", "rebase"]) {
      expect((await lab.repo("PUT", `/pulls/${number}/merge`, { merge_method })).status).toBe(405);
    }
  });

  it("merges with a commit whose parents are the old base and the head", async () => {
    const head = await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic", "Add a");
    const base = await clone.git("rev-parse", "main");
    const merged = await lab.repo("PUT", `/pulls/${number}/merge`, { sha: head });
    expect(merged.json).toMatchObject({ merged: true });
    await clone.git("fetch", "--quiet");
    expect(await clone.git("show", "-s", "--format=%H|%P|%an|%cn|%B", "origin/main")).toBe(
      `${String(merged.json["sha"])}|${base} ${head}|alice|GitHub|Merge pull request #${number} from acme/topic\n\nAdd a`,
    );
    expect(await lab.pull(number)).toMatchObject({
      state: "closed",
      merged: true,
      merge_commit_sha: merged.json["sha"],
    });
    expect((await lab.repo("PUT", `/pulls/${number}/merge`)).status).toBe(405);
  });

  it("squashes into one commit of the pull request's author on the old base", async () => {
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    await clone.commit("Second", { "b.txt": "2\n" });
    await clone.git("push", "--quiet", "origin", "topic");
    const number = await lab.openPull("topic", "Add both");
    const base = await clone.git("rev-parse", "main");
    const merged = await lab.repo("PUT", `/pulls/${number}/merge`, { merge_method: "squash" }, "bot-token");
    await clone.git("fetch", "--quiet");
    expect(await clone.git("show", "-s", "--format=%H|%P|%an|%s", "origin/main")).toBe(
      `${String(merged.json["sha"])}|${base}|alice|Add both (#${number})`,
    );
    expect(await clone.git("ls-tree", "--name-only", "origin/main")).toBe("a.txt\nb.txt\nbase.txt");
  });

  it("rebases by making every commit anew, with its author and date, even where a fast-forward would do", async () => {
    const first = await clone.pushBranch("topic", { "a.txt": "1\n" });
    const second = await clone.commit("Second", { "b.txt": "2\n" });
    await clone.git("push", "--quiet", "origin", "topic");
    const number = await lab.openPull("topic");
    const merged = await lab.repo("PUT", `/pulls/${number}/merge`, { merge_method: "rebase" });
    await clone.git("fetch", "--quiet");
    expect(await clone.git("log", "--format=%s|%an|%cn|%ad", "main..origin/main")).toBe(
      await clone.git("log", "--format=%s|%an|alice|%ad", "main..topic"),
    );
    const landed = (await clone.git("rev-list", "main..origin/main")).split("\n");
    expect(landed).toHaveLength(2);
    expect(landed[0]).toBe(merged.json["sha"]);
    expect(landed).not.toContain(first);
    expect(landed).not.toContain(second);
    for (const sha of landed) expect((await lab.repo("GET", `/commits/${sha}/pulls`)).list).toMatchObject([{ number }]);
  });

  it("rebases over a base that moved and keeps what both sides did", async () => {
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    await clone.commit("Again", { "a.txt": "1\n2\n" });
    await clone.git("push", "--quiet", "origin", "topic");
    const number = await lab.openPull("topic");
    await clone.git("checkout", "--quiet", "main");
    const tip = await clone.commit("Elsewhere", { "c.txt": "3\n" });
    await clone.git("push", "--quiet", "origin", "main");
    expect((await lab.repo("PUT", `/pulls/${number}/merge`, { merge_method: "rebase" })).status).toBe(200);
    await clone.git("fetch", "--quiet");
    expect(await clone.git("rev-parse", "origin/main~2")).toBe(tip);
    expect(await clone.git("show", "origin/main:a.txt")).toBe("1\n2");
    expect(await clone.git("show", "origin/main:c.txt")).toBe("3");
  });

  it("refuses to merge with 409 when the head is not the one the client saw", async () => {
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    const answer = await lab.repo("PUT", `/pulls/${number}/merge`, { sha: "0".repeat(40) });
    expect(answer).toMatchObject({
      status: 409,
      json: { message: "Head branch was modified. Review and try the merge again." },
    });
  });

  it("calls a pull request merged when its head is pushed to the base", async () => {
    const head = await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    await clone.git("push", "--quiet", "origin", "topic:main");
    expect(await lab.pull(number)).toMatchObject({ state: "closed", merged: true, merge_commit_sha: head });
  });

  it("names the merge commit when the merge was made elsewhere and pushed, head branch deleted at once", async () => {
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    await clone.git("checkout", "--quiet", "main");
    await clone.git("merge", "--quiet", "--no-ff", "-m", "By hand", "topic");
    const merge = await clone.git("rev-parse", "HEAD");
    await clone.git("push", "--quiet", "origin", "main", ":topic");
    expect(await lab.pull(number)).toMatchObject({
      merged: true,
      merge_commit_sha: merge,
      merged_by: { login: "alice" },
    });
  });

  it("follows a force push, and keeps the old head readable with its statuses", async () => {
    const old = await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    await lab.repo("POST", `/statuses/${old}`, { state: "success", context: "plan" });
    const fresh = await clone.pushBranch("topic", { "a.txt": "other\n" });
    expect(fresh).not.toBe(old);
    expect(at(await lab.pull(number), "head", "sha")).toBe(fresh);
    expect((await lab.repo("GET", `/commits/${old}/statuses`)).list).toHaveLength(1);
    expect((await lab.repo("GET", `/commits/${fresh}/statuses`)).list).toHaveLength(0);
  });

  it("closes a pull request, unmerged, when its head falls back to the base", async () => {
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    await clone.git("push", "--quiet", "--force", "origin", "main:topic");
    expect(await lab.pull(number)).toMatchObject({ state: "closed", merged: false });
  });

  it("closes a pull request whose head branch is deleted and reopens it only when the branch is back", async () => {
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    await clone.git("push", "--quiet", "origin", ":topic");
    expect(await lab.pull(number)).toMatchObject({ state: "closed", merged: false });
    expect((await lab.repo("PATCH", `/pulls/${number}`, { state: "open" })).status).toBe(422);
    await clone.git("push", "--quiet", "origin", "topic");
    expect((await lab.repo("PATCH", `/pulls/${number}`, { state: "open" })).json).toMatchObject({ state: "open" });
  });

  it("takes the head of a pull request from a fork and follows pushes to it", async () => {
    await lab.call("POST", "/repos/acme/fleet/forks", { body: {}, token: "bot-token" });
    const fork = await lab.clone("kraken-bot/fleet", "bot-token");
    const first = await fork.pushBranch("idea", { "a.txt": "1\n" }, "origin/main");
    const number = await lab.openPull("kraken-bot:idea", "From outside", "bot-token");
    const pull = await lab.pull(number);
    expect(pull).toMatchObject({
      head: { label: "kraken-bot:idea", sha: first, repo: { full_name: "kraken-bot/fleet", fork: true } },
      base: { repo: { full_name: "acme/fleet", fork: false } },
    });
    const second = await fork.commit("More", { "b.txt": "2\n" });
    await fork.git("push", "--quiet", "origin", "idea");
    expect((await lab.refs()).get(`refs/pull/${number}/head`)).toBe(second);
    expect((await lab.repo("POST", `/statuses/${second}`, { state: "pending" })).status).toBe(201);
    expect((await lab.repo("PUT", `/pulls/${number}/merge`)).status).toBe(200);
  });

  it("shows a deleted fork as head.repo null", async () => {
    await lab.call("POST", "/repos/acme/fleet/forks", { body: {}, token: "bot-token" });
    const fork = await lab.clone("kraken-bot/fleet", "bot-token");
    await fork.pushBranch("idea", { "a.txt": "1\n" }, "origin/main");
    const number = await lab.openPull("kraken-bot:idea");
    expect((await lab.call("DELETE", "/repos/kraken-bot/fleet", { token: "bot-token" })).status).toBe(204);
    expect(await lab.pull(number)).toMatchObject({ head: { repo: null, label: "kraken-bot:idea" } });
  });

  it("refuses pull requests without commits, with unknown branches, and twice the same", async () => {
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    const create = (body: unknown): Promise<unknown> =>
      lab.repo("POST", "/pulls", body).then(({ status, json }) => ({ status, errors: json["errors"] }));
    expect(await create({ title: "x", head: "main", base: "main" })).toMatchObject({
      status: 422,
      errors: [{ message: "No commits between main and main" }],
    });
    expect(await create({ title: "x", head: "gone", base: "main" })).toMatchObject({
      status: 422,
      errors: [{ field: "head", code: "invalid" }],
    });
    expect(await create({ title: "x", head: "topic", base: "gone" })).toMatchObject({
      status: 422,
      errors: [{ field: "base", code: "invalid" }],
    });
    expect(await create({ head: "topic", base: "main" })).toMatchObject({
      status: 422,
      errors: [{ field: "title", code: "missing_field" }],
    });
    await lab.openPull("topic");
    expect(await create({ title: "x", head: "topic", base: "main" })).toMatchObject({
      status: 422,
      errors: [{ message: "A pull request already exists for acme:topic." }],
    });
  });

  it("lists files with renames, counts and patches", async () => {
    await clone.git("checkout", "--quiet", "-b", "topic");
    await clone.git("mv", "base.txt", "moved.txt");
    await clone.commit("Move", { "new.txt": "1\n2\n" });
    await clone.git("push", "--quiet", "origin", "topic");
    const files = await lab.repo("GET", `/pulls/${await lab.openPull("topic")}/files`);
    expect(files.list).toMatchObject([
      { filename: "moved.txt", previous_filename: "base.txt", status: "renamed", changes: 0 },
      { filename: "new.txt", status: "added", additions: 2, deletions: 0, patch: "@@ -0,0 +1,2 @@\n+1\n+2" },
    ]);
  });

  it("moves a pull request to another base", async () => {
    await clone.git("push", "--quiet", "origin", "main:release");
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    expect((await lab.repo("PATCH", `/pulls/${number}`, { base: "release", title: "New" })).json).toMatchObject({
      title: "New",
      base: { ref: "release" },
    });
    expect((await lab.repo("GET", "/pulls?base=main")).list).toEqual([]);
    expect((await lab.repo("GET", "/pulls?base=release&head=acme:topic")).list).toMatchObject([{ number }]);
  });

  it("refuses to merge a draft", async () => {
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    const answer = await lab.repo("POST", "/pulls", { title: "x", head: "topic", base: "main", draft: true });
    expect(answer.json).toMatchObject({ draft: true });
    expect((await lab.repo("PUT", `/pulls/${String(answer.json["number"])}/merge`)).status).toBe(405);
  });

  it("finds open pull requests by a commit of their own", async () => {
    const head = await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    expect((await lab.repo("GET", `/commits/${head}/pulls`)).list).toMatchObject([{ number }]);
    expect((await lab.repo("GET", "/commits/main/pulls")).list).toEqual([]);
  });
});
