import { runForgeSimulator } from "../../src/simulator/forge/simulator.ts";

/** A forge in a process of its own, for tests that kill it: `forge-process.ts DATADIR PORT`. */
const [dataDir = "", port = "0"] = process.argv.slice(2);
const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());
const options = { dataDir, port: Number(port), repositories: [{ owner: "acme", name: "fleet" }] };
await runForgeSimulator(options, (line) => process.stdout.write(`${line}\n`), stop.signal);
