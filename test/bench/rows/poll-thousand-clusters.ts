import { composeWorld } from "../../../src/app/compose.ts";
import { readClusters } from "../../../src/app/planning/read-clusters.ts";
import type { Hypervisor } from "../../../src/ports/hypervisor.ts";
import { temporaryFolder } from "../../support/git-repository.ts";
import { silentLog } from "../../support/world.ts";
import { type BenchRow, count, type Measurement } from "../bench-row.ts";
import { benchConfig } from "../support/bench-config.ts";
import { type Farm, startFarm } from "../support/farm.ts";
import { makeFleet } from "../support/fleet-files.ts";
import { createSeeder } from "../support/seeded-clusters.ts";

const clusterCount = 1_000;
const farmCount = 2;
const hanging = 50;
/** Applications of four VMs on average: ten VMs on each cluster. */
const applications = 2_500;
const times = 3;
/** Long after every other cluster was read, and short enough for a row. */
const patienceMs = 20_000;

interface Reading {
  /** Until the last cluster that answers was read, in seconds. */
  readonly seconds: number;
  readonly read: number;
  readonly held: number;
}

/** Reading a large fleet, and what a few clusters that hang do to it. */
export const pollThousandClusters: BenchRow = {
  name: "poll-thousand-clusters",
  measures:
    `Reading ${count(clusterCount)} simulated clusters of about 10 VMs each, served by ${farmCount} other processes, over HTTP; then the same while ${hanging} of them ` +
    "accept connections and never answer. Each time until the last cluster that answers was read, with new connections; best of three. " +
    "The memory is the reading process's peak (RSS) with everything read held.",
  async run() {
    await using folder = await temporaryFolder("kraken-bench-");
    const files = await seed(folder.path);
    const part = Math.ceil(files.length / farmCount);
    const orders = Array.from({ length: farmCount }, (_, index) => files.slice(index * part, (index + 1) * part));
    const farms = await Promise.all(
      orders.map((own) => startFarm({ clusters: own.map((stateFile) => ({ stateFile })) })),
    );
    try {
      return await measure(folder.path, farms);
    } finally {
      await Promise.all(farms.map((farm) => farm[Symbol.asyncDispose]()));
    }
  },
};

async function seed(folder: string): Promise<readonly string[]> {
  const fleet = await makeFleet(applications, clusterCount);
  const seeder = await createSeeder(folder);
  const files: string[] = [];
  for (const cluster of fleet.clusters) files.push((await seeder.write(fleet, cluster)).file);
  return files;
}

async function measure(folder: string, farms: readonly Farm[]): Promise<readonly Measurement[]> {
  const urls = farms.flatMap((farm) => farm.urls);
  const all: Reading[] = [];
  for (let turn = 0; turn < times; turn += 1) all.push(await readAll(folder, urls));
  const peakMiB = process.resourceUsage().maxRSS / 1024;
  // Spread over the fleet, as clusters that hang are.
  const chosen = urls.filter((_url, index) => index % (clusterCount / hanging) === 0);
  for (const url of chosen) await fetch(`${url}/_simulator/nodes`, { method: "POST", body: '{"state":"hang"}' });
  const some: Reading[] = [];
  for (let turn = 0; turn < times; turn += 1) some.push(await readAll(folder, urls));
  const [quick, slow] = [best(all), best(some)];
  if (quick.read !== clusterCount || slow.read !== clusterCount - hanging || slow.held !== hanging)
    throw new Error(JSON.stringify([quick, slow]));
  const list = (readings: readonly Reading[]): string => readings.map(({ seconds }) => seconds.toFixed(2)).join(", ");
  const what = `${count(clusterCount)} clusters`;
  return [
    { what, value: quick.seconds, unit: "s", aim: undefined, note: `best of ${list(all)} s` },
    { what: `${what}: peak memory`, value: peakMiB, unit: "MB", aim: undefined, note: "MiB, this process" },
    {
      what: `${what}, ${hanging} of them hang: until the last healthy one was read`,
      value: slow.seconds,
      unit: "s",
      aim: undefined,
      note: `best of ${list(some)} s; the others are given up after ${patienceMs / 1_000} s`,
    },
    {
      what: `${what}: with ${hanging} hanging in place of none`,
      value: slow.seconds / quick.seconds,
      unit: "x",
      aim: 1.2,
      note: "best of each",
    },
  ];
}

function best(readings: readonly Reading[]): Reading {
  const [first] = readings.toSorted((a, b) => a.seconds - b.seconds);
  if (first === undefined) throw new Error("nothing was read");
  return first;
}

async function readAll(folder: string, urls: readonly string[]): Promise<Reading> {
  const clusters = new Map(urls.map((url, index) => [`site-${index}`, url]));
  const config = await benchConfig({ folder, repositoryUrl: folder, clusters });
  await using world = composeWorld({ config, log: silentLog, version: "0.0.0-bench" });
  const began = performance.now();
  let last = began;
  const hypervisor = async (name: string): Promise<Hypervisor> => {
    const opened = await world.hypervisor(name);
    const readLiveState: Hypervisor["readLiveState"] = async (signal) => {
      const state = await opened.readLiveState(signal);
      last = performance.now();
      return state;
    };
    // The driver's methods are on its class: what is not replaced is looked up there.
    return Object.assign(Object.create(opened) as Hypervisor, { readLiveState });
  };
  const names = [...clusters.keys()];
  const signal = AbortSignal.timeout(300_000);
  const { live, held } = await readClusters({ hypervisor, log: silentLog }, names, signal, patienceMs);
  return { seconds: (last - began) / 1_000, read: live.size, held: held.length };
}
