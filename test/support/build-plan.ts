import type { Problem } from "../../src/manifest/problem.ts";
import type { Change, Operation, Plan, TargetSummary } from "../../src/plan/plan.ts";

/** Plans for tests of the reports, made by hand so that a report's test fails only when the report changes. */
export function aPlan(parts: Partial<Plan> = {}): Plan {
  const operations = parts.operations ?? [];
  return {
    schemaVersion: 1,
    id: "5f1d9a0c77e34b21aa90",
    repository: "fleet",
    revision: "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
    baseRevision: "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432",
    targets: targetsOf(operations),
    operations,
    conflicts: [],
    held: [],
    problems: [],
    deletions: {
      losing: [],
      budget: 3,
      allowed: true,
      reason: undefined,
      cause: undefined,
      losses: [],
      approvalId: "",
      approved: false,
    },
    capacity: [],
    offline: false,
    ...parts,
  };
}

export function anOperation(parts: Partial<Operation> & Pick<Operation, "kind" | "virdomain">): Operation {
  const application = parts.application ?? "three-tier-webapp";
  return {
    id: `${parts.kind}-${parts.cluster ?? "store-101"}-${parts.virdomain}`,
    cluster: "store-101",
    application,
    deployment: undefined,
    identity: { repository: "fleet", application, resource: parts.virdomain, ordinal: 0 },
    virdomainId: parts.kind === "create" ? undefined : "7b1f",
    changes: [],
    notices: [],
    disruption: "live",
    adopt: false,
    step: 0,
    fingerprint: "",
    disks: [],
    ...parts,
  };
}

export function aChange(
  path: string,
  from: string | undefined,
  to: string | undefined,
  parts: Partial<Change> = {},
): Change {
  return { kind: "memory", path, from, to, disruption: "live", origin: "git", ...parts };
}

export function aProblem(file: string, line: number, message: string, parts: Partial<Problem> = {}): Problem {
  return { severity: "error", code: "unknown-key", position: { file, line, column: 9 }, path: "", message, ...parts };
}

export function aTarget(cluster: string, application: string, unchanged: number): TargetSummary {
  return { cluster, application, deployment: undefined, unchanged, operations: 0, notices: [] };
}

function targetsOf(operations: readonly Operation[]): readonly TargetSummary[] {
  const targets = new Map<string, TargetSummary>();
  for (const { cluster, application } of operations) {
    const known = targets.get(`${cluster}/${application}`) ?? aTarget(cluster, application, 1);
    targets.set(`${cluster}/${application}`, { ...known, operations: known.operations + 1 });
  }
  return [...targets.values()];
}
