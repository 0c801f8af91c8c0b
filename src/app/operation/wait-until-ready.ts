import { WatcherError } from "../../lib/errors.ts";
import type { DesiredVirdomain } from "../../fleet/desired-state.ts";
import type { Readiness } from "../../manifest/document.ts";
import type { LiveVirdomain } from "../../plan/live-state.ts";
import { awaitsCloudInit } from "../../plan/readiness.ts";
import type { ChangeContext, Hypervisor } from "../../ports/hypervisor.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Probe } from "../../ports/probe.ts";

interface World {
  readonly hypervisor: Hypervisor;
  readonly clock: Clock;
  readonly probe: Probe;
}

const firstPauseMs = 250;
const longestPauseMs = 5_000;

/** Waits for what the deployment calls ready, beyond power. Without a `readiness` there is nothing to wait for. */
export async function waitUntilReady(
  world: World,
  desired: DesiredVirdomain,
  id: string,
  context: ChangeContext,
): Promise<void> {
  const readiness = desired.readiness;
  if (readiness === undefined) return;
  const signal = AbortSignal.any([context.signal, context.stop]);
  const deadline = world.clock.now() + readiness.timeoutMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    if (context.stop.aborted) throw new WatcherError("stopped", "a newer revision is waiting");
    const live = await world.hypervisor.findVirdomain(id, context.signal);
    const missing =
      live === undefined ? "the VM is gone" : await whatIsMissing(world, desired, readiness, live, context.signal);
    if (missing === undefined) return;
    context.progress(`waiting for ${desired.name}: ${missing}`);
    if (world.clock.now() + pauseMs > deadline) {
      throw new WatcherError(
        "readiness-timeout",
        `VM ${desired.name} was not ready after ${Math.round(readiness.timeoutMs / 1000)} s: ${missing}`,
      );
    }
    await world.clock.sleep(pauseMs, signal).catch((error: unknown) => {
      if (context.signal.aborted) throw error;
    });
  }
}

async function whatIsMissing(
  { hypervisor, probe }: World,
  desired: DesiredVirdomain,
  readiness: Readiness,
  live: LiveVirdomain,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (live.power !== "running") return `it is ${live.power}`;
  if (readiness.guestAgent && !live.guestAgent) return "its guest agent has not answered";
  if (awaitsCloudInit(desired) && !(await hasCloudInitFinished(hypervisor, live, signal)))
    return "its guest agent has not told that cloud-init is done";
  const addresses = live.nics.flatMap((nic) => nic.addresses);
  const port = readiness.tcp;
  if (port !== undefined && !(await anyOf(addresses, (address) => probe.tcp(address, port, signal))))
    return `no address (${addresses.join(", ") || "none seen"}) accepts TCP port ${port}`;
  const http = readiness.http;
  if (http !== undefined && !(await anyOf(addresses, (address) => probe.http(address, http, signal))))
    return `no address (${addresses.join(", ") || "none seen"}) answers ${http}`;
  return undefined;
}

async function anyOf(addresses: readonly string[], test: (address: string) => Promise<boolean>): Promise<boolean> {
  return (await Promise.all(addresses.map(test))).includes(true);
}

/** cloud-init runs once: what it could not do it will not do later, so there is nothing more to wait for. */
async function hasCloudInitFinished(
  hypervisor: Hypervisor,
  { id, name }: LiveVirdomain,
  signal: AbortSignal,
): Promise<boolean> {
  const state = await hypervisor.readCloudInit(id, signal);
  if (state.kind === "failed")
    throw new WatcherError("cloud-init-failed", `cloud-init failed in VM ${name}: ${state.message}`);
  return state.kind === "done";
}
