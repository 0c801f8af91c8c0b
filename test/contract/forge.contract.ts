import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { setTimeout as sleep } from "node:timers/promises";
import type { CommentAuthor, Forge, ForgeDeployment, PullRequestComment } from "../../src/ports/forge.ts";

/** A forge under test with a repository in it, and eyes that do not look through the adapter. */
export interface ForgeBench {
  /** Most entries the forge gives at once; small, so that one more makes a second page. */
  readonly pageSize: number;
  /** How U+1F680, a character above U+FFFF, reads in the description of a status. */
  readonly rocket: string;
  /** Git ref of a pull request's head. */
  headRef(pullRequest: number): string;
  /** A new adapter, as after a restart: it remembers nothing. */
  open(): Forge;
  /** A commit the forge knows, different each time. */
  newCommit(): Promise<string>;
  /** Opens a pull request into `main`. */
  newPullRequest(options?: {
    readonly fork?: boolean;
    readonly draft?: boolean;
  }): Promise<{ readonly number: number; readonly head: string; readonly branch: string }>;
  /** Merges it and answers the new tip of `main`. */
  mergePullRequest(number: number, style: MergeStyle): Promise<string>;
  closePullRequest(number: number): Promise<void>;
  /** Somebody else, who may write to the repository, writes a comment. Answers its id. */
  commentAsOther(pullRequest: number, body: string): Promise<string>;
  editAsOther(pullRequest: number, comment: string, body: string): Promise<void>;
  listComments(pullRequest: number): Promise<readonly { readonly author: string; readonly body: string }[]>;
  deleteOwnComments(pullRequest: number): Promise<void>;
  /** Every status ever written on a commit, oldest first. */
  listStatuses(revision: string): Promise<readonly { readonly context: string; readonly description: string }[]>;
  /** Every reaction on a comment, whoever gave it, in the words of the port. */
  listReactions(pullRequest: number, comment: string): Promise<readonly string[]>;
  /** Somebody as a comment of theirs names them: who may push, who may only read, and an account that is not there. */
  findPerson(kind: "writer" | "reader" | "nobody"): Promise<CommentAuthor>;
  /** Gives the right to push to the writer or takes it away. */
  setWriter(may: boolean): Promise<void>;
  /** States of every deployment of a commit to an environment, oldest first, one list for each deployment. */
  listDeployments(revision: string, environment: string): Promise<readonly (readonly string[])[]>;
  /** The next write of this kind is done, and its answer is lost. */
  loseAnswerOnce(write: LostWrite): Promise<void>;
  /** No comment is taken or changed any more; answers the forge's words for it. */
  lockConversations(): Promise<string>;
  unlockConversations(): Promise<void>;
  close(): Promise<void>;
}

export type MergeStyle = "merge" | "squash" | "rebase";
export type LostWrite = "status" | "comment" | "reaction" | "deployment" | "deployment status";

const marker = "<!-- kraken-gitops:plan:contract:fleet -->";
// The suite takes a minute on a quiet machine; each test has its own deadline.
const signal = AbortSignal.timeout(900_000);

/** What every adapter of the forge port promises. `skips`: titles an adapter cannot promise, each with its reason. */
export function forgeContract(
  name: string,
  start: () => Promise<ForgeBench>,
  skips: Readonly<Record<string, string>> = {},
): void {
  const check = (title: string, body: () => Promise<void>): void => {
    if (skips[title] === undefined) it(title, body);
  };
  describe(`a forge of kind ${name}`, () => {
    let bench: ForgeBench;
    beforeAll(async () => {
      bench = await start();
    });
    afterAll(() => bench.close());
    check("takes a status and a comment", async () => {
      const forge = bench.open();
      const { number, head } = await bench.newPullRequest();
      await forge.ensureCommitStatus(head, status("kraken-gitops/plan", "success", "No VM changes"), signal);
      await expect(forge.ensureComment(number, marker, `${marker}\n\nhello`, signal)).resolves.toHaveProperty("url");
    });

    check("says who it is, or that it cannot know", async () => {
      const { login, findings } = await bench.open().check(signal);
      expect(login === undefined || login.length > 0).toBe(true);
      expect(findings).toBeInstanceOf(Array);
    });

    check("stops at an aborted signal", async () => {
      const revision = await bench.newCommit();
      const aborted = AbortSignal.abort(new Error("enough"));
      const written = async (): Promise<void> =>
        bench.open().ensureCommitStatus(revision, status("kraken-gitops/sync", "pending", "Syncing"), aborted);
      await expect(written()).rejects.toThrow("enough");
    });

    check("finds the newest status of a context", async () => {
      const forge = bench.open();
      const revision = await bench.newCommit();
      const newest = status("kraken-gitops/sync", "success", "Synced");
      await forge.ensureCommitStatus(revision, status("kraken-gitops/sync", "pending", "Syncing"), signal);
      await forge.ensureCommitStatus(revision, newest, signal);
      await forge.ensureCommitStatus(revision, status("other", "failure", "Failed"), signal);
      expect(await forge.findCommitStatus(revision, "kraken-gitops/sync", signal)).toEqual(newest);
      expect(await forge.findCommitStatus(revision, "never-written", signal)).toBeUndefined();
    });

    check("writes an unchanged status once, also after a restart", async () => {
      const revision = await bench.newCommit();
      const synced = status("kraken-gitops/sync", "success", "Synced: 9 operations");
      for (const forge of [bench.open(), bench.open()]) {
        await forge.ensureCommitStatus(revision, synced, signal);
        await forge.ensureCommitStatus(revision, synced, signal);
      }
      expect(await bench.listStatuses(revision)).toHaveLength(1);
    });

    check("writes a status once when the answer to it is lost", async () => {
      const revision = await bench.newCommit();
      const synced = status("kraken-gitops/sync", "success", "Synced");
      const forge = bench.open();
      await bench.loseAnswerOnce("status");
      await expect(forge.ensureCommitStatus(revision, synced, signal)).rejects.toMatchObject({
        code: "forge-unreachable",
      });
      await forge.ensureCommitStatus(revision, synced, signal);
      expect(await bench.listStatuses(revision)).toHaveLength(1);
    });

    check("cuts a description to its limit by whole characters", async () => {
      const forge = bench.open();
      const revision = await bench.newCommit();
      const { descriptionChars } = forge.limits;
      const tooLong = `${"ä".repeat(descriptionChars + 60)}🚀`;
      await forge.ensureCommitStatus(revision, status("kraken-gitops/sync", "failure", tooLong), signal);
      await forge.ensureCommitStatus(revision, status("kraken-gitops/plan", "failure", "done 🚀"), signal);
      const [long, emoji] = await bench.listStatuses(revision);
      expect(Array.from(long?.description ?? "")).toHaveLength(descriptionChars);
      expect(long?.description.endsWith("ä…")).toBe(true);
      expect(emoji?.description).toBe(`done ${bench.rocket}`);
    });

    check("refuses a commit it does not know", async () => {
      const unknown = "f".repeat(40);
      const forge = bench.open();
      await expect(forge.ensureCommitStatus(unknown, status("x", "success", "y"), signal)).rejects.toMatchObject({
        code: "forge-refused",
      });
    });

    check("keeps one comment and edits it", async () => {
      const { number } = await bench.newPullRequest();
      const forge = bench.open();
      await forge.ensureComment(number, marker, `${marker}\n\nfirst`, signal);
      await forge.ensureComment(number, marker, `${marker}\n\nsecond`, signal);
      await bench.open().ensureComment(number, marker, `${marker}\n\nthird`, signal);
      expect((await bench.listComments(number)).map(({ body }) => body)).toEqual([`${marker}\n\nthird`]);
    });

    check("finds its comment again on the second page", async () => {
      const { number } = await bench.newPullRequest();
      await talk(bench, number, bench.pageSize + 1);
      await bench.open().ensureComment(number, marker, `${marker}\n\nfirst`, signal);
      await bench.open().ensureComment(number, marker, `${marker}\n\nsecond`, signal);
      const comments = await bench.listComments(number);
      expect(comments).toHaveLength(bench.pageSize + 2);
      expect(comments.at(-1)?.body).toBe(`${marker}\n\nsecond`);
    });

    check("leaves alone what others wrote under its marker", async () => {
      const { number } = await bench.newPullRequest();
      await bench.commentAsOther(number, `${marker}\n\nquoted`);
      await bench.open().ensureComment(number, marker, `${marker}\n\nmine`, signal);
      expect((await bench.listComments(number)).map(({ body }) => body)).toEqual([
        `${marker}\n\nquoted`,
        `${marker}\n\nmine`,
      ]);
    });

    check("writes its comment again when somebody deleted it", async () => {
      const { number } = await bench.newPullRequest();
      const forge = bench.open();
      await forge.ensureComment(number, marker, `${marker}\n\nfirst`, signal);
      await bench.deleteOwnComments(number);
      await forge.ensureComment(number, marker, `${marker}\n\nsecond`, signal);
      expect((await bench.listComments(number)).map(({ body }) => body)).toEqual([`${marker}\n\nsecond`]);
    });

    check(
      "says why a locked conversation takes no comment, and goes on with the one it has when it is unlocked",
      async () => {
        const [known, fresh] = [await bench.newPullRequest(), await bench.newPullRequest()];
        const forge = bench.open();
        const write = (number: number, text: string): Promise<unknown> =>
          forge.ensureComment(number, marker, `${marker}\n\n${text}`, signal);
        const bodies = async (number: number) => (await bench.listComments(number)).map(({ body }) => body);
        await write(known.number, "before");
        const message = expect.stringContaining(await bench.lockConversations());
        try {
          for (const { number } of [known, fresh])
            await expect(write(number, "locked out")).rejects.toMatchObject({ code: "forge-refused", message });
          expect(await bodies(known.number)).toEqual([`${marker}\n\nbefore`]);
          expect(await bodies(fresh.number)).toEqual([]);
        } finally {
          await bench.unlockConversations();
        }
        for (const { number } of [known, fresh]) {
          await write(number, "after");
          expect(await bodies(number)).toEqual([`${marker}\n\nafter`]);
        }
      },
    );

    check("writes one comment when the answer to it is lost", async () => {
      const { number } = await bench.newPullRequest();
      await bench.loseAnswerOnce("comment");
      const forge = bench.open();
      await forge.ensureComment(number, marker, `${marker}\n\nonce`, signal);
      await forge.ensureComment(number, marker, `${marker}\n\nonce`, signal);
      expect(await bench.listComments(number)).toHaveLength(1);
    });

    check("writes one comment when asked twice at the same time", async () => {
      const { number } = await bench.newPullRequest();
      const forge = bench.open();
      const write = (text: string): Promise<unknown> =>
        forge.ensureComment(number, marker, `${marker}\n\n${text}`, signal);
      await Promise.all([write("one"), write("two"), write("three")]);
      expect((await bench.listComments(number)).map(({ body }) => body)).toEqual([`${marker}\n\nthree`]);
    });

    check("leaves one comment when two processes write it at the same time", async () => {
      const [left, right] = [bench.open(), bench.open()];
      for (let round = 0; round < 4; round += 1) {
        const { number } = await bench.newPullRequest();
        const write = (forge: Forge, text: string): Promise<unknown> =>
          forge.ensureComment(number, marker, `${marker}\n\n${text}`, signal);
        await Promise.all([write(left, "left"), write(right, "right")]);
        expect(await bench.listComments(number)).toHaveLength(1);
        await write(left, "left again");
        await write(right, "right at last");
        expect((await bench.listComments(number)).map(({ body }) => body)).toEqual([`${marker}\n\nright at last`]);
      }
    });

    check("lists open pull requests with head, draft and fork", async () => {
      const plain = await bench.newPullRequest();
      const draft = await bench.newPullRequest({ draft: true });
      const fork = await bench.newPullRequest({ fork: true });
      const closed = await bench.newPullRequest();
      await bench.closePullRequest(closed.number);
      const listed = await bench.open().listOpenPullRequests("main", signal);
      const of = (number: number): unknown => listed.find((pull) => pull.number === number);
      expect(of(plain.number)).toMatchObject({
        head: plain.head,
        headRef: bench.headRef(plain.number),
        headBranch: plain.branch,
        baseBranch: "main",
        draft: false,
        fork: false,
      });
      expect(of(draft.number)).toMatchObject({ draft: true, fork: false });
      expect(of(fork.number)).toMatchObject({ head: fork.head, headBranch: fork.branch, fork: true });
      expect(of(closed.number)).toBeUndefined();
      expect(await bench.open().listOpenPullRequests("no-such-branch", signal)).toEqual([]);
    });

    check("lists open pull requests on every page", async () => {
      const opened: number[] = [];
      while (opened.length <= bench.pageSize) opened.push((await bench.newPullRequest()).number);
      const listed = await bench.open().listOpenPullRequests("main", signal);
      const numbers = listed.map(({ number }) => number);
      expect(numbers).toEqual(expect.arrayContaining(opened));
      expect(new Set(numbers).size).toBe(numbers.length);
    });

    check("takes the branch of a status", async () => {
      const forge = bench.open();
      const { head, branch } = await bench.newPullRequest();
      const planned = status("kraken-gitops/plan", "success", "No VM changes");
      await forge.ensureCommitStatus(head, { ...planned, branch }, signal);
      await bench.open().ensureCommitStatus(head, { ...planned, branch }, signal);
      expect(await forge.findCommitStatus(head, "kraken-gitops/plan", signal)).toMatchObject(planned);
      expect(await bench.listStatuses(head)).toHaveLength(1);
    });

    for (const style of ["merge", "squash", "rebase"] as const) {
      check(`finds the pull request of a commit that came by ${style}`, async () => {
        const { number, head } = await bench.newPullRequest();
        const tip = await bench.mergePullRequest(number, style);
        const found = await bench.open().findPullRequestsOf(tip, signal);
        expect(found.map((pull) => [pull.number, pull.head])).toEqual([[number, head]]);
        expect(URL.canParse(found[0]?.url ?? "")).toBe(true);
      });
    }

    check("finds no pull request of a commit that came by none, has not come yet, or does not exist", async () => {
      const forge = bench.open();
      const { head } = await bench.newPullRequest();
      for (const revision of [await bench.newCommit(), head, "f".repeat(40)])
        expect(await forge.findPullRequestsOf(revision, signal)).toEqual([]);
    });

    check("lists the comments of all pull requests since a time, oldest first", async () => {
      const [first, second] = [await bench.newPullRequest(), await bench.newPullRequest()];
      const forge = bench.open();
      const early = await bench.commentAsOther(first.number, "early");
      const late = await later(() => bench.commentAsOther(second.number, "late"));
      const written = await find(forge, late);
      expect(written).toMatchObject({ pullRequest: second.number, own: false, body: "late" });
      expect(written.author).toEqual(await bench.findPerson("writer"));
      expect(Math.abs(written.updatedAtMs - Date.now())).toBeLessThan(60_000);
      const since = written.updatedAtMs;
      const ids = async (): Promise<string[]> => (await forge.listComments(since, signal)).map(({ id }) => id);
      expect(await ids()).toEqual([late]);
      await later(() => bench.editAsOther(first.number, early, "edited"));
      expect(await ids()).toEqual([late, early]);
      expect((await find(forge, early)).body).toBe("edited");
      await bench.closePullRequest(first.number);
      expect(await ids()).toEqual([late, early]);
    });

    check("lists comments on every page and knows its own", async () => {
      const { number } = await bench.newPullRequest();
      const forge = bench.open();
      await forge.ensureComment(number, marker, `${marker}\n\nmine`, signal);
      const ids = await talk(bench, number, bench.pageSize + 1);
      const listed = (await bench.open().listComments(0, signal)).filter(({ pullRequest }) => pullRequest === number);
      expect(listed.filter(({ own }) => own).map(({ body }) => body)).toEqual([`${marker}\n\nmine`]);
      expect(listed.filter(({ own }) => !own).map(({ id }) => id)).toEqual(ids);
    });

    check("reacts to a comment once for each reaction", async () => {
      const { number } = await bench.newPullRequest();
      const forge = bench.open();
      const comment = await find(forge, await bench.commentAsOther(number, "please"));
      for (const reaction of ["eyes", "+1", "-1", "confused"] as const) await forge.react(comment, reaction, signal);
      await forge.react(comment, "+1", signal);
      await bench.open().react(comment, "eyes", signal);
      const reactions = await bench.listReactions(number, comment.id);
      expect([...reactions].sort()).toEqual(["+1", "-1", "confused", "eyes"]);
    });

    check("reacts once when the answer to it is lost", async () => {
      const { number } = await bench.newPullRequest();
      const forge = bench.open();
      const comment = await find(forge, await bench.commentAsOther(number, "please"));
      await bench.loseAnswerOnce("reaction");
      await forge.react(comment, "eyes", signal).catch(() => undefined);
      await forge.react(comment, "eyes", signal);
      expect(await bench.listReactions(number, comment.id)).toEqual(["eyes"]);
    });

    check("does not mind that a comment to react to is gone", async () => {
      const { number } = await bench.newPullRequest();
      const forge = bench.open();
      await forge.ensureComment(number, marker, `${marker}\n\nshort-lived`, signal);
      const listed = await forge.listComments(0, signal);
      const comment = listed.find(({ own, pullRequest }) => own && pullRequest === number);
      await bench.deleteOwnComments(number);
      if (comment === undefined) throw new Error("the comment was not listed");
      await expect(forge.react(comment, "+1", signal)).resolves.toBeUndefined();
    });

    check("knows who may push", async () => {
      const forge = bench.open();
      const may = async (kind: "writer" | "reader" | "nobody"): Promise<boolean> =>
        forge.mayWrite(await bench.findPerson(kind), signal);
      expect(await may("writer")).toBe(true);
      expect(await may("reader")).toBe(false);
      expect(await may("nobody")).toBe(false);
      await bench.setWriter(false);
      try {
        expect(await may("writer")).toBe(false);
      } finally {
        await bench.setWriter(true);
      }
      expect(await may("writer")).toBe(true);
    });

    check("does not take somebody for another of the same name", async () => {
      const writer = await bench.findPerson("writer");
      expect(await bench.open().mayWrite({ ...writer, id: "987654321" }, signal)).toBe(false);
    });

    check("keeps one deployment per commit and environment, and writes what is new of it", async () => {
      const forge = bench.open();
      const revision = await bench.newCommit();
      const write = (to: Forge, state: ForgeDeployment["state"], environment = "cluster-a"): Promise<void> =>
        to.ensureDeployment(deployment(revision, environment, state), signal);
      await write(forge, "in_progress");
      await write(forge, "in_progress");
      await write(forge, "success", "cluster-b");
      await write(bench.open(), "failure");
      await write(bench.open(), "failure");
      if (!forge.limits.deployments) return;
      expect(await bench.listDeployments(revision, "cluster-a")).toEqual([["in_progress", "failure"]]);
      expect(await bench.listDeployments(revision, "cluster-b")).toEqual([["success"]]);
    });

    check("writes a deployment once when answers are lost", async () => {
      const forge = bench.open();
      if (!forge.limits.deployments) return;
      const revision = await bench.newCommit();
      for (const lost of ["deployment", "deployment status"] as const) {
        await bench.loseAnswerOnce(lost);
        const write = (): Promise<void> => forge.ensureDeployment(deployment(revision, lost, "success"), signal);
        await write().catch(() => undefined);
        await write();
        expect(await bench.listDeployments(revision, lost)).toEqual([["success"]]);
      }
    });
  });
}

/** Comments of somebody else, more than a page when asked for; their ids. */
async function talk(bench: ForgeBench, pullRequest: number, count: number): Promise<readonly string[]> {
  const ids: string[] = [];
  while (ids.length < count) ids.push(await bench.commentAsOther(pullRequest, `talk ${ids.length}`));
  return ids;
}

/** Forges tell times in whole seconds: what happens here happens in a later one. */
async function later<T>(work: () => Promise<T>): Promise<T> {
  await sleep(1_100);
  return work();
}

async function find(forge: Forge, id: string): Promise<PullRequestComment> {
  const comment = (await forge.listComments(0, signal)).find((one) => one.id === id);
  if (comment === undefined) throw new Error(`comment ${id} is not listed`);
  return comment;
}

function deployment(revision: string, environment: string, state: ForgeDeployment["state"]): ForgeDeployment {
  return { environment, revision, branch: "main", state, description: `is ${state}`, targetUrl: undefined };
}

function status(context: string, state: "pending" | "success" | "failure", description: string) {
  return { context, state, description, targetUrl: undefined } as const;
}
