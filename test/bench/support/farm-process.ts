import { once } from "node:events";
import { type ForgeSimulatorOptions } from "../../../src/simulator/forge/options.ts";
import { startForgeSimulator } from "../../../src/simulator/forge/simulator.ts";
import { type HypercoreSimulatorOptions, startHypercoreSimulator } from "../../../src/simulator/hypercore/simulator.ts";
import { serveForgeTimes } from "./forge-time.ts";

/** What one farm process serves. */
export interface FarmOrder {
  readonly clusters: readonly HypercoreSimulatorOptions[];
  readonly forge?: ForgeSimulatorOptions;
  /** Whose requests to the forge are timed. */
  readonly timedToken?: string;
}

/** What it prints when everything listens. */
export interface FarmReady {
  readonly urls: readonly string[];
  readonly forge: { readonly url: string; readonly apiUrl: string; readonly timesUrl: string } | undefined;
}

const order = JSON.parse(process.argv[2] ?? "{}") as FarmOrder;
const clusters = await Promise.all(order.clusters.map(startHypercoreSimulator));
const forge = order.forge === undefined ? undefined : await startForgeSimulator(order.forge);
const times =
  forge === undefined ? undefined : await serveForgeTimes(Number(new URL(forge.url).port), order.timedToken ?? "");
const ready: FarmReady = {
  urls: clusters.map(({ addresses }) => addresses[0] ?? ""),
  forge:
    forge === undefined || times === undefined
      ? undefined
      : { url: forge.url, apiUrl: forge.apiUrl, timesUrl: times.url },
};
const stopped = once(process, "SIGTERM");
process.stdout.write(`${JSON.stringify(ready)}\n`);
await stopped;
await Promise.all(clusters.map((cluster) => cluster.close()));
times?.close();
await forge?.close();
