import { repositoryOf, signedIn } from "./access.ts";
import { isGranted } from "./accounts.ts";
import { ApiError, notFound, notPermitted } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { optionalFlag, optionalText, requiredText } from "./fields.ts";
import type { NewRepository } from "./repositories.ts";
import type { RepositoryRecord } from "./records.ts";
import { type Call, param, type Reply, type Router } from "./router.ts";
import { isoTime, renderPermissions, renderRepository, renderUser } from "./wire.ts";

const METADATA = { role: "read", grant: "metadata=read" } as const;
const ADMIN = { role: "admin", grant: "administration=write" } as const;

export function addRepositoryRoutes(router: Router, context: ForgeContext): void {
  const base = "/repos/:owner/:repo";
  router.add("GET", "/user", (call) => getSelf(context, call));
  router.add("GET", "/users/:login", (call) => getUser(context, call));
  router.add("GET", "/meta", () => getMeta(context));
  router.add("GET", "/rate_limit", (call) => getRateLimit(context, call));
  router.add("POST", "/user/repos", (call) => createOwn(context, call));
  router.add("GET", base, (call) => getRepository(context, call));
  router.add("PATCH", base, (call) => patchRepository(context, call));
  router.add("DELETE", base, (call) => deleteRepository(context, call));
  router.add("POST", `${base}/forks`, (call) => fork(context, call));
  router.add("GET", `${base}/collaborators/:login/permission`, (call) => getPermission(context, call));
}

/** An App's installation is nobody who could be asked for. */
function getSelf(context: ForgeContext, call: Call): Reply {
  const user = signedIn(call);
  if (context.apps.userOf(user.token) !== undefined) throw new ApiError(403, "Resource not accessible by integration");
  return { status: 200, body: { ...renderUser(context, call.apiUrl, user.login), ...profile } };
}

/** What nobody here has told about themselves. */
const profile = {
  user_view_type: "public",
  name: null,
  company: null,
  blog: null,
  location: null,
  email: null,
  hireable: null,
  bio: null,
  public_repos: 0,
  public_gists: 0,
  followers: 0,
  following: 0,
  created_at: isoTime(0),
  updated_at: isoTime(0),
};

function getUser(context: ForgeContext, call: Call): Reply {
  const user = context.accounts.find(param(call, "login"));
  if (user === undefined) throw notFound();
  return { status: 200, body: renderUser(context, call.apiUrl, user.login) };
}

function getMeta(context: ForgeContext): Reply {
  const version = context.enterpriseVersion;
  return {
    status: 200,
    body: {
      verifiable_password_authentication: false,
      ...(version === undefined ? {} : { installed_version: version }),
    },
  };
}

/** Asking costs nothing. Without limits there is no such page, as on a GitHub Enterprise Server. */
function getRateLimit(context: ForgeContext, call: Call): Reply {
  if (!context.limiter.enabled) throw new ApiError(404, "Rate limiting is not enabled.");
  const core = { ...context.limiter.summary(call.user?.login ?? ""), resource: "core" };
  return { status: 200, body: { resources: { core }, rate: core } };
}

function getRepository(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, METADATA);
  const permissions =
    call.user === undefined ? {} : { permissions: renderPermissions(context, call.user.login, repository) };
  const parent = repository.forkOf === undefined ? undefined : context.store.repositories.get(repository.forkOf);
  const origin = parent === undefined ? {} : { parent: renderRepository(context, call.apiUrl, parent) };
  return {
    status: 200,
    body: { ...renderRepository(context, call.apiUrl, repository), ...counts, ...permissions, ...origin },
  };
}

/** Only the answer to one repository has these. */
const counts = { network_count: 0, subscribers_count: 0 };

/** Makes a repository and starts watching its refs. */
export async function makeRepository(context: ForgeContext, wanted: NewRepository): Promise<RepositoryRecord> {
  const repository = await context.repositories.create(wanted);
  await context.refresh.run(repository, wanted.owner);
  return repository;
}

async function createOwn(context: ForgeContext, call: Call): Promise<Reply> {
  const user = signedIn(call);
  if (!isGranted(user, ADMIN.grant)) throw notPermitted(ADMIN.grant);
  const name = requiredText(call, "Repository", "name");
  const repository = await makeRepository(context, {
    owner: user.login,
    name,
    private: optionalFlag(call, "Repository", "private") ?? false,
  });
  return { status: 201, body: renderRepository(context, call.apiUrl, repository) };
}

async function fork(context: ForgeContext, call: Call): Promise<Reply> {
  const source = repositoryOf(context, call, METADATA);
  const owner = optionalText(call, "Fork", "organization") ?? signedIn(call).login;
  const name = optionalText(call, "Fork", "name") ?? source.name;
  const existing = context.repositories.find(owner, name);
  const repository =
    existing ?? (await makeRepository(context, { owner, name, private: source.private, forkOf: source }));
  return { status: 202, body: renderRepository(context, call.apiUrl, repository) };
}

/** Renaming: the old name goes on leading here by redirect. */
async function patchRepository(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, ADMIN);
  const name = optionalText(call, "Repository", "name") ?? repository.name;
  const renamed = name === repository.name ? repository : context.repositories.rename(repository, name);
  const hidden = optionalFlag(call, "Repository", "private") ?? renamed.private;
  const stored = context.store.repositories.replace({ ...renamed, private: hidden });
  return { status: 200, body: renderRepository(context, call.apiUrl, stored) };
}

async function deleteRepository(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, ADMIN);
  await context.repositories.exclusively(repository, async () => context.repositories.remove(repository));
  return { status: 204 };
}

function getPermission(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, METADATA);
  const user = context.accounts.find(param(call, "login"));
  if (user === undefined) throw notFound();
  const permission = context.accounts.permissionOf(user, repository);
  return {
    status: 200,
    body: {
      permission,
      role_name: permission,
      user: { ...renderUser(context, call.apiUrl, user.login), role_name: permission },
    },
  };
}
