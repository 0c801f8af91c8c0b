import type { DeployLogInput } from "../../src/report/deploy-log.ts";
import { type PlanCommentInput, planMarker } from "../../src/report/markdown.ts";
import type { Operation, Plan } from "../../src/plan/plan.ts";
import { aChange, anOperation, aPlan, aProblem, aTarget } from "../support/build-plan.ts";

const GB = 1_000_000_000;
const snapshot = { keepMs: 7 * 86_400_000 };

export interface Example {
  readonly name: string;
  /** Heading and sentence in docs/plan-comment.md. */
  readonly title: string;
  readonly about: string;
  readonly plan: Plan;
  readonly extras?: Partial<PlanCommentInput>;
}

export function commentInput(plan: Plan, extras: Partial<PlanCommentInput> = {}): PlanCommentInput {
  return {
    plan,
    marker: planMarker("edge", "fleet"),
    instance: "edge",
    repository: "fleet",
    head: "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
    base: "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432",
    baseBranch: "main",
    pullRequest: { number: 7, fork: false, draft: false },
    linkToFile: (file, line) => `https://github.example/acme/fleet/blob/a1b2c3d/${file}#L${line}`,
    nowMs: Date.UTC(2026, 10, 22, 9, 30),
    version: "0.1.0",
    fullPlan: "kraken-gitops plan --revision a1b2c3d",
    limitChars: 60_000,
    ...extras,
  };
}

export const examples: readonly Example[] = [
  {
    name: "first-deployment",
    title: "A first deployment",
    about: "Nothing is lost and nothing is interrupted: the verdict is calm, the VMs are listed with their disks.",
    plan: aPlan({ baseRevision: undefined, operations: firstDeployment() }),
  },
  {
    name: "resize-on-many-clusters",
    title: "One change on a hundred clusters",
    about:
      "Clusters on which the same happens are put together; the ones that differ stand out. Drift is told apart from what the pull request changes.",
    plan: aPlan({ operations: resizeEverywhere(), held: [heldCluster("store-142")] }),
  },
  {
    name: "rollout",
    title: "A rollout in stages",
    about: "Where a Deployment has a rollout, the comment says who is changed when.",
    plan: aPlan({
      operations: resizeEverywhere().filter(({ cluster }) => cluster < "store-110"),
      rollouts: [
        {
          deployments: ["shops"],
          pauseMs: 600_000,
          stopOnFailure: true,
          stages: [
            { canary: true, clusters: ["store-101"] },
            { canary: false, clusters: ["store-102", "store-103", "store-104"] },
            { canary: false, clusters: ["store-105", "store-106", "store-107"] },
            { canary: false, clusters: ["store-108", "store-109"] },
          ],
        },
      ],
    }),
  },
  {
    name: "deletions-over-budget",
    title: "Deletions over the budget",
    about: "What loses data comes first, with VM, cluster and size, and the comment says how to approve exactly that.",
    plan: deletionsOverBudget(),
  },
  {
    name: "approved-losses",
    title: "Losses that were approved",
    about:
      "The comment says who approved them, and when. Once something else would be lost, it says that this no longer holds.",
    plan: approvedLosses(),
    extras: {
      approval: { by: "ada", atMs: Date.UTC(2026, 10, 22, 9, 12), planId: "0c4be71d9a52", place: "pull request 7" },
    },
  },
  {
    name: "quarantine",
    title: "A VM that goes, and one that comes back",
    about:
      "A deleted VM is kept with its disks for a time, and a revert brings one back that an earlier commit took away.",
    plan: aPlan({ operations: thereAndBack() }),
    extras: {
      returnsTo: { revision: "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432", syncedAtMs: Date.UTC(2026, 10, 20, 8) },
    },
  },
  {
    name: "rebuild",
    title: "A VM that is rebuilt, and one that was",
    about:
      "The old VM of a rebuild is kept like a deleted one. Where a revert asks for the VM it was before, that one takes its place again.",
    plan: aPlan({ operations: rebuilt() }),
  },
  {
    name: "problems",
    title: "A manifest with problems",
    about: "Every problem links to its line. Applications without problems are still planned.",
    plan: aPlan({
      targets: [aTarget("store-101", "three-tier-webapp", 4)],
      problems: [
        aProblem("manifests/web.yaml", 12, 'unknown key "memroy"', {
          path: "spec.resources[0].spec.memroy",
          hint: "did you mean memory?",
          application: "microservices-stack",
        }),
        aProblem("manifests/web.yaml", 31, 'unit "Gb" means bits', {
          path: "spec.resources[1].spec.storage_devices[0].capacity",
          hint: "did you mean 50 GB (10^9) or 50 GiB (2^30)?",
        }),
        aProblem("manifests/db.yaml", 4, "label is not used by any deployment", { severity: "warning" }),
      ],
    }),
  },
  {
    name: "rollback",
    title: "A revert",
    about: "A revert is recognised, and says what comes back empty and what no revert brings back.",
    plan: rollback(),
    extras: {
      returnsTo: {
        revision: "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432",
        syncedAtMs: Date.UTC(2026, 10, 20, 8, 0),
      },
    },
  },
  {
    name: "fork",
    title: "A pull request from a fork",
    about: "Only git against git: no cluster is asked on behalf of somebody who may not write here.",
    plan: aPlan({ offline: true, operations: firstDeployment().slice(0, 2) }),
    extras: { pullRequest: { number: 8, fork: true, draft: true } },
  },
  {
    name: "merge-conflict",
    title: "A conflict with the base",
    about: "Nothing can be planned for a merge that git cannot make.",
    plan: aPlan(),
    extras: { conflictFiles: ["manifests/three-tier-webapp.yaml"] },
  },
  {
    name: "no-changes",
    title: "Nothing to do",
    about: "A pull request that touches no VM says so, and its required check passes.",
    plan: aPlan({
      targets: [aTarget("store-101", "three-tier-webapp", 4), aTarget("store-102", "three-tier-webapp", 4)],
    }),
  },
];

function firstDeployment(): readonly Operation[] {
  const names = ["db-primary", "app-1", "app-2", "web-lb"];
  return names.map((virdomain, index) =>
    anOperation({
      kind: "create",
      virdomain,
      step: Math.min(index, 2),
      disks: [
        { name: "root", capacityBytes: 50 * GB },
        ...(index === 0 ? [{ name: "db-data", capacityBytes: 500 * GB }] : []),
      ],
    }),
  );
}

function resizeEverywhere(): readonly Operation[] {
  const clusters = Array.from({ length: 100 }, (_, index) => `store-${101 + index}`);
  return clusters.flatMap((cluster, index) => [
    anOperation({
      kind: "update",
      cluster,
      virdomain: `app-${cluster}`,
      identity: {
        repository: "fleet",
        application: "three-tier-webapp",
        resource: "app-{{ clusterName }}",
        ordinal: 0,
      },
      disruption: "reboot",
      snapshot,
      changes: [
        aChange("memory", "4 GiB", "8 GiB", { disruption: "reboot" }),
        ...(index === 6 ? [aChange("cpu", "6", "4", { kind: "cpu", disruption: "reboot", origin: "drift" })] : []),
      ],
    }),
    ...(index === 20 || index === 21
      ? [
          anOperation({
            kind: "create",
            cluster,
            virdomain: "web-lb",
            disks: [{ name: "root", capacityBytes: 20 * GB }],
          }),
        ]
      : []),
  ]);
}

function heldCluster(cluster: string): Plan["held"][number] {
  return { cluster, code: "cluster-updating", reason: "the cluster is updating to 9.7.2" };
}

function approvedLosses(): Plan {
  const plan = deletionsOverBudget();
  const operations = plan.operations.filter(({ kind }) => kind === "delete");
  return {
    ...plan,
    operations,
    conflicts: [],
    deletions: { ...plan.deletions, allowed: true, approved: true, reason: undefined, cause: undefined },
  };
}

function deletionsOverBudget(): Plan {
  const operations = [
    ...["web-03", "web-04", "web-05", "web-06"].map((virdomain) =>
      anOperation({
        kind: "delete",
        virdomain,
        cluster: "store-107",
        disruption: "data-loss",
        disks: [
          { name: "root", capacityBytes: 40 * GB },
          { name: "cache", capacityBytes: 100 * GB },
        ],
      }),
    ),
    anOperation({
      kind: "update",
      virdomain: "db-primary",
      cluster: "store-107",
      disruption: "data-loss",
      snapshot,
      changes: [
        aChange("storage_devices.db-archive", "1 TB", undefined, {
          kind: "disk-remove",
          disruption: "data-loss",
          lostBytes: 1_000 * GB,
        }),
        aChange("tags", "tier:database", "tier:database, backup:off", { kind: "tags" }),
      ],
    }),
    anOperation({
      kind: "replace",
      virdomain: "win-dc",
      cluster: "store-107",
      application: "mixed-os-environment",
      disruption: "data-loss",
      snapshot,
      changes: [aChange("machine_type", "bios", "uefi", { kind: "machine-type", disruption: "rebuild" })],
      disks: [{ name: "system", capacityBytes: 120 * GB }],
    }),
  ];
  return aPlan({
    operations,
    conflicts: [
      {
        code: "name-taken",
        cluster: "store-107",
        application: "mixed-os-environment",
        virdomain: "print-server",
        message: "a VM of this name exists and is not managed; adopt it or rename one of the two",
      },
    ],
    deletions: {
      losing: operations.map(({ cluster, virdomain }) => `${cluster}/${virdomain}`),
      budget: 3,
      allowed: false,
      reason: "6 VMs would lose data, the budget is 3",
      cause: "budget",
      losses: [],
      approvalId: "ab12cd34ef56",
      approved: false,
    },
  });
}

function rebuilt(): readonly Operation[] {
  const disks = [{ name: "system", capacityBytes: 120 * GB }];
  const quarantine = { keepMs: 7 * 86_400_000 };
  const atMs = Date.UTC(2026, 10, 21, 8);
  const note = { atMs, untilMs: atMs + quarantine.keepMs, revision: "0c4be71d9a52", name: "win-file" };
  const rebuild = (from: string, to: string) =>
    aChange("machine_type", from, to, { kind: "machine-type", disruption: "rebuild" });
  const common = { kind: "replace", application: "mixed-os-environment", disruption: "data-loss", quarantine } as const;
  return [
    anOperation({ ...common, virdomain: "win-dc", changes: [rebuild("bios", "uefi")], disks }),
    anOperation({
      ...common,
      virdomain: "win-file",
      changes: [rebuild("tpm", "uefi"), aChange("memory", "4 GiB", "8 GiB", { disruption: "reboot" })],
      disks,
      successor: { virdomainId: "5c1f", note, disks: [...disks, { name: "share", capacityBytes: 2_000 * GB }] },
    }),
  ];
}

function rollback(): Plan {
  return aPlan({
    operations: [
      anOperation({
        kind: "update",
        virdomain: "app-1",
        disruption: "reboot",
        snapshot,
        changes: [aChange("memory", "8 GiB", "4 GiB", { disruption: "reboot" })],
        notices: [
          {
            code: "disk-not-shrunk",
            path: "storage_devices.root.capacity",
            message: "disk root has 80 GB and stays so: disks cannot shrink",
          },
        ],
      }),
      anOperation({ kind: "create", virdomain: "web-03", disks: [{ name: "root", capacityBytes: 40 * GB }] }),
    ],
  });
}

const second = { done: 2, total: 2, detail: "" };
const log: DeployLogInput = {
  marker: planMarker("edge", "fleet"),
  instance: "edge",
  repository: "fleet",
  branch: "main",
  merged: "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
  revision: "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
  verdict: undefined,
  startedAtMs: Date.UTC(2026, 10, 22, 9, 31),
  clusters: [],
  operations: [],
  version: "0.1.0",
  limitChars: 60_000,
};

/** What the comment becomes after the merge. */
export const deployLogs: readonly {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly input: DeployLogInput;
}[] = [
  {
    name: "deploying",
    title: "After the merge: under way",
    about: "The comment becomes the log of the deployment. Clusters that stand alike are put together.",
    input: {
      ...log,
      clusters: [
        ...["store-101", "store-102", "store-103"].map((cluster) => ({ cluster, state: "synced" as const, ...second })),
        { cluster: "store-104", state: "syncing", done: 1, total: 2, detail: "" },
        { cluster: "store-105", state: "held", done: 0, total: 0, detail: "store-105 does not answer" },
      ],
    },
  },
  {
    name: "deployed-with-failures",
    title: "After the merge: one VM failed",
    about: "The verdict of the commit, and what failed first.",
    input: {
      ...log,
      verdict: {
        state: "error",
        description: "Failed: 1 of 4 (web-02 on store-102: out of memory)",
        finishedAtMs: log.startedAtMs + 192_000,
      },
      clusters: [
        { cluster: "store-101", state: "synced", ...second },
        { cluster: "store-102", state: "failed", done: 1, total: 2, detail: "web-02: out of memory" },
      ],
      operations: [
        { kind: "create", cluster: "store-101", virdomain: "web-01", outcome: "done" },
        { kind: "update", cluster: "store-101", virdomain: "web-02", outcome: "done", snapshot: "5c1f" },
        { kind: "create", cluster: "store-102", virdomain: "web-01", outcome: "done" },
        { kind: "update", cluster: "store-102", virdomain: "web-02", outcome: "failed", message: "out of memory" },
      ],
    },
  },
  {
    name: "rollout-stopped",
    title: "After the merge: the rollout stopped at its canary",
    about: "Clusters that were not started are as they were, and the next commit takes them up.",
    input: {
      ...log,
      verdict: {
        state: "error",
        description: "Failed: store-101 (web-02: out of memory); rollout stopped, 3 of 4 clusters not started",
        finishedAtMs: log.startedAtMs + 45_000,
      },
      clusters: [
        { cluster: "store-101", state: "failed", done: 0, total: 1, detail: "web-02: out of memory" },
        ...["store-102", "store-103", "store-104"].map((cluster) => ({
          cluster,
          state: "not-started" as const,
          done: 0,
          total: 0,
          detail: "the rollout stopped at store-101",
        })),
      ],
      operations: [
        { kind: "update", cluster: "store-101", virdomain: "web-02", outcome: "failed", message: "out of memory" },
      ],
    },
  },
];
function thereAndBack(): Plan["operations"] {
  const disks = [
    { name: "root", capacityBytes: 40 * GB },
    { name: "data", capacityBytes: 100 * GB },
  ];
  const fromDb = {
    atMs: Date.UTC(2026, 10, 21, 8),
    untilMs: Date.UTC(2026, 10, 28, 8),
    revision: "5c4b3a2f1e0d",
    name: "db-primary",
  };
  return [
    anOperation({
      kind: "restore",
      virdomain: "db-primary",
      changes: [aChange("cpu", "4", "8", { kind: "cpu" })],
      disks,
      restores: fromDb,
    }),
    anOperation({
      kind: "quarantine",
      virdomain: "web-04",
      disruption: "data-loss",
      disks,
      quarantine: { keepMs: 7 * 86_400_000 },
    }),
  ];
}
