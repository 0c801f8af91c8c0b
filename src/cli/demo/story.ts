import { join } from "node:path";
import type { DemoVm } from "./cluster-client.ts";
import { Follower } from "./follower.ts";
import { ForgeClient } from "./forge-client.ts";
import { type DemoCluster, exampleFolder, type Stage } from "./stage.ts";
import type { Narrator } from "./narrator.ts";
import { WorkTree } from "./work-tree.ts";

const file = "manifests/three-tier-webapp.yaml";
const gibibyte = 1024 ** 3;

/** Merge, review, revert: what the product is for, told with checks. Every check that fails ends the demo with an error. */
export async function tellStory(stage: Stage, cluster: DemoCluster, narrator: Narrator): Promise<void> {
  const forge = new ForgeClient(stage.apiUrl, "acme/fleet", stage.token);
  const look = (): Promise<DemoVm[]> => cluster.vms();
  const follow = new Follower(forge, narrator, 40_000);

  narrator.chapter("A repository, a forge and a HyperCore cluster on this machine");
  const tree = await WorkTree.start(join(stage.folder, "work"), `${stage.forgeUrl}/acme/fleet.git`, stage.token);
  const empty = await tree.git("rev-parse", "HEAD");
  await follow.synced(empty, "the first commit, without manifests");

  narrator.chapter("Merge a pull request to deploy");
  await tree.branch("three-applications");
  await tree.addManifests(exampleFolder);
  const proposed = await tree.commit("Add the web shop, the office and the Kubernetes stack");
  await tree.push("three-applications");
  const first = await forge.openPullRequest("Deploy three applications", "three-applications");
  const plan = await follow.planned(first, proposed);
  narrator.quote(plan.body);
  narrator.check(/12 to create/.test(plan.body), "the plan comment announces 12 new VMs");
  const merged = await forge.merge(first);
  narrator.say(`merged pull request ${first} as ${merged.slice(0, 7)}`);
  await follow.synced(merged, "the merge commit");
  const deployed = await look();
  checkFleet(narrator, deployed, 2 * gibibyte);
  narrator.vms(deployed);

  narrator.chapter("Review the plan comment");
  await tree.pullMain();
  await tree.branch("more-memory");
  await tree.edit(file, 'description: "Load balancer for web tier"', 'description: "Load balancer of the web tier"');
  const described = await tree.commit("Say what the load balancer is");
  await tree.push("more-memory");
  const second = await forge.openPullRequest("Give the load balancer more memory", "more-memory");
  const early = await follow.planned(second, described);
  await tree.edit(file, 'memory: "2147483648"  # 2 GB', 'memory: "4294967296"  # 4 GB');
  const enlarged = await tree.commit("Double the memory of the load balancer");
  await tree.push("more-memory");
  const late = await follow.planned(second, enlarged);
  narrator.quote(late.body);
  narrator.check(late.id === early.id && late.body !== early.body, "the plan comment was edited in place");
  narrator.check((await forge.comments(second)).length === 1, "there is one comment on the pull request");
  narrator.check(/reboot/.test(late.body), "the comment says that the VM will be rebooted");
  const changed = await forge.merge(second);
  await follow.synced(changed, "the second merge commit");
  checkFleet(narrator, await look(), 4 * gibibyte);

  narrator.chapter("Roll back with git revert");
  await tree.pullMain();
  const reverted = await tree.revertMerge(changed);
  await tree.push("main");
  const last = await follow.synced(reverted, "the revert");
  narrator.check(
    last.description.includes(merged.slice(0, 7)),
    `the status says that it is back at ${merged.slice(0, 7)}`,
  );
  const back = await look();
  checkFleet(narrator, back, 2 * gibibyte);
  narrator.vms(back.filter((vm) => vm.name === "web-tier-lb"));
}

/** 5 + 4 + 3 VMs, each once, running, with our mark and their disks; the load balancer with the given memory. */
function checkFleet(narrator: Narrator, vms: readonly DemoVm[], memoryBytes: number): void {
  const disks = vms.reduce((sum, vm) => sum + vm.disks, 0);
  narrator.check(
    vms.length === 12 && new Set(vms.map((vm) => vm.name)).size === 12,
    `5 + 4 + 3 VMs exist, each once (found ${vms.length})`,
  );
  narrator.check(
    vms.every((vm) => vm.state === "RUNNING"),
    "all of them run",
  );
  narrator.check(disks === 17, `all 17 disks are there (found ${disks})`);
  narrator.check(
    vms.every((vm) => vm.tags.some((tag) => tag.startsWith("kg-own:"))),
    "all of them carry the ownership mark",
  );
  const balancer = vms.find((vm) => vm.name === "web-tier-lb");
  narrator.check(balancer?.memoryBytes === memoryBytes, `web-tier-lb has ${memoryBytes / gibibyte} GiB of memory`);
}
