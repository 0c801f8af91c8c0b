import type { ForgeContext } from "../context.ts";
import { listRefs } from "../git-objects.ts";
import type { RepositoryRecord } from "../records.ts";
import { makeRepository } from "../repositories-api.ts";
import { type Call, param, type Reply, type Router } from "../router.ts";
import { projectOf, roleOf, ROLES, signedIn } from "./access.ts";
import { GitlabError, missing } from "./error.ts";
import { optionalChoice, optionalFlag, optionalText } from "./fields.ts";
import { pagedReply } from "./paging.ts";
import { type Json, renderPermissions, renderProject, renderSelf, renderUser } from "./render.ts";

const YEAR_MS = 365 * 24 * 3_600_000;

export function addProjectRoutes(router: Router, context: ForgeContext): void {
  router.add("GET", "/version", (call) => version(call));
  router.add("GET", "/user", (call) => ({ status: 200, body: renderSelf(context, signedIn(call).login) }));
  router.add("GET", "/users", (call) => findUsers(context, call));
  router.add("GET", "/personal_access_tokens/self", (call) => ownToken(context, call));
  router.add("GET", "/projects/:id", (call) => getProject(context, call));
  router.add("PUT", "/projects/:id", (call) => putProject(context, call));
  router.add("POST", "/projects/:id/fork", (call) => fork(context, call));
  router.add("GET", "/projects/:id/members/all", (call) => listMembers(context, call));
  router.add("GET", "/projects/:id/members/all/:user", (call) => getMember(context, call));
  router.add("GET", "/projects/:id/repository/branches", (call) => listBranches(context, call));
}

function version(call: Call): Reply {
  signedIn(call);
  return { status: 200, body: { version: "17.5.0", revision: "simulator" } };
}

function findUsers(context: ForgeContext, call: Call): Promise<Reply> {
  const found = context.accounts.find(optionalText(call, "username") ?? "");
  return pagedReply(call, found === undefined ? [] : [found.login], (login) => renderUser(context, login));
}

function ownToken(context: ForgeContext, call: Call): Reply {
  const user = signedIn(call);
  const id = context.accounts.idOf(user.login);
  const ends = user.expiresAt ?? new Date(Date.now() + YEAR_MS).toISOString().slice(0, 10);
  return {
    status: 200,
    body: {
      id,
      name: user.login,
      revoked: false,
      active: true,
      user_id: id,
      scopes: user.scopes ?? ["api"],
      expires_at: ends,
    },
  };
}

function getProject(context: ForgeContext, call: Call): Reply {
  const project = projectOf(context, call);
  const own = call.user === undefined ? {} : { permissions: renderPermissions(context, call.user.login, project) };
  return { status: 200, body: { ...renderProject(context, project), ...own } };
}

/** A new path: the old one goes on leading here for reads. */
function putProject(context: ForgeContext, call: Call): Reply {
  const project = projectOf(context, call, ROLES.maintainer);
  const path = optionalText(call, "path") ?? project.name;
  const mergeMethod = optionalChoice(call, "merge_method", ["merge", "rebase_merge", "ff"]);
  const needsPipeline = optionalFlag(call, "only_allow_merge_if_pipeline_succeeds");
  const visibility = optionalChoice(call, "visibility", ["private", "internal", "public"]);
  const renamed = path === project.name ? project : context.repositories.rename(project, path);
  const stored = context.store.repositories.replace({
    ...renamed,
    ...(mergeMethod === undefined ? {} : { mergeMethod }),
    ...(needsPipeline === undefined ? {} : { needsPipeline }),
    ...(visibility === undefined ? {} : { private: visibility !== "public" }),
  });
  return { status: 200, body: renderProject(context, stored) };
}

async function fork(context: ForgeContext, call: Call): Promise<Reply> {
  const source = projectOf(context, call);
  const owner = optionalText(call, "namespace_path") ?? signedIn(call).login;
  const name = optionalText(call, "path") ?? source.name;
  const taken = context.repositories.find(owner, name);
  if (taken !== undefined) throw new GitlabError(409, { message: { base: ["has already been taken"] } });
  const made = await makeRepository(context, { owner, name, private: source.private, forkOf: source });
  return { status: 201, body: renderProject(context, made) };
}

function listMembers(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call);
  const members = context.accounts.logins().filter((login) => levelOf(context, login, project) > ROLES.none);
  return pagedReply(call, members, (login) => renderMember(context, login, levelOf(context, login, project)));
}

function getMember(context: ForgeContext, call: Call): Reply {
  const project = projectOf(context, call);
  const login = context.accounts.logins().find((one) => `${context.accounts.idOf(one)}` === param(call, "user"));
  const level = login === undefined ? ROLES.none : levelOf(context, login, project);
  if (login === undefined || level === ROLES.none) throw missing();
  return { status: 200, body: renderMember(context, login, level) };
}

function levelOf(context: ForgeContext, login: string, project: RepositoryRecord): number {
  return roleOf(context, context.accounts.find(login), project);
}

function renderMember(context: ForgeContext, login: string, level: number): Json {
  return { ...renderUser(context, login), access_level: level, expires_at: null, membership_state: "active" };
}

async function listBranches(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call);
  const refs = [...(await listRefs(context.repositories.directory(project)))].filter(([ref]) =>
    ref.startsWith("refs/heads/"),
  );
  return pagedReply(call, refs, ([ref, sha]) => {
    const name = ref.slice("refs/heads/".length);
    return { name, commit: { id: sha }, default: name === project.defaultBranch, protected: false };
  });
}
