import type { ClusterConfig, Config, RepositoryConfig } from "../config/config.ts";
import type { PlatformTraits } from "../plan/live-state.ts";
import type { Clock } from "../ports/clock.ts";
import type { Forge } from "../ports/forge.ts";
import type { GitSource } from "../ports/git-source.ts";
import type { Hypervisor } from "../ports/hypervisor.ts";
import type { JobQueue } from "../ports/job-queue.ts";
import type { Log } from "../ports/log.ts";
import type { Probe } from "../ports/probe.ts";
import type { StateStore } from "../ports/state-store.ts";
import type { Manifests } from "./planning/manifests.ts";

/** Everything the app works with, wired by compose.ts. Members are looked up when used, so that a reload takes effect. */
export interface Engine {
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly store: StateStore;
  readonly queue: JobQueue;
  readonly probe: Probe;
  /** A number in [0, 1), for jitter. */
  random(): number;
  config(): Config;
  /** Throws `config-invalid` for a repository or cluster that the configuration no longer has. */
  repository(name: string): Promise<Repository>;
  hypervisor(cluster: string): Promise<Hypervisor>;
  traits(driver: ClusterConfig["driver"]): PlatformTraits;
}

/** One watched repository with its open adapters. */
export interface Repository {
  readonly config: RepositoryConfig;
  readonly git: GitSource;
  readonly forge: Forge;
  readonly manifests: Manifests;
}
