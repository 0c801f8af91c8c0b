import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { temporaryFolder, TestRepository } from "../../support/git-repository.ts";
import type { ColdPlanAnswer, ColdPlanOrder } from "./cold-plan-process.ts";
import { runScript, startFarm } from "./farm.ts";
import { makeFleet } from "./fleet-files.ts";
import { createSeeder } from "./seeded-clusters.ts";

/** Plans a whole fleet in fresh processes, `times` times, against clusters that hold every VM already. */
export async function planCold(
  applications: number,
  clusterCount: number,
  times: number,
): Promise<readonly ColdPlanAnswer[]> {
  await using folder = await temporaryFolder("kraken-bench-");
  const fleet = await makeFleet(applications, clusterCount);
  const repository = await TestRepository.create(join(folder.path, "fleet.git"));
  await repository.commit(fleet.files);
  const seeder = await createSeeder(folder.path);
  const seeded = await Promise.all(fleet.clusters.map((cluster) => seeder.write(fleet, cluster)));
  await using farm = await startFarm({ clusters: seeded.map(({ file }) => ({ stateFile: file })) });
  const clusters = fleet.clusters.map((name, index) => [name, farm.urls[index] ?? ""] as const);
  const answers: ColdPlanAnswer[] = [];
  for (let run = 0; run < times; run += 1) {
    const order: ColdPlanOrder = {
      folder: await mkdtemp(join(folder.path, "run-")),
      repositoryUrl: repository.path,
      clusters,
    };
    const answer = await runScript<ColdPlanAnswer>("cold-plan-process.ts", [JSON.stringify(order)]);
    if (answer.operations !== 0 || answer.live !== answer.virdomains)
      throw new Error(`the clusters do not hold what the manifests say: ${JSON.stringify(answer)}`);
    answers.push(answer);
  }
  return answers.sort((a, b) => a.plannedMs - b.plannedMs);
}

/** `started 0.4 s, fetched 0.1 s, rendered 2.1 s, read 0.2 s, planned 0.1 s`. */
export function describePhases(answer: ColdPlanAnswer): string {
  const { begunMs, fetchedMs, renderedMs, readMs, plannedMs } = answer;
  const phases = [
    ["process start", begunMs],
    ["fetch", fetchedMs - begunMs],
    ["parse and render", renderedMs - fetchedMs],
    ["read clusters", readMs - renderedMs],
    ["plan", plannedMs - readMs],
  ] as const;
  return phases.map(([phase, ms]) => `${phase} ${(ms / 1_000).toFixed(2)} s`).join(", ");
}
