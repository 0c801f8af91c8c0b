import type { ForgeContext } from "../context.ts";
import { optionalText } from "../fields.ts";
import { findCommit } from "../git-objects.ts";
import type { StatusRecord } from "../records.ts";
import { type Call, param, type Reply, type Router } from "../router.ts";
import { statusesOf } from "../statuses.ts";
import { repositoryOf, signedIn } from "./access.ts";
import { notFound, unprocessable } from "./error.ts";
import type { Flavour } from "./flavour.ts";
import { pagedReply } from "./paging.ts";
import { renderRepository, renderStatus } from "./render.ts";

const STATES = ["pending", "success", "error", "failure", "warning"] as const;

export function addStatusRoutes(router: Router, context: ForgeContext, flavour: Flavour): void {
  router.add("POST", "/repos/:owner/:repo/statuses/:sha", (call) => createStatus(context, call, flavour));
  router.add("GET", "/repos/:owner/:repo/statuses/:sha", (call) => listStatuses(context, call));
  router.add("GET", "/repos/:owner/:repo/commits/:sha/statuses", (call) => listStatuses(context, call));
  router.add("GET", "/repos/:owner/:repo/commits/:sha/status", (call) => combinedStatus(context, call));
}

/** Any length of text and any address. The commit must be known to this very repository. */
async function createStatus(context: ForgeContext, call: Call, flavour: Flavour): Promise<Reply> {
  const repository = repositoryOf(context, call, "write");
  const sha = param(call, "sha");
  const directory = context.repositories.directory(repository);
  if ((await findCommit(directory, sha)) !== sha) throw notFound();
  const states = flavour === "forgejo" ? ([...STATES, "skipped"] as const) : STATES;
  const state = states.find((one) => one === call.body["state"]);
  if (state === undefined) throw unprocessable("invalid commit status state");
  const status = context.store.statuses.insert({
    state,
    context: optionalText(call, "Status", "context") ?? "default",
    description: optionalText(call, "Status", "description"),
    targetUrl: optionalText(call, "Status", "target_url"),
    repository: repository.id,
    sha,
    creator: signedIn(call).login,
    createdAt: Date.now(),
  });
  return { status: 201, body: renderStatus(context, call.apiUrl, repository, status) };
}

/** Nothing checks the commit here: of one that is unknown there are no statuses. */
function listStatuses(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call);
  const oldest = statusesOf(context, repository, param(call, "sha"));
  const sorted = ["oldest", "leastindex", "leastupdate"].includes(call.query.get("sort") ?? "")
    ? oldest
    : oldest.toReversed();
  const wanted = call.query.get("state");
  const found = sorted.filter(({ state }) => wanted === null || state === wanted);
  return pagedReply(call, found, (status) => renderStatus(context, call.apiUrl, repository, status), { link: true });
}

/** The newest of each context. Of none at all there is no state, and no list. */
function combinedStatus(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call);
  const sha = param(call, "sha");
  const statuses = statusesOf(context, repository, sha);
  const newest = [...new Map(statuses.map((status) => [status.context, status])).values()];
  const body = {
    state: combine(newest),
    sha,
    total_count: newest.length,
    statuses: newest.length === 0 ? null : newest.map((one) => renderStatus(context, call.apiUrl, repository, one)),
    repository: renderRepository(context, repository, call.user?.login),
    commit_url: "",
    url: "",
  };
  return { status: 200, body };
}

/** An error counts as a failure. */
function combine(newest: readonly StatusRecord[]): string {
  const has = (...states: readonly string[]): boolean => newest.some(({ state }) => states.includes(state));
  if (newest.length === 0) return "";
  if (has("error", "failure")) return "failure";
  return has("pending") ? "pending" : has("warning") ? "warning" : "success";
}
