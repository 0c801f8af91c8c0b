import type { Forge } from "../../ports/forge.ts";
import type { GithubApp } from "./github-app.ts";
import { checkGithub } from "./github-check.ts";
import { listComments, mayWrite, react } from "./github-commands.ts";
import { createEnsureComment } from "./github-comments.ts";
import { createEnsureDeployment } from "./github-deployments.ts";
import { githubHeaders } from "./github-headers.ts";
import { createOwnLogin } from "./github-login.ts";
import { findPullRequestsOf, listOpenPullRequests } from "./github-pulls.ts";
import { descriptionChars, ensureStatus, findStatus } from "./github-statuses.ts";
import { createForgeHttp } from "./forge-http.ts";
import type { RequestUsage } from "./request-usage.ts";
import { createRepositoryPlace } from "./repository-place.ts";

export interface GithubOptions {
  /** `https://api.github.com`, or `https://HOST/api/v3` of a GitHub Enterprise Server. */
  readonly apiUrl: string;
  readonly owner: string;
  readonly repository: string;
  /** Asked for every request: personal, App installation or Actions token, sent as a bearer; told which one got a 401. */
  readonly token: (refused?: string) => Promise<string>;
  /** The App whose tokens these are, when we hold its key: it knows its name and its rights. */
  readonly app?: Pick<GithubApp, "login" | "permissions"> | undefined;
  /** Whether deployments will be reported, which `check` then looks at. */
  readonly deployments?: boolean | undefined;
  /** Told once an hour what the token was used for, by all repositories that share it. */
  readonly onUsage?: ((usage: RequestUsage) => void) | undefined;
  readonly caFile?: string | undefined;
  readonly proxy?: string | undefined;
  /** GitHub refuses requests without one. */
  readonly userAgent?: string;
  /** For one request with its body; 30 s unless given. */
  readonly timeoutMs?: number;
}

/** GitHub, GitHub Enterprise Server, and what speaks their REST API. docs/forges.md has permissions and behaviour. */
export function openGithub(options: GithubOptions): Forge {
  const apiUrl = options.apiUrl.replace(/\/+$/, "");
  const http = createForgeHttp({
    forge: "GitHub",
    apiUrl,
    token: options.token,
    onUsage: options.onUsage,
    caFile: options.caFile,
    proxy: options.proxy,
    timeoutMs: options.timeoutMs ?? 30_000,
    headers: githubHeaders(options.userAgent),
  });
  const place = createRepositoryPlace(http, apiUrl, options);
  const own = createOwnLogin(http, apiUrl, options.app?.login);
  return {
    kind: "github",
    // A comment may have 65,536; the rest is room for what GitHub counts differently than JavaScript.
    limits: {
      commentChars: 60_000,
      descriptionChars,
      hiddenMarker: true,
      queueBranches: (baseBranch) => `gh-readonly-queue/${baseBranch}/`,
      deployments: true,
    },
    listOpenPullRequests: (baseBranch, signal) => listOpenPullRequests(http, place, baseBranch, signal),
    ensureCommitStatus: (revision, status, signal) => ensureStatus(http, place, revision, status, signal),
    findCommitStatus: (revision, context, signal) => findStatus(http, place, revision, context, signal),
    ensureComment: createEnsureComment(http, place, own),
    findPullRequestsOf: (revision, signal) => findPullRequestsOf(http, place, revision, signal),
    listComments: (sinceMs, signal) => listComments(http, place, own, sinceMs, signal),
    react: (comment, reaction, signal) => react(place, comment, reaction, signal),
    mayWrite: (author, signal) => mayWrite(http, place, author, signal),
    ensureDeployment: createEnsureDeployment(http, place),
    isScarce: () => http.isScarce(),
    fileUrl: (revision, file, line) => fileUrl(apiUrl, options, revision, file, line),
    check: (signal) => checkGithub(http, place, own, options, signal),
  };
}

/** Pages stand beside the API: github.com, HOST of an Enterprise Server, SUB.ghe.com. */
function fileUrl(
  apiUrl: string,
  { owner, repository }: GithubOptions,
  revision: string,
  file: string,
  line: number,
): string | undefined {
  const api = new URL(apiUrl);
  const isApiHost = api.hostname.startsWith("api.");
  if (!isApiHost && !api.pathname.endsWith("/api/v3")) return undefined;
  const site = isApiHost ? `${api.protocol}//${api.host.slice("api.".length)}` : apiUrl.slice(0, -"/api/v3".length);
  const path = [owner, repository, "blob", revision, ...file.split("/")].map(encodeURIComponent).join("/");
  return `${site}/${path}#L${line}`;
}
