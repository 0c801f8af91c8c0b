import { type HypercoreSimulatorOptions, runHypercoreSimulator } from "../../src/simulator/hypercore/simulator.ts";

/** A cluster in a process of its own, for tests that kill it. Its one argument is the options in JSON. */
await runHypercoreSimulator(JSON.parse(process.argv[2] ?? "{}") as HypercoreSimulatorOptions);
