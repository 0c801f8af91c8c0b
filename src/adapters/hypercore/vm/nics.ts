import type { DesiredNic } from "../../../fleet/desired-state.ts";
import type { NicType } from "../../../manifest/document.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import type { ClusterAccess } from "../access.ts";
import type { MarkNotes } from "../marks/marks.ts";
import { changeVm } from "./perform.ts";
import { nicNameOf, shortUuid } from "./to-virdomain.ts";
import type { NetDevice, VirDomain } from "../rest/wire.ts";

const wireNicTypes: Readonly<Record<NicType, string>> = { virtio: "VIRTIO", e1000: "INTEL_E1000", rtl8139: "RTL8139" };

export function nicBody(nic: DesiredNic): { readonly type: string; readonly vlan: number } {
  return { type: wireNicTypes[nic.type], vlan: nic.network.vlan ?? 0 };
}

/** Which device stands for which desired NIC; pure. */
export interface NicWork {
  readonly remove: readonly { readonly device: NetDevice; readonly name: string }[];
  readonly keep: readonly { readonly nic: DesiredNic; readonly device: NetDevice }[];
  readonly add: readonly DesiredNic[];
}

/**
 * By remembered name first. A NIC without a name stands in for a missing one of equal type and VLAN: that is how NICs
 * of a VM under construction, or of an addition whose answer was lost, are recognised. With `adopt` the rest goes by
 * position. A VM under construction has no NICs but ours, so what nobody wishes any more is removed, named or not.
 */
export function planNics(vm: VirDomain, record: MarkNotes, desired: readonly DesiredNic[], adopt: boolean): NicWork {
  const named = vm.netDevs.map((device) => ({ device, name: nicNameOf(device, record) }));
  const free = named.flatMap(({ device, name }) => (name === undefined ? [device] : []));
  const found = new Map(named.flatMap(({ device, name }) => (name === undefined ? [] : [[name, device] as const])));
  const missing = (): DesiredNic[] => desired.filter((nic) => !found.has(nic.name));
  for (const nic of missing()) take(free, found, nic, (device) => isLike(device, nic));
  if (adopt) for (const nic of missing()) take(free, found, nic, () => true);
  const wanted = new Set(desired.map((nic) => nic.name));
  const leftOver = record.mark?.building === true ? free.map((device) => ({ device, name: device.uuid })) : [];
  return {
    remove: [...[...found].flatMap(([name, device]) => (wanted.has(name) ? [] : [{ device, name }])), ...leftOver],
    keep: desired.flatMap((nic) => {
      const device = found.get(nic.name);
      return device === undefined ? [] : [{ nic, device }];
    }),
    add: missing(),
  };
}

function take(
  free: NetDevice[],
  found: Map<string, NetDevice>,
  nic: DesiredNic,
  fits: (device: NetDevice) => boolean,
): void {
  const index = free.findIndex(fits);
  const [device] = index < 0 ? [] : free.splice(index, 1);
  if (device !== undefined) found.set(nic.name, device);
}

export function isLike(device: NetDevice, nic: DesiredNic): boolean {
  const body = nicBody(nic);
  return device.type === body.type && device.vlan === body.vlan;
}

/** The notes for a VM's tags, once every desired NIC exists. */
export function noteNics(vm: VirDomain, work: NicWork): Map<string, string> {
  const all = vm.netDevs.map(({ uuid }) => uuid);
  return new Map(work.keep.map(({ nic, device }) => [nic.name, shortUuid(device.uuid, all)]));
}

export async function removeNic(
  access: ClusterAccess,
  vm: VirDomain,
  device: NetDevice,
  name: string,
  context: ChangeContext,
): Promise<VirDomain> {
  const step = {
    what: `remove NIC "${name}" from ${vm.name}`,
    send: (signal: AbortSignal) =>
      access.client.change("DELETE", `VirDomainNetDevice/${device.uuid}`, undefined, signal),
    done: (seen: VirDomain | undefined) => seen?.netDevs.every(({ uuid }) => uuid !== device.uuid) ?? false,
  };
  return changeVm(access, vm.uuid, step, context);
}

export async function changeNic(
  access: ClusterAccess,
  vm: VirDomain,
  device: NetDevice,
  nic: DesiredNic,
  context: ChangeContext,
): Promise<VirDomain> {
  const wanted = nicBody(nic);
  const body = {
    ...(device.type === wanted.type ? {} : { type: wanted.type }),
    ...(device.vlan === wanted.vlan ? {} : { vlan: wanted.vlan }),
  };
  const step = {
    what: `change NIC "${nic.name}" of ${vm.name}`,
    send: (signal: AbortSignal) => access.client.change("PATCH", `VirDomainNetDevice/${device.uuid}`, body, signal),
    done: (seen: VirDomain | undefined) =>
      seen?.netDevs.some((other) => other.uuid === device.uuid && isLike(other, nic)) ?? false,
  };
  return changeVm(access, vm.uuid, step, context);
}

export async function addNic(
  access: ClusterAccess,
  vm: VirDomain,
  nic: DesiredNic,
  context: ChangeContext,
): Promise<VirDomain> {
  const before = new Set(vm.netDevs.map(({ uuid }) => uuid));
  const step = {
    what: `add NIC "${nic.name}" to ${vm.name}`,
    send: (signal: AbortSignal) =>
      access.client.change("POST", "VirDomainNetDevice", { virDomainUUID: vm.uuid, ...nicBody(nic) }, signal),
    done: (seen: VirDomain | undefined) =>
      seen?.netDevs.some((device) => !before.has(device.uuid) && isLike(device, nic)) ?? false,
  };
  return changeVm(access, vm.uuid, step, context);
}
