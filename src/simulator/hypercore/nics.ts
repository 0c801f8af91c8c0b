import type { EffectTable } from "./effect-table.ts";
import { notNow, TaskFailure } from "./refusal.ts";
import type { ClusterState } from "./state.ts";
import type { NetDevice, VirDomain } from "./wire.ts";
import type { NicBody, Work } from "./work.ts";

export function buildNic(state: ClusterState, vm: string, uuid: string, body: NicBody): NetDevice {
  return {
    uuid,
    virDomainUUID: vm,
    type: body.type ?? "VIRTIO",
    macAddress: body.macAddress || state.nextMac(),
    vlan: body.vlan ?? 0,
    connected: body.connected ?? true,
    ipv4Addresses: [],
  };
}

/** A PATCH of a NIC as work. While the VM runs only the link may change. */
export function nicPatchWork(state: ClusterState, vm: VirDomain, uuid: string, nic: NicBody): Work {
  const onlyLink = Object.keys(nic).every((member) => member === "connected");
  if (!onlyLink && !state.isOff(vm) && !state.settings.lenientWhileRunning) throw notNow();
  return { kind: "nic-patch", vm: vm.uuid, uuid, nic };
}

/** NICs come and go only while the VM is off. */
export function requireOffForNics(state: ClusterState, vm: VirDomain): void {
  if (!state.isOff(vm) && !state.settings.lenientWhileRunning) throw notNow();
}

export const nicEffects: Pick<EffectTable, "nic-create" | "nic-patch" | "nic-delete"> = {
  "nic-create": {
    finish: (state, { vm, uuid, nic }) => {
      const { netDevs } = state.takeVirDomain(vm);
      state.updateVirDomain(vm, { netDevs: [...netDevs, buildNic(state, vm, uuid, nic)] });
    },
  },
  "nic-patch": {
    finish: (state, { vm, uuid, nic }) => {
      const { netDevs } = state.takeVirDomain(vm);
      if (!netDevs.some((device) => device.uuid === uuid))
        throw new TaskFailure("Net device %@ does not exist", [uuid]);
      state.updateVirDomain(vm, {
        netDevs: netDevs.map((device) => (device.uuid === uuid ? { ...device, ...nic } : device)),
      });
    },
  },
  "nic-delete": {
    finish: (state, { vm, uuid }) => {
      const { netDevs, bootDevices } = state.takeVirDomain(vm);
      state.updateVirDomain(vm, {
        netDevs: netDevs.filter((device) => device.uuid !== uuid),
        bootDevices: bootDevices.filter((device) => device !== uuid),
      });
    },
  },
};
