import { type BenchRow, count, percentile } from "../bench-row.ts";
import { describePhases, planCold } from "../support/cold-plan.ts";

/** The first plan of a process that knows nothing. */
export const coldPlan: BenchRow = {
  name: "cold-plan",
  measures:
    "A new process without a mirror or caches: starts, fetches the repository, parses and renders every manifest (the three " +
    "examples under other names), reads ten clusters over HTTP and plans all of them. The plan must come out empty.",
  async run() {
    const answers = await planCold(1_000, 10, 3);
    const [best] = answers;
    if (best === undefined) throw new Error("nothing was planned");
    const all = answers.map(({ plannedMs }) => (plannedMs / 1_000).toFixed(2)).join(", ");
    return [
      {
        what: `1,000 applications, ${count(best.virdomains)} VMs, 10 clusters`,
        value: percentile(
          answers.map(({ plannedMs }) => plannedMs / 1_000),
          0,
        ),
        unit: "s",
        aim: 5,
        note: `best of ${all} s; ${describePhases(best)}`,
      },
    ];
  },
};
