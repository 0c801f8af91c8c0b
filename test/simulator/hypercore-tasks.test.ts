import { expect, it } from "vitest";
import { open, until } from "./hypercore-support.ts";

interface Progress {
  readonly state: string;
  readonly progressPercent: number;
}

it("a task's progress grows while it runs and is 100 only at its end", async () => {
  await using client = await open({ taskMsByKind: { "vm-patch": 150 } });
  const uuid = await client.bootableVm();
  const { taskTag } = await client.change("PATCH", `VirDomain/${uuid}`, { description: "slow" });
  const seen: Progress[] = [];
  await until(async () => {
    const [task] = (await client.api("GET", `TaskTag/${taskTag}`)).json as Progress[];
    if (task !== undefined) seen.push(task);
    return task?.state === "COMPLETE" ? task : undefined;
  });
  const percents = seen.map(({ progressPercent }) => progressPercent);
  expect(percents).toEqual(percents.toSorted((left, right) => left - right));
  const running = seen.filter(({ state }) => state === "RUNNING").map(({ progressPercent }) => progressPercent);
  expect(new Set(running).size).toBeGreaterThan(2);
  expect(Math.max(...running)).toBeLessThan(100);
  expect(percents.at(-1)).toBe(100);
  const all = (await client.api("GET", "TaskTag")).json as Progress[];
  expect(all.at(-1)?.progressPercent).toBe(100);
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
