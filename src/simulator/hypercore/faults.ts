import { isRecord } from "./body.ts";
import { badRequest } from "./refusal.ts";
import type { Random } from "./random.ts";
import type { TaskFault } from "./tasks.ts";

const faultKinds = [
  "latency",
  "hang",
  "error500",
  "html502",
  "unauthorized",
  "invalid-session",
  "drop-before",
  "drop-after",
  "drop-upload",
  "truncate",
  "empty-list",
  "refuse-connection",
  "fail-task",
  "fail-task-done",
  "slow-task",
  "forget-task",
] as const;

type FaultKind = (typeof faultKinds)[number];

/** One trouble to come, as the control API takes it. Without `times` and `probability` it strikes every matching call. */
export interface FaultRule {
  readonly match: {
    readonly method?: string;
    /** Regular expression on the path as sent, without the query. */
    readonly path?: string;
    /** Index of the node, counted from 0. */
    readonly node?: number;
  };
  readonly kind: FaultKind;
  readonly times?: number;
  readonly probability?: number;
  /** Milliseconds of `latency` (default 1000) and of `slow-task` (default 5000). */
  readonly ms?: number;
  /** Text of a failed task. */
  readonly message?: string;
}

interface ArmedFault {
  readonly rule: FaultRule;
  readonly path: RegExp;
  struck: number;
}

/** The faults in force. */
export class FaultBoard {
  readonly #random: Random;
  #armed: ArmedFault[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  add(rule: unknown): void {
    const checked = checkRule(rule);
    this.#armed.push({ rule: checked, path: new RegExp(checked.match.path ?? ""), struck: 0 });
  }

  clear(): void {
    this.#armed = [];
  }

  list(): readonly (FaultRule & { readonly struck: number })[] {
    return this.#armed.map(({ rule, struck }) => ({ ...rule, struck }));
  }

  /** The faults that strike this call, which counts as one use of each. */
  strike(method: string, path: string, node: number): readonly FaultRule[] {
    const striking = this.#armed.filter((fault) => this.#strikes(fault, method, path, node));
    for (const fault of striking) fault.struck += 1;
    return striking.map((fault) => fault.rule);
  }

  #strikes({ rule, path, struck }: ArmedFault, method: string, requested: string, node: number): boolean {
    const { match, times, probability } = rule;
    if (match.method !== undefined && match.method !== method) return false;
    if (match.node !== undefined && match.node !== node) return false;
    if (struck >= (times ?? Number.POSITIVE_INFINITY) || !path.test(requested)) return false;
    return probability === undefined || this.#random.chance(probability);
  }
}

function checkRule(rule: unknown): FaultRule {
  if (!isRecord(rule)) throw badRequest("a fault is an object");
  const { kind, match } = rule;
  if (!faultKinds.some((known) => known === kind)) throw badRequest(`fault kinds: ${faultKinds.join(", ")}`);
  if (match !== undefined && !isRecord(match)) throw badRequest('"match" is an object');
  return { ...rule, match: match ?? {} } as unknown as FaultRule;
}

/** What the faults of a call do to the task it starts. */
export function taskFaultOf(rules: readonly FaultRule[]): TaskFault | undefined {
  for (const { kind, ms, message } of rules) {
    if (kind === "fail-task" || kind === "fail-task-done" || kind === "slow-task" || kind === "forget-task") {
      return { kind, ms: ms ?? 5000, message: message ?? "%@ failed by request" };
    }
  }
  return undefined;
}
