import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { composeEngine, type OpenEngine } from "../../src/app/compose.ts";
import { startWatching, startWorking } from "../../src/app/roles.ts";
import { type DemoVm, listVms } from "../../src/cli/demo/cluster-client.ts";
import { type DemoStatus, ForgeClient } from "../../src/cli/demo/forge-client.ts";
import type { WorkTree } from "../../src/cli/demo/work-tree.ts";
import type { ClusterConfig, Config, SecretReference } from "../../src/config/config.ts";
import { Handles } from "../../src/lib/handles.ts";
import type { Log } from "../../src/ports/log.ts";
import { DEFAULT_USERS } from "../../src/simulator/forge/options.ts";
import { type HypercoreSimulatorOptions, startHypercoreSimulator } from "../../src/simulator/hypercore/simulator.ts";
import { HypercoreContract, uncheckedHeader } from "./hypercore-contract.ts";
import { beginWorld } from "./world-beginning.ts";
import { waitFor } from "./wait-for.ts";

export interface WorldOptions {
  /** For `useWorld`: the product is not started. */
  readonly idle?: boolean;
  /** Names of simulated clusters; `lab` alone unless given. */
  readonly clusters?: readonly string[];
  readonly simulator?: HypercoreSimulatorOptions;
  readonly config?: (config: Config) => Config;
  readonly log?: Log;
  /** Whose REST and webhooks the forge speaks; GitHub's unless given. */
  readonly dialect?: "github" | "gitlab" | "gitea";
  /** Poll interval; short by default, not shorter: each poll starts three processes while a test waits. */
  readonly pollMs?: number;
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLog };

/**
 * A real forge, real git over HTTP, simulated clusters over HTTP, a private Redis and the engine of the product. What the
 * product sends to a cluster is held to the cluster's contract; disposal fails with what broke it.
 */
export class World implements AsyncDisposable {
  readonly folder: string;
  readonly forge: ForgeClient;
  readonly forgeUrl: string;
  /** Where the forge's REST begins. */
  readonly apiUrl: string;
  readonly clusterUrls: ReadonlyMap<string, string>;
  readonly tree: WorkTree;
  readonly config: Config;
  readonly #handles: Handles;
  readonly #log: Log;
  #product: (AsyncDisposable & { readonly engine: OpenEngine }) | undefined;
  readonly #engines = new Set<AsyncDisposable>();

  private constructor(parts: {
    folder: string;
    forge: ForgeClient;
    forgeUrl: string;
    apiUrl: string;
    clusterUrls: Map<string, string>;
    tree: WorkTree;
    config: Config;
    handles: Handles;
    log: Log;
  }) {
    this.folder = parts.folder;
    this.forge = parts.forge;
    this.forgeUrl = parts.forgeUrl;
    this.apiUrl = parts.apiUrl;
    this.clusterUrls = parts.clusterUrls;
    this.tree = parts.tree;
    this.config = parts.config;
    this.#handles = parts.handles;
    this.#log = parts.log;
  }

  static async open(options: WorldOptions = {}): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), "kraken-world-"));
    const handles = new Handles();
    handles.use({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) });
    const dialect = options.dialect ?? "github";
    const { forge, tree } = await beginWorld(folder, {
      dialect,
      users: [
        ...DEFAULT_USERS,
        { login: "olga", token: "admin-token", permission: "admin" },
        { login: "mallory", token: "mallory-token", permission: "read" },
      ],
    });
    handles.use({ [Symbol.asyncDispose]: () => forge.close() });
    const clusterUrls = new Map<string, string>();
    for (const name of options.clusters ?? ["lab"]) {
      const contract = new HypercoreContract(options.simulator?.icosVersion ?? "9.6");
      handles.use({ [Symbol.asyncDispose]: async () => contract.requireKept() });
      const usual: HypercoreSimulatorOptions = { taskMs: 5, clusterName: name, observe: contract.observe };
      const simulator = await startHypercoreSimulator({ ...usual, ...options.simulator });
      handles.use({ [Symbol.asyncDispose]: () => simulator.close() });
      clusterUrls.set(name, simulator.addresses[0] ?? "");
    }
    await writeImages(join(folder, "images"));
    const config = inDialect(worldConfig(folder, forge, clusterUrls, options.pollMs ?? 250), dialect);
    return new World({
      folder,
      forge: new ForgeClient(forge.apiUrl, "acme/fleet", "alice-token"),
      forgeUrl: forge.url,
      apiUrl: forge.apiUrl,
      clusterUrls,
      tree,
      config: options.config?.(config) ?? config,
      handles,
      log: options.log ?? silentLog,
    });
  }

  /** Opens an engine on this world's configuration (or a change of it); closed with the world unless closed before. */
  async engine(config: Config = this.config): Promise<OpenEngine> {
    const engine = await composeEngine({ config, log: this.#log, version: "0.0.0-test" });
    this.#engines.add(engine);
    return engine;
  }

  /** The product as `run` starts it. Disposing stops it. */
  async run(): Promise<AsyncDisposable & { readonly engine: OpenEngine }> {
    const product = await this.start(await this.engine());
    this.#product = product;
    return product;
  }

  /** Starts both roles on an engine, which is closed with them. */
  async start(engine: OpenEngine): Promise<AsyncDisposable & { readonly engine: OpenEngine }> {
    this.#engines.delete(engine);
    const working = await startWorking(engine);
    const watching = startWatching(engine);
    let running = true;
    const stop = async (): Promise<void> => {
      if (!running) return;
      running = false;
      await watching[Symbol.asyncDispose]();
      await working[Symbol.asyncDispose]();
      await engine[Symbol.asyncDispose]();
    };
    const product = { engine, [Symbol.asyncDispose]: stop };
    this.#handles.use(product);
    return product;
  }

  /** What `run` started last. */
  product(): AsyncDisposable & { readonly engine: OpenEngine } {
    if (this.#product === undefined) throw new Error("run() comes first");
    return this.#product;
  }

  /** Writes manifests, commits and pushes to main; answers the commit. An undefined text removes the file. */
  async push(files: Readonly<Record<string, string | undefined>>, message: string): Promise<string> {
    const commit = await this.commit(files, message);
    await this.tree.push("main");
    return commit;
  }

  /** Reverts the newest commit (or these, newest first) on main and pushes. Answers the new tip. */
  async revert(...commits: readonly string[]): Promise<string> {
    await this.tree.git("revert", "--no-edit", ...(commits.length === 0 ? ["HEAD"] : commits));
    await this.tree.push("main");
    return this.tree.git("rev-parse", "HEAD");
  }

  /** The same without the push. */
  async commit(files: Readonly<Record<string, string | undefined>>, message: string): Promise<string> {
    for (const [name, text] of Object.entries(files)) {
      const file = join(this.folder, "work", name);
      if (text === undefined) await rm(file);
      else {
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, text);
      }
    }
    return this.tree.commit(message);
  }

  /** Statuses of one context on a commit, oldest first. */
  async statuses(commit: string, context = "kraken-gitops/sync"): Promise<DemoStatus[]> {
    const all = (await this.control(this.forgeUrl, "GET", `statuses?sha=${commit}`)) as DemoStatus[];
    return all.filter((status) => status.context === context);
  }

  /** One call of the forge's REST (or its simulator's control) as a person with write permission. */
  async forgeCall(method: "GET" | "POST" | "PATCH" | "PUT", path: string, body?: object): Promise<unknown> {
    const answer = await fetch(`${this.forgeUrl}${path}`, {
      method,
      headers: { authorization: "Bearer alice-token", "user-agent": "alice", "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 300)}`);
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  }

  /** Waits for the final status of a commit. */
  async final(commit: string, context = "kraken-gitops/sync", timeoutMs = 60_000): Promise<DemoStatus> {
    return waitFor(
      async () => {
        const newest = (await this.statuses(commit, context)).at(-1);
        return newest === undefined || newest.state === "pending" ? undefined : newest;
      },
      {
        what: `${context} of ${commit.slice(0, 7)}`,
        timeoutMs,
        describe: async () => JSON.stringify(await this.statuses(commit, context)),
      },
    );
  }

  /** uuids by name, in the order of names. */
  async uuids(cluster = "lab"): Promise<Map<string, string>> {
    const found = (await this.hypercore("GET", "VirDomain", undefined, cluster)) as { name: string; uuid: string }[];
    return new Map(found.map(({ name, uuid }) => [name, uuid] as const).sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** CPUs of all VMs. */
  async cpus(cluster = "lab"): Promise<number[]> {
    const found = (await this.hypercore("GET", "VirDomain", undefined, cluster)) as { numVCPU: number }[];
    return found.map(({ numVCPU }) => numVCPU);
  }

  /** Names of VMs in the order in which the cluster made them. */
  async creationOrder(cluster = "lab"): Promise<string[]> {
    const found = (await this.hypercore("GET", "VirDomain", undefined, cluster)) as { name: string }[];
    return found.map(({ name }) => name);
  }

  /** A call of the cluster's own API, past the product: people are not held to its rules. */
  async hypercore(
    method: "GET" | "POST" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
    cluster = "lab",
  ): Promise<unknown> {
    const headers = {
      [uncheckedHeader]: "by hand",
      authorization: `Basic ${Buffer.from("admin:admin").toString("base64")}`,
      "content-type": "application/json",
    };
    const answer = await fetch(`${this.clusterUrl(cluster)}/rest/v1/${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** Until the product has looked at its repository so many times more: what it was going to do, it has done. */
  async polls(count: number): Promise<void> {
    const { store } = this.product().engine;
    let seenMs: number | undefined;
    for (let poll = 0; poll <= count; poll += 1)
      seenMs = await waitFor(
        async () => {
          const atMs = (await store.readCondition("fleet"))?.atMs;
          return atMs === seenMs ? undefined : atMs;
        },
        { what: "the next poll" },
      );
  }

  /** A person switches these VMs off and deletes them, past the product. */
  async deleteByHand(names: readonly string[]): Promise<void> {
    const uuids = [...(await this.uuids())].flatMap(([name, uuid]) => (names.includes(name) ? [uuid] : []));
    for (const uuid of uuids)
      await this.hypercore("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "STOP" }]);
    await waitFor(
      async () => {
        const left = [...(await this.uuids()).values()].filter((uuid) => uuids.includes(uuid));
        // Refused while the VM is still on its way down.
        await Promise.all(left.map((uuid) => this.hypercore("DELETE", `VirDomain/${uuid}`).catch(() => undefined)));
        return left.length === 0 ? true : undefined;
      },
      { what: `${names.join(", ")} to be gone` },
    );
  }

  vms(cluster = "lab"): Promise<DemoVm[]> {
    return listVms(this.clusterUrl(cluster), "admin", "admin");
  }

  clusterUrl(cluster = "lab"): string {
    const url = this.clusterUrls.get(cluster);
    if (url === undefined) throw new Error(`no cluster ${cluster}`);
    return url;
  }

  /** The control API of a simulator (faults, calls). */
  async control(base: string, method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<unknown> {
    const answer = await fetch(`${base}/_simulator/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    const text = await answer.text();
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const engine of this.#engines) await engine[Symbol.asyncDispose]();
    await this.#handles[Symbol.asyncDispose]();
  }
}

/** Images of a MiB for every name the examples and the tests use. */
const imageNames = [
  "ubuntu-22.04-web",
  "ubuntu-22.04-app",
  "ubuntu-22.04-db",
  "windows-server-2022",
  "ubuntu-22.04-server",
  "ubuntu-22.04-k8s",
];
const bucket = "https://storage.googleapis.com/demo-bucket/";

async function writeImages(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of imageNames) await writeFile(join(folder, `${name}.img`), Buffer.alloc(1_048_576, name));
}

function worldConfig(
  folder: string,
  forge: { url: string; apiUrl: string },
  clusterUrls: ReadonlyMap<string, string>,
  pollMs: number,
): Config {
  const clusters = [...clusterUrls].map(
    ([name, url]): ClusterConfig => ({
      name,
      driver: "hypercore",
      labels: {},
      variables: {},
      networks: undefined,
      hypercore: {
        endpoints: [url],
        username: "admin",
        password: secret("admin"),
        auth: "basic",
        discoverNodes: true,
        tls: { insecure: false, caFile: undefined, fingerprint: undefined },
      },
      libvirt: undefined,
    }),
  );
  return {
    instance: "edge",
    statusPrefix: "kraken-gitops",
    redis: { url: undefined, password: undefined, caFile: undefined },
    dataDir: join(folder, "data"),
    repositories: [
      {
        name: "fleet",
        url: `${forge.url}/acme/fleet.git`,
        branch: "main",
        path: "manifests",
        pollMs,
        auth: { kind: "token", username: undefined, token: secret("bot-token") },
        caFile: undefined,
        proxy: undefined,
        forge: {
          type: "github",
          apiUrl: forge.apiUrl,
          owner: "acme",
          repository: "fleet",
          token: secret("bot-token"),
          caFile: undefined,
          proxy: undefined,
        },
        clusters: clusters.map((cluster) => cluster.name),
      },
    ],
    clusters,
    assets: {
      mirrors: [{ prefix: bucket, to: `${pathToFileURL(join(folder, "images")).href}/`, clusters: undefined }],
      allowHttp: false,
      caFile: undefined,
      proxy: undefined,
      allowPrivate: true,
      maxAssetBytes: undefined,
      cache: { maxBytes: 2 ** 30 },
    },
    workers: { concurrency: 16, perCluster: 4 },
    drift: { intervalMs: 0, pauseMs: 60_000, corrections: 5, withinMs: 86_400_000 },
    log: { level: "silent", format: "json" },
  };
}

export function secret(value: string): SecretReference {
  return { source: "a test", read: () => Promise.resolve(value), toJSON: () => "a test" };
}

/** A manifest of one application with the given VMs, each one field per line as people write it. */
/** The repository's forge, in the words of another one. */
function inDialect(config: Config, dialect: NonNullable<WorldOptions["dialect"]>): Config {
  const repositories = config.repositories.map((repository): Config["repositories"][number] => {
    const { forge } = repository;
    if (forge.type !== "github" || forge.token === undefined || dialect === "github") return repository;
    const { apiUrl, owner, repository: name, token, caFile, proxy } = forge;
    const common = { apiUrl, token, caFile, proxy };
    if (dialect === "gitlab")
      return { ...repository, forge: { type: "gitlab", project: `${owner}/${name}`, ...common } };
    return { ...repository, forge: { type: "gitea", owner, repository: name, ...common } };
  });
  return { ...config, repositories };
}

export function manifest(application: string, vms: readonly VmText[]): string {
  const resources = vms.map(
    ({ name, cpu = 1, memory = "1 GiB", tags = [], disks = [], state = "running", description = name }) =>
      [
        `    - type: virdomain`,
        `      name: ${name}`,
        `      spec:`,
        `        description: ${description}`,
        `        cpu: ${cpu}`,
        `        memory: ${memory}`,
        `        machine_type: uefi`,
        `        state: ${state}`,
        `        tags: [${tags.map((tag) => JSON.stringify(tag)).join(", ")}]`,
        `        storage_devices:`,
        `          - { name: system, type: virtio_disk, source: ubuntu, boot: 1, capacity: 10 GiB }`,
        ...disks.map((disk) => `          - { name: ${disk}, type: virtio_disk, capacity: 5 GiB }`),
        `        network_devices: [{ name: net, type: virtio }]`,
      ].join("\n"),
  );
  return [
    `type: Application`,
    `version: "1.0.0"`,
    `metadata: { name: ${application} }`,
    `spec:`,
    `  assets:`,
    `    - { name: ubuntu, type: virtual_disk, format: raw, url: "${bucket}ubuntu-22.04-web.img" }`,
    `  resources:`,
    ...resources,
    "",
  ].join("\n");
}

export interface VmText {
  readonly name: string;
  readonly cpu?: number;
  readonly memory?: string;
  readonly tags?: readonly string[];
  readonly disks?: readonly string[];
  readonly state?: "running" | "shutoff";
  readonly description?: string;
}
