import { cutDescription, describeSuperseded } from "../../report/status-text.ts";
import type { SyncRecord, SyncVerdict } from "../../sync/sync-record.ts";
import type { CommitState, ForgeDeployment } from "../../ports/forge.ts";
import type { OutboxEntry } from "../../ports/state-store.ts";

/** Where statuses go and under which name. */
export interface StatusPlace {
  readonly repository: string;
  /** `kraken-gitops` unless configured. */
  readonly prefix: string;
  readonly context: "plan" | "sync" | "drift";
}

/** One status of one commit for the outbox. The forge's adapter cuts to its own limit; this cut keeps Redis small. */
export function statusEntry(
  place: StatusPlace,
  revision: string,
  weight: OutboxEntry["weight"],
  state: CommitState,
  description: string,
  where: { readonly url?: string; readonly branch?: string } = {},
): OutboxEntry {
  const context = `${place.prefix}/${place.context}`;
  return {
    repository: place.repository,
    key: `status/${revision}/${context}`,
    weight,
    message: {
      kind: "status",
      revision,
      status: {
        context,
        state,
        description: cutDescription(description, 255),
        targetUrl: where.url,
        branch: where.branch,
      },
    },
  };
}

/** How the deployment of a commit stands, for forges that keep a list of them. */
export function deploymentEntry(
  repository: string,
  deployment: ForgeDeployment,
  weight: OutboxEntry["weight"],
): OutboxEntry {
  return { repository, key: `deployment/${deployment.revision}`, weight, message: { kind: "deployment", deployment } };
}

/** What the comment with this marker on a pull request is to say from now on. */
export function commentEntry(
  repository: string,
  pullRequest: number,
  weight: OutboxEntry["weight"],
  marker: string,
  markdown: string,
): OutboxEntry {
  const key = `comment/${pullRequest}`;
  return { repository, key, weight, message: { kind: "comment", pullRequest, marker, markdown } };
}

/** Every commit a finished sync answers for gets its final status: its own the verdict, the others by whom they were superseded. */
export function finalEntries(
  place: StatusPlace,
  record: SyncRecord,
  commits: readonly string[],
  verdict: SyncVerdict,
): OutboxEntry[] {
  return commits.map((commit) => {
    const description =
      commit === record.revision ? verdict.description : describeSuperseded(record.revision, verdict.state);
    return statusEntry(place, commit, "final", verdict.state, description);
  });
}

/** Said at once to commits that a newer one overtook; their final status comes with its verdict. */
export function supersededEntries(place: StatusPlace, commits: readonly string[], by: string): OutboxEntry[] {
  return commits
    .filter((commit) => commit !== by)
    .map((commit) => statusEntry(place, commit, "first", "pending", describeSuperseded(by)));
}
