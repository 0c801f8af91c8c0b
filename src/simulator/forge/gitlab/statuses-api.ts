import type { ForgeContext } from "../context.ts";
import { gitLines } from "../git-command.ts";
import { findCommit } from "../git-objects.ts";
import type { RepositoryRecord, StatusRecord } from "../records.ts";
import { type Call, param, type Reply, type Router } from "../router.ts";
import { projectOf, ROLES, signedIn } from "./access.ts";
import { GitlabError, missing } from "./error.ts";
import { optionalChoice, optionalFlag, optionalText, requiredText } from "./fields.ts";
import { pagedReply } from "./paging.ts";
import type { JobRecord, JobStatus, PipelineRecord } from "./records.ts";
import { isoTime, renderJob } from "./render.ts";
import { isLive, JOB_STATUSES, refuseTransition } from "./transitions.ts";

const MAX_TEXT = 255;

export function addStatusRoutes(router: Router, context: ForgeContext): void {
  router.add("POST", "/projects/:id/statuses/:sha", (call) => createStatus(context, call));
  router.add("GET", "/projects/:id/repository/commits/:sha/statuses", (call) => listStatuses(context, call));
  router.add("GET", "/projects/:id/pipelines", (call) => listPipelines(context, call));
}

async function createStatus(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call, ROLES.developer);
  const { login } = signedIn(call);
  requiredText(call, "state");
  const state = optionalChoice(call, "state", JOB_STATUSES) ?? "pending";
  const name = optionalText(call, "name") ?? optionalText(call, "context") ?? "default";
  const texts = readTexts(call, name);
  const sha = param(call, "sha");
  if (!/^[0-9a-f]{40}$/.test(sha) || (await knownCommit(context, project, sha)) === undefined) throw missing("Commit");
  const ref = optionalText(call, "ref") ?? (await firstBranchWith(context, project, sha));
  if (ref === undefined) throw missing("References for commit");
  const pipeline = pipelineOf(context, project, sha, ref, optionalText(call, "pipeline_id"));
  const job = moveJob(context, pipeline, { name, status: state, ...texts }, login);
  return { status: 201, body: renderJob(context, job) };
}

function readTexts(call: Call, name: string): Pick<JobRecord, "description" | "targetUrl"> {
  const description = optionalText(call, "description");
  const targetUrl = optionalText(call, "target_url");
  const tooLong = [`is too long (maximum is ${MAX_TEXT} characters)`];
  const wrong = {
    ...(lengthOf(name) > MAX_TEXT ? { name: tooLong } : {}),
    ...(lengthOf(description) > MAX_TEXT ? { description: tooLong } : {}),
    ...(lengthOf(targetUrl) > MAX_TEXT ? { target_url: tooLong } : {}),
    ...(targetUrl === undefined || /^https?:\/\/./.test(targetUrl)
      ? {}
      : { target_url: ["is blocked: Only allowed schemes are http, https"] }),
  };
  if (Object.keys(wrong).length > 0) throw new GitlabError(400, { message: wrong });
  return { description, targetUrl };
}

function lengthOf(text: string | undefined): number {
  return Array.from(text ?? "").length;
}

function knownCommit(context: ForgeContext, project: RepositoryRecord, sha: string): Promise<string | undefined> {
  return findCommit(context.repositories.directory(project), sha);
}

/** GitLab's guess when no `ref` is sent. */
async function firstBranchWith(
  context: ForgeContext,
  project: RepositoryRecord,
  sha: string,
): Promise<string | undefined> {
  const args = ["for-each-ref", "--count=1", `--contains=${sha}`, "--format=%(refname)", "refs/heads"];
  const [ref] = await gitLines(context.repositories.directory(project), args);
  return ref?.slice("refs/heads/".length);
}

function pipelineOf(
  context: ForgeContext,
  project: RepositoryRecord,
  sha: string,
  ref: string,
  id: string | undefined,
): PipelineRecord {
  const known = pipelinesOf(context, project, sha).filter((one) => one.ref === ref);
  const found = id === undefined ? known.at(-1) : known.find((one) => `${one.id}` === id);
  if (found !== undefined) return found;
  if (id !== undefined) throw missing("Pipeline for pipeline_id, sha and ref");
  return context.store.pipelines.insert({ repository: project.id, sha, ref, createdAt: Date.now() });
}

function pipelinesOf(context: ForgeContext, project: RepositoryRecord, sha: string): PipelineRecord[] {
  return context.store.pipelines.group(sha).filter((one) => one.repository === project.id);
}

/** Moves the live row of the name, or begins another one when there is none. */
function moveJob(
  context: ForgeContext,
  pipeline: PipelineRecord,
  wanted: Pick<JobRecord, "name" | "status" | "description" | "targetUrl">,
  login: string,
): JobRecord {
  const { sha, ref, repository } = pipeline;
  const now = Date.now();
  const last = context.store.jobs
    .group(sha)
    .findLast((job) => job.pipeline === pipeline.id && job.name === wanted.name && !job.retried);
  const finishedAt = isLive(wanted.status) ? undefined : now;
  let job: JobRecord;
  if (last !== undefined && isLive(last.status)) {
    const refused = refuseTransition(last.status, wanted.status);
    if (refused !== undefined) throw new GitlabError(400, refused);
    const { description = last.description, targetUrl = last.targetUrl, status } = wanted;
    job = context.store.jobs.replace({ ...last, status, description, targetUrl, finishedAt });
  } else {
    if (last !== undefined) context.store.jobs.replace({ ...last, retried: true });
    const row = { ...wanted, repository, pipeline: pipeline.id, sha, ref, creator: login, createdAt: now, finishedAt };
    job = context.store.jobs.insert({ ...row, retried: false });
  }
  recordHistory(context, job, login);
  return job;
}

/** The list of everything ever written that the control API shows. */
function recordHistory(context: ForgeContext, job: JobRecord, creator: string): void {
  const { repository, sha, name, description, targetUrl } = job;
  const row = { repository, sha, context: name, state: HISTORY[job.status], description, targetUrl, creator };
  context.store.statuses.insert({ ...row, createdAt: Date.now() });
}

const HISTORY: Readonly<Record<JobStatus, StatusRecord["state"]>> = {
  pending: "pending",
  running: "pending",
  success: "success",
  failed: "failure",
  canceled: "error",
  skipped: "error",
};

async function listStatuses(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call);
  const sha = await knownCommit(context, project, param(call, "sha"));
  if (sha === undefined) throw missing("Commit");
  const [name, ref] = [optionalText(call, "name"), optionalText(call, "ref")];
  const all = optionalFlag(call, "all") ?? false;
  const rows = context.store.jobs
    .group(sha)
    .filter((job) => job.repository === project.id)
    .filter((job) => (all || !job.retried) && (name === undefined || job.name === name))
    .filter((job) => ref === undefined || job.ref === ref);
  return pagedReply(call, rows, (job) => renderJob(context, job));
}

function listPipelines(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call);
  const [sha, ref] = [optionalText(call, "sha"), optionalText(call, "ref")];
  const rows = context.store.pipelines
    .all()
    .filter((one) => one.repository === project.id)
    .filter((one) => (sha === undefined || one.sha === sha) && (ref === undefined || one.ref === ref))
    .toReversed();
  return pagedReply(call, rows, (one) => ({
    id: one.id,
    project_id: project.id,
    sha: one.sha,
    ref: one.ref,
    source: "external",
    status: combine(jobsOf(context, one)),
    created_at: isoTime(one.createdAt),
  }));
}

/** State of the newest pipeline of a commit; undefined when there is none. */
export function pipelineStatusOf(context: ForgeContext, project: RepositoryRecord, sha: string): JobStatus | undefined {
  const newest = pipelinesOf(context, project, sha).at(-1);
  return newest === undefined ? undefined : combine(jobsOf(context, newest));
}

function jobsOf(context: ForgeContext, pipeline: PipelineRecord): JobRecord[] {
  return context.store.jobs.group(pipeline.sha).filter((job) => job.pipeline === pipeline.id && !job.retried);
}

function combine(jobs: readonly JobRecord[]): JobStatus {
  const has = (status: JobStatus): boolean => jobs.some((job) => job.status === status);
  if (has("running") || (has("pending") && jobs.some((job) => !isLive(job.status)))) return "running";
  if (has("pending")) return "pending";
  if (has("failed")) return "failed";
  if (has("canceled")) return "canceled";
  return jobs.every((job) => job.status === "skipped") ? "skipped" : "success";
}
