import { type BenchRow, count } from "../bench-row.ts";
import { describePhases, planCold } from "../support/cold-plan.ts";

/** 2,500 applications in turn of 5, 4 and 3 VMs. */
const applications = 2_500;

/** A large fleet from nothing. */
export const planLargeFleet: BenchRow = {
  name: "plan-large-fleet",
  measures:
    "The same as `cold-plan` for a fleet of 10,000 VMs on 100 clusters, with the peak memory (RSS) of the planning process " +
    "from its start to the finished plan. All clusters are read over HTTP; one other process simulates them.",
  async run() {
    const answers = await planCold(applications, 100, 2);
    const [best] = answers;
    if (best === undefined) throw new Error("nothing was planned");
    const what = `${count(best.virdomains)} VMs, ${count(applications)} applications, 100 clusters`;
    const seconds = answers.map(({ plannedMs }) => (plannedMs / 1_000).toFixed(2)).join(", ");
    const peak = Math.max(...answers.map(({ peakRssMiB }) => peakRssMiB));
    return [
      {
        what,
        value: best.plannedMs / 1_000,
        unit: "s",
        aim: 15,
        note: `best of ${seconds} s; ${describePhases(best)}`,
      },
      {
        what: `${what}: peak memory`,
        value: peak,
        unit: "MB",
        aim: 512,
        note: `highest of ${answers.length} runs, MiB`,
      },
    ];
  },
};
