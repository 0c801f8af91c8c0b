import { lookUpRepository, type RepositoryStatus } from "../app/inspect/look-up.ts";
import type { GivenApproval } from "../plan/given-approval.ts";
import { relativeTime, shortRevision } from "../report/format.ts";
import { renderStatusTable } from "../report/table.ts";
import { describeScope, describeTime, type Pause } from "../sync/pauses.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { print, printJson } from "./output.ts";
import type { GlobalOptions } from "./settings.ts";
import { repositoryNames, withEngine } from "./with-engine.ts";

/** What each repository is doing. Exit code 2 while a sync is under way, 1 when the last one failed or the remote has trouble. */
export function statusCommand(repository: string | undefined, options: GlobalOptions): Promise<ExitCode> {
  return withEngine(options, async (engine, config) => {
    const found = await Promise.all(repositoryNames(config, repository).map((name) => lookUpRepository(engine, name)));
    const queues = await engine.queue.counts();
    const nowMs = engine.clock.now();
    const pauses = await engine.store.listPauses(nowMs);
    if (options.json === true)
      printJson({ schemaVersion: 1, instance: config.instance, repositories: found, queues, pauses });
    else {
      for (const pause of pauses) print(describePauseLine(pause, nowMs));
      for (const status of found) print(describe(status, nowMs));
    }
    return worst(found);
  });
}

/** `PAUSED north until 2026-11-28 18:00 UTC by ada (5m ago): moving racks`. */
function describePauseLine({ scope, by, untilMs, atMs, reason }: Pause, nowMs: number): string {
  const until = untilMs === undefined ? "" : ` until ${describeTime(untilMs)}`;
  return `PAUSED ${describeScope(scope)}${until} by ${by} (${relativeTime(atMs, nowMs)})${reason === "" ? "" : `: ${reason}`}`;
}

function worst(found: readonly RepositoryStatus[]): ExitCode {
  const troubled = found.some(
    ({ condition, sync }) =>
      condition?.ok === false || (sync?.state.kind === "finished" && sync.state.verdict.state !== "success"),
  );
  if (troubled) return exitCodes.error;
  return found.some(({ sync }) => sync?.state.kind === "running") ? exitCodes.changes : exitCodes.ok;
}

function describe(status: RepositoryStatus, nowMs: number): string {
  const { repository, branch, condition, sync } = status;
  const lines = [
    `Repository ${repository}`,
    `  remote     ${condition === undefined ? "not looked at yet" : `${condition.ok ? "" : "TROUBLE: "}${condition.message} (${relativeTime(condition.atMs, nowMs)})`}`,
    `  observed   ${short(branch.observed)}`,
    `  synced     ${short(branch.synced)}`,
    `  sync       ${describeSync(sync, nowMs)}`,
    ...describeApproval(sync?.record.approval, nowMs),
    ...(status.waitingMessages > 0 ? [`  outbox     ${status.waitingMessages} messages wait for the forge`] : []),
    ...describeWebhooks(status.webhooks, nowMs),
  ];
  if (status.clusters.length === 0) return lines.join("\n");
  const columns = [
    { title: "CLUSTER" },
    { title: "STATE" },
    { title: "DONE", align: "right" as const },
    { title: "DETAIL" },
  ];
  const rows = status.clusters.map(({ cluster, state, done, total, detail }) => [
    cluster,
    state,
    `${done}/${total}`,
    detail,
  ]);
  const progress = status.progress.map(
    ({ cluster, virdomain, text, atMs }) => `  ${virdomain} on ${cluster}: ${text} (${relativeTime(atMs, nowMs)})`,
  );
  const doing = progress.length === 0 ? [] : ["", "Now:", ...progress.sort()];
  return [...lines, "", renderStatusTable(columns, rows), ...doing].join("\n");
}

/** Nothing where there never was one. */
function describeWebhooks(webhooks: RepositoryStatus["webhooks"], nowMs: number): string[] {
  const { received, ignored, missed, lastAtMs } = webhooks;
  if (received + ignored + missed === 0) return [];
  const last = lastAtMs === undefined ? "" : `, the last one ${relativeTime(lastAtMs, nowMs)}`;
  return [`  webhooks   ${received} received${last}; ${ignored} ignored, ${missed} missed`];
}

function describeSync(sync: RepositoryStatus["sync"], nowMs: number): string {
  if (sync === undefined) return "none yet";
  const { record, state } = sync;
  const what = `${short(record.revision)} "${record.subject}"`;
  if (state.kind === "running") return `${what} is being synced, begun ${relativeTime(record.startedAtMs, nowMs)}`;
  if (state.kind === "superseded") return `${what} was superseded by ${short(state.by)}`;
  return `${what} ${state.verdict.state}, ${relativeTime(state.atMs, nowMs)}: ${state.verdict.description}`;
}

function describeApproval(approval: GivenApproval | undefined, nowMs: number): readonly string[] {
  if (approval === undefined) return [];
  return [`  approved   losses by ${approval.by} in ${approval.place} (${relativeTime(approval.atMs, nowMs)})`];
}

function short(revision: string | undefined): string {
  return revision === undefined ? "-" : shortRevision(revision);
}
