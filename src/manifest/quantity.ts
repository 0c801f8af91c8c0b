/** A quantity that could not be read: what is wrong, and what would be right. */
export interface QuantityProblem {
  readonly message: string;
  readonly hint: string;
}

const decimalUnits = ["B", "KB", "MB", "GB", "TB", "PB"];
const binaryUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

const bytesPerUnit: ReadonlyMap<string, bigint> = new Map([
  ...decimalUnits.map((unit, power) => [unit, 1000n ** BigInt(power)] as const),
  ...binaryUnits.map((unit, power) => [unit, 1024n ** BigInt(power)] as const),
  ["kB", 1000n] as const,
]);

const quantityPattern = /^(\d{1,30})(?:\.(\d{1,30}))?\s*([A-Za-z]*)$/;

/**
 * Bytes from what people write: `4294967296`, `"4294967296"`, `"4 GiB"`, `"50 GB"`, `"1.5 GiB"`.
 * GB is 10^9 and GiB is 2^30, exactly; nothing is ever rounded. Refuses what is ambiguous (`4G`, `4 Gb`), what is no
 * whole number of bytes, and what JavaScript cannot hold exactly (above 2^53 - 1).
 */
export function parseBytes(value: number | string): number | QuantityProblem {
  if (typeof value === "number") return wholeBytes(value);
  const match = quantityPattern.exec(value.trim());
  if (match === null)
    return { message: `"${shorten(value)}" is no size`, hint: 'write bytes, or a number and a unit: "4 GiB"' };
  const [, whole = "", fraction = "", unit = ""] = match;
  const factor = bytesPerUnit.get(unit === "" ? "B" : unit);
  if (factor === undefined) return unknownUnit(whole + (fraction === "" ? "" : `.${fraction}`), unit);
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(whole + fraction) * factor;
  if (scaled % scale !== 0n)
    return { message: `"${shorten(value)}" is no whole number of bytes`, hint: "use a smaller unit" };
  return exactNumber(scaled / scale);
}

function wholeBytes(value: number): number | QuantityProblem {
  if (!Number.isInteger(value) || value < 0) {
    return { message: `${value} is no whole number of bytes`, hint: "a number without a unit counts bytes" };
  }
  return Number.isSafeInteger(value) ? value : tooLarge;
}

const tooLarge: QuantityProblem = {
  message: "is more than 2^53 bytes",
  hint: "no disk or memory is that large: check the unit",
};

function exactNumber(bytes: bigint): number | QuantityProblem {
  return bytes > BigInt(Number.MAX_SAFE_INTEGER) ? tooLarge : Number(bytes);
}

function unknownUnit(amount: string, unit: string): QuantityProblem {
  const prefix = unit.charAt(0).toUpperCase();
  if (/^[KMGTP](i?b)?$/i.test(unit)) {
    const decimal = `${prefix}B`;
    const binary = `${prefix}iB`;
    const exponents = { K: [3, 10], M: [6, 20], G: [9, 30], T: [12, 40], P: [15, 50] }[prefix] ?? [0, 0];
    const why = /^.b$/.test(unit) ? `"${unit}" means bits` : `unit "${unit}" is ambiguous`;
    return {
      message: why,
      hint: `did you mean ${amount} ${decimal} (10^${exponents[0]}) or ${amount} ${binary} (2^${exponents[1]})?`,
    };
  }
  return { message: `unknown unit "${shorten(unit)}"`, hint: `known units: ${[...bytesPerUnit.keys()].join(", ")}` };
}

/**
 * Bytes for people: `30 GB` or `15 GiB` where one of them is exact in at most four digits (the larger unit wins), otherwise
 * one decimal in the largest binary unit that fits: `7.3 GiB`.
 */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const exact = exactUnits.find(({ size }) => bytes >= size && bytes % size === 0);
  if (exact !== undefined && exact.size > 1 && bytes / exact.size < 10_000)
    return `${bytes / exact.size} ${exact.unit}`;
  const power = Math.min(binaryUnits.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** power).toFixed(1)} ${binaryUnits[power]}`;
}

const exactUnits = [...decimalUnits, ...binaryUnits]
  .filter((unit, index, all) => all.indexOf(unit) === index)
  .map((unit) => ({ unit, size: Number(bytesPerUnit.get(unit)) }))
  .sort((a, b) => b.size - a.size);

const millisecondsPerUnit: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const durationPattern = /^(?:\d{1,12}(?:ms|[smhdw])\s*)+$/;

/** Milliseconds from `10m`, `14d`, `5m30s`, `500ms`; a bare `0` is allowed, any other bare number is not. */
export function parseDuration(value: number | string): number | QuantityProblem {
  if (value === 0 || value === "0") return 0;
  const text = String(value).trim();
  if (!durationPattern.test(text)) {
    return {
      message: `"${shorten(text)}" is no duration`,
      hint: "write a number and ms, s, m, h, d or w: 10m, 14d, 5m30s",
    };
  }
  let total = 0;
  for (const [, amount = "", unit = ""] of text.matchAll(/(\d+)(ms|[smhdw])/g))
    total += Number(amount) * (millisecondsPerUnit[unit] ?? 0);
  return Number.isSafeInteger(total) ? total : { message: "is too long", hint: "check the unit" };
}

/** A duration for people, at most two units, rounded down: `3m12s`, `14d`, `850ms`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.max(0, Math.floor(milliseconds))}ms`;
  const parts: string[] = [];
  let rest = Math.floor(milliseconds / 1000) * 1000;
  for (const unit of ["d", "h", "m", "s"]) {
    const size = millisecondsPerUnit[unit] ?? 1;
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join("");
}

function shorten(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 39)}…`;
}
