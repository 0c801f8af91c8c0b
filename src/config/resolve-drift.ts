import { parseDuration } from "../manifest/quantity.ts";
import type { ConfigPath } from "./config-problem.ts";
import type { DriftConfig } from "./config.ts";
import type { RawConfig } from "./raw.ts";
import type { ResolveContext } from "./resolve-context.ts";

const defaultIntervalMs = 5 * 60_000;
const defaultPauseMs = 60_000;
const defaultCorrections = 5;
const defaultWithinMs = 24 * 3_600_000;
/** Shorter would ask clusters all the time. */
const shortestIntervalMs = 10_000;
const longestIntervalMs = 7 * 24 * 3_600_000;

/** How clusters are compared with what was applied to them, and how often one VM is put right. */
export function resolveDrift(raw: NonNullable<RawConfig["drift"]>, context: ResolveContext): DriftConfig {
  const intervalMs = raw.interval === "off" ? 0 : (duration(raw.interval, "interval", context) ?? defaultIntervalMs);
  if (intervalMs > longestIntervalMs || (intervalMs > 0 && intervalMs < shortestIntervalMs))
    context.problem(at("interval"), "must be from 10s to 7d, or off for no comparison");
  const pauseMs = duration(raw.pause, "pause", context) ?? defaultPauseMs;
  if (pauseMs === 0) context.problem(at("pause"), "must be more than nothing");
  return {
    intervalMs,
    pauseMs,
    corrections: raw.corrections ?? defaultCorrections,
    withinMs: duration(raw.within, "within", context) ?? defaultWithinMs,
  };
}

function at(key: string): ConfigPath {
  return ["drift", key];
}

function duration(value: string | undefined, key: string, context: ResolveContext): number | undefined {
  if (value === undefined) return undefined;
  const parsed = parseDuration(value);
  if (typeof parsed === "number") return parsed;
  context.problem(at(key), `${parsed.message} (${parsed.hint})`);
  return undefined;
}
