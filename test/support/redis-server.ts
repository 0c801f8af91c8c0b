import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pino } from "pino";
import { type RedisConnection, openRedis } from "../../src/adapters/redis/connection.ts";
import type { RedisConfig } from "../../src/config/config.ts";

/** A real redis-server on a unix socket in a temporary folder, with AOF, for one test file. */
export interface TestRedis extends AsyncDisposable {
  /** `unix:///...`, for RedisConfig. */
  readonly url: string;
  readonly config: RedisConfig;
  /** Ends the server in order and starts it again on the same data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
  connect(): Promise<RedisConnection>;
}

export const silentLog = pino({ level: "silent" });

export async function startTestRedis(): Promise<TestRedis> {
  const folder = await mkdtemp(path.join(tmpdir(), "kraken-gitops-redis-"));
  const socket = path.join(folder, "redis.sock");
  const config: RedisConfig = { url: `unix://${socket}`, password: undefined, caFile: undefined };
  let server: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    server = await launch(folder, socket);
  };
  const stop = async (): Promise<void> => {
    const child = server;
    server = undefined;
    if (child !== undefined) await end(child);
  };
  await start();
  return {
    url: `unix://${socket}`,
    config,
    start,
    stop,
    restart: async () => {
      await stop();
      await start();
    },
    connect: () => openRedis(config, folder, silentLog),
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function launch(folder: string, socket: string): Promise<ChildProcess> {
  const settings = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--appendonly", "yes"];
  const child = spawn("redis-server", settings, { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let output = "";
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`redis-server ended with ${code}: ${output}`)));
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (text: string) => {
      output += text;
      if (/ready to accept connections|now ready to accept/i.test(output)) resolve(child);
    });
  });
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
  });
}
