import { timingSafeEqual } from "node:crypto";
import { ApiError, notFound, notPermitted } from "./api-error.ts";
import type { Permission, SimulatedUser } from "./options.ts";
import type { RepositoryRecord } from "./records.ts";

const RANK: Readonly<Record<Permission, number>> = { none: 0, read: 1, write: 2, admin: 3 };

export interface Need {
  /** Least role in the repository. */
  readonly role: Permission;
  /** Fine-grained permission, e.g. `statuses=write`. */
  readonly grant: string;
}

/** Who the users are and what each may do. */
export class Accounts {
  readonly #users: readonly SimulatedUser[];
  readonly #anonymousRead: boolean;
  readonly #issued: (token: string) => SimulatedUser | undefined;
  readonly #changed = new Map<string, Permission>();

  /** @param issued Who a token stands for that was made since the start. */
  constructor(
    users: readonly SimulatedUser[],
    anonymousRead: boolean,
    issued: (token: string) => SimulatedUser | undefined,
  ) {
    this.#issued = issued;
    this.#users = users;
    this.#anonymousRead = anonymousRead;
  }

  find(login: string): SimulatedUser | undefined {
    return this.#users.find((user) => sameName(user.login, login));
  }

  idOf(login: string): number {
    return this.#users.findIndex((user) => sameName(user.login, login)) + 1;
  }

  /**
   * The user of an Authorization header: `Bearer`, `token`, or Basic with the token as password (any user name) or as
   * user name. Undefined without a header.
   * @throws ApiError 401 for a token nobody has.
   */
  authenticate(header: string | undefined): SimulatedUser | undefined {
    if (header === undefined) return undefined;
    const candidates = tokensIn(header);
    const user =
      this.#users.find((one) => candidates.some((token) => sameSecret(one.token, token))) ??
      candidates.map((token) => this.#issued(token)).find((one) => one !== undefined);
    if (user === undefined) throw new ApiError(401, "Bad credentials");
    return user;
  }

  permissionOf(user: SimulatedUser | undefined, repository: RepositoryRecord): Permission {
    const publicly: Permission = repository.private ? "none" : "read";
    if (user === undefined) return this.#anonymousRead ? publicly : "none";
    if (sameName(user.login, repository.owner)) return "admin";
    const changed = this.#changed.get(changeKey(user.login, repository));
    if (changed !== undefined) return changed;
    const special = Object.entries(user.repositories ?? {}).find(([name]) =>
      sameName(name, `${repository.owner}/${repository.name}`),
    );
    const given = special?.[1] ?? user.permission ?? "write";
    return RANK[given] > RANK[publicly] ? given : publicly;
  }

  /** From now on, until the forge stops, in place of what the options say. */
  changePermission(login: string, repository: RepositoryRecord, permission: Permission): void {
    this.#changed.set(changeKey(login, repository), permission);
  }

  allows(user: SimulatedUser | undefined, repository: RepositoryRecord, role: Permission): boolean {
    return RANK[this.permissionOf(user, repository)] >= RANK[role];
  }

  /** @throws ApiError 404 when the repository is not visible at all, 401 or 403 when it is and the call is not allowed. */
  require(user: SimulatedUser | undefined, repository: RepositoryRecord, need: Need): void {
    if (!this.allows(user, repository, "read")) throw notFound();
    if (user === undefined && need.role !== "read") throw new ApiError(401, "Requires authentication");
    if (!this.allows(user, repository, need.role)) throw notPermitted(need.grant);
    if (user !== undefined && !isGranted(user, need.grant)) throw notPermitted(need.grant);
  }
}

/** Whether a fine-grained token has a permission; `metadata=read` comes with every token. */
export function isGranted(user: SimulatedUser, grant: string): boolean {
  if (user.grants === undefined || grant === "metadata=read") return true;
  const [name = "", level] = grant.split("=");
  const has = user.grants[name];
  return has === "write" || (has === "read" && level === "read");
}

/** GitHub's names of users, repositories and status contexts ignore case. */
export function sameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

function changeKey(login: string, repository: RepositoryRecord): string {
  return `${repository.id} ${login.toLowerCase()}`;
}

function tokensIn(header: string): string[] {
  const [scheme = "", rest = ""] = header.trim().split(/\s+/, 2);
  if (/^(bearer|token)$/i.test(scheme)) return [rest];
  if (!/^basic$/i.test(scheme)) return [];
  const decoded = Buffer.from(rest, "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  return colon === -1 ? [decoded] : [decoded.slice(colon + 1), decoded.slice(0, colon)].filter((part) => part !== "");
}

function sameSecret(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
