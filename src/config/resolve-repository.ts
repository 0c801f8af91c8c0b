import type { ForgeConfig, GitAuthConfig, RepositoryConfig } from "./config.ts";
import type { ConfigPath } from "./config-problem.ts";
import type { RawRepository } from "./raw.ts";
import { isLoopback, type ResolveContext } from "./resolve-context.ts";
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
    clusters: raw.clusters ?? [],
    ...resolveWindows(raw.windows, [...at, "windows"], context),
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
    return forge.type !== "none" && servesGit(forge.apiUrl, remote)
      ? { kind: "token", username: undefined, token: forge.token }
      : undefined;
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
  const token = context.secret(forge, "token", place, true);
  const apiUrl = context.optionalUrl(forge.apiUrl, [...place, "apiUrl"], ["https:", "http:"]);
  if (remote?.kind === "file" && apiUrl === undefined) {
    context.problem(place, "apiUrl is needed, because url names no host");
  }
  const [owner, repository] = remote?.path.split("/").slice(-2) ?? [];
  if (remote !== undefined && (owner === undefined || owner === "" || repository === undefined)) {
    context.problem([...at, "url"], "does not end in <owner>/<repository>, which forge type github needs");
  }
  if (token === undefined) return { type: "none" };
  return {
    type: "github",
    apiUrl: (apiUrl ?? githubApi(remote?.host ?? "")).replace(/\/+$/, ""),
    owner: owner ?? "",
    repository: repository ?? "",
    token,
    ...network,
  };
}

/** Where the REST API of a host lives (GitHub REST docs): its own host for github.com and ghe.com, a path on an own server. */
function githubApi(host: string): string {
  if (host === "github.com" || host === "ssh.github.com" || host === "www.github.com") return "https://api.github.com";
  if (host.endsWith(".ghe.com")) return `https://api.${host}`;
  return `https://${host}/api/v3`;
}
