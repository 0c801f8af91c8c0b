import { WatcherError } from "../../lib/errors.ts";
import type { CommitStatus } from "../../ports/forge.ts";
import { cutDescription } from "../../report/status-text.ts";
import type { ForgeHttp } from "./forge-http.ts";
import { numberedPages } from "./gitea-pages.ts";
import { parseGiteaStatus } from "./gitea-wire.ts";
import { toCommitStatus } from "./github-statuses.ts";
import type { RepositoryPlace } from "./repository-place.ts";

/** Gitea keeps any length; this is what still reads as one line. */
export const descriptionChars = 255;

/** The newest status of a context, from the whole history of the commit. Contexts are compared as they are. */
export async function findGiteaStatus(
  http: ForgeHttp,
  place: RepositoryPlace,
  revision: string,
  context: string,
  signal: AbortSignal,
): Promise<CommitStatus | undefined> {
  const url = place.url(`/statuses/${encodeURIComponent(revision)}?sort=highestindex`);
  try {
    for await (const statuses of numberedPages(http, url, parseGiteaStatus, signal)) {
      const found = statuses.find((status) => status.context === context);
      if (found !== undefined) return toCommitStatus(found);
    }
    return undefined;
  } catch (error) {
    throw await explain(error, http, place, revision, signal);
  }
}

/** Reads before writing, so that it can be repeated after a lost answer or a restart without a second row. */
export async function ensureGiteaStatus(
  http: ForgeHttp,
  place: RepositoryPlace,
  revision: string,
  status: CommitStatus,
  signal: AbortSignal,
): Promise<void> {
  const { context, state, targetUrl } = status;
  const description = cutDescription(status.description, descriptionChars);
  const newest = await findGiteaStatus(http, place, revision, context, signal);
  if (newest?.state === state && newest.description === description && newest.targetUrl === targetUrl) return;
  const body = { context, state, description, ...(targetUrl === undefined ? {} : { target_url: targetUrl }) };
  try {
    await place.write("POST", `/statuses/${encodeURIComponent(revision)}`, body, signal);
  } catch (error) {
    throw await explain(error, http, place, revision, signal);
  }
}

/** Some versions answer 500 for a commit they do not know, which to try again would be in vain. */
async function explain(
  error: unknown,
  http: ForgeHttp,
  place: RepositoryPlace,
  revision: string,
  signal: AbortSignal,
): Promise<unknown> {
  if (!(error instanceof WatcherError) || error.code !== "forge-unreachable" || !/answered 500/.test(error.message)) {
    return error;
  }
  if (await mayKnow(http, place, revision, signal)) return error;
  return new WatcherError("forge-refused", `the forge does not know commit ${revision}: ${error.message}`, {
    cause: error,
  });
}

/** False only when the forge answers and does not have the commit. */
async function mayKnow(http: ForgeHttp, place: RepositoryPlace, revision: string, signal: AbortSignal) {
  try {
    const answer = await http.get(place.url(`/git/commits/${encodeURIComponent(revision)}`), signal, [404, 422]);
    return answer.status === 200;
  } catch {
    return true;
  }
}
