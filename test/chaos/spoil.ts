import type { BlockDevice, NetDevice, VirDomain } from "../../src/simulator/hypercore/wire.ts";
import { type ClusterState, peopleVlan } from "./cluster-state.ts";
import type { Evidence } from "./compare.ts";

type Spoil = (vm: VirDomain) => Partial<VirDomain>;

/** What may go wrong with a VM of ours, each to be noticed. */
const ofOurVms: Readonly<Record<string, Spoil>> = {
  "another name": () => ({ name: "nobody" }),
  "another text": () => ({ description: "nonsense" }),
  "other memory": ({ mem }) => ({ mem: mem + 1 }),
  "other CPUs": ({ numVCPU }) => ({ numVCPU: numVCPU + 1 }),
  "another state": ({ state }) => ({ state: state === "RUNNING" ? "SHUTOFF" : "RUNNING" }),
  "another machine type": () => ({ machineTypeKeyword: "tpm-compatible" }),
  "one more tag": ({ tags }) => ({ tags: `more,${tags}` }),
  "one more tag of people": ({ tags }) => ({ tags: `${tags},more` }),
  "a second owner": ({ tags }) => ({ tags: `${tags},kg-own:edge/fleet/shop/nobody` }),
  "being built": ({ tags }) => ({ tags: `${tags},kg-building` }),
  "another boot order": ({ blockDevs, bootDevices }) => ({
    bootDevices: blockDevs.map(({ uuid }) => uuid).filter((uuid) => !bootDevices.includes(uuid)),
  }),
  "no disks": () => ({ blockDevs: [] }),
  "a disk twice": ({ blockDevs }) => ({ blockDevs: [...blockDevs, ...anew(virtio(blockDevs))] }),
  "a larger disk": ({ blockDevs }) => ({
    blockDevs: blockDevs.map((disk) => ({ ...disk, capacity: disk.capacity + 1 })),
  }),
  "another bus": ({ blockDevs }) => ({ blockDevs: blockDevs.map((disk) => ({ ...disk, type: "SCSI_DISK" })) }),
  "a NIC twice": ({ netDevs }) => ({ netDevs: [...netDevs, nic(netDevs)] }),
  "no NIC": ({ netDevs }) => ({ netDevs: netDevs.length === 0 ? [nic(netDevs)] : [] }),
  "another VLAN": ({ netDevs }) => ({ netDevs: [...netDevs, nic(netDevs)].map((device) => ({ ...device, vlan: 77 })) }),
};

function virtio(devices: readonly BlockDevice[]): readonly BlockDevice[] {
  return devices.filter(({ type }) => type === "VIRTIO_DISK").slice(0, 1);
}

function anew(devices: readonly BlockDevice[]): readonly BlockDevice[] {
  return devices.map((device) => ({ ...device, uuid: "00000000-0000-4000-8000-000000000000", slot: 60 }));
}

function nic([first]: readonly NetDevice[]): NetDevice {
  const bare = { virDomainUUID: "", type: "VIRTIO", macAddress: "", vlan: 1, connected: true, ipv4Addresses: [] };
  return { ...bare, ...first, uuid: "00000000-0000-4000-8000-000000000001" };
}

const ofTheCluster: Readonly<Record<string, (state: ClusterState, evidence: Evidence) => Partial<ClusterState>>> = {
  "a VM twice": ({ virdomains }, evidence) => ({ virdomains: [...virdomains, ...oneOfOurs(virdomains, evidence)] }),
  "a VM gone": ({ virdomains }, evidence) => {
    const [gone] = oneOfOurs(virdomains, evidence);
    return { virdomains: virdomains.filter((vm) => vm !== gone) };
  },
  "a VM of other people touched": ({ virdomains }) => ({
    virdomains: virdomains.map((vm) => (vm.name === "stranger-plain" ? { ...vm, description: "touched" } : vm)),
  }),
  "a clone gone": ({ virdomains }) => ({ virdomains: virdomains.filter(({ name }) => name !== "stranger-clone") }),
  "people's devices gone": ({ virdomains }) => ({
    virdomains: virdomains.map((vm) => ({ ...vm, netDevs: vm.netDevs.filter(({ vlan }) => vlan !== peopleVlan) })),
  }),
  "an ISO of other people gone": ({ isos }) => ({ isos: isos.filter(({ name }) => name !== "theirs.iso") }),
  "an upload left behind": ({ images }) => ({
    images: images.map((image) => ({ ...image, name: `uploading-${image.name}` })),
  }),
  "an unfinished ISO": ({ isos }) => ({
    isos: [...isos, { uuid: "", name: "ours.iso", size: 1, readyForInsert: false, path: "" }],
  }),
  "other cloud-init data": ({ guests }) => ({
    guests: mapValues(guests, (guest) => ({ ...guest, cloudInitData: { userData: "eA==", metaData: "" } })),
  }),
  "disks of unknown origin": ({ guests }) => ({ guests: mapValues(guests, (guest) => ({ ...guest, origins: {} })) }),
};

function oneOfOurs(virdomains: readonly VirDomain[], { wishes }: Evidence): readonly VirDomain[] {
  return virdomains.filter(({ name }) => name === wishes[0]?.name);
}

function mapValues<T>(record: Readonly<Record<string, T>>, change: (value: T) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

/** The evidence with one thing wrong, for each thing that may be wrong. */
export function spoiled(evidence: Evidence): readonly { readonly what: string; readonly evidence: Evidence }[] {
  const { state } = evidence;
  const [victim] = oneOfOurs(state.virdomains, evidence);
  const vms = Object.entries(ofOurVms).map(([what, spoil]) => ({
    what,
    change: { virdomains: state.virdomains.map((vm) => (vm === victim ? { ...vm, ...spoil(vm) } : vm)) },
  }));
  const clusters = Object.entries(ofTheCluster).map(([what, spoil]) => ({ what, change: spoil(state, evidence) }));
  return [...vms, ...clusters].map(({ what, change }) => ({
    what,
    evidence: { ...evidence, state: { ...state, ...change } },
  }));
}
