import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { WatcherError } from "../../lib/errors.ts";
import type { Hypervisor } from "../../ports/hypervisor.ts";
import type { Log } from "../../ports/log.ts";
import { readClusters } from "./read-clusters.ts";

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
const never = new AbortController().signal;

/** Clusters named `silent-*` never answer, `broken-*` answer with an error, all others at once. */
function fleet() {
  let open = 0;
  const seen = { most: 0, healthyInOrder: [] as string[] };
  const read = async (cluster: string, signal: AbortSignal): Promise<never> => {
    open += 1;
    seen.most = Math.max(seen.most, open);
    try {
      if (cluster.startsWith("silent")) await wait(60_000, undefined, { signal });
      if (cluster.startsWith("broken")) throw new WatcherError("cluster-auth-failed", "wrong password");
      seen.healthyInOrder.push(cluster);
      return { cluster, virdomains: [] } as never;
    } finally {
      open -= 1;
    }
  };
  const hypervisor = async (cluster: string): Promise<Hypervisor> =>
    ({ traits: {}, readLiveState: (signal: AbortSignal) => read(cluster, signal) }) as unknown as Hypervisor;
  return { engine: { hypervisor, log }, seen };
}

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_item, index) => `${prefix}-${String(index).padStart(4, "0")}`);

describe("reading clusters", () => {
  it("reads every healthy one although more are silent than are asked at a time, and holds those", async () => {
    const { engine, seen } = fleet();
    const clusters = [...names("silent", 40), ...names("store", 30), "broken-0000"];
    const { live, held } = await readClusters(engine, clusters, never, 1_500);
    expect([...live.keys()]).toEqual(names("store", 30));
    expect(held.map(({ cluster }) => cluster)).toEqual(["broken-0000", ...names("silent", 40)]);
    expect(held[0]?.code).toBe("cluster-auth-failed");
    expect(seen.healthyInOrder).toHaveLength(30);
  });

  it("keeps the number of open reads bounded when hardly anybody answers", async () => {
    const { engine, seen } = fleet();
    const { held } = await readClusters(engine, names("silent", 40), never, 300, {
      breadth: 2,
      slowMs: 5,
      mostSlow: 10,
    });
    expect(held).toHaveLength(40);
    expect(seen.most).toBeGreaterThan(10);
    expect(seen.most).toBeLessThanOrEqual(10 + 2 * 2);
  });

  it("ends at once when its asker leaves", async () => {
    const { engine } = fleet();
    const leaving = new AbortController();
    const reading = readClusters(engine, names("silent", 3), leaving.signal);
    leaving.abort(new Error("enough"));
    await expect(reading).rejects.toThrow("enough");
  });
});
