import { count, isRecord, optionalText, record, text, unexpected } from "./wire.ts";

/** The shapes of Gitea and Forgejo as far as they are used, checked on arrival (API v1). */
export interface GiteaUser {
  readonly login: string;
  readonly id: number | undefined;
  /** Gitea does not tell bots from people. */
  readonly type: undefined;
}

export interface GiteaStatus {
  readonly context: string;
  readonly state: string;
  readonly description: string;
  readonly targetUrl: string | undefined;
}

export interface GiteaPull {
  readonly number: number;
  readonly title: string;
  readonly url: string;
  readonly draft: boolean;
  readonly merged: boolean;
  /** What the base got: a merge commit, or the last commit of a squash or a rebase. */
  readonly mergeRevision: string | undefined;
  /** Undefined when git does not know the head any more. */
  readonly head: string | undefined;
  readonly headBranch: string;
  readonly baseBranch: string;
  /** The head is in another repository, in one that is gone, or came by a push to `refs/for/` from anybody who can read. */
  readonly fork: boolean;
  readonly author: string | undefined;
}

export interface GiteaComment {
  readonly id: number;
  /** Undefined for a comment on an issue. */
  readonly pullRequest: number | undefined;
  readonly author: GiteaUser | undefined;
  readonly body: string;
  readonly url: string | undefined;
  readonly updatedAtMs: number;
}

export interface GiteaRepository {
  readonly fullName: string;
  readonly archived: boolean;
  readonly pullRequests: boolean;
  readonly mayPush: boolean | undefined;
  readonly mayAdminister: boolean | undefined;
}

export function parseGiteaUser(value: unknown): GiteaUser {
  const user = record(value, "user");
  const { id } = user;
  return { login: text(user, "login"), id: typeof id === "number" ? id : undefined, type: undefined };
}

/** In lists the state is called `status`, in the answer to a write and in the combined answer `state` as in the request. */
export function parseGiteaStatus(value: unknown): GiteaStatus {
  const status = record(value, "status");
  return {
    context: text(status, "context"),
    state: optionalText(status, "status") ?? text(status, "state"),
    description: optionalText(status, "description") ?? "",
    targetUrl: optionalText(status, "target_url"),
  };
}

export function parseGiteaPull(value: unknown): GiteaPull {
  const pull = record(value, "pull request");
  const head = record(pull["head"], "head of a pull request");
  const base = record(pull["base"], "base of a pull request");
  const title = optionalText(pull, "title") ?? "";
  const label = optionalText(head, "label") ?? "";
  const [from, into] = [fullNameOf(head["repo"]), fullNameOf(base["repo"])];
  return {
    number: count(pull, "number"),
    title,
    url: text(pull, "html_url"),
    draft: typeof pull["draft"] === "boolean" ? pull["draft"] : isMarkedDraft(title),
    merged: pull["merged"] === true,
    mergeRevision: optionalText(pull, "merge_commit_sha"),
    head: revisionOf(head),
    // When the branch is gone, `ref` is the pull request's own ref; `label` stays the branch.
    headBranch: label === "" ? text(head, "ref") : label,
    baseBranch: text(base, "ref"),
    fork: label === "" || from === undefined || from.toLowerCase() !== into?.toLowerCase(),
    author: isRecord(pull["user"]) ? optionalText(pull["user"], "login") : undefined,
  };
}

/** Old versions have no `draft`: these are the prefixes they come with. */
function isMarkedDraft(title: string): boolean {
  return /^\s*(wip:|\[wip\])/i.test(title);
}

export function parseGiteaComment(value: unknown): GiteaComment {
  const comment = record(value, "comment");
  const page = /\/pulls\/(\d+)\/?$/.exec(optionalText(comment, "pull_request_url") ?? "");
  const updatedAtMs = Date.parse(text(comment, "updated_at"));
  if (Number.isNaN(updatedAtMs)) throw unexpected("a time in updated_at", comment["updated_at"]);
  return {
    id: count(comment, "id"),
    pullRequest: page === null ? undefined : Number(page[1]),
    author: isRecord(comment["user"]) ? parseGiteaUser(comment["user"]) : undefined,
    body: optionalText(comment, "body") ?? "",
    url: optionalText(comment, "html_url"),
    updatedAtMs,
  };
}

export function parseGiteaPermission(value: unknown): {
  readonly permission: string;
  readonly userId: number | undefined;
} {
  const answer = record(value, "permission");
  return {
    permission: text(answer, "permission"),
    userId: isRecord(answer["user"]) ? parseGiteaUser(answer["user"]).id : undefined,
  };
}

export function parseGiteaRepository(value: unknown): GiteaRepository {
  const repository = record(value, "repository");
  const permissions = isRecord(repository["permissions"]) ? repository["permissions"] : {};
  return {
    fullName: text(repository, "full_name"),
    archived: repository["archived"] === true,
    pullRequests: repository["has_pull_requests"] !== false,
    mayPush: flag(permissions["push"]),
    mayAdminister: flag(permissions["admin"]),
  };
}

/** `1.22.3`, or of Forgejo `10.0.0+gitea-1.22.0`: its own version and the Gitea it is compatible with. */
export function parseGiteaVersion(value: unknown): {
  readonly flavour: "gitea" | "forgejo";
  readonly version: string;
  /** Major and minor of the Gitea it is or answers like; undefined for development builds that do not say. */
  readonly level: readonly [major: number, minor: number] | undefined;
} {
  const version = text(record(value, "version"), "version");
  const compatible = /\+gitea-(\d+)\.(\d+)/.exec(version);
  const numbers = compatible ?? /^v?(\d+)\.(\d+)/.exec(version);
  return {
    flavour: compatible === null ? "gitea" : "forgejo",
    version,
    level: numbers === null ? undefined : [Number(numbers[1]), Number(numbers[2])],
  };
}

function flag(value: unknown): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

function fullNameOf(value: unknown): string | undefined {
  return isRecord(value) ? optionalText(value, "full_name") : undefined;
}

function revisionOf(head: Readonly<Record<string, unknown>>): string | undefined {
  const sha = optionalText(head, "sha") ?? "";
  if (sha === "") return undefined;
  if (!/^[0-9a-f]{40,64}$/.test(sha)) throw unexpected("a commit id in head.sha", sha);
  return sha;
}
