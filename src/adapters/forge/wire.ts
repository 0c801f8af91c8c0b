import { WatcherError } from "../../lib/errors.ts";

/**
 * GitHub's shapes as far as they are used, checked on arrival (GitHub REST API, version 2022-11-28). What is not used is
 * not looked at, so that new members do no harm.
 */
export interface WireUser {
  readonly login: string;
  /** Undefined when the forge does not say. */
  readonly id: number | undefined;
  /** `User`, `Bot`, `Organization`, ...; undefined for accounts that are gone. */
  readonly type: string | undefined;
}

export interface WireStatus {
  readonly context: string;
  readonly state: string;
  readonly description: string;
  readonly targetUrl: string | undefined;
}

export interface WireComment {
  readonly id: number;
  readonly body: string;
  readonly url: string | undefined;
  readonly author: WireUser | undefined;
}

/** A comment in a list of the whole repository. */
export interface WirePlacedComment extends WireComment {
  /** Undefined for a comment on an issue. */
  readonly pullRequest: number | undefined;
  readonly updatedAtMs: number;
}

export interface WirePermission {
  /** `admin`, `write`, `read` or `none`; finer roles are told as the next lower of these. */
  readonly permission: string;
  readonly userId: number | undefined;
}

export interface WireDeploymentStatus {
  readonly id: number;
  readonly state: string;
  readonly description: string;
  readonly logUrl: string;
}

/** A token of a GitHub App for one installation, and what it may do. */
export interface InstallationToken {
  readonly token: string;
  readonly expiresAtMs: number;
  readonly permissions: Readonly<Record<string, string>>;
}

export interface WirePull {
  readonly number: number;
  readonly title: string;
  readonly url: string;
  readonly draft: boolean;
  readonly headRevision: string;
  readonly headBranch: string;
  /** `owner/name`; undefined when the fork was deleted. */
  readonly headRepository: string | undefined;
  readonly baseBranch: string;
  readonly baseRepository: string | undefined;
  readonly author: string | undefined;
  readonly merged: boolean;
}

export interface WireRepository {
  readonly fullName: string;
  readonly archived: boolean;
  /** Undefined when the forge does not say. */
  readonly mayPush: boolean | undefined;
}

export function parseUser(value: unknown): WireUser {
  const user = record(value, "user");
  const { id } = user;
  return {
    login: text(user, "login"),
    id: typeof id === "number" ? id : undefined,
    type: optionalText(user, "type"),
  };
}

export function parseStatus(value: unknown): WireStatus {
  const status = record(value, "status");
  return {
    context: text(status, "context"),
    state: text(status, "state"),
    description: optionalText(status, "description") ?? "",
    targetUrl: optionalText(status, "target_url"),
  };
}

export function parseComment(value: unknown): WireComment {
  const comment = record(value, "comment");
  return {
    id: count(comment, "id"),
    body: optionalText(comment, "body") ?? "",
    url: optionalText(comment, "html_url"),
    author: isRecord(comment["user"]) ? parseUser(comment["user"]) : undefined,
  };
}

export function parsePlacedComment(value: unknown): WirePlacedComment {
  const comment = record(value, "comment");
  const page = /\/pull\/(\d+)(?:#|$)/.exec(optionalText(comment, "html_url") ?? "");
  const updatedAtMs = time(comment, "updated_at");
  return { ...parseComment(value), pullRequest: page === null ? undefined : Number(page[1]), updatedAtMs };
}

export function parsePermission(value: unknown): WirePermission {
  const answer = record(value, "permission");
  return {
    permission: text(answer, "permission"),
    userId: isRecord(answer["user"]) ? parseUser(answer["user"]).id : undefined,
  };
}

export function parseDeployment(value: unknown): { readonly id: number } {
  return { id: count(record(value, "deployment"), "id") };
}

export function parseDeploymentStatus(value: unknown): WireDeploymentStatus {
  const status = record(value, "deployment status");
  return {
    id: count(status, "id"),
    state: text(status, "state"),
    description: optionalText(status, "description") ?? "",
    logUrl: optionalText(status, "log_url") ?? "",
  };
}

export function parseInstallation(value: unknown): { readonly id: number } {
  return { id: count(record(value, "installation"), "id") };
}

export function parseApp(value: unknown): { readonly slug: string } {
  return { slug: text(record(value, "app"), "slug") };
}

/** Nothing is assumed of the token's form, which has changed before. */
export function parseInstallationToken(value: unknown): InstallationToken {
  const made = record(value, "installation token");
  const permissions = isRecord(made["permissions"]) ? made["permissions"] : {};
  return {
    token: text(made, "token"),
    expiresAtMs: time(made, "expires_at"),
    permissions: Object.fromEntries(
      Object.entries(permissions).flatMap(([name, level]) => (typeof level === "string" ? [[name, level]] : [])),
    ),
  };
}

export function parsePull(value: unknown): WirePull {
  const pull = record(value, "pull request");
  const head = record(pull["head"], "head of a pull request");
  const base = record(pull["base"], "base of a pull request");
  return {
    number: count(pull, "number"),
    title: optionalText(pull, "title") ?? "",
    url: text(pull, "html_url"),
    draft: pull["draft"] === true,
    headRevision: revision(head),
    headBranch: text(head, "ref"),
    headRepository: fullNameOf(head["repo"]),
    baseBranch: text(base, "ref"),
    baseRepository: fullNameOf(base["repo"]),
    author: isRecord(pull["user"]) ? optionalText(pull["user"], "login") : undefined,
    merged: optionalText(pull, "merged_at") !== undefined,
  };
}

export function parseRepository(value: unknown): WireRepository {
  const repository = record(value, "repository");
  const permissions = repository["permissions"];
  const push = isRecord(permissions) ? permissions["push"] : undefined;
  return {
    fullName: text(repository, "full_name"),
    archived: repository["archived"] === true,
    mayPush: typeof push === "boolean" ? push : undefined,
  };
}

/** Every member of a list answer. */
export function parseList<T>(value: unknown, parse: (member: unknown) => T): readonly T[] {
  if (!Array.isArray(value)) throw unexpected("a list", value);
  return value.map((member: unknown) => parse(member));
}

function fullNameOf(value: unknown): string | undefined {
  return isRecord(value) ? optionalText(value, "full_name") : undefined;
}

function revision(head: Readonly<Record<string, unknown>>): string {
  const sha = text(head, "sha");
  if (!/^[0-9a-f]{40,64}$/.test(sha)) throw unexpected("a commit id in head.sha", sha);
  return sha;
}

export function record(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (!isRecord(value)) throw unexpected(`a ${what}`, value);
  return value;
}

export function text(of: Readonly<Record<string, unknown>>, key: string): string {
  const value = of[key];
  if (typeof value !== "string" || value === "") throw unexpected(`a text in ${key}`, value);
  return value;
}

export function optionalText(of: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const value = of[key];
  return typeof value === "string" ? value : undefined;
}

function time(of: Readonly<Record<string, unknown>>, key: string): number {
  const ms = Date.parse(text(of, key));
  if (Number.isNaN(ms)) throw unexpected(`a time in ${key}`, of[key]);
  return ms;
}

export function count(of: Readonly<Record<string, unknown>>, key: string): number {
  const value = of[key];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1)
    throw unexpected(`a number in ${key}`, value);
  return value;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function unexpected(wanted: string, value: unknown): WatcherError {
  const got = value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
  return new WatcherError(
    "forge-unreachable",
    `the forge's answer lacks ${wanted} (got ${got}): is this the address of its API?`,
  );
}
