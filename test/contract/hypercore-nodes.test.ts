import { expect, it } from "vitest";
import type { Log } from "../../src/adapters/hypercore/options.ts";
import type { Hypervisor } from "../../src/ports/hypervisor.ts";
import { blankDisk, desiredVm, freeContext, markOf, MiB } from "../support/desired-vm.ts";
import { type HypercoreLab, instance, openHypercoreLab, quickTimeouts } from "../support/hypercore-lab.ts";
import { waitFor } from "../support/wait-for.ts";

const soon = (): AbortSignal => AbortSignal.timeout(15_000);

async function setNode(lab: HypercoreLab, node: number, state: string): Promise<void> {
  await lab.control("POST", "nodes", { node, state });
}

/** A driver that was given the first node only, once it has learnt the others. */
async function openLearning(lab: HypercoreLab, overrides = {}): Promise<Hypervisor> {
  const learnt = new Set<unknown>();
  const log: Log = (_level, { node }, message) => {
    if (message === "node learnt from the cluster") learnt.add(node);
  };
  const driver = await lab.open({ endpoints: lab.addresses.slice(0, 1), log, ...overrides });
  await driver.ensureReady(soon());
  await waitFor(() => (learnt.size === lab.addresses.length - 1 ? true : undefined), {
    what: "the other nodes to be learnt",
  });
  return driver;
}

for (const state of ["down", "hang", "bad-gateway"]) {
  it(`reads and changes through nodes that the cluster told of when the configured one is ${state}`, async () => {
    await using lab = await openHypercoreLab({ nodes: 3, distinctHosts: true });
    const desired = desiredVm("web-1", { disks: [blankDisk("root", 2 * MiB, { boot: 1 })] });
    const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
    await using driver = await openLearning(lab, { timeouts: { ...quickTimeouts, readMs: 300 } });
    await setNode(lab, 0, state);
    expect((await driver.readLiveState(soon())).virdomains).toHaveLength(1);
    await driver.start(live.id, freeContext());
    expect((await driver.findVirdomain(live.id, soon()))?.power).toBe("running");
  });
}

it("asks learnt nodes, too, whether the cluster is updating, and takes their silence for an update", async () => {
  await using lab = await openHypercoreLab({ nodes: 2, distinctHosts: true });
  await using driver = await openLearning(lab, { timeouts: { ...quickTimeouts, readMs: 300 } });
  await setNode(lab, 1, "hang");
  await expect(driver.ensureReady(soon())).rejects.toMatchObject({ code: "cluster-updating" });
  await setNode(lab, 1, "up");
  await driver.ensureReady(soon());
});

it("leaves a node out that stayed silent for longer than any update takes it away, but not while others know of no update", async () => {
  await using lab = await openHypercoreLab({ nodes: 2 });
  const driver = await lab.open({ timeouts: { ...quickTimeouts, brokenMs: 50 } });
  await setNode(lab, 1, "down");
  await expect(driver.ensureReady(soon())).rejects.toMatchObject({ code: "cluster-updating" });
  const readyWithin = async (phase: string): Promise<boolean> => {
    await lab.control("POST", "update", { phase });
    return driver.ensureReady(soon()).then(
      () => true,
      () => false,
    );
  };
  await waitFor(async () => ((await readyWithin("complete")) ? true : undefined), {
    what: "the silent node to be left out",
  });
  expect(await readyWithin("applying")).toBe(false);
  expect(await readyWithin("never")).toBe(false);
});

it("uses the configured nodes only when told so", async () => {
  await using lab = await openHypercoreLab({ nodes: 2, distinctHosts: true });
  await using driver = await lab.open({ endpoints: lab.addresses.slice(0, 1), discoverNodes: false });
  await driver.ensureReady(soon());
  await setNode(lab, 0, "down");
  await expect(driver.readLiveState(soon())).rejects.toMatchObject({ code: "cluster-unreachable" });
  const { counts } = (await lab.control("GET", "calls")) as { counts: Record<string, number> };
  expect(counts["GET /rest/v1/Node"]).toBeUndefined();
});

it("begins with another node after a reader gave up on one that hangs", async () => {
  await using lab = await openHypercoreLab({ nodes: 2 });
  await using driver = await lab.open({ timeouts: { ...quickTimeouts, readMs: 10_000 } });
  await setNode(lab, 0, "hang");
  await expect(driver.readLiveState(AbortSignal.timeout(100))).rejects.toThrow();
  expect((await driver.readLiveState(AbortSignal.timeout(2_000))).virdomains).toEqual([]);
});

it("opens one new session when many requests find the old one expired", async () => {
  await using lab = await openHypercoreLab();
  const sessions = async (): Promise<number> => ((await lab.control("GET", "state")) as { sessions: number }).sessions;
  await using driver = await lab.open({ auth: "session" });
  await driver.readLiveState(soon());
  await lab.control("DELETE", "sessions");
  await Promise.all(Array.from({ length: 12 }, async () => driver.readLiveState(soon())));
  expect(await sessions()).toBe(1);
});

it("goes to the next node when one gives no session, and says why when none does", async () => {
  await using lab = await openHypercoreLab({ nodes: 2, sessionLimit: 1 });
  await using driver = await lab.open({ auth: "session" });
  await setNode(lab, 0, "bad-gateway");
  expect((await driver.readLiveState(soon())).virdomains).toEqual([]);
  await using other = await lab.open({ auth: "session" });
  await expect(other.readLiveState(soon())).rejects.toMatchObject({
    code: "cluster-unreachable",
    message: expect.stringMatching(/Session limit reached.*auth: basic/) as string,
  });
});

it("asks another node when one refuses the session again and again", async () => {
  await using lab = await openHypercoreLab({ nodes: 2 });
  await using driver = await lab.open({ auth: "session" });
  await lab.fault({ match: { node: 0, path: "VirDomain" }, kind: "invalid-session", times: 2 });
  expect((await driver.readLiveState(soon())).virdomains).toEqual([]);
  await lab.fault({ match: { node: 1, path: "VirDomain" }, kind: "unauthorized", times: 2 });
  expect((await driver.readLiveState(soon())).virdomains).toEqual([]);
});

it("does without the other nodes where it may not ask for them", async () => {
  await using lab = await openHypercoreLab();
  await lab.fault({ match: { path: "/Node$" }, kind: "error500" });
  await lab.driver.ensureReady(soon());
});
