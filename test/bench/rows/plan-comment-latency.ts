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
    `A pull request gets a new head that changes one VM; until the plan of that head is in the comment, as the forge shows it (asked ` +
    `every 15 ms). From the arrival of the first webhook: our time, with what the forge takes to serve git and its API. From the end ` +
    `of the push: what a person sees. ${applications} applications (${applications * 4} VMs) on ${sites} clusters; forge and clusters in another process. With the forge's ` +
    `webhook (poll every ten minutes), and with polling every ${pollMs / 1_000} s alone.`,
  async run() {
    const webhook = await measure({ webhook: true });
    const polling = await measure({ webhook: false, pollMs });
    const row = (what: string, durations: readonly number[], aim?: number): Measurement => ({
      what: `${what}, 95th percentile`,
      value: percentile(durations, 0.95),
      unit: "ms",
      aim,
      note: spread(durations),
    });
    return [
      row("from the webhook's arrival", webhook.fromArrival, 1_000),
      row("from the push, with the webhook", webhook.fromPush),
      row(`from the push, with a poll every ${pollMs / 1_000} s`, polling.fromPush),
    ];
  },
};

async function measure(hearing: Hearing): Promise<{ readonly fromArrival: number[]; readonly fromPush: number[] }> {
  await using hooked = await openHookedEngine(hearing, applications, sites);
  const { tree, client } = hooked;
  const arrivals = noteArrivals(hooked);
  await tree.branch("topic");
  await push(hooked, 100);
  const number = await client.openPullRequest("More CPUs", "topic");
  const fromArrival: number[] = [];
  const fromPush: number[] = [];
  for (let run = 0; run <= times; run += 1) {
    await sleep(hearing.webhook ? restMs : Math.random() * pollMs);
    arrivals.length = 0;
    const head = await push(hooked, 101 + run);
    const began = performance.now();
    await commented(hooked, number, head);
    const ended = performance.now();
    // The first one also reads what later ones know.
    if (run === 0) continue;
    fromPush.push(ended - began);
    if (arrivals[0] !== undefined) fromArrival.push(ended - arrivals[0]);
  }
  const sorted = (durations: readonly number[]): number[] => durations.toSorted((a, b) => a - b);
  return { fromArrival: sorted(fromArrival), fromPush: sorted(fromPush) };
}

/** When deliveries were taken, oldest first. */
function noteArrivals({ engine: { store } }: HookedEngine): number[] {
  const arrivals: number[] = [];
  const take = store.takeDelivery.bind(store);
  store.takeDelivery = (repository, ids) => {
    arrivals.push(performance.now());
    return take(repository, ids);
  };
  return arrivals;
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
