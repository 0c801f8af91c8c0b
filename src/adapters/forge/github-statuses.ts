import type { CommitState, CommitStatus } from "../../ports/forge.ts";
import { cutDescription } from "../../report/status-text.ts";
import type { ForgeHttp } from "./forge-http.ts";
import type { RepositoryPlace } from "./repository-place.ts";
import { parseList, parseStatus, type WireStatus } from "./wire.ts";

/** Code points of a description; more is answered with 422. */
export const descriptionChars = 140;

const states: readonly CommitState[] = ["pending", "success", "failure", "error"];

/** The newest status of a context; GitHub lists the whole history, newest first, and ignores case in contexts. */
export async function findStatus(
  http: ForgeHttp,
  place: RepositoryPlace,
  revision: string,
  context: string,
  signal: AbortSignal,
): Promise<CommitStatus | undefined> {
  const url = place.url(`/commits/${encodeURIComponent(revision)}/statuses?per_page=100`);
  for await (const page of http.pages(url, signal)) {
    const found = parseList(page.body, parseStatus).find(
      (status) => status.context.toLowerCase() === context.toLowerCase(),
    );
    if (found !== undefined) return toCommitStatus(found);
  }
  return undefined;
}

/** Reads before writing, so that it can be repeated after a lost answer or a restart without a second row. */
export async function ensureStatus(
  http: ForgeHttp,
  place: RepositoryPlace,
  revision: string,
  status: CommitStatus,
  signal: AbortSignal,
): Promise<void> {
  const wanted = toWritable(status);
  const newest = await findStatus(http, place, revision, status.context, signal);
  if (newest !== undefined && isSame(newest, wanted)) return;
  const { context, state, description, targetUrl } = wanted;
  const body = { context, state, description, ...(targetUrl === undefined ? {} : { target_url: targetUrl }) };
  await place.write("POST", `/statuses/${encodeURIComponent(revision)}`, body, signal);
}

/** As GitHub takes it: short enough, nothing above U+FFFF, an address a browser opens. */
export function toWritable<Status extends Pick<CommitStatus, "description" | "targetUrl">>(status: Status): Status {
  const plain = status.description.replaceAll(/[\u{10000}-\u{10FFFF}]/gu, "\u25A1");
  const { targetUrl } = status;
  return {
    ...status,
    description: cutDescription(plain, descriptionChars),
    targetUrl: targetUrl !== undefined && /^https?:\/\//i.test(targetUrl) ? targetUrl : undefined,
  };
}

function isSame(a: CommitStatus, b: CommitStatus): boolean {
  return a.state === b.state && a.description === b.description && a.targetUrl === b.targetUrl;
}

/** States that are never ours (Gitea has two more) become `error`, so they never equal what is to be written. */
export function toCommitStatus(status: WireStatus): CommitStatus {
  return {
    context: status.context,
    state: states.find((state) => state === status.state) ?? "error",
    description: status.description,
    targetUrl: status.targetUrl === "" ? undefined : status.targetUrl,
  };
}
