import { expect, it } from "vitest";
import { openNoForge } from "../../src/adapters/forge/none.ts";
import { forgeContract, type ForgeBench } from "./forge.contract.ts";

const nothing = "there is no forge to read from";

forgeContract("none", () => Promise.resolve(bench()), {
  "finds the newest status of a context": nothing,
  "writes an unchanged status once, also after a restart": nothing,
  "writes a status once when the answer to it is lost": nothing,
  "cuts a description to its limit by whole characters": "a log line has no limit",
  "refuses a commit it does not know": nothing,
  "keeps one comment and edits it": nothing,
  "finds its comment again on the second page": nothing,
  "leaves alone what others wrote under its marker": nothing,
  "writes its comment again when somebody deleted it": nothing,
  "says why a locked conversation takes no comment, and goes on with the one it has when it is unlocked": nothing,
  "writes one comment when the answer to it is lost": nothing,
  "writes one comment when asked twice at the same time": nothing,
  "leaves one comment when two processes write it at the same time": nothing,
  "lists open pull requests with head, draft and fork": nothing,
  "lists open pull requests on every page": nothing,
  "takes the branch of a status": nothing,
  "finds the pull request of a commit that came by merge": nothing,
  "finds the pull request of a commit that came by squash": nothing,
  "finds the pull request of a commit that came by rebase": nothing,
  "lists the comments of all pull requests since a time, oldest first": nothing,
  "lists comments on every page and knows its own": nothing,
  "reacts to a comment once for each reaction": nothing,
  "reacts once when the answer to it is lost": nothing,
  "does not mind that a comment to react to is gone": nothing,
  "knows who may push": "nobody is known, so nobody may",
});

it("logs a status with a constant message and its facts as fields", async () => {
  const lines: { readonly fields: object; readonly message: string }[] = [];
  const forge = openNoForge({ log: { info: (fields, message) => lines.push({ fields, message }) } });
  const status = {
    context: "kraken-gitops/sync",
    state: "success",
    description: "Synced",
    targetUrl: undefined,
  } as const;
  await forge.ensureCommitStatus("a1b2c3d", status, AbortSignal.timeout(1_000));
  expect(lines).toEqual([{ fields: { revision: "a1b2c3d", ...status }, message: "commit status" }]);
});

function bench(): ForgeBench {
  return {
    pageSize: 1,
    rocket: "🚀",
    headRef: (number) => `refs/pull/${number}/head`,
    open: () => openNoForge({ log: { info: () => {} } }),
    newCommit: () => Promise.resolve("a".repeat(40)),
    newPullRequest: () => Promise.resolve({ number: 1, head: "b".repeat(40), branch: "topic" }),
    mergePullRequest: unused,
    closePullRequest: unused,
    commentAsOther: unused,
    editAsOther: unused,
    listComments: unused,
    deleteOwnComments: unused,
    listStatuses: unused,
    listReactions: unused,
    findPerson: () => Promise.resolve({ login: "alice", id: "1" }),
    setWriter: unused,
    listDeployments: unused,
    loseAnswerOnce: unused,
    lockConversations: unused,
    unlockConversations: unused,
    close: () => Promise.resolve(),
  };
}

function unused(): Promise<never> {
  return Promise.reject(new Error(nothing));
}
