import { randomInt } from "node:crypto";
import type { Exchange } from "./exchange.ts";

/** How one simulated cluster behaves. Every member has a default; where HyperCore's answer is not known, the default is the harder one. */
export interface HypercoreSimulatorOptions {
  /** Address to listen on. Default `127.0.0.1`. */
  readonly host?: string;
  /** First port; further nodes take the ports after it. 0 lets the system choose. Default 0. */
  readonly port?: number;
  /** Number of nodes, each with an address of its own, sharing one state. Default 1. */
  readonly nodes?: number;
  /**
   * Give every node a loopback address of its own, counted up from `host` (127.0.0.1, 127.0.0.2, ...), and all of them one
   * port, as on real clusters: `lanIP` is then enough to reach a node. Needs a system that answers on all of 127.0.0.0/8.
   * Default false.
   */
  readonly distinctHosts?: boolean;
  /** Speak TLS with a self-signed certificate per node. Default false. */
  readonly tls?: boolean;
  /** Where the certificates go (PEM, usable as a CA file). Default: `<stateFile>.pem`, else a file in the temporary folder. */
  readonly certificateFile?: string;
  /** Journal that survives a restart and SIGKILL. Default: in memory only. */
  readonly stateFile?: string;
  /** Default `admin`. */
  readonly username?: string;
  /** Default `admin`. */
  readonly password?: string;
  /** Default `simulated`. */
  readonly clusterName?: string;
  /** Version reported by every node. 9.7 and later know labels and answer 400 as plain text. Default `9.6.27.225000`. */
  readonly icosVersion?: string;
  /** Seed of UUIDs, coin tosses and delays. Default: random. */
  readonly seed?: number;
  /** Duration of a task in milliseconds. Default 50. */
  readonly taskMs?: number;
  /** Durations of single kinds of task or transition, in milliseconds; see docs/simulator-hypercore.md for the names. */
  readonly taskMsByKind?: Readonly<Record<string, number>>;
  /** From RUNNING until the guest listens to ACPI and its agent answers. Default 4 x taskMs. */
  readonly guestBootMs?: number;
  /** From an obeyed ACPI request until SHUTOFF. Default 4 x taskMs. */
  readonly guestShutdownMs?: number;
  /** From the end of an upload's task until the image has its final name. Default 2 x taskMs. */
  readonly convertMs?: number;
  /** VMs whose name matches this regular expression ignore ACPI. The tag `sim-ignore-acpi` does the same. */
  readonly ignoreShutdown?: string;
  /** Address that running guests report (an agent is assumed). Default: one from 10.0.0.0/8 per NIC. */
  readonly guestAddress?: string;
  /** Capacity for images, disks and ISOs together, in bytes. Default: unlimited. */
  readonly storageBytes?: number;
  /** Let `/Node` tell the storage of a node and its drives, as public clients have seen it. Default false. */
  readonly drives?: boolean;
  /** Memory of each node in bytes; a START that fits on none of them fails. Default 256 GiB. */
  readonly nodeMemoryBytes?: number;
  /** What becomes of tasks under way when the process was killed. Default `mixed` (decided by the seed). */
  readonly afterCrash?: "mixed" | "complete" | "fail" | "uninitialized";
  /** Accept what the vendor's documents forbid while a VM runs but some clients do: memory, CPU, boot order, NIC changes. Default false. */
  readonly lenientWhileRunning?: boolean;
  /** Ignore read-only members in create bodies, as 9.6 does, instead of refusing them as newer gateways do. Default false. */
  readonly ignoreReadOnlyInCreate?: boolean;
  /** Allow attaching one image to several VMs at once. Default false (500 for the second). */
  readonly concurrentAttach?: boolean;
  /** Let clones keep a boot order. Default false (empty `bootDevices`). */
  readonly cloneBootDevices?: boolean;
  /** Let GET show the cloud-init data it was given. Default false (empty strings). */
  readonly showCloudInitData?: boolean;
  /** Honour a session opened on another node. Default false. */
  readonly sharedSessions?: boolean;
  /** Open sessions allowed per user. Default 100. */
  readonly sessionLimit?: number;
  /** DELETE of a VM that is not off: `refuse` with 500, or `fail-task`. Default `refuse`. */
  readonly deleteRunning?: "refuse" | "fail-task";
  /** Status of a change to an object that does not exist. Default 500; 404 answers HTML. */
  readonly missingObjectStatus?: 404 | 500;
  /** Recognise qcow2 content in an upload named `.img`. Default false. */
  readonly detectContent?: boolean;
  /** Answer `/Node` with `lanIP` including the port, which real nodes never do. Default false. */
  readonly lanIpWithPort?: boolean;
  /** Finished tasks remembered; older tags answer UNINITIALIZED. Default 20000. */
  readonly rememberedTasks?: number;
  /** Requests remembered for `GET /_simulator/calls`. Default 1000. */
  readonly rememberedCalls?: number;
  /** Called with every exchange of the API right before its answer leaves. For tests in the same process. */
  readonly observe?: (exchange: Exchange) => void;
}

type Optional = "certificateFile" | "stateFile" | "ignoreShutdown" | "guestAddress" | "storageBytes" | "observe";

/** The options with every default filled in. */
export type SimulatorSettings = Required<Omit<HypercoreSimulatorOptions, Optional>> &
  Pick<HypercoreSimulatorOptions, Optional>;

export function resolveSettings(options: HypercoreSimulatorOptions): SimulatorSettings {
  const taskMs = options.taskMs ?? 50;
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return {
    host: "127.0.0.1",
    port: 0,
    nodes: 1,
    distinctHosts: false,
    tls: false,
    username: "admin",
    password: "admin",
    clusterName: "simulated",
    icosVersion: "9.6.27.225000",
    seed: randomInt(2 ** 31),
    taskMs,
    taskMsByKind: {},
    guestBootMs: 4 * taskMs,
    guestShutdownMs: 4 * taskMs,
    convertMs: 2 * taskMs,
    nodeMemoryBytes: 256 * 2 ** 30,
    drives: false,
    afterCrash: "mixed",
    lenientWhileRunning: false,
    ignoreReadOnlyInCreate: false,
    concurrentAttach: false,
    cloneBootDevices: false,
    showCloudInitData: false,
    sharedSessions: false,
    sessionLimit: 100,
    deleteRunning: "refuse",
    missingObjectStatus: 500,
    detectContent: false,
    lanIpWithPort: false,
    rememberedTasks: 20_000,
    rememberedCalls: 1_000,
    ...given,
  };
}

/** The address a node listens on, by its index from 0. */
export function hostOfNode({ host, distinctHosts }: SimulatorSettings, index: number): string {
  if (!distinctHosts) return host;
  const [, prefix, last] = /^(127\.\d+\.\d+\.)(\d+)$/.exec(host) ?? [];
  if (prefix === undefined || Number(last) + index > 254)
    throw new Error(`distinctHosts counts up from an address in 127.0.0.0/8; node ${index} has none after ${host}`);
  return `${prefix}${Number(last) + index}`;
}

/** True when a version such as `9.7.4.1` is at least `major.minor`. */
export function versionAtLeast(version: string, major: number, minor: number): boolean {
  const [first = 0, second = 0] = version.split(".").map(Number);
  return first > major || (first === major && second >= minor);
}
