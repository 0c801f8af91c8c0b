import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { DialectName } from "../simulator/forge/options.ts";
import { runForgeSimulator } from "../simulator/forge/simulator.ts";
import { runHypercoreSimulator } from "../simulator/hypercore/simulator.ts";
import { messageOf, WatcherError } from "../lib/errors.ts";
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
  await listening(runHypercoreSimulator({ ...options, ...(state === undefined ? {} : { stateFile: resolve(state) }) }));
  return exitCodes.ok;
}

export interface SimulateForgeOptions {
  readonly host: string;
  readonly port: number;
  readonly data?: string;
  readonly dialect: DialectName;
  /** `login:token` each. */
  readonly user: readonly string[];
  readonly repository: readonly string[];
}

/** A small forge, like GitHub, GitLab, Gitea or Forgejo, in this process: real git over HTTP, pull requests, comments, statuses. */
export async function simulateForgeCommand(options: SimulateForgeOptions): Promise<ExitCode> {
  const repositories = options.repository.map((text) => parseRepository(text, options.dialect));
  const users = options.user.map(parseUser);
  const stop = new AbortController();
  void untilStopped().then(() => stop.abort());
  const dataDir = options.data === undefined ? await mkdtemp(join(tmpdir(), "kraken-forge-")) : resolve(options.data);
  const { host, port, dialect } = options;
  await listening(runForgeSimulator({ dialect, dataDir, host, port, users, repositories }, print, stop.signal));
  return exitCodes.ok;
}

function parseRepository(text: string, dialect: DialectName): { readonly owner: string; readonly name: string } {
  const [, owner, name] = /^([\w.-]+(?:\/[\w.-]+)*)\/([\w.-]+)$/.exec(text) ?? [];
  if (owner?.includes("/") === true && dialect !== "gitlab")
    throw new WatcherError("usage", `--repository ${text}: groups of groups exist with --dialect gitlab only`);
  if (owner === undefined || name === undefined)
    throw new WatcherError("usage", `--repository ${text} is no repository: write owner/name, such as acme/fleet`);
  return { owner, name };
}

function parseUser(text: string): { readonly login: string; readonly token: string } {
  const [, login, token] = /^([\w.-]+):(\S+)$/.exec(text) ?? [];
  // The text may be nothing but a token: it is not repeated.
  if (login === undefined || token === undefined)
    throw new WatcherError("usage", "--user takes login:token, such as alice:alice-token");
  return { login, token };
}

/** Says in words why a simulator cannot listen. */
async function listening(running: Promise<void>): Promise<void> {
  try {
    await running;
  } catch (error) {
    const { code, port, address } = error as NodeJS.ErrnoException & { port?: number; address?: string };
    if (code === "EADDRINUSE")
      throw new WatcherError("usage", `port ${port} of ${address} is taken: choose another with --port, or 0 for any`);
    if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EACCES")
      throw new WatcherError("usage", `cannot listen: ${messageOf(error)}; choose another --host or --port`);
    throw error;
  }
}
