import type { ForgeConfig, GitAuthConfig, GithubAppConfig, RepositoryConfig, SecretReference } from "./config.ts";
import type { ConfigPath } from "./config-problem.ts";
import type { RawForge, RawRepository } from "./raw.ts";
import { isLoopback, type ResolveContext } from "./resolve-context.ts";
import { secretInFile } from "./secrets.ts";
import { resolveSignatures } from "./resolve-signatures.ts";
import { resolveWindows } from "./resolve-windows.ts";

const defaultPoll = "15s";
const shortestPollMs = 1_000;
const longestPollMs = 24 * 3_600_000;
const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

export function resolveRepository(raw: RawRepository, at: ConfigPath, context: ResolveContext): RepositoryConfig {
  const remote = parseRemote(raw.url, [...at, "url"], context);
  const caFile = context.file(raw.caFile);
  const proxy = context.optionalUrl(raw.proxy, [...at, "proxy"], ["http:", "https:"]);
  const forge = resolveForge(raw, remote, at, { caFile, proxy }, context);
  return {
    name: raw.name,
    url: raw.url,
    branch: raw.branch ?? "main",
    path: resolvePath(raw.path ?? "", [...at, "path"], context),
    pollMs: resolvePoll(raw.poll ?? defaultPoll, [...at, "poll"], context),
    auth: resolveAuth(raw, remote, forge, at, context),
    caFile,
    proxy,
    forge,
    webhookSecret: context.secret(raw.forge ?? {}, "webhookSecret", [...at, "forge"], false),
    clusters: raw.clusters ?? [],
    ...resolveWindows(raw.windows, [...at, "windows"], context),
    ...resolveSignatures(raw.signatures, [...at, "signatures"], context),
  };
}

/** What a git URL names. `path` is without leading slash and without `.git`. */
interface Remote {
  readonly kind: "http" | "ssh" | "file";
  readonly host: string;
  readonly path: string;
}

function parseRemote(text: string, at: ConfigPath, context: ResolveContext): Remote | undefined {
  const scp = /^(?:[^@/:\s]+@)?([^/:\s]+):(?!\/\/)(\S+)$/.exec(text);
  if (scp !== null) return { kind: "ssh", host: scp[1] ?? "", path: trimRepository(scp[2] ?? "") };
  const url = context.url(text, at, ["https:", "http:", "ssh:", "file:"]);
  if (url === undefined) return undefined;
  if (url.protocol === "http:" && !isLoopback(url))
    context.warning(at, "http:// sends credentials and manifests unencrypted");
  const kind = url.protocol === "ssh:" ? "ssh" : url.protocol === "file:" ? "file" : "http";
  return { kind, host: kind === "ssh" ? url.hostname : url.host, path: trimRepository(url.pathname) };
}

function trimRepository(path: string): string {
  return path.replace(/^\/+|\/+$/g, "").replace(/\.git$/, "");
}

function resolvePath(text: string, at: ConfigPath, context: ResolveContext): string {
  const path = text.replace(/^(\.?\/)+|\/+$/g, "");
  if (path.split("/").includes("..")) context.problem(at, "must stay inside the repository");
  return path === "." ? "" : path;
}

function resolvePoll(text: string, at: ConfigPath, context: ResolveContext): number {
  const [, amount, unit] = /^([\d.]+)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Number(amount) * (unitMs[unit ?? ""] ?? Number.NaN);
  if (ms < shortestPollMs || ms > longestPollMs) context.problem(at, "must be from 1s to 24h");
  return Math.round(ms);
}

function resolveAuth(
  raw: RawRepository,
  remote: Remote | undefined,
  forge: ForgeConfig,
  at: ConfigPath,
  context: ResolveContext,
): GitAuthConfig | undefined {
  if (raw.auth === undefined) {
    if (forge.type === "none" || !servesGit(forge.apiUrl, remote)) return undefined;
    if (forge.token === undefined) return { kind: "forge-app" };
    return { kind: "token", username: forge.type === "gitlab" ? "oauth2" : undefined, token: forge.token };
  }
  const place = [...at, "auth"];
  const { sshKeyFile, knownHostsFile, username } = raw.auth;
  const hasToken = raw.auth.tokenFile !== undefined || raw.auth.tokenEnv !== undefined;
  if (sshKeyFile === undefined) {
    if (remote?.kind === "ssh") context.problem(place, "an ssh URL takes sshKeyFile, not a token");
    if (knownHostsFile !== undefined) context.problem([...place, "knownHostsFile"], "goes with sshKeyFile only");
    const token = context.secret(raw.auth, "token", place, true);
    return token === undefined ? undefined : { kind: "token", username, token };
  }
  if (hasToken || username !== undefined)
    context.problem(place, "give a token (with username) or sshKeyFile, not both");
  if (remote !== undefined && remote.kind !== "ssh")
    context.problem([...place, "sshKeyFile"], "goes with an ssh URL only");
  return { kind: "ssh", keyFile: context.file(sshKeyFile), knownHostsFile: context.file(knownHostsFile) };
}

/** Whether a forge's token may go to the git remote: only over HTTP and to the forge's own host. */
function servesGit(apiUrl: string, remote: Remote | undefined): boolean {
  if (remote?.kind !== "http" || !URL.canParse(apiUrl)) return false;
  const { host } = new URL(apiUrl);
  return host === remote.host || host === `api.${remote.host.replace(/^www\./, "")}`;
}

function resolveForge(
  raw: RawRepository,
  remote: Remote | undefined,
  at: ConfigPath,
  network: { readonly caFile: string | undefined; readonly proxy: string | undefined },
  context: ResolveContext,
): ForgeConfig {
  const { forge } = raw;
  if (forge === undefined || forge.type === "none") return { type: "none" };
  const place = [...at, "forge"];
  const app = resolveApp(forge, place, context);
  const token = context.secret(forge, "token", place, forge.app === undefined);
  if (token !== undefined && app !== undefined) context.problem(place, "give a token or app, not both");
  const apiUrl = context.optionalUrl(forge.apiUrl, [...place, "apiUrl"], ["https:", "http:"]);
  if (remote?.kind === "file" && apiUrl === undefined) {
    context.problem(place, "apiUrl is needed, because url names no host");
  }
  if (forge.type === "gitlab") return resolveGitlab(forge, remote, apiUrl, token, at, network, context);
  const [owner, repository] = remote?.path.split("/").slice(-2) ?? [];
  if (remote !== undefined && (owner === undefined || owner === "" || repository === undefined)) {
    context.problem([...at, "url"], `does not end in <owner>/<repository>, which forge type ${forge.type} needs`);
  }
  if (forge.type !== "github") {
    if (app !== undefined) context.problem([...place, "app"], "goes with forge type github only");
    if (forge.deployments === true) context.problem([...place, "deployments"], `type ${forge.type} keeps none`);
    if (token === undefined) return { type: "none" };
    return {
      type: forge.type,
      apiUrl: (apiUrl ?? giteaApi(raw.url, remote)).replace(/\/+$/, ""),
      owner: owner ?? "",
      repository: repository ?? "",
      token,
      ...network,
    };
  }
  if (token === undefined && app === undefined) return { type: "none" };
  return {
    type: "github",
    apiUrl: (apiUrl ?? githubApi(remote?.host ?? "")).replace(/\/+$/, ""),
    owner: owner ?? "",
    repository: repository ?? "",
    token,
    app,
    deployments: forge.deployments ?? false,
    ...network,
  };
}

/** GitLab's projects may lie in groups of groups; an installation below a path has that path in addresses for the web only. */
function resolveGitlab(
  forge: RawForge,
  remote: Remote | undefined,
  given: string | undefined,
  token: SecretReference | undefined,
  at: ConfigPath,
  network: { readonly caFile: string | undefined; readonly proxy: string | undefined },
  context: ResolveContext,
): ForgeConfig {
  // ssh for networks that let out nothing but port 443.
  const host = remote?.host === "altssh.gitlab.com" ? "gitlab.com" : (remote?.host ?? "");
  const apiUrl = (given ?? `https://${host}/api/v4`).replace(/\/+$/, "");
  const below = URL.canParse(apiUrl) ? new URL(apiUrl).pathname.replace(/^\/|\/?api\/v4$/g, "") : "";
  const path = remote?.path ?? "";
  const project =
    remote?.kind === "http" && below !== "" && path.startsWith(`${below}/`) ? path.slice(below.length + 1) : path;
  if (remote !== undefined && !/^[^/]+(\/[^/]+)+$/.test(project)) {
    context.problem([...at, "url"], "does not end in <group>/<project>, which forge type gitlab needs");
  }
  if (forge.app !== undefined) context.problem([...at, "forge", "app"], "goes with type github only: give a token");
  if (token === undefined) return { type: "none" };
  return { type: "gitlab", apiUrl, project, token, deployments: forge.deployments ?? false, ...network };
}

function resolveApp({ app }: RawForge, place: ConfigPath, context: ResolveContext): GithubAppConfig | undefined {
  if (app === undefined) return undefined;
  const privateKey = secretInFile(context.file(app.privateKeyFile));
  if (`${app.id}`.trim() === "") context.problem([...place, "app", "id"], "must not be empty");
  return { id: `${app.id}`, privateKey, installationId: app.installationId };
}

/** Where the REST API of a host lives (GitHub REST docs): its own host for github.com and ghe.com, a path on an own server. */
function githubApi(host: string): string {
  if (host === "github.com" || host === "ssh.github.com" || host === "www.github.com") return "https://api.github.com";
  if (host.endsWith(".ghe.com")) return `https://api.${host}`;
  return `https://${host}/api/v3`;
}

/**
 * Where the REST API of Gitea and Forgejo lives: beside the pages, below the path of the installation where it has one.
 * Owners have no groups, so what stands before <owner>/<repository> in an address for the web is that path.
 */
function giteaApi(url: string, remote: Remote | undefined): string {
  const below = remote?.kind === "http" ? remote.path.split("/").slice(0, -2) : [];
  const scheme = url.startsWith("http://") ? "http" : "https";
  return `${scheme}://${[remote?.host ?? "", ...below, "api", "v1"].join("/")}`;
}
