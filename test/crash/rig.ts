import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { stringify } from "yaml";
import { isServerProcess, readServerPid } from "../../src/adapters/redis/server-process.ts";
import { ForgeClient } from "../../src/cli/demo/forge-client.ts";
import { WorkTree } from "../../src/cli/demo/work-tree.ts";
import { waitFor } from "../support/wait-for.ts";
import type { Chance } from "./chance.ts";
import { bucket, type RawVm } from "./fleet.ts";
import { Program } from "./program.ts";

const program = fileURLToPath(new URL("../../bin/kraken-gitops.js", import.meta.url));
const password = "cluster-secret";
const botToken = "bot-token";

/** What can be killed. `run` and its private Redis stand for watcher, workers and Redis in the embedded variant. */
export type Victim = "watcher" | "worker-1" | "worker-2" | "redis" | "cluster" | "forge" | "run" | "private-redis";

export interface RigOptions {
  /** One process on its private Redis instead of watcher, two workers and a Redis server. */
  readonly embedded: boolean;
  readonly images: readonly string[];
  /** What VMs run on; a simulated HyperCore cluster unless given. */
  readonly ground?: (folder: string, images: readonly string[]) => Promise<Ground>;
}

/** What VMs run on, past the product. It can be killed and started again, and forgets nothing. */
export interface Ground extends AsyncDisposable {
  /** Its entry under `clusters`. */
  readonly config: object;
  readonly logName: string | undefined;
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Something is being changed at this moment. */
  isBusy(): Promise<boolean>;
  /** Goes wrong in one of its ways for some calls. Left out: it never does. */
  disturb?(chance: Chance): Promise<string>;
  /** Goes right again. */
  calm?(): Promise<void>;
  vms(): Promise<RawVm[]>;
  /** What lies about that belongs to nothing, in words. */
  leftovers(): Promise<string[]>;
  surprises(): string[];
}

export interface StatusRow {
  readonly sha: string;
  readonly context: string;
  readonly state: string;
  readonly description: string;
}

/** The product as people run it, on a simulated forge and a cluster, every part in a process of its own. */
export class Rig implements AsyncDisposable {
  readonly folder: string;
  readonly tree: WorkTree;
  readonly forge: ForgeClient;
  readonly victims: readonly Victim[];
  readonly #forgeUrl: string;
  readonly #ground: Ground;
  readonly #configFile: string;
  readonly #programs: ReadonlyMap<Victim, Program>;

  private constructor(parts: {
    folder: string;
    tree: WorkTree;
    forgeUrl: string;
    apiUrl: string;
    ground: Ground;
    configFile: string;
    programs: ReadonlyMap<Victim, Program>;
    embedded: boolean;
  }) {
    this.folder = parts.folder;
    this.tree = parts.tree;
    this.forge = new ForgeClient(parts.apiUrl, "acme/fleet", "alice-token");
    this.#forgeUrl = parts.forgeUrl;
    this.#ground = parts.ground;
    this.#configFile = parts.configFile;
    this.#programs = parts.programs;
    this.victims = [...parts.programs.keys(), "cluster", ...(parts.embedded ? ["private-redis" as const] : [])];
  }

  static async open(options: RigOptions): Promise<Rig> {
    const folder = await mkdtemp(join(tmpdir(), "kraken-crash-"));
    const programs = new Map<Victim, Program>();
    let ground: Ground | undefined;
    try {
      await prepareFolder(folder);
      const forge = simulator(folder, "forge", ["--data", join(folder, "forge"), "--repository", "acme/fleet"]);
      programs.set("forge", forge);
      const { url = "", apiUrl = "" } = readyLine(await forge.start());
      ground = await (options.ground ?? openSimulatedGround)(folder, options.images);
      const tree = await WorkTree.start(join(folder, "work"), `${url}/acme/fleet.git`, "alice-token");
      const configFile = join(folder, "kraken-gitops.yaml");
      await writeFile(configFile, stringify(configOf(folder, url, apiUrl, ground.config, options.embedded)));
      for (const [name, command] of productPrograms(folder, configFile, options.embedded)) {
        programs.set(name, command);
        await command.start();
      }
      return new Rig({
        folder,
        tree,
        forgeUrl: url,
        apiUrl,
        ground,
        configFile,
        programs,
        embedded: options.embedded,
      });
    } catch (error) {
      for (const one of programs.values()) await one.kill();
      await ground?.[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Kills all of these at once. */
  async kill(victims: readonly Victim[]): Promise<void> {
    // Looked for first: it goes down with its owner.
    const pid = victims.includes("private-redis") ? await this.#privateRedis() : undefined;
    const killed = victims.map(async (victim) => this.#programs.get(victim)?.kill());
    await Promise.all([...killed, victims.includes("cluster") ? this.#ground.kill() : undefined]);
    if (pid !== undefined) killIfThere(pid);
  }

  /**
   * Starts them again: Redis and the simulators until they are ready, the product's processes without waiting, so that
   * the next kill may find them on their way up. The private Redis is not ours to start.
   */
  async revive(victims: readonly Victim[]): Promise<void> {
    const programs = victims.flatMap((victim) => this.#programs.get(victim) ?? []);
    const ground = programs.filter(({ name }) => groundNames.has(name));
    const cluster = victims.includes("cluster") ? [this.#ground.start()] : [];
    await Promise.all([...ground.map((one) => one.start().then(() => undefined)), ...cluster]);
    for (const one of programs.filter((candidate) => !ground.includes(candidate)))
      one.start().catch((error: unknown) => one.surprises.push(String(error)));
  }

  /** Processes that ended without being killed, after they had been ready. */
  surprises(): string[] {
    return [...[...this.#programs.values()].flatMap((one) => one.surprises), ...this.#ground.surprises()];
  }

  /** The cluster is being changed at this moment. */
  isBusy(): Promise<boolean> {
    return this.#ground.isBusy();
  }

  /** Lets the cluster go wrong for some calls; says how, where it can. */
  async disturb(chance: Chance): Promise<string | undefined> {
    return this.#ground.disturb?.(chance);
  }

  async calm(): Promise<void> {
    await this.#ground.calm?.();
  }

  /** Every status the product ever wrote, oldest first. */
  async statuses(): Promise<StatusRow[]> {
    return (await this.#getJson(`${this.#forgeUrl}/_simulator/statuses`)) as StatusRow[];
  }

  vms(): Promise<RawVm[]> {
    return this.#ground.vms();
  }

  leftovers(): Promise<string[]> {
    return this.#ground.leftovers();
  }

  /** `kraken-gitops plan`: exit code 0 means that there is nothing to do. */
  plan(): Promise<{ readonly code: number; readonly output: string }> {
    return new Promise((resolve) => {
      const args = [program, "plan", "--config", this.#configFile];
      execFile(process.execPath, args, { timeout: 60_000 }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: `${stdout}${stderr}` }),
      );
    });
  }

  /** The end of every log, for a failure's message. */
  async logs(lines: number): Promise<string> {
    const names = [...[...this.#programs.values()].map(({ name }) => name), this.#ground.logName ?? []].flat();
    const texts = await Promise.all(
      names.map(async (name) => {
        const text = await readFile(logFileOf(this.folder, name), "utf8").catch(() => "");
        const last = text.split("\n").slice(-lines);
        return `--- ${name}\n${last.map((line) => line.slice(0, longestLine)).join("\n")}`;
      }),
    );
    return texts.join("\n");
  }

  /** The process id of the private server, once there is one: its owner may be on the way up. */
  #privateRedis(): Promise<number> {
    const folder = join(this.folder, "data", "redis");
    return waitFor(() => findServer(folder), { what: "a private Redis" });
  }

  async #getJson(url: string): Promise<unknown> {
    return getJson(url);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stops = [...this.#programs.values()].toReversed();
    for (const one of stops) await one.stop();
    await this.#ground[Symbol.asyncDispose]();
    if (process.env["KRAKEN_CRASH_KEEP"] === undefined) await rm(this.folder, { recursive: true, force: true });
  }
}

/** With the password of the simulated cluster; the forge's control does not ask for one. */
async function getJson(url: string): Promise<unknown> {
  const authorization = `Basic ${Buffer.from(`admin:${password}`).toString("base64")}`;
  const answer = await fetch(url, { headers: { authorization }, signal: AbortSignal.timeout(15_000) });
  if (!answer.ok) throw new Error(`GET ${url}: ${answer.status}`);
  return answer.json();
}

/** What a cluster does wrong. Faults end with the process, so that a kill takes them away. */
const troubles = [
  { what: "shows no VMs", fault: { kind: "empty-list", match: { method: "GET", path: "/VirDomain$" } } },
  { what: "loses answers", fault: { kind: "drop-after", match: { path: "/VirDomain" } } },
  { what: "answers 500", fault: { kind: "error500", match: {} } },
  { what: "fails tasks", fault: { kind: "fail-task", match: {} } },
  { what: "cuts answers short", fault: { kind: "truncate", match: { method: "GET" } } },
] as const;

/** A simulated HyperCore cluster in a process of its own. */
async function openSimulatedGround(folder: string, images: readonly string[]): Promise<Ground> {
  for (const [index, name] of images.entries())
    await writeFile(join(folder, "images", `${name}.img`), Buffer.alloc((1 + (index % 3)) * 1024 ** 2, name));
  const cluster = simulator(folder, "hypercore", clusterArguments(folder));
  const url = readyLine(await cluster.start()).addresses?.[0] ?? "";
  const setFaults = async (method: "POST" | "DELETE", fault?: object): Promise<void> => {
    const headers = { "content-type": "application/json" };
    const body = fault === undefined ? {} : { body: JSON.stringify(fault) };
    const answer = await fetch(`${url}/_simulator/faults`, { method, headers, ...body });
    if (!answer.ok) throw new Error(`faults: ${answer.status} ${await answer.text()}`);
  };
  return {
    config: { hypercore: { endpoints: [url], username: "admin", passwordFile: join(folder, "cluster-password") } },
    logName: cluster.name,
    kill: () => cluster.kill(),
    start: async () => void (await cluster.start()),
    isBusy: async () => ((await getJson(`${url}/_simulator/state`)) as { tasksUnderWay: number }).tasksUnderWay > 0,
    async disturb(chance) {
      const { what, fault } = chance.pick(troubles);
      await setFaults("POST", { ...fault, times: chance.between(1, 4) });
      return what;
    },
    calm: () => setFaults("DELETE"),
    vms: async () => (await getJson(`${url}/rest/v1/VirDomain`)) as RawVm[],
    async leftovers() {
      const all = (await getJson(`${url}/rest/v1/VirtualDisk`)) as { name: string }[];
      const half = all.filter(({ name }) => /^(uploading|converting)-/.test(name));
      return half.map(({ name }) => `image ${name} was left behind`);
    },
    surprises: () => cluster.surprises,
    [Symbol.asyncDispose]: () => cluster.stop(),
  };
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended with its owner already.
  }
}

/** A killed server leaves its process id behind, which by now may be somebody else's. */
async function findServer(folder: string): Promise<number | undefined> {
  const pid = await readServerPid(folder);
  const lives = pid !== undefined && (await isServerProcess(pid, join(folder, "redis.sock")));
  return lives ? pid : undefined;
}

const longestLine = 400;
const groundNames: ReadonlySet<string> = new Set(["redis", "forge"]);

function logFileOf(folder: string, name: string): string {
  return join(folder, `${name}.log`);
}

/** A simulator that keeps the port it was given first. */
function simulator(folder: string, kind: "forge" | "hypercore", args: readonly string[]): Program {
  let port = "0";
  const one = new Program({
    name: kind,
    command: process.execPath,
    args: () => [program, "simulate", kind, "--port", port, ...args],
    ready: /"ready":true.*\n/,
    logFile: logFileOf(folder, kind),
    onReady: (output) => {
      const { url, addresses } = readyLine(output);
      port = new URL(url ?? addresses?.[0] ?? "").port;
    },
  });
  return one;
}

function readyLine(output: string): { url?: string; apiUrl?: string; addresses?: readonly string[] } {
  const line = output.split("\n").find((candidate) => candidate.includes('"ready":true')) ?? "{}";
  return JSON.parse(line) as { url?: string; apiUrl?: string; addresses?: readonly string[] };
}

/** Tasks slow enough that a kill finds some under way. */
function clusterArguments(folder: string): string[] {
  const state = join(folder, "cluster.jsonl");
  return ["--state", state, "--password", password, "--cluster-name", "lab", "--task-ms", "300"];
}

function productPrograms(folder: string, configFile: string, embedded: boolean): [Victim, Program][] {
  const product = (name: Victim, command: string): [Victim, Program] => [
    name,
    new Program({
      name,
      command: process.execPath,
      args: () => [program, command, "--config", configFile],
      ready: /kraken-gitops is ready/,
      logFile: logFileOf(folder, name),
    }),
  ];
  if (embedded) return [product("run", "run")];
  const redis = new Program({
    name: "redis",
    command: "redis-server",
    args: () => redisArguments(folder),
    ready: /ready to accept connections/i,
    logFile: logFileOf(folder, "redis"),
  });
  return [["redis", redis], product("watcher", "watch"), product("worker-1", "work"), product("worker-2", "work")];
}

/** As an operator would run it: nothing is lost when the process dies, a second's worth when the machine does. */
function redisArguments(folder: string): string[] {
  const settings = { port: "0", unixsocket: join(folder, "redis.sock"), dir: join(folder, "redis") };
  const durability = { appendonly: "yes", appendfsync: "everysec", save: "" };
  return Object.entries({ ...settings, ...durability }).flatMap(([key, value]) => [`--${key}`, value]);
}

async function prepareFolder(folder: string): Promise<void> {
  await mkdir(join(folder, "images"));
  await mkdir(join(folder, "redis"));
  await writeFile(join(folder, "forge-token"), botToken, { mode: 0o600 });
  await writeFile(join(folder, "cluster-password"), password, { mode: 0o600 });
}

function configOf(folder: string, forgeUrl: string, apiUrl: string, cluster: object, embedded: boolean): object {
  return {
    instance: "edge",
    statusPrefix: "kraken-gitops",
    ...(embedded ? {} : { redis: { url: `unix://${join(folder, "redis.sock")}` } }),
    dataDir: join(folder, "data"),
    repositories: [
      {
        name: "fleet",
        url: `${forgeUrl}/acme/fleet.git`,
        branch: "main",
        path: "manifests/",
        poll: "1s",
        forge: { type: "github", apiUrl, tokenFile: join(folder, "forge-token") },
        clusters: ["lab"],
      },
    ],
    clusters: [{ name: "lab", ...cluster }],
    assets: { mirrors: [{ prefix: bucket, to: `${pathToFileURL(join(folder, "images")).href}/` }] },
    log: { level: "debug", format: "json" },
  };
}
