import { expect, it } from "vitest";
import { MiB, blankDisk, desiredVm, freeContext } from "../support/desired-vm.ts";
import { type HypercoreLab, quickTimeouts } from "../support/hypercore-lab.ts";
import { waitFor } from "../support/wait-for.ts";
import { create, look, openWatchedLab } from "../support/watched-lab.ts";

async function startOne(lab: HypercoreLab): Promise<string> {
  const { id } = await create(lab, desiredVm("web-1", { disks: [blankDisk("root", MiB, { boot: 1 })] }));
  await lab.driver.start(id, freeContext());
  return id;
}

async function busyRefusals(lab: HypercoreLab): Promise<number> {
  return ((await lab.control("GET", "calls")) as { busyRefusals: number }).busyRefusals;
}

it("a VM's whole life goes by without a call that was refused because another one was under way", async () => {
  await using watched = await openWatchedLab({ guestBootMs: 0 });
  const { lab } = watched;
  const id = await startOne(lab);
  await lab.driver.stop(id, { graceMs: 5_000, force: true }, freeContext());
  const [live] = await lab.byName("web-1");
  if (live === undefined) throw new Error("the VM is gone");
  await lab.driver.delete(live, freeContext());
  expect(await lab.byName("web-1")).toEqual([]);
  expect(await busyRefusals(lab)).toBe(0);
});

it("STOP is not sent again while the task of the first one is under way", async () => {
  const timeouts = { ...quickTimeouts, stopMs: 800 };
  await using watched = await openWatchedLab({ taskMsByKind: { stop: 2_400 } }, { timeouts });
  const { lab, sent } = watched;
  const id = await startOne(lab);
  await lab.driver.stop(id, { graceMs: 0, force: true }, freeContext());
  expect((await lab.rawVm(id))["state"]).toBe("SHUTOFF");
  expect(sent("POST", /action$/).filter(({ body }) => JSON.stringify(body).includes("STOP"))).toHaveLength(1);
  expect(await busyRefusals(lab)).toBe(0);
});

it("a guest is not asked to shut down while somebody's task on its VM is under way", async () => {
  await using watched = await openWatchedLab({ guestBootMs: 0, taskMsByKind: { "vm-patch": 1_000 } });
  const { lab } = watched;
  const id = await startOne(lab);
  const patching = lab.admin("PATCH", `VirDomain/${id}`, { description: "by hand" });
  const isBusy = async (): Promise<true | undefined> =>
    (await lab.driver.findVirdomain(id, AbortSignal.timeout(5_000)))?.busy === true ? true : undefined;
  await waitFor(isBusy, { what: "the task of somebody else" });
  await lab.driver.stop(id, { graceMs: 10_000, force: false }, freeContext());
  await patching;
  const [live] = await lab.byName("web-1");
  if (live === undefined) throw new Error("the VM is gone");
  expect((await look(lab, live)).power).toBe("shutoff");
  expect(await busyRefusals(lab)).toBe(0);
});
