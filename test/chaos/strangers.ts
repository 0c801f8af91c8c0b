import type { VirDomain } from "../../src/simulator/hypercore/wire.ts";
import { MiB } from "../support/desired-vm.ts";
import type { HypercoreLab } from "../support/hypercore-lab.ts";
import { waitFor } from "../support/wait-for.ts";
import { type ClusterState, peopleVlan, readState } from "./cluster-state.ts";

/** What people put on a VM of ours. */
export interface Additions {
  readonly uuid: string;
  readonly devices: readonly string[];
  readonly tags: readonly string[];
}

/** What belongs to other people, as it was when they put it there. */
export interface Strangers {
  readonly virdomains: readonly string[];
  readonly isos: readonly string[];
  readonly additions: readonly Additions[];
}

const peopleTags = ["owner:ann", "sim-no-agent"];

/** VMs of other people (one runs, one is another instance's, one is a clone of ours), and their things on VMs of ours. */
export async function seedStrangers(lab: HypercoreLab, ours: readonly string[]): Promise<Strangers> {
  const uuids = [
    await create(lab, { name: "stranger-plain", blockDevs: [disk], netDevs: [{ type: "VIRTIO", vlan: 0 }] }),
    await create(lab, { name: "stranger-running", blockDevs: [disk], tags: "tier:web" }),
    await create(lab, { name: "stranger-of-another-instance" }),
    ...(await Promise.all(ours.slice(0, 1).map((uuid) => clone(lab, uuid)))),
  ];
  await lab.admin("POST", "VirDomain/action", [{ virDomainUUID: uuids[1], actionType: "START" }]);
  const tags = `kg-own:another/fleet/shop/vm-1,kg-vm:${uuids[2]?.slice(0, 8)}`;
  await lab.admin("PATCH", `VirDomain/${uuids[2]}`, { tags });
  await lab.admin("POST", "ISO", { name: "theirs.iso", size: 4_096, readyForInsert: false });
  for (const uuid of ours) await addThings(lab, uuid);
  const state = await waitFor(async () => settled(await readState(lab)), { what: "the strangers to settle" });
  return {
    virdomains: texts(state, uuids),
    isos: theirIsos(state),
    additions: ours.map((uuid) => additionsOn(state, uuid)),
  };
}

const disk = { type: "VIRTIO_DISK", capacity: 2 * MiB };

async function create(lab: HypercoreLab, dom: object): Promise<string> {
  const options = { attachGuestToolsISO: false, machineTypeKeyword: "bios" };
  const whole = { numVCPU: 1, mem: 256 * MiB, ...dom };
  return ((await lab.admin("POST", "VirDomain", { dom: whole, options })) as { createdUUID: string }).createdUUID;
}

async function clone(lab: HypercoreLab, uuid: string): Promise<string> {
  const template = { template: { name: "stranger-clone" } };
  return ((await lab.admin("POST", `VirDomain/${uuid}/clone`, template)) as { createdUUID: string }).createdUUID;
}

async function addThings(lab: HypercoreLab, uuid: string): Promise<void> {
  const { tags } = await lab.rawVm(uuid);
  await lab.admin("PATCH", `VirDomain/${uuid}`, { tags: [tags, ...peopleTags].join(",") });
  await lab.admin("POST", "VirDomainBlockDevice", { virDomainUUID: uuid, ...disk });
  await lab.admin("POST", "VirDomainNetDevice", { virDomainUUID: uuid, type: "VIRTIO", vlan: peopleVlan });
}

function settled(state: ClusterState): ClusterState | undefined {
  const young = state.virdomains.some(({ blockDevs }) =>
    blockDevs.some((device) => device.tieringPriorityFactor === 0),
  );
  const starting = state.virdomains.some(
    ({ name, state: power }) => name === "stranger-running" && power !== "RUNNING",
  );
  return young || starting || state.tasksUnderWay > 0 ? undefined : state;
}

function texts({ virdomains }: ClusterState, uuids: readonly string[]): string[] {
  return virdomains.filter(({ uuid }) => uuids.includes(uuid)).map((vm) => JSON.stringify(vm));
}

function theirIsos({ isos }: ClusterState): string[] {
  return isos.filter(({ name }) => name === "theirs.iso").map((iso) => JSON.stringify(iso));
}

function additionsOn({ virdomains }: ClusterState, uuid: string): Additions {
  const vm = virdomains.find((candidate) => candidate.uuid === uuid);
  return vm === undefined
    ? { uuid, devices: [], tags: [] }
    : {
        uuid,
        devices: theirDevices(vm, 2 * MiB, peopleVlan),
        tags: vm.tags.split(",").filter((tag) => peopleTags.includes(tag)),
      };
}

/** Unnamed by our tags: disks of their size and NICs of their VLAN. */
function theirDevices(vm: VirDomain, bytes: number, vlan: number): string[] {
  const noted = vm.tags.split(",").flatMap((tag) => /^kg-disk:.+=([0-9a-f-]{8,})/.exec(tag)?.[1] ?? []);
  const theirs = vm.blockDevs.filter(
    ({ uuid, type, capacity }) =>
      type === "VIRTIO_DISK" && capacity === bytes && !noted.some((note) => uuid.startsWith(note)),
  );
  return [
    ...theirs.map(({ uuid, slot, capacity }) => `disk ${uuid} in slot ${slot} of ${capacity} bytes`),
    ...vm.netDevs
      .filter((nic) => nic.vlan === vlan)
      .map(({ uuid, type, macAddress }) => `NIC ${uuid} ${type} ${macAddress}`),
  ];
}

/** Everything of other people's that is not as it was, in words. */
export function compareStrangers(before: Strangers, state: ClusterState): string[] {
  const uuids = before.virdomains.map((text) => (JSON.parse(text) as VirDomain).uuid);
  return [
    ...difference("a VM of other people", before.virdomains, texts(state, uuids)),
    ...difference("an ISO of other people", before.isos, theirIsos(state)),
    ...before.additions.flatMap(({ uuid, devices, tags }) => {
      const now = additionsOn(state, uuid);
      return [
        ...difference(`people's devices on ${uuid}`, devices, now.devices),
        ...difference(`people's tags on ${uuid}`, tags, now.tags),
      ];
    }),
  ];
}

function difference(what: string, before: readonly string[], now: readonly string[]): string[] {
  return [
    ...before.filter((text) => !now.includes(text)).map((text) => `${what} is changed or gone, it was ${text}`),
    ...now.filter((text) => !before.includes(text)).map((text) => `${what} is new or changed: ${text}`),
  ];
}

/** How many devices and tags a VM has beyond what is asked of it. */
export function additionsTo(
  strangers: Strangers,
  uuid: string,
): { readonly disks: number; readonly nics: number; readonly tags: readonly string[] } {
  const found = strangers.additions.find((each) => each.uuid === uuid);
  return {
    disks: found?.devices.filter((text) => text.startsWith("disk")).length ?? 0,
    nics: found?.devices.filter((text) => text.startsWith("NIC")).length ?? 0,
    tags: found?.tags ?? [],
  };
}
