import { setTimeout as sleep } from "node:timers/promises";
import { type BenchRow, type Measurement, percentile, spread } from "../bench-row.ts";
import { type Hearing, type HookedEngine, openHookedEngine } from "../support/hooked-engine.ts";

const applications = 30;
const sites = 3;
const times = 20;
const pollMs = 2_000;
/** After a webhook the watcher looks once more 3 s later: a sample begins when that is over. */
const restMs = 4_000;

/** How long a reviewer waits. */
export const planCommentLatency: BenchRow = {
  name: "plan-comment-latency",
  measures:
    `A pull request gets a new head that changes one VM: from the end of the push to the plan of that head in the comment, as the forge ` +
    `shows it (asked every 15 ms); the forge's own time for noticing the push, delivering and storing is in it. ${applications} applications ` +
    `(${applications * 4} VMs) on ${sites} clusters; forge and clusters in another process. With the forge's webhook (poll every ten minutes), and with polling ` +
    `every ${pollMs / 1_000} s alone.`,
  async run() {
    return [
      await measure("webhook, 95th percentile", { webhook: true }, 1_000),
      await measure(`poll every ${pollMs / 1_000} s, 95th percentile`, { webhook: false, pollMs }, undefined),
    ];
  },
};

async function measure(what: string, hearing: Hearing, aim: number | undefined): Promise<Measurement> {
  await using hooked = await openHookedEngine(hearing, applications, sites);
  const { tree, client } = hooked;
  await tree.branch("topic");
  await push(hooked, 100);
  const number = await client.openPullRequest("More CPUs", "topic");
  const durations: number[] = [];
  for (let run = 0; run <= times; run += 1) {
    await sleep(hearing.webhook ? restMs : Math.random() * pollMs);
    const head = await push(hooked, 101 + run);
    const began = performance.now();
    await commented(hooked, number, head);
    // The first one also reads what later ones know.
    if (run > 0) durations.push(performance.now() - began);
  }
  durations.sort((a, b) => a - b);
  return { what, value: percentile(durations, 0.95), unit: "ms", aim, note: spread(durations) };
}

async function push({ commit, fleet, tree }: HookedEngine, cpu: number): Promise<string> {
  const head = await commit({ [fleet.pathOf(0)]: fleet.changed(0, cpu) }, `${cpu} CPUs`);
  await tree.push("topic");
  return head;
}

async function commented({ client }: HookedEngine, number: number, head: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    if ((await client.comments(number)).some(({ body }) => body.includes(head.slice(0, 7)))) return;
    await sleep(15);
  }
  throw new Error(`no plan of ${head} within a minute`);
}
