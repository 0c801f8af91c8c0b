import type { ForgeContext } from "./context.ts";
import { pathNumber } from "./fields.ts";
import { findCommit } from "./git-objects.ts";
import { renderCommitPage, renderPullPage, renderRepositoryPage } from "./pages.ts";
import type { RepositoryRecord } from "./records.ts";
import type { RestAnswer } from "./rest.ts";

const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
  "cache-control": "no-store",
};

/** First path parts that belong to REST at the root. */
const REST_ROOTS = new Set(["api", "repos", "repositories", "user", "users"]);

/**
 * `/OWNER/REPO`, `/OWNER/REPO/pull/N` and `/OWNER/REPO/commit/SHA`, or as GitLab has them below `/-/`, for a person with a browser on the machine of the
 * demo. A public repository needs no token here; a private one asks the browser for it (Basic, the token as password).
 */
export async function answerPage(
  context: ForgeContext,
  path: string,
  authorization: string | undefined,
): Promise<RestAnswer | undefined> {
  const match =
    /^\/(.+?)\/([^/]+)(?:(?:\/-)?\/(?:pulls?|merge_requests)\/(\d+)|(?:\/-)?\/commit\/([0-9a-f]{40}))?\/?$/.exec(path);
  const [, owner = "", name = "", number, sha] = match ?? [];
  if (match === null || REST_ROOTS.has(owner.split("/")[0] ?? "")) return undefined;
  const repository = context.repositories.find(owner, name);
  const user = context.accounts.authenticate(authorization);
  if (repository?.private && !context.accounts.allows(user, repository, "read")) {
    return user === undefined ? challenge() : missing();
  }
  const text = repository && (await renderPage(context, repository, number, sha));
  return text === undefined ? missing() : found(text);
}

async function renderPage(
  context: ForgeContext,
  repository: RepositoryRecord,
  number: string | undefined,
  sha: string | undefined,
): Promise<string | undefined> {
  if (sha !== undefined) {
    const known = await findCommit(context.repositories.directory(repository), sha);
    return known === undefined ? undefined : renderCommitPage(context, repository, known);
  }
  if (number === undefined) return renderRepositoryPage(context, repository);
  const pull = context.store.pulls.group(`${repository.id}`).find((one) => one.number === pathNumber(number));
  return pull && renderPullPage(context, repository, pull);
}

function challenge(): RestAnswer {
  const headers = { ...PAGE_HEADERS, "www-authenticate": 'Basic realm="GitHub"' };
  return { label: "page", status: 401, headers, text: "Sign in with a token.\n", login: undefined };
}

function found(text: string): RestAnswer {
  return { label: "page", status: 200, headers: PAGE_HEADERS, text, login: undefined };
}

function missing(): RestAnswer {
  return { label: "page", status: 404, headers: PAGE_HEADERS, text: "Not found\n", login: undefined };
}
