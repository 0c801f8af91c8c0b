import { isIP } from "node:net";
import type { NodeConnection } from "./node-connection.ts";

/**
 * The nodes of one cluster in the order in which to ask them: the one that answered last, then the configured ones, then
 * those learnt from the cluster. A learnt address may lie in a network we do not reach, so it joins only once it has
 * answered there; from then on it counts like a configured one.
 */
export class NodeSet {
  readonly #configured: readonly NodeConnection[];
  readonly #connect: (endpoint: string) => NodeConnection;
  readonly #learnt = new Map<string, NodeConnection>();
  #preferred: NodeConnection | undefined;

  constructor(endpoints: readonly string[], connect: (endpoint: string) => NodeConnection) {
    this.#connect = connect;
    this.#configured = endpoints.map(connect);
  }

  /** Configured nodes, and learnt ones that have answered. */
  get known(): readonly NodeConnection[] {
    return [...this.#configured, ...[...this.#learnt.values()].filter((node) => node.hasAnswered)];
  }

  get all(): readonly NodeConnection[] {
    return [...this.#configured, ...this.#learnt.values()];
  }

  inTurn(): NodeConnection[] {
    const nodes = this.known;
    const first = Math.max(
      0,
      nodes.findIndex((node) => node === this.#preferred),
    );
    return [...nodes.slice(first), ...nodes.slice(0, first)];
  }

  prefer(node: NodeConnection): void {
    this.#preferred = node;
  }

  avoid(node: NodeConnection): void {
    const nodes = this.inTurn();
    if (nodes[0] === node) this.#preferred = nodes[1];
  }

  /** Notes the addresses that `GET /Node` told; answers the ones not heard from yet. */
  learn(addresses: readonly string[]): NodeConnection[] {
    const hosts = new Set(this.#configured.map(({ origin }) => new URL(origin).hostname));
    for (const address of addresses) {
      const endpoint = this.#endpointOf(address);
      if (endpoint === undefined || hosts.has(new URL(endpoint).hostname) || this.#learnt.has(endpoint)) continue;
      this.#learnt.set(endpoint, this.#connect(endpoint));
    }
    return [...this.#learnt.values()].filter((node) => !node.hasAnswered);
  }

  /** `lanIP` has no port: nodes of one cluster use the same. Undefined when it is no address, or the ports differ. */
  #endpointOf(address: string): string | undefined {
    const family = isIP(address);
    const places = new Set(this.#configured.map(({ origin }) => `${new URL(origin).protocol} ${new URL(origin).port}`));
    const [first] = this.#configured;
    if (family === 0 || places.size !== 1 || first === undefined) return undefined;
    const url = new URL(first.origin);
    url.hostname = family === 6 ? `[${address}]` : address;
    return url.origin;
  }
}
