import { HypercoreClient } from "../../src/adapters/hypercore/rest/client.ts";
import { defaultTimeouts, type HypercoreOptions } from "../../src/adapters/hypercore/options.ts";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import { diffVirdomain } from "../../src/plan/diff-virdomain.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import type { Exchange } from "../../src/simulator/hypercore/exchange.ts";
import type { HypercoreSimulatorOptions } from "../../src/simulator/hypercore/simulator.ts";
import { desiredVm, freeContext, markOf } from "./desired-vm.ts";
import { type HypercoreLab, instance, openHypercoreLab, password, quickTimeouts } from "./hypercore-lab.ts";

export const soon = (): AbortSignal => AbortSignal.timeout(20_000);

/** A VM that is as it should be without being started. */
export function offVm(overrides: Partial<DesiredVirdomain>): DesiredVirdomain {
  return desiredVm("web-1", { state: "shutoff", ...overrides });
}

/** A lab that also keeps what was sent. */
export async function openWatchedLab(
  options: HypercoreSimulatorOptions = {},
  overrides: Partial<HypercoreOptions> = {},
): Promise<{ lab: HypercoreLab; sent: (method: string, path: RegExp) => Exchange[] } & AsyncDisposable> {
  const seen: Exchange[] = [];
  const lab = await openHypercoreLab({ ...options, observe: (exchange) => seen.push(exchange) }, overrides);
  return {
    lab,
    sent: (method, path) => seen.filter((each) => each.method === method && path.test(each.path)),
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  };
}

export async function create(lab: HypercoreLab, desired: DesiredVirdomain): Promise<LiveVirdomain> {
  return lab.driver.create(desired, markOf(desired, instance), freeContext());
}

export async function update(
  lab: HypercoreLab,
  live: LiveVirdomain,
  desired: DesiredVirdomain,
): Promise<LiveVirdomain> {
  return lab.driver.update(live, desired, markOf(desired, instance), freeContext());
}

export async function look(lab: HypercoreLab, { id }: LiveVirdomain): Promise<LiveVirdomain> {
  const found = await lab.driver.findVirdomain(id, soon());
  if (found === undefined) throw new Error("the VM is gone");
  return found;
}

/** What planning would change on the VM as it is now. */
export async function driftOf(
  lab: HypercoreLab,
  desired: DesiredVirdomain,
  live: LiveVirdomain,
): Promise<readonly unknown[]> {
  return diffVirdomain(desired, await look(lab, live), lab.driver.traits).changes;
}

/** The client below the driver, as an administrator's tool might use it. */
export async function openClient(lab: HypercoreLab): Promise<{ raw: HypercoreClient } & AsyncDisposable> {
  const raw = await HypercoreClient.open(
    {
      cluster: "lab",
      endpoints: lab.addresses,
      username: "gitops",
      password: async () => password,
      instance,
      assets: { describe: noAsset, fetch: noAsset },
    },
    { ...defaultTimeouts, ...quickTimeouts },
  );
  return { raw, [Symbol.asyncDispose]: () => raw.close() };
}

async function noAsset(): Promise<never> {
  throw new Error("no asset is needed here");
}
