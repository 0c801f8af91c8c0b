import { expect, it } from "vitest";
import { lookUpRepository } from "../../src/app/inspect/look-up.ts";
import { openRecorded } from "../support/recorded-log.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest } from "../support/world.ts";

it("tells in the status what an operation is doing, and nothing once it has ended", async () => {
  await using stage = await openRecorded({ simulator: { taskMs: 20, convertMs: 1_500 } });
  const { w } = stage;
  const { engine } = w.product();
  const commit = await w.push({ "manifests/shop.yaml": manifest("shop", [{ name: "web" }]) }, "Add the shop");
  const [word] = await waitFor(
    async () => {
      const { progress } = await lookUpRepository(engine, "fleet");
      return progress.length > 0 ? progress : undefined;
    },
    { what: "progress in the status" },
  );
  expect(word).toMatchObject({ cluster: "lab", application: "shop", virdomain: "web", kind: "create" });
  expect(word?.text).toMatch(/^uploading ubuntu \d+%$/);
  expect(await w.final(commit)).toMatchObject({ state: "success" });
  expect((await lookUpRepository(engine, "fleet")).progress).toEqual([]);
});
