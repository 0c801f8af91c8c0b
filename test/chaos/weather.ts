import type { FaultRule } from "../../src/simulator/hypercore/faults.ts";
import type { Chance } from "../crash/chance.ts";
import type { HypercoreLab } from "../support/hypercore-lab.ts";

const everything = "^/(rest|update)";
const changing = ["POST", "PATCH", "DELETE", "PUT"] as const;

/** Share of the calls that meet each trouble; together with the nodes' own, about a fifth of all calls. */
const onEveryCall: readonly Omit<FaultRule, "match">[] = [
  { kind: "hang", probability: 0.004 },
  { kind: "drop-before", probability: 0.025 },
  { kind: "drop-after", probability: 0.025 },
  { kind: "truncate", probability: 0.025 },
  { kind: "error500", probability: 0.02 },
  { kind: "html502", probability: 0.025 },
  { kind: "unauthorized", probability: 0.01 },
  { kind: "invalid-session", probability: 0.01 },
  { kind: "latency", ms: 30, probability: 0.03 },
];
const onChanges: readonly Omit<FaultRule, "match">[] = [
  { kind: "fail-task", probability: 0.03 },
  { kind: "fail-task-done", probability: 0.03 },
  { kind: "forget-task", probability: 0.03 },
  { kind: "slow-task", ms: 200, probability: 0.03 },
];
const onUploads: readonly Omit<FaultRule, "match">[] = [{ kind: "drop-upload", probability: 0.3 }];

export function faultRules(): FaultRule[] {
  return [
    ...onEveryCall.map((fault) => ({ ...fault, match: { path: everything } })),
    ...changing.flatMap((method) => onChanges.map((fault) => ({ ...fault, match: { method, path: everything } }))),
    ...onUploads.map((fault) => ({ ...fault, match: { method: "PUT", path: "/upload$" } })),
  ];
}

const nodes = 3;

/** Troubles of whole nodes and of the cluster, which come and go as attempts go by. */
export class Weather {
  readonly #lab: HypercoreLab;
  readonly #chance: Chance;
  readonly #seen = new Map<string, number>();
  #attempts = 0;
  #nextAt: number;
  #clear: (() => Promise<unknown>) | undefined;

  constructor(lab: HypercoreLab, chance: Chance) {
    this.#lab = lab;
    this.#chance = chance;
    this.#nextAt = chance.between(10, 30);
  }

  /** How often each kind of event happened. */
  get seen(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#seen);
  }

  async begin(): Promise<void> {
    await this.#lab.control("POST", "faults", faultRules());
  }

  /** Called at each attempt of an operation: time here is what the run does, not what a clock says. */
  async tick(): Promise<void> {
    this.#attempts += 1;
    if (this.#attempts < this.#nextAt) return;
    const clear = this.#clear;
    this.#clear = undefined;
    this.#nextAt = this.#attempts + this.#chance.between(10, clear === undefined ? 25 : 60);
    await (clear === undefined ? this.#strike() : clear());
  }

  /** A day without any fault, with every node up and no update under way. */
  async end(): Promise<void> {
    await this.#lab.clearFaults();
    await this.#lab.control("POST", "update", { phase: "complete" });
    await this.#lab.control("POST", "nodes", { state: "up" });
    this.#clear = undefined;
    this.#nextAt = Number.POSITIVE_INFINITY;
  }

  async #strike(): Promise<void> {
    const chance = this.#chance;
    const event = chance.pick(["down", "hang", "bad-gateway", "update", "sessions", "guests", "guests"] as const);
    this.#seen.set(event, (this.#seen.get(event) ?? 0) + 1);
    if (event === "sessions") {
      await this.#lab.control("DELETE", "sessions");
    } else if (event === "guests") {
      const name = `^vm-\\d*${chance.between(0, 9)}`;
      await this.#lab.control("POST", "virdomains", { name, power: chance.pick(["CRASHED", "SHUTOFF"]) });
    } else if (event === "update") {
      await this.#openUpdate();
    } else {
      const node = chance.between(0, nodes - 1);
      await this.#lab.control("POST", "nodes", { node, state: event });
      this.#clear = async () => this.#lab.control("POST", "nodes", { node, state: "up" });
    }
  }

  /** Either a whole update, node after node, or a phase that lasts until somebody ends it. */
  async #openUpdate(): Promise<void> {
    if (this.#chance.isTrue(0.5)) {
      await this.#lab.control("POST", "update", { prepareMs: 100, nodeMs: 240 });
      return;
    }
    await this.#lab.control("POST", "update", { phase: this.#chance.pick(["preparing", "applying"]) });
    this.#clear = async () => this.#lab.control("POST", "update", { phase: "complete" });
  }
}
