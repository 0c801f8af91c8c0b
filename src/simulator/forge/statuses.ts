import { repositoryOf, signedIn } from "./access.ts";
import { sameName } from "./accounts.ts";
import { ApiError, custom, invalid, type FieldError } from "./api-error.ts";
import { resolveCommit } from "./commits.ts";
import type { ForgeContext } from "./context.ts";
import { emitStatus } from "./events.ts";
import { optionalText } from "./fields.ts";
import { findCommit } from "./git-objects.ts";
import { pagedReply, paginate } from "./paging.ts";
import type { RepositoryRecord, StatusRecord } from "./records.ts";
import { type Call, param, type Reply, type Router } from "./router.ts";
import { renderRepository, renderStatus, repositoryApiUrl } from "./wire.ts";

const READ = { role: "read", grant: "statuses=read" } as const;
const WRITE = { role: "write", grant: "statuses=write" } as const;

const STATES = ["error", "failure", "pending", "success"] as const;
const MAX_DESCRIPTION = 140;
const MAX_CONTEXT = 255;
/** Statuses of one context on one commit (GitHub REST docs, "Create a commit status"). */
const MAX_PER_CONTEXT = 1_000;

export function addStatusRoutes(router: Router, context: ForgeContext): void {
  router.add("POST", "/repos/:owner/:repo/statuses/:sha", (call) => createStatus(context, call));
  router.add("GET", "/repos/:owner/:repo/statuses/:ref*", (call) => listStatuses(context, call));
  router.add("GET", "/repos/:owner/:repo/commits/:ref*/statuses", (call) => listStatuses(context, call));
  router.add("GET", "/repos/:owner/:repo/commits/:ref*/status", (call) => combinedStatus(context, call));
}

async function createStatus(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, WRITE);
  const { login } = signedIn(call);
  const sha = param(call, "sha");
  if (!/^[0-9a-f]{40}$/.test(sha) || !(await isKnown(context, repository, sha))) {
    throw new ApiError(422, `No commit found for SHA: ${sha}`);
  }
  const wanted = readStatus(call);
  const earlier = statusesOf(context, repository, sha).filter((one) => sameName(one.context, wanted.context));
  if (earlier.length >= MAX_PER_CONTEXT) {
    const message = "This SHA and context has reached the maximum number of statuses.";
    throw invalid({ resource: "Status", code: "custom", message });
  }
  const status = context.store.statuses.insert({
    ...wanted,
    repository: repository.id,
    sha,
    creator: login,
    createdAt: Date.now(),
  });
  emitStatus(context, repository, status);
  const body = renderStatus(context, call.apiUrl, repository, status);
  return { status: 201, body, headers: { location: String(body["url"]) } };
}

/** A commit of a fork counts: its objects are in the network of the repository. */
async function isKnown(context: ForgeContext, repository: RepositoryRecord, sha: string): Promise<boolean> {
  for (const one of context.repositories.network(repository)) {
    if ((await findCommit(context.repositories.directory(one), sha)) !== undefined) return true;
  }
  return false;
}

function readStatus(call: Call): Pick<StatusRecord, "state" | "context" | "description" | "targetUrl"> {
  const state = STATES.find((one) => one === call.body["state"]);
  if (state === undefined) throw custom("Status", "state", "state is not included in the list");
  const context = optionalText(call, "Status", "context") ?? "default";
  const description = optionalText(call, "Status", "description");
  const targetUrl = optionalText(call, "Status", "target_url");
  const errors = [
    ...textErrors("context", context, MAX_CONTEXT),
    ...textErrors("description", description ?? "", MAX_DESCRIPTION),
    ...(targetUrl === undefined || isHttpUrl(targetUrl)
      ? []
      : [fieldError("target_url", "target_url must use http(s) scheme")]),
  ];
  if (errors.length > 0) throw invalid(...errors);
  return { state, context, description, targetUrl };
}

function textErrors(field: string, text: string, limit: number): FieldError[] {
  const characters = Array.from(text);
  return [
    ...(characters.length > limit ? [fieldError(field, `${field} is too long (maximum is ${limit} characters)`)] : []),
    ...(characters.some((one) => one.length > 1) ? [fieldError(field, `${field} doesn't accept 4-byte Unicode`)] : []),
  ];
}

function fieldError(field: string, message: string): FieldError {
  return { resource: "Status", field, code: "custom", message };
}

function isHttpUrl(text: string): boolean {
  return text === "" || (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol));
}

/** Oldest first. */
export function statusesOf(context: ForgeContext, repository: RepositoryRecord, sha: string): StatusRecord[] {
  return context.store.statuses.group(sha).filter((one) => one.repository === repository.id);
}

async function listStatuses(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, READ);
  const sha = await resolveCommit(context, repository, param(call, "ref"));
  const statuses = statusesOf(context, repository, sha).toReversed();
  return pagedReply(call, repository.id, statuses, (status) => renderStatus(context, call.apiUrl, repository, status));
}

async function combinedStatus(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, READ);
  const sha = await resolveCommit(context, repository, param(call, "ref"));
  const newest = newestPerContext(statusesOf(context, repository, sha));
  const page = paginate(call, repository.id, newest);
  const base = repositoryApiUrl(call.apiUrl, repository);
  const body = {
    state: combine(newest),
    statuses: page.items.map((status) => renderStatus(context, call.apiUrl, repository, status, true)),
    sha,
    total_count: newest.length,
    repository: renderRepository(context, call.apiUrl, repository),
    commit_url: `${base}/commits/${sha}`,
    url: `${base}/commits/${sha}/status`,
  };
  return { status: 200, body, headers: page.link === undefined ? {} : { link: page.link } };
}

export function newestPerContext(statuses: readonly StatusRecord[]): StatusRecord[] {
  return [...new Map(statuses.map((status) => [status.context.toLowerCase(), status])).values()];
}

function combine(newest: readonly StatusRecord[]): "failure" | "pending" | "success" {
  if (newest.some(({ state }) => state === "error" || state === "failure")) return "failure";
  return newest.length === 0 || newest.some(({ state }) => state === "pending") ? "pending" : "success";
}
