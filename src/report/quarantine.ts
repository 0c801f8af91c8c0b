import type { Operation } from "../plan/plan.ts";
import { formatPeriod, formatTime } from "./format.ts";

/** `7 days`, or until when, where it has begun: how long a VM stays in quarantine. */
export function keptFor({ quarantine }: Pick<Operation, "quarantine">): string {
  if (quarantine === undefined) return "";
  return quarantine.untilMs === undefined
    ? `for ${formatPeriod(quarantine.keepMs)}`
    : `until ${formatTime(quarantine.untilMs)}`;
}

/** The day until which a VM stays at least, were it set aside at `nowMs`. */
export function keptUntil({ quarantine }: Pick<Operation, "quarantine">, nowMs: number): string {
  return formatTime(quarantine?.untilMs ?? nowMs + (quarantine?.keepMs ?? 0));
}
