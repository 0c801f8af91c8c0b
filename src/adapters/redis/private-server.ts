import { mkdir } from "node:fs/promises";
import path from "node:path";
import { WatcherError, messageOf } from "../../lib/errors.ts";
import type { Log } from "../../ports/log.ts";
import { withFileLock } from "../file-lock.ts";
import {
  type ServerProcess,
  isServerProcess,
  readServerPid,
  startServer,
  writeServerConfig,
} from "./server-process.ts";
import { type Presence, watchServer } from "./server-presence.ts";
import { socketPathOf } from "./socket-path.ts";

/** A Redis of our own on a unix socket in the data folder: the embedded default. */
export interface PrivateRedis extends AsyncDisposable {
  /** For ioredis. */
  readonly options: { readonly path: string };
  readonly address: string;
  /** Process id of the server; undefined while it is being started again. */
  pid(): number | undefined;
}

/** An earlier server may need this long to write its file to the end before it is gone. */
const departureMs = 15_000;
/** A start takes seconds; a holder that takes longer hangs. */
const patienceMs = 90_000;
const pauseMs = 20;

/**
 * Makes sure that one server serves this data folder. It is started here, or found running (of another process of
 * ours, which then owns it). When it goes away, for whatever reason, it is started again on the same data for as long as
 * the answer is not disposed; clients connect again by themselves. It ends with the process that started it, also when
 * that one is killed. Throws `redis-missing` when no server program is installed, `redis-unavailable` when it does not start.
 */
export async function ensurePrivateRedis(dataDir: string, options: { readonly log: Log }): Promise<PrivateRedis> {
  const folder = path.resolve(dataDir, "redis");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const socket = await socketPathOf(folder);
  const guard = new ServerGuard(folder, socket, options.log);
  await guard.ensure();
  return {
    options: { path: socket },
    address: `unix://${socket}`,
    pid: () => guard.pid,
    [Symbol.asyncDispose]: () => guard.dispose(),
  };
}

/** Keeps a server present: whenever the connection that watches it breaks, it ensures anew. */
class ServerGuard {
  readonly #folder: string;
  readonly #socket: string;
  readonly #log: Log;
  #presence: Presence | undefined;
  #own: ServerProcess | undefined;
  #disposed = false;
  #recovering: Promise<void> = Promise.resolve();

  constructor(folder: string, socket: string, log: Log) {
    this.#folder = folder;
    this.#socket = socket;
    this.#log = log;
  }

  get pid(): number | undefined {
    return this.#presence?.pid;
  }

  async ensure(): Promise<void> {
    const found = (await watchServer(this.#socket)) ?? (await this.#startUnderLock());
    this.#presence = found;
    void found.gone.then(() => this.#recover());
  }

  #startUnderLock(): Promise<Presence> {
    const lock = path.join(this.#folder, "start.lock");
    const busy = (): WatcherError =>
      new WatcherError("redis-unavailable", `${lock} is held by another process; remove it if none of ours runs`);
    return withFileLock(lock, { patienceMs, busy }, async () => {
      const other = await watchServer(this.#socket);
      if (other !== undefined) return other;
      await this.#waitForDeparture();
      const config = await writeServerConfig(this.#folder, this.#socket);
      this.#own = startServer(config, this.#folder);
      return this.#own.whenServing(() => watchServer(this.#socket));
    });
  }

  /** Two servers must never append to one file: the earlier one is waited for, even when it no longer answers. */
  async #waitForDeparture(): Promise<void> {
    const deadline = Date.now() + departureMs;
    for (;;) {
      const pid = await readServerPid(this.#folder);
      if (pid === undefined || !(await isServerProcess(pid, this.#socket))) return;
      if (Date.now() > deadline) {
        throw new WatcherError(
          "redis-unavailable",
          `the redis-server with process id ${pid} still uses ${this.#folder} but does not answer; stop it and try again`,
        );
      }
      await pause();
    }
  }

  #recover(): void {
    this.#presence = undefined;
    if (this.#disposed) return;
    this.#log.warn({ socket: this.#socket }, "the private redis server went away, starting it again");
    this.#recovering = this.#ensureAgain();
  }

  async #ensureAgain(): Promise<void> {
    for (let tries = 1; !this.#disposed; tries += 1) {
      try {
        await this.ensure();
        return;
      } catch (error) {
        this.#log.error(
          { socket: this.#socket, tries, reason: messageOf(error) },
          "cannot start the private redis server",
        );
        await pause(Math.min(100 * 2 ** tries, 10_000));
      }
    }
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#recovering;
    this.#presence?.release();
    await this.#own?.stop();
  }
}

function pause(ms = pauseMs): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
