import { join } from "node:path";
import { composeEngine } from "../../../src/app/compose.ts";
import type { AcceptedRevision } from "../../../src/app/signatures/signature-gate.ts";
import { startSync } from "../../../src/app/sync/start-sync.ts";
import { temporaryFolder, TestRepository } from "../../support/git-repository.ts";
import { silentLog } from "../../support/world.ts";
import { type BenchRow, count, type Measurement } from "../bench-row.ts";
import { benchConfig } from "../support/bench-config.ts";
import { clearCalls, readCalls, startFarm } from "../support/farm.ts";
import { makeFleet } from "../support/fleet-files.ts";
import { createSeeder } from "../support/seeded-clusters.ts";

/** The three-tier example alone, then applications of four VMs on average: about 10, 100 and 1,000 VMs. */
const sizes = [1, 3, 25, 250] as const;

/** What looking costs a cluster. */
export const callsWithoutChanges: BenchRow = {
  name: "calls-without-changes",
  measures:
    "HTTP requests one cluster answers while every one of its VMs is compared with the manifests and nothing differs, " +
    "counted by the simulated cluster itself.",
  async run() {
    const measurements: Measurement[] = [];
    for (const size of sizes) measurements.push(await measure(size));
    return measurements;
  },
};

async function measure(applications: number): Promise<Measurement> {
  await using folder = await temporaryFolder("kraken-bench-");
  const fleet = await makeFleet(applications, 1);
  const [cluster = ""] = fleet.clusters;
  const repository = await TestRepository.create(join(folder.path, "fleet.git"));
  const revision = await repository.commit(fleet.files);
  const { file, vms } = await (await createSeeder(folder.path)).write(fleet, cluster);
  await using farm = await startFarm({ clusters: [{ stateFile: file }] });
  const url = farm.urls[0] ?? "";
  const settings = { folder: folder.path, repositoryUrl: repository.path, clusters: new Map([[cluster, url]]) };
  await using engine = await composeEngine({
    config: await benchConfig(settings),
    log: silentLog,
    version: "0.0.0-bench",
  });
  const signal = AbortSignal.timeout(60_000);
  const watched = await engine.repository("fleet");
  await watched.git.fetchBranch(signal);
  await clearCalls(url);
  const branch = { observed: revision, currentSync: undefined, synced: undefined, attempted: undefined };
  const request = {
    revision: revision as AcceptedRevision,
    branch,
    rewritten: false,
    everything: true,
    predecessors: [],
  };
  const id = await startSync(engine, watched, request, signal);
  const state = (await engine.store.readSync(id))?.state;
  if (state?.kind !== "finished" || state.verdict.operations !== 0) throw new Error(JSON.stringify(state));
  const calls = Object.entries(await readCalls(url)).filter(([pattern]) => !pattern.includes("/_simulator/"));
  return {
    what: `${count(vms)} VMs on one cluster${applications === 1 ? " (the three-tier application)" : ""}`,
    value: calls.reduce((sum, [, times]) => sum + times, 0),
    unit: "calls",
    aim: 1,
    note: calls.map(([pattern, times]) => `${times} x ${pattern}`).join(", "),
  };
}
