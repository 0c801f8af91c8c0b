import { readFile } from "node:fs/promises";
import { applyOperation } from "../../../src/app/operation/apply-operation.ts";
import { composeWorld } from "../../../src/app/compose.ts";
import type { Config } from "../../../src/config/config.ts";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import { buildDesiredState } from "../../../src/fleet/build-desired-state.ts";
import { type DesiredState, identityKey } from "../../../src/fleet/desired-state.ts";
import { parseManifest } from "../../../src/manifest/parse.ts";
import { planCluster } from "../../../src/plan/plan-cluster.ts";
import type { Hypervisor } from "../../../src/ports/hypervisor.ts";
import { freeLease } from "../../support/desired-vm.ts";
import { silentLog } from "../../support/world.ts";

const cluster = "site";

/** The product without git, queue and Redis: reads, plans, and carries out so many operations at a time; milliseconds. */
export async function driverDeploy(
  config: Config,
  manifestFile: string,
  atOnce: number,
  begin: () => void,
): Promise<number> {
  const desired = await desiredOf(manifestFile);
  await using world = composeWorld({ config, log: silentLog, version: "0.0.0-bench" });
  const hypervisor = await world.hypervisor(cluster);
  begin();
  const began = performance.now();
  await deploy(hypervisor, desired, config.instance, atOnce);
  return performance.now() - began;
}

async function desiredOf(manifestFile: string): Promise<DesiredState> {
  const facts = { name: cluster, driver: "hypercore" as const, labels: {}, variables: {}, networks: undefined };
  const files = [parseManifest("three-tier.yaml", await readFile(manifestFile), {})];
  return buildDesiredState({ repository: "fleet", files, clusters: [facts], defaultClusters: [cluster] });
}

async function deploy(hypervisor: Hypervisor, desired: DesiredState, instance: string, atOnce: number): Promise<void> {
  const signal = AbortSignal.timeout(120_000);
  const stop = new AbortController().signal;
  const live = await hypervisor.readLiveState(signal);
  const plan = { desired, base: undefined, traits: hypervisor.traits, enforced: new Set<string>(), scope: undefined };
  const operations = [...planCluster({ ...plan, instance, live }).operations];
  const wanted = new Map(
    [...desired.targets.values()].flatMap(({ virdomains }) => virdomains.map((vm) => [identityKey(vm.identity), vm])),
  );
  const worker = async (): Promise<void> => {
    for (let operation = operations.shift(); operation !== undefined; operation = operations.shift()) {
      await hypervisor.ensureReady(signal);
      const context = { signal, stop, beforeChange() {}, progress() {} };
      const revision = "f".repeat(40);
      const parts = { operation, desired: wanted.get(identityKey(operation.identity)), instance, revision };
      const attempt = { token: operation.id, attempt: 1, onSnapshot() {}, leaseQuarantined: freeLease };
      const world = { hypervisor, clock: systemClock, probe: noProbe };
      const end = await applyOperation({ ...parts, ...attempt, ...world }, context);
      if (end.kind !== "done") throw new Error(end.message);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

const noProbe = { tcp: () => Promise.resolve(false), http: () => Promise.resolve(false) };
