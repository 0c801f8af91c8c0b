import type { Operation } from "../plan/plan.ts";
import { describeOpening, isOpen, nextChange, type SyncWindow } from "./windows.ts";

/** What a pause holds. `virdomain` is a VM's name on a cluster. */
export type PauseScope =
  | { readonly kind: "instance" }
  | { readonly kind: "repository"; readonly repository: string }
  | { readonly kind: "cluster"; readonly cluster: string }
  | { readonly kind: "application"; readonly application: string }
  | { readonly kind: "virdomain"; readonly cluster: string; readonly virdomain: string };

export interface Pause {
  readonly scope: PauseScope;
  readonly reason: string;
  readonly by: string;
  readonly atMs: number;
  /** Ends by itself then; undefined: when somebody resumes. */
  readonly untilMs: number | undefined;
}

/** Everything that can hold a sync although nothing is wrong. */
export interface HoldRules {
  readonly pauses: readonly Pause[];
  readonly repositoryWindows: readonly SyncWindow[];
  readonly clusterWindows: readonly SyncWindow[];
}

/** Why nothing may be begun now, as a whole phrase for statuses. */
export interface Hold {
  readonly code: "paused" | "window-closed";
  readonly reason: string;
  /** When it ends by itself, as far as known. */
  readonly untilMs: number | undefined;
}

interface Place {
  readonly repository: string;
  readonly cluster: string;
}

const breadth = ["instance", "repository", "cluster", "application", "virdomain"] as const;

/** What holds a whole cluster for a repository: the broadest pause, else a closed window. */
export function holdOnCluster(rules: HoldRules, place: Place, nowMs: number): Hold | undefined {
  const pause = broadest(rules.pauses, nowMs, ({ scope }) => coversCluster(scope, place));
  if (pause !== undefined) return toHold(pause);
  if (!isOpen(rules.repositoryWindows, nowMs)) return closed("sync window", rules.repositoryWindows, nowMs);
  if (!isOpen(rules.clusterWindows, nowMs)) return closed(`${place.cluster}: sync window`, rules.clusterWindows, nowMs);
  return undefined;
}

/** What holds one operation: what holds its cluster, or a pause of its application or VM. */
export function holdOnOperation(
  rules: HoldRules,
  repository: string,
  operation: Pick<Operation, "cluster" | "application" | "virdomain">,
  nowMs: number,
): Hold | undefined {
  const onCluster = holdOnCluster(rules, { repository, cluster: operation.cluster }, nowMs);
  if (onCluster !== undefined) return onCluster;
  const pause = broadest(rules.pauses, nowMs, ({ scope }) => coversOperation(scope, operation));
  return pause && toHold(pause);
}

/** A pass held by people or the clock goes on where it was; one held by trouble is planned anew. */
export function isWilful(held: { readonly code: string } | undefined): boolean {
  return held?.code === "paused" || held?.code === "window-closed";
}

function isOver({ untilMs }: Pause, nowMs: number): boolean {
  return untilMs !== undefined && untilMs <= nowMs;
}

function broadest(pauses: readonly Pause[], nowMs: number, covers: (pause: Pause) => boolean): Pause | undefined {
  const found = pauses.filter((pause) => !isOver(pause, nowMs) && covers(pause));
  return found.toSorted((a, b) => breadth.indexOf(a.scope.kind) - breadth.indexOf(b.scope.kind))[0];
}

function coversCluster(scope: PauseScope, { repository, cluster }: Place): boolean {
  if (scope.kind === "repository") return scope.repository === repository;
  if (scope.kind === "cluster") return scope.cluster === cluster;
  return scope.kind === "instance";
}

function coversOperation(
  scope: PauseScope,
  { cluster, application, virdomain }: Pick<Operation, "cluster" | "application" | "virdomain">,
): boolean {
  if (scope.kind === "application") return scope.application === application;
  return scope.kind === "virdomain" && scope.cluster === cluster && scope.virdomain === virdomain;
}

function toHold(pause: Pause): Hold {
  return { code: "paused", reason: describePause(pause), untilMs: pause.untilMs };
}

function closed(what: string, windows: readonly SyncWindow[], nowMs: number): Hold {
  return {
    code: "window-closed",
    reason: `${what} ${describeOpening(windows, nowMs)}`,
    untilMs: nextChange(windows, nowMs),
  };
}

/** `north paused by ada until 2026-11-28 18:00 UTC: moving racks`; a repository's own pause needs no name on its commits. */
export function describePause({ scope, by, untilMs, reason }: Pause): string {
  const name = describeScope(scope);
  const until = untilMs === undefined ? "" : ` until ${describeTime(untilMs)}`;
  const why = reason === "" ? "" : `: ${reason}`;
  const own = scope.kind === "instance" || scope.kind === "repository";
  return `${own ? "" : `${name} `}paused by ${by}${until}${why}`;
}

export function describeScope(scope: PauseScope): string {
  switch (scope.kind) {
    case "instance":
      return "everything";
    case "repository":
      return `repository ${scope.repository}`;
    case "cluster":
      return scope.cluster;
    case "application":
      return `application ${scope.application}`;
    case "virdomain":
      return `${scope.virdomain} on ${scope.cluster}`;
    default:
      return scope satisfies never;
  }
}

/** `2026-11-28 18:00 UTC`. */
export function describeTime(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
