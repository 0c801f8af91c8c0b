import { count, isRecord, optionalText, record, text, unexpected } from "./wire.ts";

/** GitLab's shapes as far as they are used, checked on arrival (REST API v4). */
export interface GitlabUser {
  readonly id: number;
  readonly login: string;
}

/** A job row of an external pipeline. */
export interface GitlabStatus {
  readonly id: number;
  readonly name: string;
  readonly status: string;
  readonly ref: string | undefined;
  readonly description: string;
  readonly targetUrl: string | undefined;
}

export interface GitlabMergeRequest {
  readonly number: number;
  readonly title: string;
  readonly url: string;
  readonly state: string;
  /** Undefined while GitLab still prepares a new merge request. */
  readonly head: string | undefined;
  readonly sourceBranch: string;
  readonly targetBranch: string;
  readonly draft: boolean;
  /** The source project is another one, or was deleted. */
  readonly fork: boolean;
  readonly author: string | undefined;
}

export interface GitlabNote {
  readonly id: number;
  readonly body: string;
  /** Written by GitLab about what somebody did. */
  readonly system: boolean;
  readonly author: GitlabUser | undefined;
  readonly updatedAtMs: number;
}

export interface GitlabProject {
  readonly id: number;
  readonly path: string;
  readonly archived: boolean;
  /** The higher of the roles in the project and in its group; 0 for none. */
  readonly accessLevel: number;
}

export interface GitlabMember {
  readonly accessLevel: number;
  readonly active: boolean;
}

export interface GitlabDeployment {
  readonly id: number;
  readonly revision: string;
  readonly ref: string | undefined;
  readonly status: string;
}

export interface GitlabToken {
  readonly scopes: readonly string[];
  /** A day, such as 2027-01-31. */
  readonly expiresAt: string | undefined;
}

export function parseGitlabUser(value: unknown): GitlabUser {
  const user = record(value, "user");
  return { id: count(user, "id"), login: text(user, "username") };
}

export function parseGitlabStatus(value: unknown): GitlabStatus {
  const status = record(value, "status");
  return {
    id: count(status, "id"),
    name: text(status, "name"),
    status: text(status, "status"),
    ref: optionalText(status, "ref"),
    description: optionalText(status, "description") ?? "",
    targetUrl: optionalText(status, "target_url"),
  };
}

export function parseMergeRequest(value: unknown): GitlabMergeRequest {
  const request = record(value, "merge request");
  return {
    number: count(request, "iid"),
    title: optionalText(request, "title") ?? "",
    url: text(request, "web_url"),
    state: text(request, "state"),
    head: revisionOf(request["sha"]),
    sourceBranch: text(request, "source_branch"),
    targetBranch: text(request, "target_branch"),
    // Before 13.2 it was called work_in_progress.
    draft: request["draft"] === true || request["work_in_progress"] === true,
    fork: request["source_project_id"] !== count(request, "target_project_id"),
    author: isRecord(request["author"]) ? optionalText(request["author"], "username") : undefined,
  };
}

export function parseNote(value: unknown): GitlabNote {
  const note = record(value, "note");
  const updatedAtMs = Date.parse(optionalText(note, "updated_at") ?? "");
  if (Number.isNaN(updatedAtMs)) throw unexpected("a time in updated_at", note["updated_at"]);
  return {
    id: count(note, "id"),
    body: optionalText(note, "body") ?? "",
    system: note["system"] === true,
    author: isRecord(note["author"]) ? parseGitlabUser(note["author"]) : undefined,
    updatedAtMs,
  };
}

export function parseProject(value: unknown): GitlabProject {
  const project = record(value, "project");
  const permissions = isRecord(project["permissions"]) ? project["permissions"] : {};
  const levels = ["project_access", "group_access"].map((key) => levelOf(permissions[key]));
  return {
    id: count(project, "id"),
    path: text(project, "path_with_namespace"),
    archived: project["archived"] === true,
    accessLevel: Math.max(...levels),
  };
}

export function parseMember(value: unknown): GitlabMember {
  const member = record(value, "member");
  // Old versions name no state; whoever is listed there is active.
  return { accessLevel: levelOf(member), active: (optionalText(member, "state") ?? "active") === "active" };
}

export function parseDeployment(value: unknown): GitlabDeployment {
  const deployment = record(value, "deployment");
  return {
    id: count(deployment, "id"),
    revision: text(deployment, "sha"),
    ref: optionalText(deployment, "ref"),
    status: text(deployment, "status"),
  };
}

export function parseToken(value: unknown): GitlabToken {
  const token = record(value, "token");
  const scopes = Array.isArray(token["scopes"]) ? (token["scopes"] as unknown[]) : [];
  return {
    scopes: scopes.filter((scope) => typeof scope === "string"),
    expiresAt: optionalText(token, "expires_at"),
  };
}

function levelOf(value: unknown): number {
  const level = isRecord(value) ? value["access_level"] : undefined;
  return typeof level === "number" ? level : 0;
}

function revisionOf(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === "string" && /^[0-9a-f]{40,64}$/.test(value)) return value;
  throw unexpected("a commit id in sha", value);
}
