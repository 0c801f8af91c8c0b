import { join } from "node:path";
import { Follower } from "./follower.ts";
import { ForgeClient } from "./forge-client.ts";
import type { LibvirtHost } from "./libvirt-host.ts";
import type { Narrator } from "./narrator.ts";
import { exampleFolder, type Stage } from "./stage.ts";
import { WorkTree } from "./work-tree.ts";

const shop = "manifests/three-tier-webapp.yaml";
/** Emulated VMs on two cores boot in minutes, all together. */
const patienceMs = 900_000;

/** A fourth application, since the examples have no BIOS machine and no TPM under Linux. */
const machines = `type: Application
version: "1.0.0"
metadata: { name: machine-types }
spec:
  assets:
    - { name: ubuntu, type: virtual_disk, format: raw, url: "https://storage.googleapis.com/demo-bucket/ubuntu-22.04-server.img" }
  resources:
${["bios", "tpm"]
  .map(
    (type) => `    - type: virdomain
      name: ${type}-machine
      spec:
        cpu: 1
        memory: 256 MiB
        machine_type: ${type}
        state: running
        storage_devices: [{ name: system, type: virtio_disk, source: ubuntu, boot: 1, capacity: 1 GiB }]
        network_devices: [{ name: net, type: virtio }]
        cloud_init_data:
          user_data: |
            #cloud-config
            # hello from git, ${type}
          meta_data: |
            instance-id: ${type}-001
            local-hostname: ${type}-host
`,
  )
  .join("")}`;

/** Real VMs from merge to revert; what the guests say on their own consoles is what counts. */
export async function tellLibvirtStory(stage: Stage, host: LibvirtHost, narrator: Narrator): Promise<void> {
  const forge = new ForgeClient(stage.apiUrl, "acme/fleet", stage.token);
  const follow = new Follower(forge, narrator, patienceMs);
  /** Waits until a guest has said something since `after` characters of its console; answers the whole console. */
  const heard = async (vm: string, pattern: RegExp, what: string, after = 0): Promise<string> => {
    const said = await follow.until(`${vm} to say ${pattern}`, async () => {
      const all = await host.console(vm);
      return pattern.test(all.slice(after)) ? all : undefined;
    });
    narrator.check(true, `${vm}: ${what}`);
    const line =
      said
        .slice(after)
        .split("\n")
        .find((each) => pattern.test(each)) ?? "";
    narrator.say(`  ${vm} console: ${line.trim()}`);
    return said;
  };

  narrator.chapter("A repository, a forge and a libvirt host on this machine");
  const tree = await WorkTree.start(join(stage.folder, "work"), `${stage.forgeUrl}/acme/fleet.git`, stage.token);
  await follow.synced(await tree.git("rev-parse", "HEAD"), "the first commit, without manifests");

  narrator.chapter("Merge a pull request to deploy");
  await tree.branch("applications");
  await tree.addManifests(exampleFolder);
  await tree.write("manifests/machine-types.yaml", machines);
  const proposed = await tree.commit("Add four applications");
  await tree.push("applications");
  const first = await forge.openPullRequest("Deploy four applications", "applications");
  const plan = await follow.planned(first, proposed);
  narrator.check(/14 to create/.test(plan.body), "the plan comment announces 14 new VMs");
  narrator.check(/laborator/i.test(plan.body), "and says that the laboratory's limits scale them down");
  const merged = await forge.merge(first);
  await follow.synced(merged, "the merge commit");
  const deployed = await host.vms();
  narrator.vms(deployed);
  narrator.check(deployed.length === 14 && deployed.every((vm) => vm.state === "RUNNING"), "14 domains run");
  for (const [vm, firmware, tpm, hostname] of [
    ["bios-machine", "bios", "no", "bios-host"],
    ["web-tier-lb", "uefi", "no", "web-lb"],
    ["tpm-machine", "uefi", "yes", "tpm-host"],
  ] as const) {
    const booted = new RegExp(`^tiny: booted hostname=${hostname} .*firmware=${firmware} tpm=${tpm}`, "m");
    await heard(vm, booted, `booted with ${firmware}, TPM: ${tpm}, and knows its name from meta_data`);
  }
  await heard("bios-machine", /^tiny: user-data: # hello from git, bios/m, "got its user_data");
  await heard("web-tier-lb", /^tiny: user-data: .*nginx/m, "got its user_data");

  narrator.chapter("Change a running VM, and one that has to restart");
  await tree.pullMain();
  await tree.branch("more");
  await tree.edit(
    shop,
    'name: "web-lb-disk"',
    'name: "cache"\n            type: "virtio_disk"\n            capacity: 1073741824\n          - name: "web-lb-disk"',
  );
  await tree.edit("manifests/machine-types.yaml", "cpu: 1", "cpu: 2");
  const changed = await tree.commit("Give the load balancer a cache and the BIOS machine a CPU");
  await tree.push("more");
  const second = await forge.openPullRequest("More for two VMs", "more");
  const comment = await follow.planned(second, changed);
  narrator.quote(comment.body);
  narrator.check(/1 reboot/.test(comment.body), "the plan comment announces one reboot");
  const [balancer, bios] = [(await host.console("web-tier-lb")).length, (await host.console("bios-machine")).length];
  const more = await forge.merge(second);
  await follow.synced(more, "the second merge commit");
  await heard("web-tier-lb", /^tiny: hardware .*:cache/m, "sees its new disk without a restart", balancer);
  narrator.check(
    !(await host.console("web-tier-lb")).slice(balancer).includes("tiny: booted"),
    "web-tier-lb was not restarted",
  );
  await heard("bios-machine", /^tiny: power button/m, "was asked to shut down", bios);
  await heard("bios-machine", /^tiny: hardware cpus=2/m, "started again with two CPUs", bios);

  narrator.chapter("Roll back with git revert");
  await tree.pullMain();
  const reverted = await tree.revertMerge(more);
  await tree.push("main");
  const last = await follow.synced(reverted, "the revert");
  narrator.check(
    last.description.includes(merged.slice(0, 7)),
    `the status says that it is back at ${merged.slice(0, 7)}`,
  );
  const back = await host.vms();
  narrator.check(back.find((vm) => vm.name === "web-tier-lb")?.disks === 1, "web-tier-lb has one disk again");

  narrator.chapter("Take an application away");
  await tree.remove("manifests/machine-types.yaml");
  const removed = await tree.commit("Retire the machine types");
  await tree.push("main");
  await follow.synced(removed, "the removal");
  const left = await host.vms();
  narrator.check(left.length === 12, "12 domains are left");
  const uuids = new Set(
    (await host.volumes()).flatMap((name) => /^kg-[0-9a-f]{6}-([0-9a-f-]{36})-/.exec(name)?.[1] ?? []),
  );
  narrator.check(uuids.size === 12, "no disk, seed, firmware or console log of the others is left in the pool");
}
