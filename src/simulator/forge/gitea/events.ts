import { createHmac } from "node:crypto";
import type { ForgeContext } from "../context.ts";
import type { ForgeEvents } from "../dialect.ts";
import { findCommit, listCommits, readCommit, ZERO_SHA } from "../git-objects.ts";
import type { HookRecord, RepositoryRecord } from "../records.ts";
import type { Flavour } from "./flavour.ts";
import { pageOf, renderComment, renderPull, renderRepository, renderUser } from "./render.ts";

type Json = Record<string, unknown>;

/** What a hook can ask for, and the name the receiver is told. `pull_request` asks for the two below it as well. */
export const EVENTS: Readonly<Record<string, string>> = {
  push: "push",
  pull_request: "pull_request",
  pull_request_sync: "pull_request",
  pull_request_comment: "issue_comment",
};

/** GitHub's words for what happens to a pull request, where these forges have others. */
const actions: Readonly<Record<string, string>> = { synchronize: "synchronized" };

function about(context: ForgeContext, repository: RepositoryRecord, login: string): Json {
  return { repository: renderRepository(context, repository, login), sender: renderUser(context, login) };
}

export const giteaEvents: ForgeEvents = {
  async push(context, repository, change, login) {
    // `refs/pull/N/head` moves, too, but nobody is told.
    if (!/^refs\/(heads|tags)\//.test(change.ref) || !context.webhooks.wanted(repository.id, "push")) return;
    const directory = context.repositories.directory(repository);
    const tip = change.after === ZERO_SHA ? undefined : await findCommit(directory, change.after);
    // A branch that goes away is the event `delete`, which nobody here asks for.
    if (tip === undefined) return;
    const shas = change.before === ZERO_SHA ? [] : await listCommits(directory, change.before, tip);
    const newest = shas.toReversed().slice(0, 30);
    const commits = await Promise.all(newest.map((sha) => renderPushed(context, repository, sha)));
    context.webhooks.emit(repository.id, "push", {
      ref: change.ref,
      before: change.before,
      after: change.after,
      compare_url: `${pageOf(context, repository)}/compare/${change.before}...${change.after}`,
      commits,
      total_commits: shas.length,
      head_commit: await renderPushed(context, repository, tip),
      pusher: renderUser(context, login),
      ...about(context, repository, login),
    });
  },

  pull(context, pull, action, login) {
    const repository = context.store.repositories.get(pull.repository);
    const event = action === "synchronize" ? "pull_request_sync" : "pull_request";
    if (repository === undefined || !context.webhooks.wanted(repository.id, event)) return;
    context.webhooks.track(
      renderPull(context, repository, pull).then((rendered) =>
        context.webhooks.emit(repository.id, event, {
          action: actions[action] ?? action,
          number: pull.number,
          pull_request: rendered,
          ...about(context, repository, login),
        }),
      ),
    );
  },

  comment(context, comment, pull, action, login) {
    const repository = context.store.repositories.get(comment.repository);
    if (repository === undefined || !context.webhooks.wanted(repository.id, "pull_request_comment")) return;
    const page = `${pageOf(context, repository)}/pulls/${pull.number}`;
    context.webhooks.emit(repository.id, "pull_request_comment", {
      action,
      issue: {
        number: pull.number,
        title: pull.title,
        state: pull.state,
        user: renderUser(context, pull.author),
        html_url: page,
        pull_request: { merged: pull.merge !== undefined, draft: pull.draft, html_url: page },
      },
      comment: renderComment(context, repository, comment),
      is_pull: true,
      ...about(context, repository, login),
    });
  },
};

async function renderPushed(context: ForgeContext, repository: RepositoryRecord, sha: string): Promise<Json> {
  const commit = await readCommit(context.repositories.directory(repository), sha);
  const { author, committer, message } = commit;
  return {
    id: sha,
    message,
    url: `${pageOf(context, repository)}/commit/${sha}`,
    author: { name: author.name, email: author.email },
    committer: { name: committer.name, email: committer.email },
    timestamp: committer.date,
  };
}

/**
 * Every family of headers at once: receivers made for GitHub or Gogs understand them, too. Without a secret the
 * signatures are still there, empty.
 */
export function hookHeaders(
  flavour: Flavour,
  hook: HookRecord,
  event: string,
  guid: string,
  body: string,
): Record<string, string> {
  const sign = (algorithm: "sha1" | "sha256"): string =>
    hook.secret === undefined || hook.secret === ""
      ? ""
      : createHmac(algorithm, hook.secret).update(body).digest("hex");
  const told = EVENTS[event] ?? event;
  const families = [...(flavour === "forgejo" ? ["forgejo"] : []), "gitea", "gogs"];
  const own = families.map((family) => [
    [`x-${family}-delivery`, guid],
    [`x-${family}-event`, told],
    [`x-${family}-event-type`, event],
    [`x-${family}-signature`, sign("sha256")],
  ]);
  return {
    "user-agent": "Go-http-client/1.1",
    ...Object.fromEntries(own.flat()),
    "x-github-delivery": guid,
    "x-github-event": told,
    "x-github-event-type": event,
    "x-hub-signature": `sha1=${sign("sha1")}`,
    "x-hub-signature-256": `sha256=${sign("sha256")}`,
  };
}
