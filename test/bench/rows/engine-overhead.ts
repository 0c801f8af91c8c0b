import { join } from "node:path";
import { composeEngine } from "../../../src/app/compose.ts";
import type { Engine } from "../../../src/app/engine.ts";
import { runOperationJob } from "../../../src/app/operation/run-operation.ts";
import { temporaryFolder, TestRepository } from "../../support/git-repository.ts";
import { manifest, silentLog } from "../../support/world.ts";
import { type BenchRow, count, type Measurement, percentile, spread } from "../bench-row.ts";
import { benchConfig } from "../support/bench-config.ts";
import { firstSync } from "../support/first-sync.ts";
import { instantHypervisor } from "../support/instant-hypervisor.ts";

const sizes = [100, 1_000] as const;
const perApplication = 50;
const times = 3;
const workers = { perCluster: 4, concurrency: 16 };

/** What an operation costs beside the cluster's own work. */
export const engineOverhead: BenchRow = {
  name: "engine-overhead",
  measures:
    "Creations on one cluster that take no time at all, through BullMQ and a real Redis with an append-only file, four side " +
    "by side. A job: from the moment a worker takes it to its end (record, gate, wish from git, outcome, wake-up). All: " +
    "from the begun sync to its verdict, divided by the operations, queues and planning of the next step included. Best of three runs.",
  async run() {
    const measurements: Measurement[] = [];
    for (const size of sizes) {
      const runs: (readonly Measurement[])[] = [];
      for (let run = 0; run < times; run += 1) runs.push(await measure(size));
      measurements.push(...(runs.sort(([a], [b]) => (a?.value ?? 0) - (b?.value ?? 0))[0] ?? []));
    }
    return measurements;
  },
};

async function measure(size: number): Promise<readonly Measurement[]> {
  await using folder = await temporaryFolder("kraken-bench-");
  const repository = await TestRepository.create(join(folder.path, "fleet.git"));
  const revision = await repository.commit(filesOf(size));
  const settings = {
    folder: folder.path,
    repositoryUrl: repository.path,
    clusters: new Map([["site", "http://127.0.0.1:1"]]),
    repository: { clusters: ["site"] },
    workers,
  };
  await using opened = await composeEngine({
    config: await benchConfig(settings),
    log: silentLog,
    version: "0.0.0-bench",
  });
  const hypervisor = instantHypervisor("site");
  const engine: Engine = { ...opened, hypervisor: () => Promise.resolve(hypervisor) };
  const began = performance.now();
  const durations = await syncAll(engine, revision);
  const perOperation = (performance.now() - began) / size;
  const what = `${count(size)} operations on one cluster`;
  return [
    {
      what: `${what}: a job, 95th percentile`,
      value: percentile(durations, 0.95),
      unit: "ms",
      aim: 25,
      note: spread(durations),
    },
    {
      what: `${what}: all, per operation`,
      value: perOperation,
      unit: "ms",
      aim: undefined,
      note: "wall clock from the push's planning to the verdict",
    },
  ];
}

/** Answers how long each operation's job took, fastest first. */
async function syncAll(engine: Engine, revision: string): Promise<number[]> {
  const durations: number[] = [];
  await firstSync(engine, revision, async (...job) => {
    const began = performance.now();
    const answer = await runOperationJob(...job);
    if (answer.kind === "done") durations.push(performance.now() - began);
    return answer;
  });
  return durations.sort((a, b) => a - b);
}

function filesOf(size: number): Record<string, string> {
  const files: Record<string, string> = {};
  for (let part = 0; part < size / perApplication; part += 1) {
    const vms = Array.from({ length: perApplication }, (_, index) => ({ name: `part-${part}-vm-${index}` }));
    files[`manifests/part-${part}.yaml`] = manifest(`part-${part}`, vms);
  }
  return files;
}
