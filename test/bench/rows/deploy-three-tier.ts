import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { composeEngine } from "../../../src/app/compose.ts";
import type { CallReport } from "../../../src/simulator/hypercore/calls.ts";
import { temporaryFolder, TestRepository } from "../../support/git-repository.ts";
import { silentLog } from "../../support/world.ts";
import type { BenchRow, Measurement } from "../bench-row.ts";
import { bareDeploy } from "../support/bare-deploy.ts";
import { benchConfig } from "../support/bench-config.ts";
import { driverDeploy } from "../support/driver-deploy.ts";
import { startFarm } from "../support/farm.ts";
import { firstSync } from "../support/first-sync.ts";

const manifestFile = fileURLToPath(new URL("../../../config/examples/three-tier-webapp.yaml", import.meta.url));
const imageBytes = 32 * 2 ** 20;
const taskMs = 50;
const times = 4;
/** Ways to deploy, each on a cluster of its own, in turn. */
const ways = [
  "bare script",
  "driver, 4 at a time",
  "driver, 8 at a time",
  "whole road, 4 at a time",
  "whole road, 8 at a time",
] as const;
type Way = (typeof ways)[number];

interface Run {
  readonly ms: number;
  readonly calls: number;
  readonly changes: number;
  readonly phases: string;
}

/** A small application from nothing to running, beside the bare calls it takes. */
export const deployThreeTier: BenchRow = {
  name: "deploy-three-tier",
  measures:
    `The three-tier example (5 VMs, 3 images of 32 MiB from a local mirror) onto one simulated cluster whose tasks take ${taskMs} ms, in a ` +
    "process of its own. Bare script: the same calls without the product, side by side where the cluster allows it, tasks looked at every 5 ms. " +
    "Driver: plan and operations of the product without its queue. Whole road: from the begun sync through BullMQ and Redis to its verdict, " +
    "so many operations at a time on the cluster (workers.perCluster; 4 is the default, so the fifth VM waits for a place). Every run " +
    "has a cluster of its own; the ways take turns.",
  async run() {
    await using folder = await temporaryFolder("kraken-bench-");
    const clusters = Array.from({ length: ways.length * times }, (_, seed) => ({
      taskMs,
      seed,
      rememberedCalls: 5_000,
    }));
    await using farm = await startFarm({ clusters });
    const urls = [...farm.urls];
    const runs = new Map<Way, Run[]>(ways.map((way) => [way, []]));
    for (let turn = 0; turn < times; turn += 1) {
      for (const way of ways)
        runs.get(way)?.push(await runOnce(way, urls.shift() ?? "", join(folder.path, `${ways.indexOf(way)}-${turn}`)));
    }
    return toMeasurements(runs);
  },
};

function toMeasurements(runs: ReadonlyMap<Way, readonly Run[]>): readonly Measurement[] {
  const best = (way: Way): Run => {
    const [first] = (runs.get(way) ?? []).toSorted((a, b) => a.ms - b.ms);
    if (first === undefined) throw new Error(`no run of ${way}`);
    return first;
  };
  const all = (way: Way): string => (runs.get(way) ?? []).map(({ ms }) => Math.round(ms)).join(", ");
  const road = best("whole road, 8 at a time");
  return [
    ...ways.map((way): Measurement => {
      const { ms, calls, changes, phases } = best(way);
      const note = `best of ${all(way)} ms; ${changes} changing calls of ${calls}; ${phases}`;
      return { what: way, value: ms, unit: "ms", aim: undefined, note };
    }),
    {
      what: "whole road, 8 at a time, in place of the bare script",
      value: road.ms / best("bare script").ms,
      unit: "x",
      aim: 1.3,
      note: "best of each",
    },
    {
      what: "whole road: changing calls",
      value: road.changes,
      unit: "calls",
      aim: best("bare script").changes,
      note: "aim: what the bare script needs",
    },
  ];
}

async function runOnce(way: Way, url: string, folder: string): Promise<Run> {
  const clusters = new Map([["site", url]]);
  const settings = { folder, repositoryUrl: "", clusters, repository: { clusters: ["site"] }, imageBytes };
  const began = Date.now();
  let startedAt = began;
  const ms = await (async () => {
    const config = await benchConfig(settings);
    const begin = (): void => {
      startedAt = Date.now();
    };
    if (way === "bare script") {
      begin();
      return bareDeploy(url, manifestFile, join(folder, "images"));
    }
    const perCluster = way.includes("8") ? 8 : 4;
    if (way.startsWith("whole road"))
      return roadDeploy({ ...settings, workers: { concurrency: 16, perCluster } }, begin);
    return driverDeploy(config, manifestFile, perCluster, begin);
  })();
  const report = (await (await fetch(`${url}/_simulator/calls`)).json()) as CallReport;
  await requireRunning(url);
  return { ms, ...countCalls(report), phases: phasesOf(report, startedAt) };
}

/** Every VM runs, with its disks: a quick run that left something out counts for nothing. */
async function requireRunning(url: string): Promise<void> {
  const state = (await (await fetch(`${url}/_simulator/state`)).json()) as {
    virdomains: readonly { state: string; blockDevs: readonly { type: string }[] }[];
  };
  const disks = state.virdomains.flatMap(({ blockDevs }) => blockDevs.filter(({ type }) => type === "VIRTIO_DISK"));
  const running = state.virdomains.filter((vm) => vm.state === "RUNNING");
  if (running.length !== 5 || disks.length !== 8) throw new Error(`${running.length} VMs run, ${disks.length} disks`);
}

function countCalls({ counts }: CallReport): Pick<Run, "calls" | "changes"> {
  const api = Object.entries(counts).filter(([pattern]) => !pattern.includes("/_simulator/"));
  const sum = (entries: typeof api): number => entries.reduce((total, [, count]) => total + count, 0);
  return { calls: sum(api), changes: sum(api.filter(([pattern]) => !pattern.startsWith("GET "))) };
}

/** When each kind of changing call was first and last begun, in milliseconds since the start. */
function phasesOf({ last }: CallReport, startedAt: number): string {
  const kinds = [
    ["upload", /^PUT .*upload$/],
    ["create", /^POST .*VirDomain$/],
    ["attach", /^POST .*attach$/],
    ["add disk", /^POST .*VirDomainBlockDevice$/],
    ["patch", /^PATCH /],
    ["start", /^POST .*action$/],
  ] as const;
  const texts = kinds.map(([kind, pattern]) => {
    const at = last.filter(({ method, path }) => pattern.test(`${method} ${path}`)).map((call) => call.at - startedAt);
    return `${kind} ${at[0] ?? "-"}..${at.at(-1) ?? "-"}`;
  });
  return `calls begun at (ms): ${texts.join(", ")}`;
}

async function roadDeploy(settings: Parameters<typeof benchConfig>[0], begin: () => void): Promise<number> {
  const repository = await TestRepository.create(join(settings.folder, "fleet.git"));
  const revision = await repository.commit({ "manifests/three-tier.yaml": await readFile(manifestFile, "utf8") });
  const config = await benchConfig({ ...settings, repositoryUrl: repository.path });
  await using engine = await composeEngine({ config, log: silentLog, version: "0.0.0-bench" });
  return await firstSync(engine, revision, undefined, begin);
}
