import type { Forge } from "../../ports/forge.ts";
import { createForgeHttp } from "./forge-http.ts";
import { checkGitlab } from "./gitlab-check.ts";
import { awardEmoji, listNotes, mayWriteProject } from "./gitlab-conversation.ts";
import { ensureGitlabDeployment } from "./gitlab-deployments.ts";
import { createNoteDesk, noteUrl } from "./gitlab-notes.ts";
import { createProjectPlace } from "./gitlab-project.ts";
import { findMergeRequestsOf, listOpenMergeRequests } from "./gitlab-requests.ts";
import { descriptionChars, ensureGitlabStatus, findGitlabStatus } from "./gitlab-statuses.ts";
import type { RequestUsage } from "./request-usage.ts";
import { createEnsureSticky } from "./sticky-comment.ts";

export interface GitlabOptions {
  /** `https://HOST/api/v4`, with the path of the installation before `/api` where it has one. */
  readonly apiUrl: string;
  /** Full path with all groups, such as `acme/infra/fleet`. */
  readonly project: string;
  /** Asked for every request: project, group or personal access token. */
  readonly token: () => Promise<string>;
  /** Told once an hour what the token was used for, by all repositories that share it. */
  readonly onUsage?: ((usage: RequestUsage) => void) | undefined;
  readonly caFile?: string | undefined;
  readonly proxy?: string | undefined;
  readonly userAgent?: string;
  /** For one request with its body; 30 s unless given. */
  readonly timeoutMs?: number;
}

/** gitlab.com and self-managed GitLab. docs/forges.md has rights and behaviour. */
export function openGitlab(options: GitlabOptions): Forge {
  const apiUrl = options.apiUrl.replace(/\/+$/, "");
  const http = createForgeHttp({
    forge: "GitLab",
    apiUrl,
    token: options.token,
    onUsage: options.onUsage,
    // Its own header: proxies with a login of their own use up `Authorization`.
    credential: { header: "private-token", prefix: "" },
    caFile: options.caFile,
    proxy: options.proxy,
    timeoutMs: options.timeoutMs ?? 30_000,
    headers: { accept: "application/json", "user-agent": options.userAgent ?? "kraken-gitops" },
  });
  const place = createProjectPlace(http, apiUrl, options.project);
  const ensureNote = createEnsureSticky(createNoteDesk(http, apiUrl, place));
  return {
    kind: "gitlab",
    // A note may have 1,000,000, but nobody reads that; the page of a merge request gets slow long before.
    limits: {
      commentChars: 100_000,
      descriptionChars,
      hiddenMarker: true,
      queueBranches: undefined,
      deployments: true,
    },
    listOpenPullRequests: (baseBranch, signal) => listOpenMergeRequests(http, place, baseBranch, signal),
    ensureCommitStatus: (revision, status, signal) => ensureGitlabStatus(http, place, revision, status, signal),
    findCommitStatus: (revision, context, signal) => findGitlabStatus(http, place, revision, context, signal),
    ensureComment: async (request, marker, markdown, signal) => {
      const { id } = await ensureNote(request, marker, markdown, signal);
      return { url: noteUrl(place, request, id) };
    },
    findPullRequestsOf: (revision, signal) => findMergeRequestsOf(http, place, revision, signal),
    listComments: (sinceMs, signal) => listNotes(http, apiUrl, place, sinceMs, signal),
    react: (comment, reaction, signal) => awardEmoji(place, comment, reaction, signal),
    mayWrite: (author, signal) => mayWriteProject(http, apiUrl, place, author, signal),
    ensureDeployment: (deployment, signal) => ensureGitlabDeployment(http, place, deployment, signal),
    isScarce: () => http.isScarce(),
    fileUrl: (revision, file, line) =>
      place.page(`/-/blob/${[revision, ...file.split("/")].map(encodeURIComponent).join("/")}#L${line}`),
    check: (signal) => checkGitlab(http, apiUrl, place, signal),
  };
}
