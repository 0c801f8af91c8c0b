import { composeWorld } from "../../../src/app/compose.ts";
import { loadRevision } from "../../../src/app/planning/load-revision.ts";
import { readClusters } from "../../../src/app/planning/read-clusters.ts";
import { buildPlan } from "../../../src/plan/build-plan.ts";
import { silentLog } from "../../support/world.ts";
import { benchConfig } from "./bench-config.ts";

/** What to plan, as the bench tells this process. */
export interface ColdPlanOrder {
  readonly folder: string;
  readonly repositoryUrl: string;
  readonly clusters: readonly (readonly [name: string, url: string])[];
}

/** What it took, in milliseconds since the process began, and in MiB. */
export interface ColdPlanAnswer {
  readonly begunMs: number;
  readonly fetchedMs: number;
  readonly renderedMs: number;
  readonly readMs: number;
  readonly plannedMs: number;
  readonly peakRssMiB: number;
  readonly targets: number;
  readonly virdomains: number;
  readonly live: number;
  readonly operations: number;
}

const begunMs = performance.now();
const order = JSON.parse(process.argv[2] ?? "{}") as ColdPlanOrder;
const signal = AbortSignal.timeout(300_000);
const clusters = new Map(order.clusters);
const config = await benchConfig({ ...order, clusters });
await using world = composeWorld({ config, log: silentLog, version: "0.0.0-bench" });
const repository = await world.repository("fleet");
const revision = await repository.git.fetchBranch(signal);
if (revision === undefined) throw new Error("the repository is empty");
const fetchedMs = performance.now();
const { desired } = await loadRevision(world, repository, revision, signal);
const renderedMs = performance.now();
const { live, held } = await readClusters(
  { hypervisor: world.hypervisor, log: silentLog },
  [...clusters.keys()],
  signal,
);
const readMs = performance.now();
const plan = buildPlan({
  instance: config.instance,
  revision,
  baseRevision: undefined,
  desired,
  base: undefined,
  live,
  held,
  traitsOfHeld: new Map(),
  enforced: new Set(),
  scope: undefined,
  rewritten: false,
  approvals: new Set(),
  offline: false,
});
if (plan.held.length + plan.problems.length + plan.conflicts.length > 0)
  throw new Error(JSON.stringify([plan.held, plan.problems, plan.conflicts]).slice(0, 2_000));
const answer: ColdPlanAnswer = {
  begunMs,
  fetchedMs,
  renderedMs,
  readMs,
  plannedMs: performance.now(),
  peakRssMiB: process.resourceUsage().maxRSS / 1024,
  targets: desired.targets.size,
  virdomains: [...desired.targets.values()].reduce((sum, target) => sum + target.virdomains.length, 0),
  live: [...live.values()].reduce((sum, { state }) => sum + state.virdomains.length, 0),
  operations: plan.operations.length,
};
process.stdout.write(`${JSON.stringify(answer)}\n`);
