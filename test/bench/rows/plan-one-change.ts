import { join } from "node:path";
import { composeEngine, type OpenEngine } from "../../../src/app/compose.ts";
import { loadRevision } from "../../../src/app/planning/load-revision.ts";
import type { AcceptedRevision } from "../../../src/app/signatures/signature-gate.ts";
import { startSync } from "../../../src/app/sync/start-sync.ts";
import type { DesiredState } from "../../../src/fleet/desired-state.ts";
import { temporaryFolder, TestRepository } from "../../support/git-repository.ts";
import { silentLog } from "../../support/world.ts";
import { type BenchRow, count, type Measurement, percentile, repeat, spread } from "../bench-row.ts";
import { benchConfig } from "../support/bench-config.ts";
import { startFarm } from "../support/farm.ts";
import { type Fleet, makeFleet } from "../support/fleet-files.ts";
import { pretendApplied } from "../support/pretend-applied.ts";
import { createSeeder } from "../support/seeded-clusters.ts";

const sizes = [100, 1_000, 10_000] as const;
const times = 9;

/** Planning one changed file. */
export const planOneChange: BenchRow = {
  name: "plan-one-change",
  measures:
    "From a fetched commit that changes one file to a stored plan and a begun sync: file list, parsing, rendering, what was " +
    "applied before (from Redis), one list call to the one cluster concerned, plan, record. Ten applications (40 VMs) on " +
    "each cluster; the commit before was loaded before.",
  async run() {
    const measurements: Measurement[] = [];
    for (const size of sizes) measurements.push(await measure(size));
    return measurements;
  },
};

async function measure(size: number): Promise<Measurement> {
  await using folder = await temporaryFolder("kraken-bench-");
  const fleet = await makeFleet(size, size / 10);
  const repository = await TestRepository.create(join(folder.path, "fleet.git"));
  const first = await repository.commit(fleet.files);
  const [cluster = ""] = fleet.clusters.slice(-1);
  const seeder = await createSeeder(folder.path);
  const { file } = await seeder.write(fleet, cluster);
  await using farm = await startFarm({ clusters: [{ stateFile: file }] });
  const url = farm.urls[0] ?? "";
  const clusters = new Map(fleet.clusters.map((name) => [name, url]));
  const config = await benchConfig({ folder: folder.path, repositoryUrl: repository.path, clusters });
  await using engine = await composeEngine({ config, log: silentLog, version: "0.0.0-bench" });
  const desired = await loadFirst(engine, first);
  await pretendApplied(engine.store, desired, first);
  const durations = await measureChanges(engine, repository, fleet, first, cluster);
  return {
    what: `${count(size)} applications, ${count(desired.targets.size)} targets`,
    value: percentile(durations, 0.5),
    unit: "ms",
    aim: size === 1_000 ? 300 : undefined,
    note: spread(durations),
  };
}

async function loadFirst(engine: OpenEngine, revision: string): Promise<DesiredState> {
  const signal = AbortSignal.timeout(120_000);
  const repository = await engine.repository("fleet");
  await repository.git.fetchBranch(signal);
  return (await loadRevision(engine, repository, revision, signal)).desired;
}

/** Each commit changes the CPUs of one VM once more; fetching it is not counted. */
async function measureChanges(
  engine: OpenEngine,
  remote: TestRepository,
  fleet: Fleet,
  first: string,
  cluster: string,
): Promise<number[]> {
  const signal = AbortSignal.timeout(120_000);
  const [application = 0] = fleet.applicationsOn(cluster);
  const repository = await engine.repository("fleet");
  const commits: string[] = [];
  for (let cpu = 11; cpu < 11 + times + 1; cpu += 1)
    commits.push(await remote.commit({ [fleet.pathOf(application)]: fleet.changed(application, cpu) }));
  await repository.git.fetchBranch(signal);
  const plan = async (index: number): Promise<void> => {
    const revision = commits[index] ?? "";
    const branch = { ...(await engine.store.readBranch("fleet")), observed: revision, synced: first };
    const request = {
      revision: revision as AcceptedRevision,
      branch,
      rewritten: false,
      everything: false,
      predecessors: [],
    };
    const id = await startSync(engine, repository, request, signal);
    const pass = await engine.store.readPass(id, cluster);
    if (pass?.operations.length !== 1) throw new Error(`planned ${pass?.operations.length} operations in place of one`);
  };
  await plan(0);
  return repeat(times, (index) => plan(index + 1));
}
