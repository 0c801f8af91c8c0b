import { type SyncWindow, type Weekday, weekdays } from "../sync/windows.ts";
import type { ConfigPath } from "./config-problem.ts";
import type { RawWindow } from "./raw.ts";
import type { ResolveContext } from "./resolve-context.ts";

export function resolveWindows(
  raw: readonly RawWindow[] | undefined,
  at: ConfigPath,
  context: ResolveContext,
): { readonly windows?: readonly SyncWindow[] } {
  if (raw === undefined) return {};
  return { windows: raw.map((window, index) => resolveWindow(window, [...at, index], context)) };
}

function resolveWindow(raw: RawWindow, at: ConfigPath, context: ResolveContext): SyncWindow {
  if (!isTimeZone(raw.timeZone))
    context.problem([...at, "timeZone"], `"${raw.timeZone}" is no time zone (write a name such as Europe/Berlin)`);
  return {
    days: [...new Set((raw.days ?? weekdays).flatMap((text, index) => days(text, [...at, "days", index], context)))],
    from: minutes(raw.from, 1_439, [...at, "from"], context),
    to: minutes(raw.to, 1_440, [...at, "to"], context) % 1_440,
    timeZone: raw.timeZone,
    deny: raw.deny ?? false,
  };
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: name }).format(0) !== "";
  } catch {
    return false;
  }
}

/** `mon`, or a span such as `fri-mon`. */
function days(text: string, at: ConfigPath, context: ResolveContext): Weekday[] {
  const [first, last = first, ...more] = text
    .toLowerCase()
    .split("-")
    .map((name) => weekdays.findIndex((day) => day === name));
  if (first === undefined || last === undefined || first < 0 || last < 0 || more.length > 0) {
    context.problem(at, `"${text}" is no day (write mon, tue, wed, thu, fri, sat, sun or a span such as mon-fri)`);
    return [];
  }
  return Array.from({ length: ((last - first + 7) % 7) + 1 }, (_, step) => weekdays[(first + step) % 7] ?? "mon");
}

function minutes(text: string, most: number, at: ConfigPath, context: ResolveContext): number {
  const [, hour, minute] = /^(\d{1,2}):([0-5]\d)$/.exec(text) ?? [];
  const total = Number(hour) * 60 + Number(minute);
  if (total <= most) return total;
  context.problem(at, `"${text}" is no time of day (write it in quotes, e.g. "22:00")`);
  return 0;
}
