import type { ForgeContext } from "./context.ts";
import { findBranch, listSubjects, readCommit } from "./git-objects.ts";
import type { PullRecord, RepositoryRecord, StatusRecord } from "./records.ts";
import { newestPerContext, statusesOf } from "./statuses.ts";
import { isoTime, visibleComments } from "./wire.ts";

/** Plain pages for people, since `html_url`s lead here. Markdown is shown as it was written. */

const STYLE =
  "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}" +
  "pre{white-space:pre-wrap;border:1px solid #ccc;border-radius:6px;padding:1rem}td,th{text-align:left;padding:.2rem 1rem .2rem 0}small{color:#666}";

/** Commits of the default branch the repository page shows. */
const RECENT_COMMITS = 20;

export async function renderRepositoryPage(context: ForgeContext, repository: RepositoryRecord): Promise<string> {
  const name = `${repository.owner}/${repository.name}`;
  const pulls = context.store.pulls.group(`${repository.id}`).toReversed();
  const rows = pulls.map((pull) => {
    const link = `/${name}/pull/${pull.number}`;
    return `<tr><td><a href="${escapeHtml(link)}">#${pull.number}</a><td>${escapeHtml(pull.title)}<td>${stateOf(pull)}<td>${escapeHtml(pull.author)}`;
  });
  const commits = await recentCommits(context, repository);
  const clone = `<p><code>git clone ${escapeHtml(`${context.siteUrl()}/${name}.git`)}</code>`;
  return page(
    name,
    `${clone}<h2>Pull requests</h2><table>${rows.join("")}</table><h2>Commits</h2><table>${commits.join("")}</table>`,
  );
}

async function recentCommits(context: ForgeContext, repository: RepositoryRecord): Promise<string[]> {
  const directory = context.repositories.directory(repository);
  if ((await findBranch(directory, repository.defaultBranch)) === undefined) return [];
  const commits = await listSubjects(directory, `refs/heads/${repository.defaultBranch}`, RECENT_COMMITS);
  return commits.map(({ sha, subject }) => {
    const link = `/${repository.owner}/${repository.name}/commit/${sha}`;
    const states = newestPerContext(statusesOf(context, repository, sha)).map(
      (status) => `${escapeHtml(status.context)}: ${status.state}`,
    );
    return `<tr><td><a href="${escapeHtml(link)}"><code>${sha.slice(0, 7)}</code></a><td>${escapeHtml(subject)}<td>${states.join("<br>")}`;
  });
}

export async function renderCommitPage(
  context: ForgeContext,
  repository: RepositoryRecord,
  sha: string,
): Promise<string> {
  const commit = await readCommit(context.repositories.directory(repository), sha);
  const name = `${repository.owner}/${repository.name}`;
  const who = `<p>${escapeHtml(commit.author.name)} <small>${escapeHtml(commit.author.date)}</small> · <a href="/${escapeHtml(name)}">${escapeHtml(name)}</a>`;
  const statuses = statusTable("Statuses of", sha, statusesOf(context, repository, sha));
  return page(commit.message.split("\n", 1)[0] ?? sha, `${who}<pre>${escapeHtml(commit.message)}</pre>${statuses}`);
}

export function renderPullPage(context: ForgeContext, repository: RepositoryRecord, pull: PullRecord): string {
  const name = `${repository.owner}/${repository.name}`;
  const summary = `<p>${stateOf(pull)} · ${escapeHtml(pull.author)} wants <code>${escapeHtml(pull.baseBranch)}</code> to take
<code>${escapeHtml(`${pull.headOwner}:${pull.headBranch}`)}</code> at <code>${pull.headSha}</code> · <a href="/${escapeHtml(name)}">${escapeHtml(name)}</a>`;
  const description = pull.body ? `<pre>${escapeHtml(pull.body)}</pre>` : "";
  const merged = pull.merge
    ? statusTable("Merge commit", pull.merge.commit, statusesOf(context, repository, pull.merge.commit))
    : "";
  const head = statusTable("Head", pull.headSha, statusesOf(context, repository, pull.headSha));
  const comments = visibleComments(context, pull).map(
    (comment) =>
      `<h3 id="issuecomment-${comment.id}">${escapeHtml(comment.author)} <small>${isoTime(comment.updatedAt)}</small></h3><pre>${escapeHtml(comment.body)}</pre>`,
  );
  return page(`${pull.title} #${pull.number}`, summary + description + head + merged + comments.join(""));
}

/** A site is anything a status may point to, so only http(s) becomes a link; the forge refuses the rest on writing. */
function statusTable(title: string, sha: string, statuses: readonly StatusRecord[]): string {
  const rows = newestPerContext(statuses).map((status) => {
    const text = escapeHtml(status.description ?? "");
    const shown = status.targetUrl
      ? `<a href="${escapeHtml(status.targetUrl)}" rel="noreferrer">${text || "details"}</a>`
      : text;
    return `<tr><td>${status.state}<td>${escapeHtml(status.context)}<td>${shown}`;
  });
  return rows.length > 0 ? `<h3>${title} <code>${sha.slice(0, 7)}</code></h3><table>${rows.join("")}</table>` : "";
}

function stateOf(pull: PullRecord): string {
  if (pull.merge) return "merged";
  return pull.draft && pull.state === "open" ? "draft" : pull.state;
}

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escapeHtml(title)}</title><style>${STYLE}</style><h1>${escapeHtml(title)}</h1>${body}</html>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}
