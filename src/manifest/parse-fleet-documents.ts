import {
  type ClusterGroupDocument,
  type ClusterSelector,
  type DeploymentDocument,
  type Policy,
  type Readiness,
  type Rollout,
  type SnapshotPolicy,
  type Variables,
  defaultPolicy,
  snapshotOccasions,
} from "./document.ts";
import { type DocumentContext, asList, asRecord, asText, asWord } from "./document-context.ts";
import { canonicalTemplate, holdsTemplate } from "./template.ts";
import type { Path } from "./yaml-tree.ts";

/** Always there, and never to be overridden. */
export const builtInVariables: readonly string[] = ["clusterName", "clusterId"];

const defaultReadinessTimeoutMs = 600_000;

/** A ClusterGroup document, normalised. */
export function parseClusterGroup(context: DocumentContext, value: unknown): ClusterGroupDocument {
  const spec = asRecord(asRecord(value)["spec"]);
  return {
    type: "ClusterGroup",
    position: context.positionOf([]),
    name: documentName(context, value),
    clusters: asList(spec["clusters"]).flatMap(toSelector),
    variables: parseVariables(context, ["spec", "variables"], spec["variables"]),
  };
}

function documentName(context: DocumentContext, value: unknown): string {
  return context.name(["metadata", "name"], asRecord(asRecord(value)["metadata"])["name"], { forbidden: "/" });
}

function toSelector(value: unknown): readonly ClusterSelector[] {
  if (typeof value === "string") return [{ name: value.trim() }];
  const { name, label } = asRecord(value);
  if (typeof name === "string") return [{ name: name.trim() }];
  return typeof label === "string" ? [{ label: label.trim() }] : [];
}

function parseVariables(context: DocumentContext, path: Path, value: unknown): Variables {
  const variables: Record<string, string> = {};
  for (const [name, raw] of Object.entries(asRecord(value))) {
    const text = typeof raw === "number" || typeof raw === "boolean" ? String(raw) : (asText(raw) ?? "");
    const at = [...path, name];
    if (builtInVariables.includes(name)) {
      context.report({
        code: "invalid-variable",
        path: at,
        key: true,
        message: `"${name}" is set by the cluster itself`,
        hint: "choose another name",
      });
    } else if (holdsTemplate(text)) {
      context.report({
        code: "invalid-variable",
        path: at,
        message: "a variable's value cannot hold a template",
        hint: "write the finished text",
      });
    } else variables[name] = text;
  }
  return variables;
}

/** A Deployment document, normalised. */
export function parseDeployment(context: DocumentContext, value: unknown): DeploymentDocument {
  const spec = asRecord(asRecord(value)["spec"]);
  return {
    type: "Deployment",
    position: context.positionOf([]),
    name: documentName(context, value),
    applications: names(spec["applications"]),
    clusterGroups: names(spec["clusterGroups"]),
    variables: parseVariables(context, ["spec", "variables"], spec["variables"]),
    instances: records(spec["instances"], (count) => (typeof count === "number" ? count : undefined)),
    order: names(spec["order"]),
    renamedFrom: records(spec["renamed_from"], (old) =>
      typeof old === "string" ? canonicalTemplate(old.trim()) : undefined,
    ),
    readiness: parseReadiness(context, ["spec", "readiness"], spec["readiness"]),
    rollout: parseRollout(context, ["spec", "rollout"], spec["rollout"]),
    policy: parsePolicy(context, ["spec", "policy"], spec["policy"]),
  };
}

function names(value: unknown): readonly string[] {
  return [...new Set(asList(value).flatMap((item) => canonicalTemplate(asText(item)?.trim() ?? "") || []))];
}

function records<Value>(value: unknown, read: (raw: unknown) => Value | undefined): Readonly<Record<string, Value>> {
  const result: Record<string, Value> = {};
  for (const [key, raw] of Object.entries(asRecord(value))) {
    const found = read(raw);
    if (found !== undefined && key !== "__proto__") result[canonicalTemplate(key.trim())] = found;
  }
  return result;
}

function parseReadiness(context: DocumentContext, path: Path, value: unknown): Readiness | undefined {
  if (value === undefined || value === null) return undefined;
  const readiness = asRecord(value);
  const { tcp, http } = readiness;
  return {
    guestAgent: readiness["guestAgent"] === true,
    cloudInit: readiness["cloudInit"] === true,
    tcp: typeof tcp === "number" ? tcp : undefined,
    http: asText(http),
    timeoutMs: context.duration([...path, "timeout"], readiness["timeout"]) ?? defaultReadinessTimeoutMs,
  };
}

/** Beyond this it is a mistake in the unit. */
const longestPauseMs = 30 * 24 * 3_600_000;

function parseRollout(context: DocumentContext, path: Path, value: unknown): Rollout | undefined {
  if (value === undefined || value === null) return undefined;
  const { canary, batch, pause, stopOnFailure } = asRecord(value);
  const pauseMs = context.duration([...path, "pause"], pause) ?? 0;
  if (pauseMs > longestPauseMs)
    context.report({
      code: "out-of-range",
      path: [...path, "pause"],
      message: "a rollout pauses 30 days at most",
      hint: "for longer, pause the clusters that are to wait",
    });
  return {
    canary: names(typeof canary === "string" ? [canary] : canary),
    batch: parseBatch(context, [...path, "batch"], batch),
    pauseMs: Math.min(pauseMs, longestPauseMs),
    stopOnFailure: flagOr(stopOnFailure, true),
  };
}

function parseBatch(context: DocumentContext, path: Path, value: unknown): Rollout["batch"] {
  if (typeof value === "number") return { count: value };
  const [, amount, percent] = /^(\d+)(%?)$/.exec(asText(value) ?? "") ?? [];
  if (amount === undefined) return undefined;
  if (percent !== "%") return { count: Number(amount) };
  if (Number(amount) > 100)
    context.report({ code: "out-of-range", path, message: `${amount}% is above 100%`, hint: "1% to 100%" });
  return { percent: Number(amount) };
}

function parsePolicy(context: DocumentContext, path: Path, value: unknown): Policy {
  const policy = asRecord(value);
  const budget = asRecord(policy["deletionBudget"]);
  return {
    drift: asWord(policy["drift"], ["correct", "report"], defaultPolicy.drift),
    power: asWord(policy["power"], ["enforced", "initial"], defaultPolicy.power),
    cloudInit: asWord(policy["cloudInit"], ["ignore", "rebuild", "refuse"], defaultPolicy.cloudInit),
    adopt: flagOr(policy["adopt"], defaultPolicy.adopt),
    quarantineMs: parseQuarantine(context, [...path, "quarantine"], policy["quarantine"]),
    deletionBudget: {
      count: numberOr(budget["count"], defaultPolicy.deletionBudget.count),
      percent: numberOr(budget["percent"], defaultPolicy.deletionBudget.percent),
    },
    protect: names(policy["protect"]),
    shutdownGraceMs:
      context.duration([...path, "shutdownGrace"], policy["shutdownGrace"]) ?? defaultPolicy.shutdownGraceMs,
    forceShutdown: flagOr(policy["forceShutdown"], defaultPolicy.forceShutdown),
    snapshots: parseSnapshots(context, [...path, "snapshots"], policy["snapshots"]),
  };
}

/** Beyond this it is a mistake in the unit. */
const longestQuarantineMs = 3_660 * 24 * 3_600_000;

/** `off` says the same as 0. */
function parseQuarantine(context: DocumentContext, path: Path, value: unknown): number {
  const quarantineMs = value === "off" ? 0 : (context.duration(path, value) ?? defaultPolicy.quarantineMs);
  if (quarantineMs <= longestQuarantineMs) return quarantineMs;
  context.report({
    code: "out-of-range",
    path,
    message: "a deleted VM is kept 10 years at most",
    hint: "to delete at once, write 0; to keep a VM for good, write it under protect",
  });
  return longestQuarantineMs;
}

/** What is shorter would be gone before anybody could look for it. */
const shortestKeepMs = 3_600_000;

function parseSnapshots(context: DocumentContext, path: Path, value: unknown): SnapshotPolicy {
  const { before, keep } = asRecord(value);
  const keepMs = context.duration([...path, "keep"], keep) ?? defaultPolicy.snapshots.keepMs;
  if (keepMs < shortestKeepMs)
    context.report({
      code: "out-of-range",
      path: [...path, "keep"],
      message: "a snapshot is kept at least 1h",
      hint: "to take none, write before: []",
    });
  const occasions = Array.isArray(before)
    ? snapshotOccasions.filter((occasion) => before.includes(occasion))
    : defaultPolicy.snapshots.before;
  return { before: occasions, keepMs };
}

function flagOr(value: unknown, fallback: boolean): boolean {
  return typeof value === "boolean" ? value : fallback;
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === "number" ? value : fallback;
}
