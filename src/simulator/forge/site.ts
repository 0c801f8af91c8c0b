import type { ForgeContext } from "./context.ts";
import { pathNumber } from "./fields.ts";
import { renderPullPage, renderRepositoryPage } from "./pages.ts";
import type { RestAnswer } from "./rest.ts";

const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
  "cache-control": "no-store",
};

/** First path parts that belong to REST at the root. */
const REST_ROOTS = new Set(["api", "repos", "repositories", "user", "users"]);

/**
 * `/OWNER/REPO` and `/OWNER/REPO/pull/N`, for a person with a browser on the machine of the demo. A public repository
 * needs no token here; a private one asks the browser for it (Basic, any user name, the token as password).
 */
export function answerPage(
  context: ForgeContext,
  path: string,
  authorization: string | undefined,
): RestAnswer | undefined {
  const match = /^\/([^/]+)\/([^/]+)(?:\/pull\/(\d+))?\/?$/.exec(path);
  const [, owner = "", name = "", number] = match ?? [];
  if (match === null || REST_ROOTS.has(owner)) return undefined;
  const repository = context.repositories.find(owner, name);
  const user = context.accounts.authenticate(authorization);
  if (repository?.private && !context.accounts.allows(user, repository, "read")) {
    const headers = { ...PAGE_HEADERS, "www-authenticate": 'Basic realm="GitHub"' };
    return user === undefined
      ? { label: "page", status: 401, headers, text: "Sign in with a token.\n", login: undefined }
      : missing();
  }
  if (repository === undefined) return missing();
  if (number === undefined) return found(renderRepositoryPage(context, repository));
  const pull = context.store.pulls.group(`${repository.id}`).find((one) => one.number === pathNumber(number));
  return pull === undefined ? missing() : found(renderPullPage(context, repository, pull));
}

function found(text: string): RestAnswer {
  return { label: "page", status: 200, headers: PAGE_HEADERS, text, login: undefined };
}

function missing(): RestAnswer {
  return { label: "page", status: 404, headers: PAGE_HEADERS, text: "Not found\n", login: undefined };
}
