import { expect, it } from "vitest";
import { CliLab } from "../support/cli-lab.ts";
import { manifest } from "../support/world.ts";

const shop = (names: readonly string[]) => ({
  "manifests/shop.yaml": manifest(
    "shop",
    names.map((name) => ({ name, disks: ["data"] })),
  ),
});

it("plans a deletion as a quarantine, lists what is in it, and plans its return", async () => {
  await using lab = await CliLab.open();
  const running = lab.start("run");
  await running.says('"msg":"kraken-gitops is ready"');
  const good = await lab.world.push(shop(["web", "db"]), "Add the shop");
  await lab.world.final(good);
  expect(await lab.run("quarantine")).toMatchObject({ code: 0, stdout: "Nothing is in quarantine.\n" });

  const gone = await lab.world.push(shop(["web"]), "No database");
  await lab.world.final(gone);
  const [text, json, other, back] = await Promise.all([
    lab.run("quarantine"),
    lab.run("quarantine", "--cluster", "lab", "--json"),
    lab.run("quarantine", "--cluster", "nowhere"),
    lab.run("plan", "--revision", good),
  ]);
  expect(text).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      new RegExp(`lab +db +fleet/shop/db +20.* UTC +20.* UTC \\(in 6 days\\) +${gone.slice(0, 7)} +15 GiB +shutoff`),
    ),
  });
  expect(JSON.parse(json.stdout)).toMatchObject({
    schemaVersion: 1,
    unreachable: [],
    virdomains: [{ cluster: "lab", name: "db", virdomain: `db.quarantined-${gone.slice(0, 7)}`, bytes: 15 * 2 ** 30 }],
  });
  expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining("no cluster nowhere") });
  expect(back).toMatchObject({
    code: 2,
    stdout: expect.stringMatching(/db will come back from quarantine, with its disks/),
  });
}, 120_000);
