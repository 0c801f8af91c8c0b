import type { BranchRecord } from "../../ports/state-store.ts";

/** The commit that a new tip should contain: a tip that was refused never counted. */
export function lastTip({ observed, refused, attempted }: BranchRecord): string | undefined {
  return observed !== undefined && observed === refused ? attempted : observed;
}
