import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { runForgeSimulator } from "../simulator/forge/simulator.ts";
import { runHypercoreSimulator } from "../simulator/hypercore/simulator.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { print } from "./output.ts";
import { untilStopped } from "./stop-signal.ts";

export interface SimulateHypercoreOptions {
  readonly host: string;
  readonly port: number;
  readonly nodes: number;
  readonly state?: string;
  readonly username: string;
  readonly password: string;
  readonly clusterName?: string;
  readonly taskMs: number;
  readonly icosVersion?: string;
  readonly ignoreShutdown?: string;
  readonly storageBytes?: number;
  readonly seed?: number;
  readonly tls?: boolean;
}

/** A HyperCore cluster in this process. The first line on stdout is JSON with its addresses. */
export async function simulateHypercoreCommand({ state, ...options }: SimulateHypercoreOptions): Promise<ExitCode> {
  await runHypercoreSimulator({ ...options, ...(state === undefined ? {} : { stateFile: resolve(state) }) });
  return exitCodes.ok;
}

export interface SimulateForgeOptions {
  readonly host: string;
  readonly port: number;
  readonly data?: string;
  /** `login:token` each. */
  readonly user: readonly string[];
  readonly repository: readonly string[];
}

/** A small GitHub-like forge in this process: real git over HTTP, pull requests, comments, statuses. */
export async function simulateForgeCommand(options: SimulateForgeOptions): Promise<ExitCode> {
  const stop = new AbortController();
  void untilStopped().then(() => stop.abort());
  const dataDir = options.data === undefined ? await mkdtemp(join(tmpdir(), "kraken-forge-")) : resolve(options.data);
  const repositories = options.repository.map((name) => {
    const [owner = "", repository = ""] = name.split("/");
    return { owner, name: repository };
  });
  const users = options.user.map((user) => ({
    login: user.slice(0, user.indexOf(":")),
    token: user.slice(user.indexOf(":") + 1),
  }));
  await runForgeSimulator({ dataDir, host: options.host, port: options.port, users, repositories }, print, stop.signal);
  return exitCodes.ok;
}
