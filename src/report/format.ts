/** First seven digits, the form people know from git. */
export function shortRevision(revision: string): string {
  return revision.slice(0, 7);
}

/** `1 VM`, `2 VMs`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `850ms`, `42s`, `3m12s`, `2h05m`, `3d4h`: two units at most. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1_000) return `${Math.max(0, Math.round(durationMs))}ms`;
  const seconds = Math.round(durationMs / 1_000);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m${twoDigits(seconds % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h${twoDigits(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d${hours % 24}h`;
}

/** `7 days`, `36 hours`, `90 minutes`: the largest unit that says it exactly. */
export function formatPeriod(periodMs: number): string {
  const unit = periods.find(({ ms }) => periodMs % ms === 0);
  return unit === undefined ? formatDuration(periodMs) : plural(periodMs / unit.ms, unit.unit);
}

const periods = [
  { unit: "day", ms: 86_400_000 },
  { unit: "hour", ms: 3_600_000 },
  { unit: "minute", ms: 60_000 },
] as const;

const ages = [
  { unit: "year", ms: 365 * 86_400_000 },
  { unit: "month", ms: 30 * 86_400_000 },
  { unit: "day", ms: 86_400_000 },
  { unit: "hour", ms: 3_600_000 },
  { unit: "minute", ms: 60_000 },
] as const;

/** `2 days ago`, `just now`, `in 5 minutes`. */
export function relativeTime(atMs: number, nowMs: number): string {
  const distance = Math.abs(nowMs - atMs);
  const age = ages.find(({ ms }) => distance >= ms);
  if (age === undefined) return "just now";
  const amount = plural(Math.floor(distance / age.ms), age.unit);
  return atMs <= nowMs ? `${amount} ago` : `in ${amount}`;
}

/** `2026-11-22 23:50 UTC`. */
export function formatTime(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** `a`, `a and b`, `a, b and c`, `a, b and 95 more`. */
export function joinNames(names: readonly string[], max = 4): string {
  if (names.length > max) return `${names.slice(0, max - 1).join(", ")} and ${names.length - max + 1} more`;
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** Cut to `max` code points, with an ellipsis when something is missing. */
export function clip(text: string, max: number): string {
  if (text.length <= max) return text;
  const points = Array.from(text);
  return points.length <= max ? text : `${points.slice(0, Math.max(0, max - 1)).join("")}…`;
}

/** Control characters, line breaks and direction marks made visible, so that a name is one line that reads as it is. */
export function visible(text: string): string {
  return text
    .replaceAll(/\r\n|[\n\r\u2028\u2029]/g, "⏎")
    .replaceAll("\t", " ")
    .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]/gu, (character) => {
      const code = character.codePointAt(0) ?? 0;
      return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    });
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
