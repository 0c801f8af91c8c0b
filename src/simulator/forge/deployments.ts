import { repositoryOf, signedIn } from "./access.ts";
import { ApiError, custom, invalid, notFound } from "./api-error.ts";
import { resolveCommit } from "./commits.ts";
import type { ForgeContext } from "./context.ts";
import { optionalChoice, optionalFlag, optionalText, pathNumber, requiredText } from "./fields.ts";
import { pagedReply } from "./paging.ts";
import type { DeploymentRecord, DeploymentStatusRecord, RepositoryRecord } from "./records.ts";
import { type Call, param, type Reply, type Router } from "./router.ts";
import { newestPerContext, statusesOf } from "./statuses.ts";
import { isoTime, nodeId, renderUser, repositoryApiUrl } from "./wire.ts";

const READ = { role: "read", grant: "deployments=read" } as const;
const WRITE = { role: "write", grant: "deployments=write" } as const;

const STATES = ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"] as const;
const MAX_DESCRIPTION = 140;

export function addDeploymentRoutes(router: Router, context: ForgeContext): void {
  const base = "/repos/:owner/:repo/deployments";
  router.add("GET", base, (call) => listDeployments(context, call));
  router.add("POST", base, (call) => createDeployment(context, call));
  router.add("GET", `${base}/:id`, (call) => getDeployment(context, call));
  router.add("GET", `${base}/:id/statuses`, (call) => listStatuses(context, call));
  router.add("POST", `${base}/:id/statuses`, (call) => createStatus(context, call));
}

/** Newest first. */
function listDeployments(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, READ);
  const asked = (["sha", "ref", "task", "environment"] as const).map((key) => [key, call.query.get(key)] as const);
  const found = context.store.deployments
    .group(`${repository.id}`)
    .filter((one) => asked.every(([key, value]) => value === null || one[key] === value))
    .toReversed();
  return pagedReply(call, repository.id, found, (one) => renderDeployment(context, call, repository, one));
}

/**
 * `auto_merge` is true unless given and merges the default branch into a branch that is behind it: here it is refused
 * for anything but a commit id. `required_contexts` unless given means every context of the commit.
 */
async function createDeployment(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, WRITE);
  const { login } = signedIn(call);
  const ref = requiredText(call, "Deployment", "ref");
  const sha = await resolveCommit(context, repository, ref);
  const description = optionalText(call, "Deployment", "description");
  refuseLong("Deployment", description);
  if ((optionalFlag(call, "Deployment", "auto_merge") ?? true) && ref !== sha)
    throw new ApiError(409, "Conflict merging the default branch: auto_merge is not simulated.");
  refuseUnmet(context, call, repository, sha);
  const environment = optionalText(call, "Deployment", "environment") ?? "production";
  const deployment = context.store.deployments.insert({
    repository: repository.id,
    sha,
    ref,
    task: optionalText(call, "Deployment", "task") ?? "deploy",
    environment,
    description,
    transient: optionalFlag(call, "Deployment", "transient_environment") ?? false,
    production: optionalFlag(call, "Deployment", "production_environment") ?? environment === "production",
    creator: login,
    createdAt: Date.now(),
  });
  return { status: 201, body: renderDeployment(context, call, repository, deployment) };
}

function refuseUnmet(context: ForgeContext, call: Call, repository: RepositoryRecord, sha: string): void {
  const given = call.body["required_contexts"];
  const newest = newestPerContext(statusesOf(context, repository, sha));
  const required = Array.isArray(given) ? given.map(String) : newest.map((status) => status.context);
  const unmet = required.filter((name) => newest.find((one) => one.context === name)?.state !== "success");
  if (unmet.length > 0) throw new ApiError(409, `Conflict: Commit status checks failed for ${sha}.`);
}

function getDeployment(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, READ);
  return {
    status: 200,
    body: renderDeployment(context, call, repository, deploymentOf(context, call, repository)),
  };
}

/** Newest first. */
function listStatuses(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, READ);
  const deployment = deploymentOf(context, call, repository);
  const found = context.store.deploymentStatuses.group(`${deployment.id}`).toReversed();
  return pagedReply(call, repository.id, found, (one) => renderStatus(context, call, repository, deployment, one));
}

function createStatus(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, WRITE);
  const { login } = signedIn(call);
  const deployment = deploymentOf(context, call, repository);
  const state = optionalChoice(optionalText(call, "DeploymentStatus", "state"), STATES, "DeploymentStatus", "state");
  if (state === undefined) throw invalid({ resource: "DeploymentStatus", field: "state", code: "missing_field" });
  const description = optionalText(call, "DeploymentStatus", "description") ?? "";
  refuseLong("DeploymentStatus", description);
  const status = context.store.deploymentStatuses.insert({
    deployment: deployment.id,
    state,
    description,
    logUrl: optionalText(call, "DeploymentStatus", "log_url") ?? "",
    environmentUrl: optionalText(call, "DeploymentStatus", "environment_url") ?? "",
    creator: login,
    createdAt: Date.now(),
  });
  const auto = optionalFlag(call, "DeploymentStatus", "auto_inactive") ?? true;
  if (state === "success" && auto) retireOthers(context, deployment, login);
  return { status: 201, body: renderStatus(context, call, repository, deployment, status) };
}

/** A success makes earlier deployments to the same environment inactive, unless they are transient or production. */
function retireOthers(context: ForgeContext, deployment: DeploymentRecord, login: string): void {
  for (const other of context.store.deployments.group(`${deployment.repository}`)) {
    if (other.id === deployment.id || other.environment !== deployment.environment) continue;
    if (other.transient || other.production) continue;
    const newest = context.store.deploymentStatuses.group(`${other.id}`).at(-1);
    if (newest === undefined || newest.state === "inactive") continue;
    context.store.deploymentStatuses.insert({
      deployment: other.id,
      state: "inactive",
      description: "",
      logUrl: "",
      environmentUrl: "",
      creator: login,
      createdAt: Date.now(),
    });
  }
}

function deploymentOf(context: ForgeContext, call: Call, repository: RepositoryRecord): DeploymentRecord {
  const found = context.store.deployments.get(pathNumber(param(call, "id")));
  if (found === undefined || found.repository !== repository.id) throw notFound();
  return found;
}

function refuseLong(resource: string, description: string | undefined): void {
  if (Array.from(description ?? "").length > MAX_DESCRIPTION)
    throw custom(resource, "description", `description is too long (maximum is ${MAX_DESCRIPTION} characters)`);
}

function renderDeployment(context: ForgeContext, call: Call, repository: RepositoryRecord, one: DeploymentRecord) {
  const url = `${repositoryApiUrl(call.apiUrl, repository)}/deployments/${one.id}`;
  return {
    url,
    id: one.id,
    node_id: nodeId("Deployment", one.id),
    task: one.task,
    original_environment: one.environment,
    environment: one.environment,
    description: one.description ?? null,
    created_at: isoTime(one.createdAt),
    updated_at: isoTime(one.createdAt),
    statuses_url: `${url}/statuses`,
    repository_url: repositoryApiUrl(call.apiUrl, repository),
    creator: renderUser(context, call.apiUrl, one.creator),
    sha: one.sha,
    ref: one.ref,
    payload: {},
    transient_environment: one.transient,
    production_environment: one.production,
    performed_via_github_app: null,
  };
}

function renderStatus(
  context: ForgeContext,
  call: Call,
  repository: RepositoryRecord,
  deployment: DeploymentRecord,
  one: DeploymentStatusRecord,
) {
  const url = `${repositoryApiUrl(call.apiUrl, repository)}/deployments/${deployment.id}`;
  return {
    url: `${url}/statuses/${one.id}`,
    id: one.id,
    node_id: nodeId("DeploymentStatus", one.id),
    state: one.state,
    creator: renderUser(context, call.apiUrl, one.creator),
    description: one.description,
    environment: deployment.environment,
    target_url: one.logUrl,
    log_url: one.logUrl,
    environment_url: one.environmentUrl,
    created_at: isoTime(one.createdAt),
    updated_at: isoTime(one.createdAt),
    deployment_url: url,
    repository_url: repositoryApiUrl(call.apiUrl, repository),
    performed_via_github_app: null,
  };
}
