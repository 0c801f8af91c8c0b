import { ApiError } from "../api-error.ts";
import type { ForgeContext } from "../context.ts";
import { optionalFlag, optionalText, requiredText } from "../fields.ts";
import { findCommit, readCommit } from "../git-objects.ts";
import { makeRepository } from "../repositories-api.ts";
import { type Call, param, type Reply, type Router } from "../router.ts";
import { repositoryOf, signedIn } from "./access.ts";
import { notFound } from "./error.ts";
import { type Flavour, versions } from "./flavour.ts";
import { renderRepository, renderUser } from "./render.ts";

export function addRepositoryRoutes(router: Router, context: ForgeContext, flavour: Flavour): void {
  const base = "/repos/:owner/:repo";
  router.add("GET", "/version", () => ({ status: 200, body: { version: versions[flavour] } }));
  router.add("GET", "/user", (call) => ({ status: 200, body: renderUser(context, signedIn(call).login) }));
  router.add("GET", "/users/:login", (call) => getUser(context, call));
  router.add("POST", "/user/repos", (call) => createOwn(context, call));
  router.add("GET", base, (call) => getRepository(context, call));
  router.add("PATCH", base, (call) => patchRepository(context, call));
  router.add("POST", `${base}/forks`, (call) => fork(context, call));
  router.add("GET", `${base}/collaborators/:login/permission`, (call) => getPermission(context, call));
  router.add("GET", `${base}/git/commits/:sha`, (call) => getCommit(context, call));
}

function getUser(context: ForgeContext, call: Call): Reply {
  const user = context.accounts.find(param(call, "login"));
  if (user === undefined) throw new ApiError(404, "user redirect does not exist");
  return { status: 200, body: renderUser(context, user.login) };
}

function getRepository(context: ForgeContext, call: Call): Reply {
  return { status: 200, body: renderRepository(context, repositoryOf(context, call), call.user?.login) };
}

async function createOwn(context: ForgeContext, call: Call): Promise<Reply> {
  const owner = signedIn(call).login;
  const name = requiredText(call, "Repository", "name");
  const hidden = optionalFlag(call, "Repository", "private") ?? false;
  const repository = await makeRepository(context, { owner, name, private: hidden });
  return { status: 201, body: renderRepository(context, repository, owner) };
}

async function fork(context: ForgeContext, call: Call): Promise<Reply> {
  const source = repositoryOf(context, call);
  const owner = signedIn(call).login;
  const name = optionalText(call, "Fork", "name") ?? source.name;
  if (context.repositories.find(owner, name) !== undefined) {
    throw new ApiError(409, "The repository with the same name already exists.");
  }
  const made = await makeRepository(context, { owner, name, private: source.private, forkOf: source });
  return { status: 202, body: renderRepository(context, made, owner) };
}

/** Renaming: the old name goes on leading here by redirect. */
function patchRepository(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, "admin");
  const name = optionalText(call, "Repository", "name") ?? repository.name;
  const renamed = name === repository.name ? repository : context.repositories.rename(repository, name);
  const hidden = optionalFlag(call, "Repository", "private") ?? renamed.private;
  const stored = context.store.repositories.replace({ ...renamed, private: hidden });
  return { status: 200, body: renderRepository(context, stored, call.user?.login) };
}

/** Told to administrators of the repository, and to everybody about themselves. */
function getPermission(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call);
  const [asking, login] = [signedIn(call), param(call, "login")];
  if (asking.login.toLowerCase() !== login.toLowerCase() && !context.accounts.allows(asking, repository, "admin")) {
    throw new ApiError(
      403,
      "Only admins can query all permissions, repo admins can query all repo permissions, collaborators can query only their own",
    );
  }
  const user = context.accounts.find(login);
  if (user === undefined) throw new ApiError(404, "user does not exist");
  const owns = user.login.toLowerCase() === repository.owner.toLowerCase();
  const permission = owns ? "owner" : context.accounts.permissionOf(user, repository);
  return { status: 200, body: { permission, role_name: permission, user: renderUser(context, user.login) } };
}

async function getCommit(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call);
  const directory = context.repositories.directory(repository);
  const sha = await findCommit(directory, param(call, "sha"));
  if (sha === undefined) throw notFound();
  const commit = await readCommit(directory, sha);
  const parents = commit.parents.map((parent) => ({ sha: parent }));
  return { status: 200, body: { sha, commit: { message: commit.message, tree: { sha: commit.tree } }, parents } };
}
