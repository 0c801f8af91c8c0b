import { expect, it } from "vitest";
import { CliLab } from "../support/cli-lab.ts";
import { manifest } from "../support/world.ts";

it("lists what drifted and what nobody manages, and changes nothing", async () => {
  await using lab = await CliLab.open();
  await lab.configure(["lab"], { drift: { interval: "off" } });
  const running = lab.start("run");
  await running.says('"msg":"kraken-gitops is ready"');
  const names = ["web", "db"];
  const files = {
    "manifests/shop.yaml": manifest(
      "shop",
      names.map((name) => ({ name })),
    ),
  };
  await lab.world.final(await lab.world.push(files, "Add the shop"));
  expect(await lab.run("drift")).toMatchObject({ code: 0, stdout: "No drift.\n" });

  const web = (await lab.world.uuids()).get("web") ?? "";
  await lab.world.hypercore("PATCH", `VirDomain/${web}`, { description: "mine" });
  await lab.world.hypercore("POST", "VirDomain", { dom: { name: "printer", numVCPU: 1, mem: 2 ** 30 }, options: {} });
  const [text, json, other] = await Promise.all([
    lab.run("drift"),
    lab.run("drift", "--cluster", "lab", "--json"),
    lab.run("drift", "--cluster", "nowhere"),
  ]);
  expect(text).toMatchObject({
    code: 2,
    stdout: expect.stringMatching(
      /lab +web +shop +description +web +mine +to be put right\n[^]*lab +printer +shutoff +no mark/,
    ),
  });
  expect(text.stdout).not.toContain("db");
  expect(JSON.parse(json.stdout)).toMatchObject({
    schemaVersion: 1,
    drifted: [
      { cluster: "lab", virdomain: "web", id: web, fields: [{ path: "description", git: "web", live: "mine" }] },
    ],
    unmanaged: [{ virdomain: "printer", why: "no mark" }],
    quarantined: [],
    unreachable: [],
  });
  expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining("no cluster nowhere") });
  const found = (await lab.world.hypercore("GET", `VirDomain/${web}`)) as { description: string }[];
  expect(found[0]?.description).toBe("mine");
}, 180_000);
