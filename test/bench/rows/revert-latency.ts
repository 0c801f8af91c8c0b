import { setTimeout as sleep } from "node:timers/promises";
import type { CallReport } from "../../../src/simulator/hypercore/calls.ts";
import { type BenchRow, type Measurement, percentile, spread } from "../bench-row.ts";
import { clearCalls } from "../support/farm.ts";
import { type Hearing, type HookedEngine, openHookedEngine } from "../support/hooked-engine.ts";

const applications = 30;
const sites = 3;
const times = 10;
const pollMs = 5_000;
const restMs = 4_000;

/** How long a mistake stays. */
export const revertLatency: BenchRow = {
  name: "revert-latency",
  measures:
    `A commit that changed a VM, and was applied, is reverted: from the end of the push of the revert to the first changing call that ` +
    `its cluster gets for it (by the cluster's own record). ${applications} applications (${applications * 4} VMs) on ${sites} clusters whose tasks take 50 ms; forge and ` +
    `clusters in another process. With the forge's webhook (poll every ten minutes), and with polling every ${pollMs / 1_000} s alone, ` +
    `where the aim is one poll and 5 s.`,
  async run() {
    return [
      await measure("webhook, worst", { webhook: true }, 2),
      await measure(`poll every ${pollMs / 1_000} s, worst`, { webhook: false, pollMs }, pollMs / 1_000 + 5),
    ];
  },
};

async function measure(what: string, hearing: Hearing, aim: number): Promise<Measurement> {
  await using hooked = await openHookedEngine(hearing, applications, sites);
  const durations: number[] = [];
  for (let run = 0; run <= times; run += 1) {
    const ms = await revertOnce(hooked, 11 + run, () => sleep(hearing.webhook ? restMs : Math.random() * pollMs));
    if (run > 0) durations.push(ms);
  }
  durations.sort((a, b) => a - b);
  return {
    what,
    value: (durations.at(-1) ?? Number.NaN) / 1_000,
    unit: "s",
    aim,
    note: `${spread(durations)}; 95th percentile ${percentile(durations, 0.95).toFixed(0)} ms`,
  };
}

async function revertOnce(hooked: HookedEngine, cpu: number, rest: () => Promise<unknown>): Promise<number> {
  const { commit, fleet, tree, settled, clusterUrls } = hooked;
  const [url = ""] = clusterUrls;
  const mistake = await commit({ [fleet.pathOf(0)]: fleet.changed(0, cpu) }, `${cpu} CPUs`);
  await tree.push("main");
  await settled(mistake);
  await rest();
  await clearCalls(url);
  await tree.git("revert", "--no-edit", mistake);
  const revert = await tree.git("rev-parse", "HEAD");
  await tree.push("main");
  const pushedMs = Date.now();
  await settled(revert);
  const { last } = (await (await fetch(`${url}/_simulator/calls`)).json()) as CallReport;
  const first = last.find(({ method, path }) => method !== "GET" && !path.startsWith("/_simulator"));
  if (first === undefined) throw new Error("the revert changed nothing");
  return first.at - pushedMs;
}
