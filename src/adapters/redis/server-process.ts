import { type ChildProcess, spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import path from "node:path";
import { WatcherError } from "../../lib/errors.ts";
import type { Presence } from "./server-presence.ts";

/**
 * Runs the server under a shell that holds the reading end of a pipe from us. When we end, also by SIGKILL, the pipe
 * closes, `read` returns and the server is asked to stop, which writes its file to the end. Exit 127: no server program.
 */
const watchdog = `
for name in redis-server valkey-server; do
  command -v "$name" >/dev/null 2>&1 && server="$name" && break
done
[ -n "$server" ] || exit 127
exec 3<&0
"$server" "$1" </dev/null 3<&- & pid=$!
{ read -r _ <&3; kill -TERM "$pid"; } 2>/dev/null & guard=$!
wait "$pid"; status=$?
kill "$guard" 2>/dev/null
exit "$status"
`;

/** Loading a large file takes a while, but the socket answers at once. */
const startMs = 20_000;
const stopMs = 10_000;
const pauseMs = 10;

export interface ServerProcess {
  /** Asks `find` until it answers. Throws `redis-missing` or `redis-unavailable` when the server ends first or takes too long. */
  whenServing(find: () => Promise<Presence | undefined>): Promise<Presence>;
  /** Stops the server and waits until it is gone. */
  stop(): Promise<void>;
}

/** Starts a server of its own session, so that Ctrl-C in a terminal reaches us and not the server. */
export function startServer(configFile: string, folder: string): ServerProcess {
  const child = spawn("/bin/sh", ["-c", watchdog, "kraken-gitops-redis", configFile], {
    cwd: folder,
    detached: true,
    stdio: ["pipe", "ignore", "pipe"],
  });
  let complaint = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (text: string) => {
    complaint = (complaint + text).slice(-2_000);
  });
  child.stdin.on("error", () => undefined);
  letUsExit(child);
  const ended = new Promise<number | null>((resolve) => {
    child.once("error", () => resolve(null));
    child.once("exit", (code) => {
      child.stdin.destroy();
      resolve(code);
    });
  });
  const failure = (code: number | null): WatcherError =>
    code === 127 ? serverMissing() : serverFailed(folder, code, complaint);
  return {
    whenServing: (find) => firstAnswer(find, ended.then(failure)),
    stop: async () => {
      child.stdin.end();
      const timer = setTimeout(() => killSession(child), stopMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** The server's life hangs on ours, never the other way round. */
function letUsExit(child: ChildProcess): void {
  child.unref();
  for (const stream of [child.stdin, child.stderr]) {
    if (stream instanceof Socket) stream.unref();
  }
}

async function firstAnswer(
  find: () => Promise<Presence | undefined>,
  failed: Promise<WatcherError>,
): Promise<Presence> {
  const deadline = Date.now() + startMs;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    const failure = await Promise.race([failed, pause()]);
    if (failure !== undefined) throw failure;
    if (Date.now() > deadline) {
      throw new WatcherError("redis-unavailable", "the private redis server was started but does not answer");
    }
  }
}

function pause(): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), pauseMs);
  });
}

function killSession(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It ended by itself in the meantime.
  }
}

function serverMissing(): WatcherError {
  return new WatcherError(
    "redis-missing",
    "no redis-server or valkey-server is installed; install one (apt-get install redis-server, dnf install valkey, " +
      "apk add redis, brew install redis) or set redis.url to a server that runs",
  );
}

function serverFailed(folder: string, code: number | null, complaint: string): WatcherError {
  const reason = complaint.trim().split("\n").at(-1) ?? "";
  const detail = reason === "" ? `see ${path.join(folder, "redis.log")}` : reason;
  return new WatcherError(
    "redis-unavailable",
    `the private redis server ended at once (exit ${code ?? "?"}): ${detail}`,
  );
}

/** Writes the server's configuration and answers its path. A file rather than arguments, because Redis 6 splits those at spaces. */
export async function writeServerConfig(folder: string, socket: string): Promise<string> {
  const settings: readonly (readonly [string, string])[] = [
    ["port", "0"],
    ["unixsocket", quoted(socket)],
    ["unixsocketperm", "700"],
    ["daemonize", "no"],
    ["pidfile", quoted(pidFileOf(folder))],
    ["dir", quoted(folder)],
    ["logfile", quoted(path.join(folder, "redis.log"))],
    ["loglevel", "warning"],
    ["save", '""'],
    ["appendonly", "yes"],
    ["appendfsync", "everysec"],
    ["aof-load-truncated", "yes"],
    ["maxmemory-policy", "noeviction"],
  ];
  const file = path.join(folder, "redis.conf");
  await writeFile(file, `${settings.map(([key, value]) => `${key} ${value}`).join("\n")}\n`, { mode: 0o600 });
  return file;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

function pidFileOf(folder: string): string {
  return path.join(folder, "redis.pid");
}

/** Process id the server of this folder wrote down; it deletes the file when it ends in order. */
export async function readServerPid(folder: string): Promise<number | undefined> {
  try {
    const pid = Number.parseInt(await readFile(pidFileOf(folder), "utf8"), 10);
    return Number.isInteger(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether a process is a server on this socket, by the title servers give themselves (`redis-server unixsocket:<path>`).
 * Process ids are used again, so being alive says nothing. Systems without /proc answer by being alive alone.
 */
export async function isServerProcess(pid: number, socket: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
    const title = (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
    const listens = /unixsocket:(\S*)/.exec(title)?.[1];
    return /(redis|valkey)-server/.test(title) && (listens === undefined || socket.startsWith(listens));
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ENOENT" && process.platform !== "linux";
  }
}
