import type { DesiredVirdomain } from "../fleet/desired-state.ts";
import { formatBytes } from "../manifest/quantity.ts";
import type { Notice } from "./plan.ts";

/** What the limits of a laboratory take from a VM; nothing where it gets what its manifest asks for. */
export function scaledDownNotices({ cpu, memoryBytes, scaledDown }: DesiredVirdomain): Notice[] {
  if (scaledDown === undefined) return [];
  const { memoryBytes: wantedBytes, cpu: wantedCpu } = scaledDown;
  const parts = [
    ...(wantedBytes === undefined
      ? []
      : [`${formatBytes(memoryBytes)} of memory in place of ${formatBytes(wantedBytes)}`]),
    ...(wantedCpu === undefined ? [] : [`${cpu} CPU${cpu === 1 ? "" : "s"} in place of ${wantedCpu}`]),
  ];
  const message = `the cluster's limits give it ${parts.join(" and ")} (laboratory)`;
  return [{ code: "scaled-down", path: "", message }];
}
