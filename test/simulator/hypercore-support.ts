import { readFileSync } from "node:fs";
import { Agent, type Dispatcher, request } from "undici";
import {
  type HypercoreSimulator,
  type HypercoreSimulatorOptions,
  startHypercoreSimulator,
} from "../../src/simulator/hypercore/simulator.ts";

export type Json = Record<string, unknown>;

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
  /** The parsed body of an answer in JSON. */
  readonly json: unknown;
}

export interface Device {
  readonly uuid: string;
  readonly type: string;
  readonly slot: number;
  readonly capacity: number;
  readonly name: string;
  readonly path: string;
  readonly cacheMode: string;
  readonly tieringPriorityFactor: number;
}

interface Nic {
  readonly uuid: string;
  readonly type: string;
  readonly macAddress: string;
  readonly vlan: number;
  readonly connected: boolean;
  readonly ipv4Addresses: readonly string[];
}

export interface Vm extends Json {
  readonly uuid: string;
  readonly name: string;
  readonly tags: string;
  readonly state: string;
  readonly uiState: string;
  readonly desiredDisposition: string;
  readonly blockDevs: readonly Device[];
  readonly netDevs: readonly Nic[];
  readonly bootDevices: readonly string[];
}

export interface Task {
  readonly state: string;
  readonly formattedMessage: string;
  readonly messageParameters: readonly string[];
}

/** A client as plain as can be: it says what it was told, and waits for conditions. */
export class TestClient implements AsyncDisposable {
  readonly simulator: HypercoreSimulator;
  readonly #agent: Dispatcher;
  readonly #authorization: string;

  constructor(simulator: HypercoreSimulator, authorization = basic("admin", "admin")) {
    this.simulator = simulator;
    this.#authorization = authorization;
    const ca = simulator.certificateFile === undefined ? undefined : readFileSync(simulator.certificateFile, "utf8");
    this.#agent = new Agent(ca === undefined ? {} : { connect: { ca } });
  }

  async call(
    method: Dispatcher.HttpMethod,
    path: string,
    body?: unknown,
    options: { readonly node?: number; readonly headers?: Record<string, string>; readonly signal?: AbortSignal } = {},
  ): Promise<Answer> {
    const response = await request(`${this.simulator.addresses[options.node ?? 0]}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: {
        ...(this.#authorization === "" ? {} : { authorization: this.#authorization }),
        ...(body === undefined || Buffer.isBuffer(body) ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      body: body === undefined ? null : Buffer.isBuffer(body) ? body : JSON.stringify(body),
      signal: options.signal ?? AbortSignal.timeout(10_000),
    });
    const text = await response.body.text();
    const type = String(response.headers["content-type"] ?? "");
    const json: unknown = type === "application/json" ? JSON.parse(text) : undefined;
    return { status: response.statusCode, type, text, json };
  }

  api(method: Dispatcher.HttpMethod, path: string, body?: unknown): Promise<Answer> {
    return this.call(method, `/rest/v1/${path}`, body);
  }

  control(method: Dispatcher.HttpMethod, path: string, body?: unknown): Promise<Answer> {
    return this.call(method, `/_simulator/${path}`, body);
  }

  /** A change that must be accepted: its tag and what it makes. */
  async change(
    method: Dispatcher.HttpMethod,
    path: string,
    body?: unknown,
  ): Promise<{ taskTag: string; createdUUID: string }> {
    const answer = await this.api(method, path, body);
    if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.json as { taskTag: string; createdUUID: string };
  }

  /** The end of a task. */
  waitTask(taskTag: string): Promise<Task> {
    return until(async () => {
      const [task] = (await this.api("GET", `TaskTag/${taskTag}`)).json as Task[];
      return task !== undefined && !["QUEUED", "RUNNING"].includes(task.state) ? task : undefined;
    });
  }

  /** A change that must be accepted and end well; answers what it made. */
  async done(method: Dispatcher.HttpMethod, path: string, body?: unknown): Promise<string> {
    const { taskTag, createdUUID } = await this.change(method, path, body);
    if (taskTag === "") return createdUUID;
    const task = await this.waitTask(taskTag);
    if (task.state !== "COMPLETE") throw new Error(`${method} ${path}: ${task.state} ${task.formattedMessage}`);
    return createdUUID;
  }

  /** A change that must be accepted and whose task must fail; answers the task. */
  async failing(method: Dispatcher.HttpMethod, path: string, body?: unknown): Promise<Task> {
    const task = await this.waitTask((await this.change(method, path, body)).taskTag);
    if (task.state !== "ERROR") throw new Error(`${method} ${path}: ${task.state}, not ERROR`);
    return task;
  }

  async vm(uuid: string): Promise<Vm> {
    const [vm] = (await this.api("GET", `VirDomain/${uuid}`)).json as Vm[];
    if (vm === undefined) throw new Error(`no VM ${uuid}`);
    return vm;
  }

  /** A VM that could start: one CPU, some memory, one blank boot disk. */
  async bootableVm(dom: Json = {}): Promise<string> {
    const uuid = await this.done("POST", "VirDomain", {
      dom: { name: "web", mem: 2 ** 30, numVCPU: 1, ...dom },
      options: { attachGuestToolsISO: false },
    });
    const disk = await this.done("POST", "VirDomainBlockDevice", {
      virDomainUUID: uuid,
      type: "VIRTIO_DISK",
      capacity: 2 ** 30,
    });
    await this.done("PATCH", `VirDomain/${uuid}`, { bootDevices: [disk] });
    return uuid;
  }

  act(uuid: string, actionType: string, extra: Json = {}): Promise<Answer> {
    return this.api("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType, ...extra }]);
  }

  waitState(uuid: string, state: string): Promise<Vm> {
    return until(async () => {
      const vm = await this.vm(uuid);
      return vm.state === state ? vm : undefined;
    });
  }

  /** Started and past its boot, so that it listens to ACPI. */
  async runningVm(dom: Json = {}): Promise<string> {
    const uuid = await this.bootableVm(dom);
    await this.done("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "START" }]);
    await until(async () => ((await this.vm(uuid))["guestAgentState"] === "AVAILABLE" ? true : undefined));
    return uuid;
  }

  /** Uploads and waits for the final name. */
  async image(name: string, bytes: Buffer): Promise<string> {
    const path = `VirtualDisk/upload?filename=${name}&filesize=${bytes.length}`;
    const uuid = await this.done("PUT", path, bytes);
    await until(async () => {
      const [disk] = (await this.api("GET", `VirtualDisk/${uuid}`)).json as { name: string }[];
      return disk?.name === name ? disk : undefined;
    });
    return uuid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
    await this.simulator.close();
  }
}

export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** Starts a quick cluster with a fixed seed. */
export async function open(options: HypercoreSimulatorOptions = {}): Promise<TestClient> {
  return new TestClient(await startHypercoreSimulator({ taskMs: 8, seed: 7, ...options }));
}

/** Asks again and again until there is an answer. */
export async function until<T>(ask: () => Promise<T | undefined>, limitMs = 10_000): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new Error(`still waiting after ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
