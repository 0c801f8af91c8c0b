import { describe, expect, it } from "vitest";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();

/** Of the VMs that are there, without those a commit set aside. */
const names = async (w: World, cluster?: string): Promise<string[]> =>
  (await w.vms(cluster)).map((vm) => vm.name).filter((name) => !name.includes(".quarantined-"));

function fleet(groups: Readonly<Record<string, readonly string[]>>, deployment: string): string {
  const documents = Object.entries(groups).map(
    ([name, clusters]) =>
      `type: ClusterGroup\nversion: "1.0.0"\nmetadata: { name: ${name} }\nspec: { clusters: [${clusters.join(", ")}] }\n`,
  );
  return [...documents, deployment].join("---\n");
}

function deployment(spec: string): string {
  return `type: Deployment\nversion: "1.0.0"\nmetadata: { name: shop-east }\nspec:\n${spec.replaceAll(/^/gm, "  ")}\n`;
}

describe("deployments", () => {
  it("put applications on the clusters of their groups, and take them off on purpose", async () => {
    const w = await open({ clusters: ["store-1", "store-2", "hq"] });
    const both = fleet({ stores: ["store-*"] }, deployment("applications: [shop]\nclusterGroups: [stores]"));
    const commit = await w.push(
      { "manifests/shop.yaml": manifest("shop", [{ name: "web" }]), "manifests/fleet.yaml": both },
      "Stores",
    );
    expect(await w.final(commit)).toMatchObject({
      state: "success",
      description: expect.stringContaining("2 operations on 2 clusters"),
    });
    expect([await names(w, "store-1"), await names(w, "store-2"), await names(w, "hq")]).toEqual([
      ["web"],
      ["web"],
      [],
    ]);
    const one = both.replace("store-*", "store-1");
    expect(await w.final(await w.push({ "manifests/fleet.yaml": one }, "Close store 2"))).toMatchObject({
      state: "success",
    });
    expect([await names(w, "store-1"), await names(w, "store-2")]).toEqual([["web"], []]);
  });

  it("scale out by one number, keeping the VMs there are", async () => {
    const w = await open();
    const shop = manifest("shop", [{ name: '"web-{{ instance_id }}"', description: "web {{ environment }}" }]);
    const scaled = (count: number): string =>
      fleet(
        { all: ["lab"] },
        deployment(
          `applications: [shop]\nclusterGroups: [all]\nvariables: { environment: test }\ninstances: { "web-{{ instance_id }}": ${count} }`,
        ),
      );
    await w.final(await w.push({ "manifests/shop.yaml": shop, "manifests/fleet.yaml": scaled(2) }, "Two"));
    const before = await w.uuids();
    expect([...before.keys()]).toEqual(["web-1", "web-2"]);
    await w.final(await w.push({ "manifests/fleet.yaml": scaled(3) }, "Three"));
    const after = await w.uuids();
    expect([...after.keys()]).toEqual(["web-1", "web-2", "web-3"]);
    expect(after.get("web-1")).toBe(before.get("web-1"));
    expect(await w.final(await w.push({ "manifests/fleet.yaml": scaled(1) }, "One"))).toMatchObject({
      state: "success",
    });
    expect(await names(w)).toEqual(["web-1"]);
    expect((await w.uuids()).get("web-1")).toBe(before.get("web-1"));
  });

  it("bring VMs up in their order", async () => {
    const w = await open({ simulator: { taskMs: 40 } });
    const shop = manifest("shop", [
      { name: "web", tags: ["tier:web"] },
      { name: "app", tags: ["tier:app"] },
      { name: "db", tags: ["tier:db"] },
    ]);
    const ordered = fleet(
      { all: ["lab"] },
      deployment('applications: [shop]\nclusterGroups: [all]\norder: ["tier:db", "tier:app", "tier:web"]'),
    );
    await w.final(await w.push({ "manifests/shop.yaml": shop, "manifests/fleet.yaml": ordered }, "In order"));
    expect(await w.creationOrder()).toEqual(["db", "app", "web"]);
  });

  it("keep a VM through a rename of its resource, of its file, and of the deployment", async () => {
    const w = await open();
    const deploy = (name: string, more: string): string =>
      fleet(
        { all: ["lab"] },
        deployment(`applications: [shop]\nclusterGroups: [all]${more}`).replace("shop-east", name),
      );
    await w.final(
      await w.push(
        {
          "manifests/shop.yaml": manifest("shop", [{ name: "web", disks: ["data"] }]),
          "manifests/fleet.yaml": deploy("one", ""),
        },
        "Add",
      ),
    );
    const before = await w.uuids();
    const renamed = {
      "manifests/shop.yaml": undefined,
      "manifests/moved/shop.yaml": manifest("shop", [{ name: "www", disks: ["data"] }]),
      "manifests/fleet.yaml": deploy("two", "\nrenamed_from: { www: web }"),
    };
    expect(await w.final(await w.push(renamed, "Rename everything"))).toMatchObject({
      state: "success",
      description: expect.stringContaining("1 operation"),
    });
    expect(await w.uuids()).toEqual(new Map([["www", before.get("web")]]));
    expect(await w.final(await w.revert())).toMatchObject({
      state: "success",
      description: expect.stringContaining("1 operation"),
    });
    expect(await w.uuids()).toEqual(before);
  });

  it("bring a VM back that was renamed and then deleted, when both are reverted at once", async () => {
    const w = await open();
    const files = (vms: readonly string[], more: string) => ({
      "manifests/shop.yaml": manifest(
        "shop",
        vms.map((name) => ({ name, disks: ["data"] })),
      ),
      "manifests/fleet.yaml": fleet({ all: ["lab"] }, deployment(`applications: [shop]\nclusterGroups: [all]${more}`)),
    });
    await w.final(await w.push(files(["web", "db"], ""), "Add"));
    const before = await w.uuids();
    await w.final(await w.push(files(["www", "db"], "\nrenamed_from: { www: web }"), "Rename"));
    await w.final(await w.push(files(["db"], ""), "Away with it"));
    expect(await w.final(await w.revert("HEAD", "HEAD~1"))).toMatchObject({
      state: "success",
      description: expect.stringContaining("1 VM back from quarantine with data"),
    });
    expect(await w.uuids()).toEqual(before);
  });

  it("adopt a VM of the same name only where they say so", async () => {
    const w = await open();
    await w.hypercore("POST", "VirDomain", {
      dom: {
        name: "web",
        mem: 1_073_741_824,
        numVCPU: 1,
        tags: "by-hand",
        blockDevs: [],
        netDevs: [],
        bootDevices: [],
      },
      options: { attachGuestToolsISO: false, machineTypeKeyword: "bios" },
    });
    await waitFor(async () => ((await names(w)).length === 1 ? true : undefined), { what: "the VM made by hand" });
    const shop = manifest("shop", [{ name: "web" }]).replace("machine_type: uefi", "machine_type: bios");
    const deploy = (policy: string): string =>
      fleet({ all: ["lab"] }, deployment(`applications: [shop]\nclusterGroups: [all]\npolicy: ${policy}`));
    expect(
      await w.final(await w.push({ "manifests/shop.yaml": shop, "manifests/fleet.yaml": deploy("{}") }, "Clash")),
    ).toMatchObject({ state: "failure", description: expect.stringContaining("a VM named web exists") });
    const before = await w.uuids();
    expect(await w.final(await w.push({ "manifests/fleet.yaml": deploy("{ adopt: true }") }, "Adopt"))).toMatchObject({
      state: "success",
    });
    expect(await w.uuids()).toEqual(before);
    expect(await w.vms()).toMatchObject([
      {
        name: "web",
        state: "RUNNING",
        disks: 1,
        tags: expect.arrayContaining([expect.stringMatching(/^kg-own:edge\/fleet\/shop\/web/)]),
      },
    ]);
  });

  it("protect a VM beyond the life of its manifest", async () => {
    const w = await open();
    const deploy = (policy: string): string =>
      fleet({ all: ["lab"] }, deployment(`applications: [shop]\nclusterGroups: [all]\npolicy: ${policy}`));
    const two = manifest("shop", [{ name: "web" }, { name: "db", tags: ["role:primary"] }]);
    await w.final(
      await w.push(
        { "manifests/shop.yaml": two, "manifests/fleet.yaml": deploy('{ protect: ["role:primary"] }') },
        "Protected",
      ),
    );
    const gone = { "manifests/shop.yaml": manifest("shop", [{ name: "web" }]) };
    expect(await w.final(await w.push(gone, "Remove it"))).toMatchObject({
      state: "failure",
      description: expect.stringContaining("protected"),
    });
    expect(await names(w)).toEqual(["db", "web"]);
    await w.final(
      await w.push({ "manifests/shop.yaml": two, "manifests/fleet.yaml": deploy("{}") }, "Lift the protection"),
    );
    expect(await w.final(await w.push(gone, "Remove it now"))).toMatchObject({ state: "success" });
    expect(await names(w)).toEqual(["web"]);
  });
});

describe("a revert while the bad commit is being applied", () => {
  const vms = (count: number, cpu: number) =>
    Array.from({ length: count }, (_unused, index) => ({ name: `vm-${index}`, cpu }));

  it("stops it at the next safe boundary and takes away what it began", async () => {
    // The four that are begun at once are still being made when the revert comes, however slow this machine is.
    const w = await open({ simulator: { taskMs: 50, taskMsByKind: { "disk-attach": 4_000 } } });
    await w.final(await w.push({ "manifests/shop.yaml": manifest("shop", vms(1, 1)) }, "Good"));
    const bad = await w.push(
      {
        "manifests/bad.yaml": manifest(
          "bad",
          Array.from({ length: 12 }, (_unused, index) => ({ name: `bad-${index}` })),
        ),
      },
      "Bad",
    );
    await waitFor(async () => ((await names(w)).length > 1 ? true : undefined), { what: "the first bad VM" });
    const reverted = await w.revert();
    const status = await w.final(reverted, "kraken-gitops/sync", 60_000);
    // Four operations run side by side on a cluster, and the deletion budget is three VMs.
    expect((await names(w)).length).toBeLessThanOrEqual(1 + 4);
    if (status.state === "success") expect(await names(w)).toEqual(["vm-0"]);
    else expect(status.description).toMatch(/Kraken-Approve/);
    expect(await w.final(bad)).toMatchObject({
      description: expect.stringContaining(`Superseded by ${reverted.slice(0, 7)}`),
    });
  }, 180_000);

  it("puts back what it had changed already", async () => {
    const w = await open({ simulator: { taskMs: 100 } });
    await w.final(await w.push({ "manifests/shop.yaml": manifest("shop", vms(8, 1)) }, "Good"));
    await w.push({ "manifests/shop.yaml": manifest("shop", vms(8, 2)) }, "Bad");
    await waitFor(async () => ((await w.cpus()).includes(2) ? true : undefined), { what: "the first changed VM" });
    expect(await w.final(await w.revert(), "kraken-gitops/sync", 60_000)).toMatchObject({ state: "success" });
    expect(await w.cpus()).toEqual(Array.from({ length: 8 }, () => 1));
    expect((await w.vms()).every((vm) => vm.state === "RUNNING")).toBe(true);
  }, 180_000);
});

describe("a change whose image is missing", () => {
  it("leaves a running VM running, and a VM that would be rebuilt in being", async () => {
    const w = await open();
    const good = manifest("shop", [{ name: "web" }, { name: "db" }]);
    await w.final(await w.push({ "manifests/shop.yaml": good }, "Good"));
    const before = await w.uuids();
    const bad = good
      .replace("cpu: 1", "cpu: 2")
      .replace(
        "capacity: 10 GiB }",
        "capacity: 10 GiB }\n          - { name: extra, type: virtio_disk, source: gone, capacity: 10 GiB }",
      )
      .replace(/(name: db[\s\S]*?)machine_type: uefi([\s\S]*?)source: ubuntu/, "$1machine_type: bios$2source: gone")
      .replace(
        "  resources:",
        '    - { name: gone, type: virtual_disk, format: raw, url: "https://storage.googleapis.com/demo-bucket/gone.img" }\n  resources:',
      );
    expect(await w.final(await w.push({ "manifests/shop.yaml": bad }, "Bad"))).toMatchObject({
      state: "failure",
      description: expect.stringContaining("gone"),
    });
    expect(await w.uuids()).toEqual(before);
    expect(await w.vms()).toMatchObject([
      { name: "db", state: "RUNNING" },
      { name: "web", state: "RUNNING" },
    ]);
  });
});

describe("history that was rewritten", () => {
  it("is followed, but deletes only with an approval", async () => {
    const w = await open();
    const first = await w.push({ "manifests/shop.yaml": manifest("shop", [{ name: "web" }]) }, "One");
    await w.final(first);
    await w.final(await w.push({ "manifests/shop.yaml": manifest("shop", [{ name: "web" }, { name: "db" }]) }, "Two"));
    await w.tree.git("reset", "--hard", first);
    const other = await w.commit({ "manifests/shop.yaml": manifest("shop", [{ name: "web", cpu: 2 }]) }, "Another two");
    await w.tree.git("push", "--force", "origin", "main");
    expect(await w.final(other)).toMatchObject({
      state: "failure",
      description: expect.stringContaining("Kraken-Approve"),
    });
    expect(await names(w)).toEqual(["db", "web"]);
  });

  it("of which the branch is gone changes nothing", async () => {
    const w = await open({
      config: (config) => ({
        ...config,
        repositories: config.repositories.map((repository) => ({ ...repository, branch: "live" })),
      }),
    });
    await w.tree.branch("live");
    const commit = await w.commit({ "manifests/shop.yaml": manifest("shop", [{ name: "web" }]) }, "One");
    await w.tree.push("live");
    await w.final(commit);
    await w.tree.git("push", "origin", "--delete", "live");
    const { engine } = w.product();
    await waitFor(
      async () => ((await engine.store.readCondition("fleet"))?.code === "git-branch-missing" ? true : undefined),
      { what: "the watcher to notice" },
    );
    expect(await names(w)).toEqual(["web"]);
  });
});
