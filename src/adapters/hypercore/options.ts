import type { AssetStore } from "../../ports/asset-store.ts";
import type { Exclusive } from "../../ports/exclusive.ts";

/** How to reach one HyperCore cluster, and as whom. */
export interface HypercoreOptions {
  readonly cluster: string;
  /** Node addresses, `https://10.1.1.11`. Every node serves the whole cluster; `http:` is for simulators only. */
  readonly endpoints: readonly string[];
  readonly username: string;
  readonly password: () => Promise<string>;
  /** `basic` (the default) sends the credentials with every request; `session` logs in on each node it uses. */
  readonly auth?: "basic" | "session";
  readonly tls?: TlsOptions;
  /** Use the addresses of other nodes that the cluster itself tells, too. Default true. */
  readonly discoverNodes?: boolean;
  /** Our instance id: half of every ownership mark. */
  readonly instance: string;
  readonly assets: AssetStore;
  /** Keeps other processes from uploading the same image at the same time. Left out: there are none. */
  readonly exclusive?: Exclusive;
  readonly timeouts?: Partial<HypercoreTimeouts>;
  readonly log?: Log;
}

export interface TlsOptions {
  /** Accept any certificate. Said loudly once. */
  readonly insecure?: boolean;
  /** PEM file; may hold one certificate per node. */
  readonly caFile?: string;
  /** SHA-256 of the node certificate, hex with or without colons; several are separated by commas. */
  readonly fingerprint?: string;
}

export type Log = (
  level: "debug" | "info" | "warn" | "error",
  fields: Readonly<Record<string, unknown>>,
  message: string,
) => void;

/** Every limit of the driver, in milliseconds. Tests shorten them; operators rarely need to. */
export interface HypercoreTimeouts {
  readonly connectMs: number;
  /** One request, its answer's body included. */
  readonly readMs: number;
  /** An upload may take as long as it likes, but not stand still for this long. */
  readonly stallMs: number;
  /** One task on the cluster. */
  readonly taskMs: number;
  /** How long a finished task may take to show on the object. */
  readonly verifyMs: number;
  /** How long to wait for a VM that is busy with another task. */
  readonly busyMs: number;
  /** Pause before looking again for something whose request was lost. */
  readonly settleMs: number;
  /** An unfinished upload nobody feeds for this long is an orphan. */
  readonly orphanMs: number;
  /** The cluster's conversion of an uploaded image. */
  readonly convertMs: number;
  /** From START to RUNNING. */
  readonly startMs: number;
  /** From STOP to SHUTOFF. */
  readonly stopMs: number;
  /** A guest still running this long after the shutdown request is asked once more: a booting guest loses the first. */
  readonly resendMs: number;
  /** How long a cluster found idle counts as idle: operations begun together share one look at its update status. */
  readonly idleMs: number;
  /** First pause between two rounds of a failing read. */
  readonly backoffMs: number;
  /** How long the addresses learnt from the cluster count as known; a tenth of it after opening they are asked for first. */
  readonly learnMs: number;
  /** A node silent for this long, while others say that no update runs, counts as broken rather than as updating. */
  readonly brokenMs: number;
}

export const defaultTimeouts: HypercoreTimeouts = {
  connectMs: 5_000,
  readMs: 30_000,
  stallMs: 60_000,
  taskMs: 15 * 60_000,
  verifyMs: 15_000,
  busyMs: 120_000,
  settleMs: 3_000,
  orphanMs: 20_000,
  convertMs: 30 * 60_000,
  startMs: 60_000,
  stopMs: 60_000,
  resendMs: 45_000,
  idleMs: 3_000,
  backoffMs: 300,
  learnMs: 600_000,
  // During an update a node is away for 7 to 10 minutes (HyperCore field notes).
  brokenMs: 3_600_000,
};
