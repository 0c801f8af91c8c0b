import { expect, it } from "vitest";
import { open, until } from "./hypercore-support.ts";

interface Progress {
  readonly state: string;
  readonly progressPercent: number;
}

it("a task's progress grows while it runs and is 100 only at its end", async () => {
  await using client = await open();
  const uuid = await client.bootableVm();
  await client.control("POST", "faults", { match: { method: "PATCH" }, kind: "slow-task", ms: 5_000, times: 1 });
  const { taskTag } = await client.change("PATCH", `VirDomain/${uuid}`, { description: "slow" });
  const further = (than: number): Promise<number> =>
    until(async () => {
      const [task] = (await client.api("GET", `TaskTag/${taskTag}`)).json as Progress[];
      return task?.state === "RUNNING" && task.progressPercent > than ? task.progressPercent : undefined;
    });
  const first = await further(0);
  const second = await further(first);
  expect(second).toBeLessThan(100);
  expect(await further(second)).toBeGreaterThan(second);
  const [quick] = (await client.api("GET", "TaskTag")).json as Progress[];
  expect(quick).toMatchObject({ state: "COMPLETE", progressPercent: 100 });
});

it("changes refused because a task is under way are counted, and other refusals are not", async () => {
  await using client = await open({ taskMsByKind: { "vm-patch": 1_000 } });
  const uuid = await client.runningVm();
  const { blockDevs, netDevs } = await client.vm(uuid);
  expect(netDevs).toEqual([]);
  const refusals = async (): Promise<unknown> =>
    ((await client.control("GET", "calls")).json as { busyRefusals: number }).busyRefusals;
  expect((await client.api("DELETE", `VirDomain/${uuid}`)).status).toBe(500);
  expect((await client.api("PATCH", `VirDomain/${uuid}`, { uuid })).status).toBe(400);
  expect(await refusals()).toBe(0);
  await client.change("PATCH", `VirDomain/${uuid}`, { description: "slow" });
  const disk = { virDomainUUID: uuid, type: "VIRTIO_DISK", capacity: 2 ** 20 };
  const refused = [
    await client.api("PATCH", `VirDomain/${uuid}`, { description: "again" }),
    await client.api("DELETE", `VirDomain/${uuid}`),
    await client.api("POST", "VirDomainBlockDevice", disk),
    await client.api("DELETE", `VirDomainBlockDevice/${blockDevs[0]?.uuid}`),
    await client.api("POST", "VirDomainNetDevice", { virDomainUUID: uuid }),
    await client.act(uuid, "STOP"),
  ];
  expect(refused.map(({ status }) => status)).toEqual(refused.map(() => 500));
  expect(await refusals()).toBe(6);
  await client.control("DELETE", "calls");
  expect(await refusals()).toBe(0);
});
