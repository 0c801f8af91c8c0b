import { setTimeout as sleep } from "node:timers/promises";
import { type BenchRow, type Measurement, percentile, spread } from "../bench-row.ts";
import { coveredMs, noteArrivals, preciseNow, takeForgeTimes } from "../support/forge-time.ts";
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
    `A pull request gets a new head that changes one VM; until the plan of that head is in the comment, as the forge shows it (asked ` +
    `every 15 ms). From the arrival of the first webhook; the same without the time in which the forge was at work for us (git and API: ` +
    `from the arrival of a request to the end of its answer, by the forge's own process, requests side by side counted once); and from ` +
    `the end of the push, which is what a person sees. ${applications} applications (${applications * 4} VMs) on ${sites} clusters; ` +
    `forge and clusters in another process. With the forge's webhook (poll every ten minutes), and with polling every ` +
    `${pollMs / 1_000} s alone.`,
  async run() {
    const webhook = await measure({ webhook: true });
    const polling = await measure({ webhook: false, pollMs });
    return [
      row(
        "from the webhook's arrival, beyond the forge's own time",
        webhook,
        (run) => run.fromArrival - run.atForge,
        1_000,
      ),
      row("from the webhook's arrival", webhook, (run) => run.fromArrival),
      row("from the push, with the webhook", webhook, (run) => run.fromPush),
      row(`from the push, with a poll every ${pollMs / 1_000} s`, polling, (run) => run.fromPush),
    ];
  },
};

/** One new head, in milliseconds. */
interface Run {
  readonly fromPush: number;
  /** Not a number without a webhook. */
  readonly fromArrival: number;
  /** How much of that the forge was at work for us. */
  readonly atForge: number;
}

function row(what: string, runs: readonly Run[], pick: (run: Run) => number, aim?: number): Measurement {
  const sorted = runs.map(pick).toSorted((a, b) => a - b);
  return {
    what: `${what}, 95th percentile`,
    value: percentile(sorted, 0.95),
    unit: "ms",
    aim,
    note: spread(sorted),
  };
}

async function measure(hearing: Hearing): Promise<Run[]> {
  await using hooked = await openHookedEngine(hearing, applications, sites);
  const { tree, client, timesUrl } = hooked;
  const { arrivals } = noteArrivals(({ url = "" }) => url.startsWith("/webhooks/"));
  await tree.branch("topic");
  await push(hooked, 100);
  const number = await client.openPullRequest("More CPUs", "topic");
  const runs: Run[] = [];
  for (let run = 0; run <= times; run += 1) {
    await sleep(hearing.webhook ? restMs : Math.random() * pollMs);
    arrivals.length = 0;
    const head = await push(hooked, 101 + run);
    const pushedMs = preciseNow();
    await commented(hooked, number, head);
    const toMs = preciseNow();
    const fromMs = arrivals[0] ?? Number.NaN;
    const atForge = coveredMs(await takeForgeTimes(timesUrl), { fromMs, toMs });
    // The first one also reads what later ones know.
    if (run > 0) runs.push({ fromPush: toMs - pushedMs, fromArrival: toMs - fromMs, atForge });
  }
  return runs;
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
