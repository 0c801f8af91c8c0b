import { ApiError } from "./api-error.ts";

export const FAULT_KINDS = ["latency", "hang", "hang-body", "status", "drop-before", "drop-after"] as const;

/**
 * What goes wrong: `latency` waits `ms` and goes on; `hang` never answers; `hang-body` sends the head of an answer and
 * never the body; `status` answers in the forge's place; `drop-before` cuts the connection before anything is done;
 * `drop-after` does the work and cuts the connection in place of the answer.
 */
export interface Fault {
  readonly kind: (typeof FAULT_KINDS)[number];
  readonly match: { readonly method?: string; readonly path?: RegExp };
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly ms: number;
  readonly probability: number;
}

/** The faults that are armed, first match wins. */
export class Faults {
  #armed: { readonly fault: Fault; left: number }[] = [];

  arm(fault: Fault, times: number): void {
    this.#armed.push({ fault, left: times });
  }

  clear(): void {
    this.#armed = [];
  }

  get armed(): number {
    return this.#armed.length;
  }

  /** The fault that strikes this request, used up by one. The path is the one on the wire, with its query. */
  strike(method: string, path: string): Fault | undefined {
    const entry = this.#armed.find(({ fault }) => strikes(fault, method, path));
    if (entry === undefined) return undefined;
    entry.left -= 1;
    if (entry.left <= 0) this.#armed = this.#armed.filter((one) => one !== entry);
    return entry.fault;
  }
}

function strikes(fault: Fault, method: string, path: string): boolean {
  if (fault.match.method !== undefined && fault.match.method.toUpperCase() !== method) return false;
  if (fault.match.path !== undefined && !fault.match.path.test(path)) return false;
  return fault.probability >= 1 || Math.random() < fault.probability;
}

/** Reads one fault of `POST /_simulator/faults`; `times` is for ever when left out. */
export function parseFault(value: unknown): { readonly fault: Fault; readonly times: number } {
  if (!isRecord(value)) throw new ApiError(400, "A fault is an object.");
  const kind = FAULT_KINDS.find((one) => one === value["kind"]);
  if (kind === undefined) throw new ApiError(400, `kind must be one of ${FAULT_KINDS.join(", ")}.`);
  const fault: Fault = {
    kind,
    match: parseMatch(value["match"]),
    status: numberOr(value["status"], 502),
    headers: parseHeaders(value["headers"]),
    body: value["body"] ?? { message: "Simulated fault" },
    ms: numberOr(value["ms"], 0),
    probability: numberOr(value["probability"], 1),
  };
  return { fault, times: numberOr(value["times"], Number.POSITIVE_INFINITY) };
}

function parseMatch(value: unknown): Fault["match"] {
  if (!isRecord(value)) return {};
  const { method, path } = value;
  try {
    return {
      ...(typeof method === "string" ? { method } : {}),
      ...(typeof path === "string" ? { path: new RegExp(path) } : {}),
    };
  } catch (cause) {
    throw new ApiError(400, `match.path is no regular expression: ${String(cause)}`);
  }
}

function parseHeaders(value: unknown): Record<string, string> {
  return isRecord(value)
    ? Object.fromEntries(Object.entries(value).map(([name, text]) => [name.toLowerCase(), String(text)]))
    : {};
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === "number" && Number.isFinite(value) ? value : fallback;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
