import type { Random } from "./random.ts";
import type { Timers } from "./timers.ts";

/** How a node's API behaves as a whole. `down` resets every connection; `hang` accepts and never answers. */
export const nodeHealths = ["up", "down", "hang", "bad-gateway"] as const;
export type NodeHealth = (typeof nodeHealths)[number];
export const updatePhases = ["never", "preparing", "applying", "complete"] as const;
export type UpdatePhase = (typeof updatePhases)[number];

export interface UpdateRun {
  readonly version: string;
  readonly prepareMs: number;
  /** How long each node is away. */
  readonly nodeMs: number;
}

/** Share of calls that healthy peers fail while an update is applied, as measured on real clusters. */
const peerFailureShare = 0.025;

/** The health of the nodes, and the cluster update that takes them down one after another. */
export class NodeBoard {
  readonly #timers: Timers;
  readonly #health: NodeHealth[];
  readonly #versions: string[];
  #phase: UpdatePhase = "never";

  constructor(timers: Timers, nodes: number, version: string) {
    this.#timers = timers;
    this.#health = Array.from({ length: nodes }, () => "up" as const);
    this.#versions = Array.from({ length: nodes }, () => version);
  }

  get phase(): UpdatePhase {
    return this.#phase;
  }

  get updating(): boolean {
    return this.#phase === "preparing" || this.#phase === "applying";
  }

  get health(): readonly NodeHealth[] {
    return this.#health;
  }

  healthOf(node: number): NodeHealth {
    return this.#health[node] ?? "down";
  }

  versionOf(node: number): string {
    return this.#versions[node] ?? "";
  }

  setHealth(node: number, health: NodeHealth): void {
    if (node < this.#health.length) this.#health[node] = health;
  }

  setVersion(version: string): void {
    this.#versions.fill(version);
  }

  setPhase(phase: UpdatePhase): void {
    this.#phase = phase;
  }

  /** Whether a healthy node fails this call all the same. */
  stumbles(random: Random): boolean {
    return this.#phase === "applying" && random.chance(peerFailureShare);
  }

  /** Prepares, then takes each node through hanging, gone and starting, back with the new version. */
  run(update: UpdateRun, done: () => void): void {
    this.#phase = "preparing";
    this.#timers.after(update.prepareMs, () => {
      this.#phase = "applying";
      this.#updateNode(0, update, done);
    });
  }

  /** The document of the unauthenticated status page; undefined (404) when there never was an update. */
  statusDocument(): object | undefined {
    switch (this.#phase) {
      case "never":
        return undefined;
      case "preparing":
        return { prepareStatus: { state: "EXECUTING", percent: 40 }, updateStatus: {} };
      case "applying":
        return { prepareStatus: { state: "COMPLETE", percent: 100 }, updateStatus: { masterState: "EXECUTING" } };
      case "complete":
        return { prepareStatus: { state: "COMPLETE", percent: 100 }, updateStatus: { masterState: "COMPLETE" } };
      default:
        return this.#phase satisfies never;
    }
  }

  #updateNode(node: number, update: UpdateRun, done: () => void): void {
    if (node >= this.#health.length) {
      this.#phase = "complete";
      done();
      return;
    }
    this.#steps(node, ["hang", "down", "bad-gateway"], update.nodeMs / 3, () => {
      this.#health[node] = "up";
      this.#versions[node] = update.version;
      this.#updateNode(node + 1, update, done);
    });
  }

  /** Takes a node through states, one after another, each for `ms`. */
  #steps(node: number, states: readonly NodeHealth[], ms: number, then: () => void): void {
    const [state, ...rest] = states;
    if (state === undefined) return then();
    this.#health[node] = state;
    this.#timers.after(ms, () => this.#steps(node, rest, ms, then));
  }
}
