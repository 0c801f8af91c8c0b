import type { Forge } from "../../ports/forge.ts";

/** The part of a pino logger that is used here. */
export interface ForgeLog {
  info(fields: object, message: string): void;
}

/** A repository without a forge: statuses and comments go to the log, pull requests do not exist. Remembers nothing. */
export function openNoForge(options: { readonly log: ForgeLog }): Forge {
  const { log } = options;
  return {
    kind: "none",
    limits: {
      commentChars: 60_000,
      descriptionChars: 255,
      hiddenMarker: true,
      queueBranches: undefined,
      deployments: false,
    },
    listOpenPullRequests: () => Promise.resolve([]),
    findCommitStatus: () => Promise.resolve(undefined),
    ensureCommitStatus(revision, { context, state, description, targetUrl }, signal) {
      signal.throwIfAborted();
      log.info({ revision, context, state, description, targetUrl }, "commit status");
      return Promise.resolve();
    },
    ensureComment(pullRequest, marker, markdown, signal) {
      signal.throwIfAborted();
      log.info({ pullRequest, marker, markdown }, "pull request comment");
      return Promise.resolve({ url: undefined });
    },
    findPullRequestsOf: () => Promise.resolve([]),
    listComments: () => Promise.resolve([]),
    react: () => Promise.resolve(),
    mayWrite: () => Promise.resolve(false),
    ensureDeployment: () => Promise.resolve(),
    isScarce: () => false,
    fileUrl: () => undefined,
    check: () => Promise.resolve({ login: undefined, findings: [] }),
  };
}
