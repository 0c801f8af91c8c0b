import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Forge } from "../../src/ports/forge.ts";

/** A forge under test with a repository in it, and eyes that do not look through the adapter. */
export interface ForgeBench {
  /** A new adapter, as after a restart: it remembers nothing. */
  open(): Forge;
  /** A commit the forge knows, different each time. */
  newCommit(): Promise<string>;
  /** Opens a pull request into `main`. */
  newPullRequest(options?: {
    readonly fork?: boolean;
    readonly draft?: boolean;
  }): Promise<{ readonly number: number; readonly head: string }>;
  closePullRequest(number: number): Promise<void>;
  /** Somebody else writes a comment. */
  commentAsOther(pullRequest: number, body: string): Promise<void>;
  listComments(pullRequest: number): Promise<readonly { readonly author: string; readonly body: string }[]>;
  deleteOwnComments(pullRequest: number): Promise<void>;
  /** Every status ever written on a commit, oldest first. */
  listStatuses(revision: string): Promise<readonly { readonly context: string; readonly description: string }[]>;
  /** The first write that matches is done, and its answer is lost. */
  loseAnswerOnce(method: "POST" | "PATCH", path: string): Promise<void>;
  close(): Promise<void>;
}

const marker = "<!-- kraken-gitops:plan:contract:fleet -->";
const signal = AbortSignal.timeout(60_000);

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
      await bench.loseAnswerOnce("POST", "/statuses/");
      await expect(forge.ensureCommitStatus(revision, synced, signal)).rejects.toMatchObject({
        code: "forge-unreachable",
      });
      await forge.ensureCommitStatus(revision, synced, signal);
      expect(await bench.listStatuses(revision)).toHaveLength(1);
    });

    check("cuts a description to its limit by whole characters", async () => {
      const forge = bench.open();
      const revision = await bench.newCommit();
      await forge.ensureCommitStatus(revision, status("kraken-gitops/sync", "failure", `${"ä".repeat(200)}🚀`), signal);
      await forge.ensureCommitStatus(revision, status("kraken-gitops/plan", "failure", "done 🚀"), signal);
      const [long, emoji] = await bench.listStatuses(revision);
      expect(Array.from(long?.description ?? "")).toHaveLength(forge.limits.descriptionChars);
      expect(long?.description.endsWith("ä…")).toBe(true);
      expect(emoji?.description).toBe("done □");
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
      for (let index = 0; index < 101; index += 1) await bench.commentAsOther(number, `talk ${index}`);
      await bench.open().ensureComment(number, marker, `${marker}\n\nfirst`, signal);
      await bench.open().ensureComment(number, marker, `${marker}\n\nsecond`, signal);
      const comments = await bench.listComments(number);
      expect(comments).toHaveLength(102);
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

    check("writes one comment when the answer to it is lost", async () => {
      const { number } = await bench.newPullRequest();
      await bench.loseAnswerOnce("POST", `/issues/${number}/comments`);
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
        headRef: `refs/pull/${plain.number}/head`,
        baseBranch: "main",
        draft: false,
        fork: false,
      });
      expect(of(draft.number)).toMatchObject({ draft: true, fork: false });
      expect(of(fork.number)).toMatchObject({ head: fork.head, fork: true });
      expect(of(closed.number)).toBeUndefined();
      expect(await bench.open().listOpenPullRequests("no-such-branch", signal)).toEqual([]);
    });
  });
}

function status(context: string, state: "pending" | "success" | "failure", description: string) {
  return { context, state, description, targetUrl: undefined } as const;
}
