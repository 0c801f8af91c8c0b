import { renderPlanComment } from "../../../src/report/markdown.ts";
import { commentInput } from "../../report/examples.ts";
import { aChange, anOperation, aPlan } from "../../support/build-plan.ts";
import { type BenchRow, type Measurement, percentile, repeat, spread } from "../bench-row.ts";

const vms = 500;
const times = 15;
const limitChars = 60_000;

/** A comment on a pull request that changes everything. */
export const largeComment: BenchRow = {
  name: "large-comment",
  measures:
    `The comment on a plan that changes ${vms} VMs (memory, with a reboot, and the description), all on one cluster, and five on each of 100 ` +
    `clusters: rendered within ${limitChars.toLocaleString("en-US")} characters, what does not fit cut and named.`,
  async run() {
    return [...(await measure("one cluster", 1)), ...(await measure("100 clusters", 100))];
  },
};

async function measure(where: string, clusters: number): Promise<readonly Measurement[]> {
  const input = commentInput(aPlan({ operations: operationsOn(clusters) }), { limitChars });
  let text = "";
  const durations = await repeat(times, () => Promise.resolve((text = renderPlanComment(input))));
  const what = `${vms} VMs on ${where}`;
  return [
    {
      what: `${what}: rendering`,
      value: percentile(durations, 0.5),
      unit: "ms",
      aim: undefined,
      note: spread(durations),
    },
    {
      what: `${what}: size`,
      value: text.length,
      unit: "chars",
      aim: limitChars,
      note: `${text.split("\n").length} lines${text.includes("Cut to fit") ? ", cut to fit" : ""}`,
    },
  ];
}

function operationsOn(clusters: number): ReturnType<typeof anOperation>[] {
  return Array.from({ length: vms }, (_, index) =>
    anOperation({
      kind: "update",
      virdomain: `app-server-with-a-long-name-${index}`,
      cluster: `store-${(index % clusters) + 1}`,
      disruption: "reboot",
      changes: [
        aChange("memory", "4 GiB", `${(index % clusters) + 5} GiB`, { disruption: "reboot" }),
        aChange("description", `number ${index}`, `the number ${index} in a longer sentence about this machine`),
      ],
    }),
  );
}
