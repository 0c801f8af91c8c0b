import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openAssetStore } from "../../src/adapters/assets/asset-store.ts";
import { openHypercore } from "../../src/adapters/hypercore/driver.ts";
import type { HypercoreOptions } from "../../src/adapters/hypercore/options.ts";
import type { DesiredAsset } from "../../src/fleet/desired-state.ts";
import { contentHash } from "../../src/lib/canonical-json.ts";
import type { LiveState, LiveVirdomain } from "../../src/plan/live-state.ts";
import type { Hypervisor } from "../../src/ports/hypervisor.ts";
import type { Exchange } from "../../src/simulator/hypercore/exchange.ts";
import type { FaultRule } from "../../src/simulator/hypercore/faults.ts";
import { type HypercoreSimulatorOptions, startHypercoreSimulator } from "../../src/simulator/hypercore/simulator.ts";
import { MiB } from "./desired-vm.ts";
import { HypercoreContract, uncheckedHeader } from "./hypercore-contract.ts";

export const password = "planted-secret";
export const instance = "edge";

/** Waits short enough for tests; the meaning of each is the driver's own. */
export const quickTimeouts = {
  connectMs: 1_000,
  readMs: 5_000,
  taskMs: 10_000,
  verifyMs: 3_000,
  busyMs: 5_000,
  settleMs: 40,
  orphanMs: 150,
  convertMs: 10_000,
  startMs: 5_000,
  stopMs: 5_000,
  resendMs: 300,
  backoffMs: 20,
  idleMs: 0,
} as const;

/** A raw VM as the cluster shows it, for looking behind the driver's back. */
export type RawVm = Readonly<Record<string, unknown>> & {
  readonly uuid: string;
  readonly tags: string;
  readonly blockDevs: readonly RawDevice[];
  readonly netDevs: readonly RawDevice[];
};
export type RawDevice = Readonly<Record<string, unknown>> & {
  readonly uuid: string;
  readonly type: string;
  readonly slot: number;
  readonly capacity: number;
};

export interface RawSnapshot {
  readonly uuid: string;
  readonly domainUUID: string;
  readonly label: string;
  readonly replication: boolean;
  readonly localRetainUntilTimestamp: number;
}

export interface HypercoreLab extends AsyncDisposable {
  readonly driver: Hypervisor;
  readonly addresses: readonly string[];
  readonly certificateFile: string | undefined;
  image(name: string, bytes?: number): Promise<DesiredAsset>;
  iso(name: string): Promise<DesiredAsset>;
  /** Another driver on the same cluster, as another process would have. */
  open(overrides?: Partial<HypercoreOptions>): Promise<Hypervisor>;
  /** Any call as an administrator, not through the driver. Waits for the task. `unchecked`: wrong on purpose. */
  admin(method: string, path: string, body?: unknown, how?: "unchecked"): Promise<unknown>;
  rawVm(id: string): Promise<RawVm>;
  snapshots(): Promise<readonly RawSnapshot[]>;
  control(method: string, command: string, body?: unknown): Promise<unknown>;
  fault(rule: FaultRule): Promise<void>;
  clearFaults(): Promise<void>;
  /** Accepted changing calls so far, as `METHOD path` with `{uuid}`. */
  changingCalls(): Promise<Readonly<Record<string, number>>>;
  read(): Promise<LiveState>;
  byName(name: string): Promise<readonly LiveVirdomain[]>;
}

/**
 * A simulated cluster with a driver on it. Every exchange is held to the description of the API and to the rules beyond
 * it; the disposal of the lab fails with whatever was found.
 */
export async function openHypercoreLab(
  options: HypercoreSimulatorOptions = {},
  overrides: Partial<HypercoreOptions> = {},
): Promise<HypercoreLab> {
  const folder = await mkdtemp(join(tmpdir(), "hypercore-lab-"));
  const defaults: HypercoreSimulatorOptions = { taskMs: 8, seed: 7, username: "gitops", password };
  const contract = new HypercoreContract(options.icosVersion ?? "9.6");
  const observe = (exchange: Exchange): void => {
    contract.observe(exchange);
    options.observe?.(exchange);
  };
  const simulator = await startHypercoreSimulator({ ...defaults, ...options, observe });
  const assets = await openAssetStore({
    cacheDir: join(folder, "cache"),
    mirrors: [{ prefix: "https://images.example/", to: pathToFileURL(`${folder}/images/`).href }],
    allowHttp: false,
  });
  await mkdir(join(folder, "images"));
  const open = async (more: Partial<HypercoreOptions> = {}): Promise<Hypervisor> =>
    openHypercore({
      cluster: "lab",
      endpoints: simulator.addresses,
      username: "gitops",
      password: async () => password,
      instance,
      assets,
      timeouts: quickTimeouts,
      ...overrides,
      ...more,
    });
  const drivers: Hypervisor[] = [];
  const opened = async (more?: Partial<HypercoreOptions>): Promise<Hypervisor> => {
    const driver = await open(more);
    drivers.push(driver);
    return driver;
  };
  const driver = await opened();
  const origin = simulator.addresses[0] ?? "";

  const call = async (method: string, path: string, body?: unknown, how?: "unchecked"): Promise<unknown> => {
    const headers = {
      ...(how === undefined ? {} : { [uncheckedHeader]: "on purpose" }),
      authorization: `Basic ${Buffer.from(`gitops:${password}`).toString("base64")}`,
      "content-type": "application/json",
    };
    const reply = await fetch(`${origin}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`);
    return JSON.parse(text) as unknown;
  };
  const finished = async (tag: string): Promise<void> => {
    const [task] =
      tag === ""
        ? []
        : ((await call("GET", `/rest/v1/TaskTag/${tag}`)) as { state: string; formattedMessage: string }[]);
    if (task?.state === "ERROR") throw new Error(task.formattedMessage);
    if (task !== undefined && task.state !== "COMPLETE") await finished(tag);
  };
  const admin = async (method: string, path: string, body?: unknown, how?: "unchecked"): Promise<unknown> => {
    const reply = await call(method, `/rest/v1/${path}`, body, how);
    await finished((reply as { taskTag?: string }).taskTag ?? "");
    return reply;
  };
  const control = async (method: string, command: string, body?: unknown): Promise<unknown> => {
    const version = (body as { icosVersion?: string } | undefined)?.icosVersion;
    if (command === "cluster" && version !== undefined) contract.version = version;
    return call(method, `/_simulator/${command}`, body);
  };
  const asset = async (
    name: string,
    type: DesiredAsset["type"],
    format: string,
    bytes: number,
  ): Promise<DesiredAsset> => {
    const file = `${name}.${format === "raw" ? "img" : format}`;
    await writeFile(join(folder, "images", file), Buffer.alloc(bytes, name));
    const url = `https://images.example/${file}`;
    return { name, type, format, url, id: contentHash(url, 12) };
  };
  const read = async (): Promise<LiveState> => driver.readLiveState(AbortSignal.timeout(20_000));

  return {
    driver,
    addresses: simulator.addresses,
    certificateFile: simulator.certificateFile,
    open: opened,
    image: async (name, bytes = 2 * MiB) => asset(name, "virtual_disk", "raw", bytes),
    iso: async (name) => asset(name, "iso", "iso", MiB),
    admin,
    control,
    rawVm: async (id) => {
      const [vm] = (await call("GET", `/rest/v1/VirDomain/${id}`)) as RawVm[];
      if (vm === undefined) throw new Error(`no VM ${id}`);
      return vm;
    },
    snapshots: async () => (await call("GET", "/rest/v1/VirDomainSnapshot")) as RawSnapshot[],
    fault: async (rule) => {
      await control("POST", "faults", rule);
    },
    clearFaults: async () => {
      await control("DELETE", "faults");
    },
    changingCalls: async () => {
      const { counts } = (await control("GET", "calls")) as { counts: Record<string, number> };
      return Object.fromEntries(
        Object.entries(counts).filter(([key]) => !key.startsWith("GET ") && key.includes("/rest/v1/")),
      );
    },
    read,
    byName: async (name) => (await read()).virdomains.filter((vm) => vm.name === name),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(drivers.map(async (each) => each[Symbol.asyncDispose]()));
      await assets[Symbol.asyncDispose]();
      await simulator.close();
      await rm(folder, { recursive: true, force: true });
      contract.requireKept();
    },
  };
}

/** What a single call can meet; the next one is free of it. */
export const storm: readonly FaultRule["kind"][] = [
  "error500",
  "html502",
  "drop-before",
  "drop-after",
  "truncate",
  "fail-task-done",
  "fail-task",
  "forget-task",
];
