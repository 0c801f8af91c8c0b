import { expect, it } from "vitest";
import { CliLab } from "../support/cli-lab.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest } from "../support/world.ts";

const shop = (cpu: number) => ({
  "manifests/shop.yaml": manifest("shop", [
    { name: "web", cpu },
    { name: "db", cpu },
  ]),
});

it("makes the VMs of a cluster that lost them anew, when a person says so", async () => {
  await using lab = await CliLab.open();
  const { world } = lab;
  const running = lab.start("run");
  await running.says('"msg":"kraken-gitops is ready"');
  await world.final(await world.push(shop(1), "Add the shop"));
  expect(await lab.run("sync", "--accept-empty", "nowhere")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("the configuration has no cluster nowhere; it has: lab"),
  });
  expect(await lab.run("sync", "--accept-empty", "lab")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("--accept-empty: lab misses no VMs of ours"),
  });
  await world.deleteByHand(["web", "db"]);
  const commit = await world.push(shop(2), "More CPUs");
  await waitFor(
    async () =>
      (await world.statuses(commit)).some(({ description }) =>
        description.includes("kraken-gitops sync --accept-empty lab"),
      )
        ? true
        : undefined,
    { what: "the hold's status", describe: async () => JSON.stringify(await world.statuses(commit)) },
  );
  expect((await world.uuids()).size).toBe(0);
  expect(await lab.run("sync", "--accept-empty", "lab")).toMatchObject({ code: 0 });
  expect(await world.final(commit)).toMatchObject({ state: "success" });
  expect([...(await world.uuids()).keys()]).toEqual(["db", "web"]);
}, 120_000);
