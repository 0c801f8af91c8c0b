/** When syncs may work: a daily span of wall-clock time in a time zone, on some days of the week. */
export interface SyncWindow {
  /** Days on which the span begins. */
  readonly days: readonly Weekday[];
  /** Minutes since midnight. `to` at or before `from` lies on the next day; equal means all day. */
  readonly from: number;
  readonly to: number;
  /** IANA name, e.g. `Europe/Berlin`. */
  readonly timeZone: string;
  /** A span in which nothing is begun, whatever other windows say. */
  readonly deny: boolean;
}

export const weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Weekday = (typeof weekdays)[number];

/** What a clock on the wall shows. */
interface WallTime {
  readonly day: Weekday;
  readonly minute: number;
}

const minuteMs = 60_000;
const dayMinutes = 1_440;
/** A change is looked for so far ahead: every window has come at least twice by then. */
const horizonMs = 15 * dayMinutes * minuteMs;

/**
 * Whether syncs may begin something. Without windows always; with forbidden ones only, outside of them; else inside of an
 * allowed one. Wall time decides: an hour that the clock skips opens nothing, one that comes twice opens twice.
 */
export function isOpen(windows: readonly SyncWindow[], atMs: number): boolean {
  const inside = (window: SyncWindow): boolean => contains(window, wallTime(window.timeZone, atMs));
  const allowed = windows.filter(({ deny }) => !deny);
  if (windows.some((window) => window.deny && inside(window))) return false;
  return allowed.length === 0 || allowed.some(inside);
}

/** The next instant at which `isOpen` answers differently; undefined when there is none within 15 days. */
export function nextChange(windows: readonly SyncWindow[], atMs: number): number | undefined {
  if (windows.length === 0) return undefined;
  const open = isOpen(windows, atMs);
  for (let atNextMs = atMs; atNextMs < atMs + horizonMs; ) {
    const fromMs = atNextMs;
    atNextMs = Math.min(...windows.map((window) => nextBoundary(window, fromMs)));
    if (isOpen(windows, atNextMs) !== open) return atNextMs;
  }
  return undefined;
}

function contains({ days, from, to }: SyncWindow, { day, minute }: WallTime): boolean {
  if (from < to) return days.includes(day) && minute >= from && minute < to;
  return (days.includes(day) && minute >= from) || (days.includes(dayBefore(day)) && minute < to);
}

function dayBefore(day: Weekday): Weekday {
  return weekdays[(weekdays.indexOf(day) + 6) % 7] ?? day;
}

/** When wall time next reaches the beginning or end of a window, or jumps, whichever comes first. */
function nextBoundary({ from, to, timeZone }: SyncWindow, atMs: number): number {
  const wholeMs = Math.floor(atMs / minuteMs) * minuteMs;
  const { minute } = wallTime(timeZone, atMs);
  const untilMinutes = [from, to].map((boundary) => (boundary - minute + dayMinutes - 1) % dayMinutes);
  const boundaryMs = wholeMs + (Math.min(...untilMinutes) + 1) * minuteMs;
  return zoneChange(timeZone, wholeMs, boundaryMs) ?? boundaryMs;
}

/** The minute in which a zone's offset changes between two instants at most a day apart. */
function zoneChange(timeZone: string, fromMs: number, toMs: number): number | undefined {
  const offset = offsetOf(timeZone, fromMs);
  if (offsetOf(timeZone, toMs) === offset) return undefined;
  let [before, after] = [fromMs / minuteMs, toMs / minuteMs];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (offsetOf(timeZone, middle * minuteMs) === offset) before = middle;
    else after = middle;
  }
  return after * minuteMs;
}

function offsetOf(timeZone: string, atMs: number): number {
  const parts = partsOf(timeZone, atMs);
  const number = (type: string): number => Number(parts[type]);
  const wallMs = Date.UTC(number("year"), number("month") - 1, number("day"), number("hour"), number("minute"));
  return wallMs - atMs;
}

function wallTime(timeZone: string, atMs: number): WallTime {
  const parts = partsOf(timeZone, atMs);
  const day = weekdays.find((name) => name === parts["weekday"]?.toLowerCase()) ?? "mon";
  return { day, minute: Number(parts["hour"]) * 60 + Number(parts["minute"]) };
}

// Making a formatter costs much more than using it; holds no other state.
const formats = new Map<string, Intl.DateTimeFormat>();

/** Throws a RangeError for a zone that is not known. */
function partsOf(timeZone: string, atMs: number): Readonly<Partial<Record<string, string>>> {
  const format =
    formats.get(timeZone) ??
    new Intl.DateTimeFormat("en-US", {
      timeZone,
      hourCycle: "h23",
      weekday: "short",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
    });
  formats.set(timeZone, format);
  return Object.fromEntries(format.formatToParts(atMs).map(({ type, value }) => [type, value]));
}

/** `22:00 Europe/Berlin`, with the day of the week when it is further away than a day. */
export function describeOpening(windows: readonly SyncWindow[], nowMs: number): string {
  const timeZone = windows.find(({ deny }) => !deny)?.timeZone ?? windows[0]?.timeZone ?? "UTC";
  const opensMs = nextChange(windows, nowMs);
  if (opensMs === undefined) return "is closed for the next 15 days";
  const { day, minute } = wallTime(timeZone, opensMs);
  const clock = `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
  const far = opensMs - nowMs >= dayMinutes * minuteMs;
  return `opens ${far ? `${day[0]?.toUpperCase()}${day.slice(1)} ` : ""}${clock} ${timeZone}`;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}
