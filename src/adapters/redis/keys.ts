/**
 * Names of everything in Redis. All keys of an instance share one hash tag, so that a Redis Cluster keeps them in one
 * slot and the scripts may touch several of them at once.
 */
export function instanceTag(instance: string): string {
  return `{kraken-gitops:${instance}}`;
}

export type Keys = ReturnType<typeof stateKeys>;

/** Keys of the state store; the queues live beside them under `<tag>:<queue>`. */
export function stateKeys(instance: string) {
  const prefix = `${instanceTag(instance)}:state:`;
  const key = (...parts: readonly (string | number)[]): string => prefix + parts.join(":");
  return {
    prefix,
    fence: key("fence"),
    lease: (name: string) => key("lease", name),
    branch: (repository: string) => key("branch", repository),
    unsettled: (repository: string) => key("unsettled", repository),
    applied: (repository: string) => key("applied", repository),
    history: (repository: string) => key("history", repository),
    trees: (repository: string) => key("trees", repository),
    treeOrder: (repository: string) => key("tree-order", repository),
    pullRequest: (repository: string, number: number) => key("pull-request", repository, number),
    deployLog: (syncId: string) => key("deploy-log", syncId),
    approvals: (repository: string) => key("approvals", repository),
    answered: (repository: string) => key("answered", repository),
    commentCursors: key("comment-cursors"),
    plan: (id: string) => key("plan", id),
    sync: (id: string) => key("sync", id),
    passes: (id: string) => key("passes", id),
    rounds: (id: string) => key("rounds", id),
    results: (id: string) => key("results", id),
    progress: (id: string) => key("progress", id),
    underWay: (id: string) => key("under-way", id),
    outcomes: (id: string, cluster: string) => key("outcomes", id, cluster),
    attempts: (id: string, cluster: string) => key("attempts", id, cluster),
    hold: (cluster: string, virdomain: string) => key("hold", cluster, virdomain),
    places: (cluster: string) => key("places", cluster),
    /** The scripts derive the same name: see `appendOutbox` in lua.ts. */
    outbox: (repository: string) => key("outbox", repository),
    outboxRepositories: key("outbox-repositories"),
    syncRequests: key("sync-requests"),
    /** Target keys that a sync was asked for. */
    syncTargets: (repository: string) => key("sync-targets", repository),
    /** VMs that have to be switched on again, and since when. */
    owedStarts: key("owed-starts"),
    drift: (repository: string) => key("drift", repository),
    /** When a person last asked for a sync, by repository. */
    driftRestarts: key("drift-restarts"),
    conditions: key("conditions"),
    /** How often a poll was hurried, by repository. */
    hurries: key("hurries"),
    /** The channel that tells of it. */
    hurryChannel: key("hurry"),
    webhooks: (repository: string) => key("webhooks", repository),
    deliveries: (repository: string) => key("deliveries", repository),
    pauses: key("pauses"),
    sighted: (cluster: string) => key("sighted", cluster),
    leaving: (cluster: string) => key("leaving", cluster),
  };
}
