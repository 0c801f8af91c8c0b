import { randomBytes, randomUUID, verify } from "node:crypto";
import { sameName } from "./accounts.ts";
import { ApiError, custom, notFound } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { pathNumber } from "./fields.ts";
import type { SimulatedApp, SimulatedUser } from "./options.ts";
import { type Call, param, type Reply, type Router } from "./router.ts";
import { renderRepository, renderUser } from "./wire.ts";

const HOUR_MS = 3_600_000;
/** GitHub takes no JWT that is to live longer. */
const MAX_JWT_S = 600;

interface Issued {
  readonly user: SimulatedUser;
  readonly expiresAt: number;
}

/** GitHub Apps: their claims to be themselves, and the tokens of their installations. Tokens do not survive a restart. */
export class Apps {
  readonly #apps: readonly SimulatedApp[];
  readonly #issued = new Map<string, Issued>();

  constructor(apps: readonly SimulatedApp[]) {
    this.#apps = apps;
  }

  /** The user that an installation token stands for; undefined for any other token and for one that is over. */
  userOf(token: string): SimulatedUser | undefined {
    const issued = this.#issued.get(token);
    return issued !== undefined && issued.expiresAt > Date.now() ? issued.user : undefined;
  }

  issue(app: SimulatedApp, repositories: readonly string[]): { readonly token: string; readonly expiresAt: number } {
    const token = `ghs_${randomBytes(18).toString("hex")}`;
    const expiresAt = Date.now() + (app.tokenLifeMs ?? HOUR_MS);
    const rights = Object.fromEntries(repositories.map((name) => [name, "write" as const]));
    const user = { ...botOf(app), token, permission: "none", repositories: rights, grants: app.permissions } as const;
    this.#issued.set(token, { user, expiresAt });
    return { token, expiresAt };
  }

  /** As when an administrator revokes them. */
  revokeAll(): void {
    this.#issued.clear();
  }

  /** @throws ApiError 401 for anything but a good JWT of an App. */
  authenticate(header: string | undefined): SimulatedApp {
    const [head = "", claims = "", signature = ""] = /^bearer (\S+)$/i.exec(header ?? "")?.[1]?.split(".") ?? [];
    const { iss, iat, exp } = decode(claims);
    const app = this.#apps.find((one) => `${one.id}` === String(iss));
    const signed = Buffer.from(`${head}.${claims}`);
    if (
      decode(head)["alg"] !== "RS256" ||
      app === undefined ||
      !verify("RSA-SHA256", signed, app.publicKey, Buffer.from(signature, "base64url"))
    )
      throw new ApiError(401, "A JSON web token could not be decoded");
    refuseTimes(Number(iat), Number(exp), Math.floor(Date.now() / 1_000));
    return app;
  }
}

/** The account an App writes under. Nobody has its token; installations have theirs. */
export function botOf(app: SimulatedApp): SimulatedUser {
  return { login: `${app.slug}[bot]`, token: randomUUID(), type: "Bot", permission: "none" };
}

export function addAppRoutes(router: Router, context: ForgeContext): void {
  router.add("GET", "/app", (call) => getApp(context, call));
  router.add("GET", "/repos/:owner/:repo/installation", (call) => findInstallation(context, call));
  router.add("POST", "/app/installations/:id/access_tokens", (call) => createToken(context, call));
}

function getApp(context: ForgeContext, call: Call): Reply {
  const app = context.apps.authenticate(call.headers.authorization);
  const at = new Date(0).toISOString();
  const body = {
    id: app.id,
    slug: app.slug,
    node_id: `App:${app.id}`,
    client_id: `Iv1.${app.id}`,
    owner: renderUser(context, call.apiUrl, app.installedOn[0]?.split("/")[0] ?? "nobody"),
    name: app.slug,
    description: null,
    external_url: context.siteUrl(),
    html_url: `${context.siteUrl()}/apps/${app.slug}`,
    created_at: at,
    updated_at: at,
    permissions: app.permissions,
    events: [],
  };
  return { status: 200, body };
}

function findInstallation(context: ForgeContext, call: Call): Reply {
  const app = context.apps.authenticate(call.headers.authorization);
  const repository = context.repositories.find(param(call, "owner"), param(call, "repo"));
  const name = repository === undefined ? "" : `${repository.owner}/${repository.name}`;
  if (!app.installedOn.some((one) => sameName(one, name))) throw notFound();
  const at = new Date(0).toISOString();
  const body = {
    id: app.installationId,
    account: renderUser(context, call.apiUrl, repository?.owner ?? ""),
    app_id: app.id,
    app_slug: app.slug,
    target_id: 1,
    target_type: "Organization",
    repository_selection: "selected",
    access_tokens_url: `${call.apiUrl}/app/installations/${app.installationId}/access_tokens`,
    repositories_url: `${call.apiUrl}/installation/repositories`,
    html_url: `${context.siteUrl()}/settings/installations/${app.installationId}`,
    permissions: app.permissions,
    events: [],
    created_at: at,
    updated_at: at,
    single_file_name: null,
    suspended_by: null,
    suspended_at: null,
  };
  return { status: 200, body };
}

/** `repositories` narrows the token down; a name the installation does not have is refused. */
function createToken(context: ForgeContext, call: Call): Reply {
  const app = context.apps.authenticate(call.headers.authorization);
  if (pathNumber(param(call, "id")) !== app.installationId) throw notFound();
  const asked = call.body["repositories"];
  const names = Array.isArray(asked) ? asked.map(String) : undefined;
  const chosen = app.installedOn.filter(
    (full) => names?.some((name) => sameName(name, full.split("/")[1] ?? "")) ?? true,
  );
  if (names !== undefined && chosen.length < names.length)
    throw custom(
      "Installation",
      "repositories",
      "There is at least one repository that does not exist or is not accessible",
    );
  const { token, expiresAt } = context.apps.issue(app, chosen);
  const repositories = chosen.flatMap((full) => {
    const [owner = "", name = ""] = full.split("/");
    const repository = context.repositories.find(owner, name);
    return repository === undefined ? [] : [renderRepository(context, call.apiUrl, repository)];
  });
  const body = {
    token,
    expires_at: new Date(expiresAt).toISOString(),
    permissions: { metadata: "read", ...app.permissions },
    repository_selection: "selected",
    repositories,
  };
  return { status: 201, body };
}

function refuseTimes(iat: number, exp: number, now: number): void {
  if (!Number.isInteger(iat) || iat > now)
    throw new ApiError(
      401,
      "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
    );
  if (!Number.isInteger(exp) || exp <= now)
    throw new ApiError(
      401,
      "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
    );
  if (exp > now + MAX_JWT_S) throw new ApiError(401, "'Expiration time' claim ('exp') is too far in the future");
}

function decode(part: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
