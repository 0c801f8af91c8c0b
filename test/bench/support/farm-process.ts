import { once } from "node:events";
import { type ForgeSimulatorOptions } from "../../../src/simulator/forge/options.ts";
import { startForgeSimulator } from "../../../src/simulator/forge/simulator.ts";
import { type HypercoreSimulatorOptions, startHypercoreSimulator } from "../../../src/simulator/hypercore/simulator.ts";

/** What one farm process serves. */
export interface FarmOrder {
  readonly clusters: readonly HypercoreSimulatorOptions[];
  readonly forge?: ForgeSimulatorOptions;
}

/** What it prints when everything listens. */
export interface FarmReady {
  readonly urls: readonly string[];
  readonly forge: { readonly url: string; readonly apiUrl: string } | undefined;
}

const order = JSON.parse(process.argv[2] ?? "{}") as FarmOrder;
const clusters = await Promise.all(order.clusters.map(startHypercoreSimulator));
const forge = order.forge === undefined ? undefined : await startForgeSimulator(order.forge);
const ready: FarmReady = {
  urls: clusters.map(({ addresses }) => addresses[0] ?? ""),
  forge: forge === undefined ? undefined : { url: forge.url, apiUrl: forge.apiUrl },
};
const stopped = once(process, "SIGTERM");
process.stdout.write(`${JSON.stringify(ready)}\n`);
await stopped;
await Promise.all(clusters.map((cluster) => cluster.close()));
await forge?.close();
