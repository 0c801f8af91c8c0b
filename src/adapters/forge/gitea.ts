import type { Forge } from "../../ports/forge.ts";
import { createForgeHttp } from "./forge-http.ts";
import { checkGitea, type GiteaFlavour } from "./gitea-check.ts";
import { listGiteaComments, mayWriteOnGitea } from "./gitea-commands.ts";
import { createGiteaLogin } from "./gitea-login.ts";
import { findGiteaPullsOf, listOpenGiteaPulls } from "./gitea-pulls.ts";
import { descriptionChars, ensureGiteaStatus, findGiteaStatus } from "./gitea-statuses.ts";
import { react } from "./github-commands.ts";
import { createEnsureComment } from "./github-comments.ts";
import { createRepositoryPlace } from "./repository-place.ts";

export interface GiteaOptions {
  readonly flavour: GiteaFlavour;
  /** `https://HOST/api/v1`, with the path of the installation before `/api` where it has one. */
  readonly apiUrl: string;
  readonly owner: string;
  readonly repository: string;
  /** Asked for every request: an access token of the account that comments. */
  readonly token: () => Promise<string>;
  readonly caFile?: string | undefined;
  readonly proxy?: string | undefined;
  readonly userAgent?: string;
  /** For one request with its body; 30 s unless given. */
  readonly timeoutMs?: number;
}

const names = { gitea: "Gitea", forgejo: "Forgejo" } as const;

/** Gitea and Forgejo, which answer alike. docs/forges.md has rights and behaviour. */
export function openGitea(options: GiteaOptions): Forge {
  const apiUrl = options.apiUrl.replace(/\/+$/, "");
  const site = apiUrl.replace(/\/api\/v1$/, "");
  const http = createForgeHttp({
    forge: names[options.flavour],
    apiUrl,
    token: options.token,
    credential: { header: "authorization", prefix: "token " },
    caFile: options.caFile,
    proxy: options.proxy,
    timeoutMs: options.timeoutMs ?? 30_000,
    headers: { accept: "application/json", "user-agent": options.userAgent ?? "kraken-gitops" },
  });
  const place = createRepositoryPlace(http, apiUrl, options);
  const own = createGiteaLogin(http, apiUrl);
  return {
    kind: options.flavour,
    // Only the size of a request limits a comment; longer ones nobody reads.
    limits: {
      commentChars: 60_000,
      descriptionChars,
      hiddenMarker: true,
      queueBranches: undefined,
      deployments: false,
    },
    listOpenPullRequests: (baseBranch, signal) => listOpenGiteaPulls(http, place, baseBranch, signal),
    ensureCommitStatus: (revision, status, signal) => ensureGiteaStatus(http, place, revision, status, signal),
    findCommitStatus: (revision, context, signal) => findGiteaStatus(http, place, revision, context, signal),
    ensureComment: createEnsureComment(http, place, own),
    findPullRequestsOf: (revision, signal) => findGiteaPullsOf(http, place, revision, signal),
    listComments: (sinceMs, signal) => listGiteaComments(http, place, own, sinceMs, signal),
    react: (comment, reaction, signal) => react(place, comment, reaction, signal),
    mayWrite: (author, signal) => mayWriteOnGitea(http, place, author, signal),
    ensureDeployment: () => Promise.resolve(),
    fileUrl(revision, file, line) {
      const path = [options.owner, options.repository, "src", "commit", revision, ...file.split("/")];
      return `${site}/${path.map(encodeURIComponent).join("/")}#L${line}`;
    },
    isScarce: () => http.isScarce(),
    check: (signal) => checkGitea(http, apiUrl, place, options.flavour, signal),
  };
}
