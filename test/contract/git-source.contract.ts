import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { GitSource } from "../../src/ports/git-source.ts";
import { TestRepository, temporaryFolder } from "../support/git-repository.ts";

/** Opens the adapter under test on a repository that exists as `<root>/<name>`. */
export interface GitSourceSetup {
  readonly root: string;
  readonly name: string;
  readonly mirrorDir: string;
  readonly branch: string;
  readonly path: string;
}

export type OpenGitSource = (setup: GitSourceSetup) => Promise<GitSource>;

function signal(): AbortSignal {
  return AbortSignal.timeout(20_000);
}

function text(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString();
}

/** What every implementation of the GitSource port does, on a real bare repository. */
export function gitSourceContract(open: OpenGitSource): void {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let repository: TestRepository;
  let opened: GitSource[] = [];

  beforeEach(async () => {
    folder = await temporaryFolder();
    repository = await TestRepository.create(join(folder.path, "root", "fleet.git"));
  });

  afterEach(async () => {
    await Promise.all(opened.map((source) => source[Symbol.asyncDispose]()));
    opened = [];
    await folder[Symbol.asyncDispose]();
  });

  async function source(path = "manifests", branch = "main"): Promise<GitSource> {
    const root = join(folder.path, "root");
    const one = await open({ root, name: "fleet.git", mirrorDir: join(folder.path, "mirror"), branch, path });
    opened.push(one);
    return one;
  }

  it("answers the remote tip without fetching it", async () => {
    const first = await repository.commit({ "manifests/a.yaml": "a" });
    const git = await source();
    expect(await git.remoteTip(signal())).toBe(first);
    await expect(git.readCommit(first, signal())).rejects.toMatchObject({ code: "git-revision-missing" });
  });

  it("lists the remote branches that begin with a prefix, and no others", async () => {
    await repository.commit({ "manifests/a.yaml": "a" });
    const queued = await repository.commit({ "manifests/a.yaml": "b" }, { branch: "queue/main/pr-7" });
    await repository.commit({ "manifests/a.yaml": "c" }, { branch: "old/queue/main/pr-8" });
    const git = await source();
    expect(await git.listBranches("queue/main/", signal())).toEqual(new Map([["queue/main/pr-7", queued]]));
    expect(await git.listBranches("other/", signal())).toEqual(new Map());
  });

  it("fetches the branch and follows it commit by commit", async () => {
    const first = await repository.commit({ "manifests/a.yaml": "a" });
    const git = await source();
    expect(await git.fetchBranch(signal())).toBe(first);
    const second = await repository.commit({ "manifests/a.yaml": "b" });
    expect(await git.fetchBranch(signal())).toBe(second);
    expect(await git.isAncestor(first, second, signal())).toBe(true);
    expect(await git.isAncestor(second, first, signal())).toBe(false);
    expect(await git.findCommit(first.slice(0, 7), signal())).toBe(first);
    expect(await git.findCommit(second, signal())).toBe(second);
    expect(await git.findCommit("0123456789", signal())).toBeUndefined();
    expect(await git.findCommit("main", signal())).toBeUndefined();
  });

  it("treats an empty repository as empty and sees its first commit when it comes", async () => {
    const git = await source();
    expect(await git.remoteTip(signal())).toBeUndefined();
    expect(await git.fetchBranch(signal())).toBeUndefined();
    const first = await repository.commit({ "manifests/a.yaml": "a" });
    expect(await git.remoteTip(signal())).toBe(first);
    expect(await git.fetchBranch(signal())).toBe(first);
  });

  it("names the other branches when the tracked one was renamed, and keeps what it had", async () => {
    const first = await repository.commit({ "manifests/a.yaml": "a" });
    const git = await source();
    await git.fetchBranch(signal());
    await repository.git("branch", "-m", "main", "trunk");
    expect(await git.remoteTip(signal())).toBeUndefined();
    await expect(git.fetchBranch(signal())).rejects.toMatchObject({
      code: "git-branch-missing",
      message: expect.stringContaining("it has trunk"),
    });
    expect([...(await git.listFiles(first, signal())).keys()]).toEqual(["manifests/a.yaml"]);
  });

  it("reports a deleted only branch as missing and not as an empty repository", async () => {
    await repository.commit({ "manifests/a.yaml": "a" });
    const git = await source();
    await git.fetchBranch(signal());
    await repository.setRef("refs/heads/main", undefined);
    await expect(git.fetchBranch(signal())).rejects.toMatchObject({ code: "git-branch-missing" });
  });

  it("tracks a branch whose name has slashes beside one that is its prefix", async () => {
    await repository.commit({ "manifests/a.yaml": "main" });
    const release = await repository.commit({ "manifests/a.yaml": "release" }, { branch: "release/2026/x" });
    await repository.commit({ "manifests/a.yaml": "other" }, { branch: "refs/heads/release/2026/x" });
    const git = await source("manifests", "release/2026/x");
    expect(await git.remoteTip(signal())).toBe(release);
    expect(await git.fetchBranch(signal())).toBe(release);
  });

  it("keeps the commit that a force push replaced", async () => {
    const base = await repository.commit({ "manifests/a.yaml": "base" });
    const lost = await repository.commit({ "manifests/a.yaml": "lost" });
    const git = await source();
    await git.fetchBranch(signal());
    const forced = await repository.commit({ "manifests/a.yaml": "forced" }, { from: base });
    expect(await git.fetchBranch(signal())).toBe(forced);
    expect(await git.isAncestor(lost, forced, signal())).toBe(false);
    expect([...(await git.changedFiles(lost, forced, signal())).keys()]).toEqual(["manifests/a.yaml"]);
  });

  it("lists the files below the path with kinds and sizes and follows nothing", async () => {
    const tip = await repository.commit({
      "outside.yaml": "no",
      "manifests/b/ünïcode name.yaml": "12345",
      "manifests/a.yaml": "a",
      "manifests/link.yaml": { symlink: "/etc/passwd" },
      "manifests/sub": { submodule: "1".repeat(40) },
      "manifestsX/c.yaml": "no",
    });
    const git = await source();
    await git.fetchBranch(signal());
    const files = await git.listFiles(tip, signal());
    expect([...files].map(([path, { kind, sizeBytes }]) => [path, kind, sizeBytes])).toEqual([
      ["manifests/a.yaml", "file", 1],
      ["manifests/b/ünïcode name.yaml", "file", 5],
      ["manifests/link.yaml", "symlink", 11],
      ["manifests/sub", "submodule", 0],
    ]);
  });

  it("lists the whole repository for an empty path, and a tree as well as a commit", async () => {
    const tip = await repository.commit({ "a.yaml": "a", "m/b.yaml": "b" });
    const git = await source("");
    await git.fetchBranch(signal());
    const tree = await git.treeId(tip, signal());
    expect(tree).toBe(await repository.git("rev-parse", `${tip}^{tree}`));
    expect([...(await git.listFiles(tree ?? "", signal())).keys()]).toEqual(["a.yaml", "m/b.yaml"]);
  });

  it("says that the path is not there, also when a file or a symbolic link has its name", async () => {
    const nowhere = await repository.commit({ "a.yaml": "a" });
    const file = await repository.commit({ manifests: "a file" });
    const link = await repository.commit({ manifests: { symlink: "real" }, "real/a.yaml": "a" });
    const git = await source();
    await git.fetchBranch(signal());
    for (const tip of [nowhere, file, link]) {
      expect(await git.treeId(tip, signal())).toBeUndefined();
      expect(await git.listFiles(tip, signal())).toEqual(new Map());
    }
  });

  it("answers equal tree ids for commits that change nothing below the path", async () => {
    const first = await repository.commit({ "manifests/a.yaml": "a", "README.md": "1" });
    const second = await repository.commit({ "README.md": "2" });
    const git = await source();
    await git.fetchBranch(signal());
    expect(await git.treeId(second, signal())).toBe(await git.treeId(first, signal()));
    expect(await git.changedFiles(first, second, signal())).toEqual(new Map());
  });

  it("tells added, changed and deleted files between two commits", async () => {
    const first = await repository.commit({
      "manifests/gone.yaml": "g",
      "manifests/kept.yaml": "k",
      "manifests/new/x.yaml": "1",
    });
    const second = await repository.commit({
      "manifests/gone.yaml": undefined,
      "manifests/added.yaml": "12",
      "manifests/new/x.yaml": "123",
    });
    const git = await source();
    await git.fetchBranch(signal());
    const changed = await git.changedFiles(first, second, signal());
    expect(new Map([...changed].map(([path, entry]) => [path, entry?.sizeBytes]))).toEqual(
      new Map<string, number | undefined>([
        ["manifests/added.yaml", 2],
        ["manifests/gone.yaml", undefined],
        ["manifests/new/x.yaml", 3],
      ]),
    );
    const listed = await git.listFiles(second, signal());
    expect(changed.get("manifests/added.yaml")).toEqual(listed.get("manifests/added.yaml"));
  });

  it("counts every file as added or deleted when the path appears or goes", async () => {
    const without = await repository.commit({ "README.md": "1" });
    const withPath = await repository.commit({ "manifests/a.yaml": "a" });
    const git = await source();
    await git.fetchBranch(signal());
    expect((await git.changedFiles(without, withPath, signal())).get("manifests/a.yaml")).toMatchObject({
      kind: "file",
    });
    expect([...(await git.changedFiles(withPath, without, signal()))]).toEqual([["manifests/a.yaml", undefined]]);
  });

  it("reads blobs byte for byte and leaves out what is too large", async () => {
    const binary = Uint8Array.from({ length: 70_000 }, (_unused, index) => index % 256);
    const large = Buffer.alloc(5_000_000, "x");
    const files = {
      "manifests/binary": binary,
      "manifests/empty": "",
      "manifests/large": large,
      "manifests/text": "blob 5\nend",
    };
    const tip = await repository.commit(files);
    const git = await source();
    await git.fetchBranch(signal());
    const listed = await git.listFiles(tip, signal());
    const id = (path: string): string => listed.get(path)?.blobId ?? "";
    const blobs = await git.readBlobs(
      [...listed.values()].map(({ blobId }) => blobId),
      100_000,
      signal(),
    );
    expect(blobs.get(id("manifests/binary"))).toEqual(binary);
    expect(text(blobs.get(id("manifests/empty")))).toBe("");
    expect(text(blobs.get(id("manifests/text")))).toBe("blob 5\nend");
    expect(blobs.has(id("manifests/large"))).toBe(true);
    expect(blobs.get(id("manifests/large"))).toBeUndefined();
    expect((await git.readBlobs([id("manifests/large")], 5_000_000, signal())).get(id("manifests/large"))).toHaveLength(
      5_000_000,
    );
  });

  it("answers questions that were asked at the same time each with its own answer", async () => {
    const files = Object.fromEntries(
      Array.from({ length: 40 }, (_unused, index) => [`manifests/${index}.yaml`, `text ${index}`]),
    );
    const tip = await repository.commit(files);
    const git = await source();
    await git.fetchBranch(signal());
    const listed = [...(await git.listFiles(tip, signal()))];
    const read = await Promise.all(listed.map(([, { blobId }]) => git.readBlobs([blobId], 100, signal())));
    expect(listed.map(([path, { blobId }], index) => [path, text(read[index]?.get(blobId))])).toEqual(
      listed.map(([path]) => [path, files[path]]),
    );
  });

  it("goes on reading after a read was aborted", async () => {
    const tip = await repository.commit({
      "manifests/large": Buffer.alloc(3_000_000, "y"),
      "manifests/small": "small",
    });
    const git = await source();
    await git.fetchBranch(signal());
    const files = await git.listFiles(tip, signal());
    const large = files.get("manifests/large")?.blobId ?? "";
    const small = files.get("manifests/small")?.blobId ?? "";
    const controller = new AbortController();
    const reading = git.readBlobs([large], 5_000_000, controller.signal);
    controller.abort(new Error("changed my mind"));
    await expect(reading).rejects.toThrow("changed my mind");
    expect(text((await git.readBlobs([small], 100, signal())).get(small))).toBe("small");
  });

  it("reads a commit with parents, author, time and message", async () => {
    const first = await repository.commit({ "manifests/a.yaml": "a" });
    const message = "Grow web-01\n\nKraken-Approve: 1a2b3c\n\nparent of nothing\n";
    const second = await repository.commit(
      { "manifests/a.yaml": "b" },
      { message, author: "Zoë <zoe@example.com>", timeSeconds: 1_750_000_000 },
    );
    const git = await source();
    await git.fetchBranch(signal());
    expect(await git.readCommit(second, signal())).toEqual({
      revision: second,
      parents: [first],
      author: "Zoë",
      committedAtMs: 1_750_000_000_000,
      subject: "Grow web-01",
      message: message.trimEnd(),
    });
  });

  it("reads commits in other encodings, without a message, and with broken text", async () => {
    const latin = await repository.commit(
      { a: "1" },
      { message: Buffer.from("Gr\u00fc\u00dfe", "latin1"), encoding: "ISO-8859-1" },
    );
    const unknown = await repository.commit({ a: "2" }, { message: "plain", encoding: "klingon-8" });
    const broken = await repository.commit({ a: "3" }, { message: Uint8Array.from([0x61, 0xff, 0x62]) });
    const silent = await repository.commit({ a: "4" }, { message: "" });
    const git = await source();
    await git.fetchBranch(signal());
    const subjects = [];
    for (const id of [latin, unknown, broken, silent]) subjects.push((await git.readCommit(id, signal())).subject);
    expect(subjects).toEqual(["Grüße", "plain", "a\ufffdb", ""]);
  });

  it("lists the commits between two revisions, newest first and bounded", async () => {
    const ids: string[] = [];
    for (const content of ["1", "2", "3", "4"]) ids.unshift(await repository.commit({ "manifests/a.yaml": content }));
    const git = await source();
    await git.fetchBranch(signal());
    const [newest = "", , , oldest = ""] = ids;
    expect(await git.listCommits(oldest, newest, 10, signal())).toEqual(ids.slice(0, 3));
    expect(await git.listCommits(undefined, newest, 2, signal())).toEqual(ids.slice(0, 2));
    expect(await git.listCommits(newest, newest, 10, signal())).toEqual([]);
  });

  it("fetches the head of a pull request by its reference, also after it moved on", async () => {
    const base = await repository.commit({ "manifests/a.yaml": "a" });
    const early = await repository.commit({ "manifests/b.yaml": "early" }, { from: base, branch: "topic" });
    const late = await repository.commit({ "manifests/b.yaml": "late" }, { branch: "topic" });
    await repository.setRef("refs/pull/7/head", late);
    await repository.setRef("refs/heads/topic", undefined);
    const git = await source();
    await git.fetchBranch(signal());
    await git.ensureRevisions([{ revision: late, ref: "refs/pull/7/head" }], signal());
    expect((await git.readCommit(late, signal())).parents).toEqual([early]);
    await repository.setRef("refs/pull/7/head", base);
    await git.ensureRevisions(
      [
        { revision: early, ref: "refs/pull/7/head" },
        { revision: base, ref: undefined },
      ],
      signal(),
    );
  });

  it("fetches a commit by its id when no reference is known", async () => {
    await repository.commit({ "manifests/a.yaml": "a" });
    const other = await repository.commit({ "manifests/b.yaml": "b" }, { branch: "other" });
    const git = await source();
    await git.fetchBranch(signal());
    await git.ensureRevisions([{ revision: other, ref: undefined }], signal());
    expect((await git.readCommit(other, signal())).revision).toBe(other);
  });

  it("says which commit the remote does not have", async () => {
    await repository.commit({ "manifests/a.yaml": "a" });
    const git = await source();
    await git.fetchBranch(signal());
    const wanted = [{ revision: "0123456789".repeat(4), ref: "refs/pull/9/head" }];
    await expect(git.ensureRevisions(wanted, signal())).rejects.toMatchObject({
      code: "git-revision-missing",
      message: expect.stringContaining("0123456789"),
    });
  });

  it("merges a pull request that is behind the base without losing what the base added", async () => {
    const fork = await repository.commit({ "manifests/a.yaml": "a\n" });
    const head = await repository.commit({ "manifests/b.yaml": "b\n" }, { from: fork, branch: "topic" });
    const base = await repository.commit({ "manifests/c.yaml": "c\n" });
    const git = await source();
    await git.fetchBranch(signal());
    await git.ensureRevisions([{ revision: head, ref: "refs/heads/topic" }], signal());
    const merge = await git.mergeTree(base, head, signal());
    const tree = merge.kind === "merged" ? merge.tree : "";
    expect([...(await git.listFiles(tree, signal())).keys()]).toEqual([
      "manifests/a.yaml",
      "manifests/b.yaml",
      "manifests/c.yaml",
    ]);
    expect([...(await git.changedFiles(base, tree, signal())).keys()]).toEqual(["manifests/b.yaml"]);
  });

  it("names the files of a merge conflict", async () => {
    const fork = await repository.commit({ "manifests/a b.yaml": "a\n", "manifests/same.yaml": "s\n" });
    const head = await repository.commit({ "manifests/a b.yaml": "head\n" }, { from: fork, branch: "topic" });
    const base = await repository.commit({ "manifests/a b.yaml": "base\n" });
    const git = await source();
    await git.fetchBranch(signal());
    await git.ensureRevisions([{ revision: head, ref: undefined }], signal());
    expect(await git.mergeTree(base, head, signal())).toEqual({ kind: "conflict", files: ["manifests/a b.yaml"] });
  });

  it("refuses to merge histories that share nothing", async () => {
    const base = await repository.commit({ a: "a" });
    const head = await repository.commit({ b: "b" }, { from: null, branch: "stranger" });
    const git = await source();
    await git.fetchBranch(signal());
    await git.ensureRevisions([{ revision: head, ref: undefined }], signal());
    expect(await git.mergeTree(base, head, signal())).toEqual({ kind: "conflict", files: [] });
  });

  it("answers git-revision-missing for commits it does not have, whatever is asked", async () => {
    const tip = await repository.commit({ "manifests/a.yaml": "a" });
    const git = await source();
    await git.fetchBranch(signal());
    const absent = "f".repeat(40);
    const questions = [
      () => git.readCommit(absent, signal()),
      () => git.treeId(absent, signal()),
      () => git.listFiles(absent, signal()),
      () => git.readBlobs([absent], 10, signal()),
      () => git.changedFiles(tip, absent, signal()),
      () => git.isAncestor(tip, absent, signal()),
      () => git.listCommits(absent, tip, 10, signal()),
      () => git.mergeTree(tip, absent, signal()),
      () => git.readCommit("main", signal()),
      () => git.readCommit("--help", signal()),
    ];
    for (const ask of questions) await expect(ask()).rejects.toMatchObject({ code: "git-revision-missing" });
  });

  it("ends every call at once when its signal is aborted already", async () => {
    const tip = await repository.commit({ "manifests/a.yaml": "a" });
    const git = await source();
    await git.fetchBranch(signal());
    const aborted = AbortSignal.abort(new Error("stopping"));
    const calls = [
      () => git.remoteTip(aborted),
      () => git.fetchBranch(aborted),
      () => git.listFiles(tip, aborted),
      () => git.readCommit(tip, aborted),
      () => git.isAncestor(tip, tip, aborted),
    ];
    for (const call of calls) await expect(call()).rejects.toThrow("stopping");
  });
}
