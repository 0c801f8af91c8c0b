import { machineTypes } from "./contract.ts";
import { addClusterCd, addDisk } from "./disks.ts";
import type { EffectTable } from "./effect-table.ts";
import { buildNic } from "./nics.ts";
import { badRequest, notNow, TaskFailure } from "./refusal.ts";
import { type ClusterState, unixSeconds } from "./state.ts";
import { ensureRoom } from "./storage.ts";
import type { BlockDevice, MachineKeyword, VirDomain } from "./wire.ts";
import type { VirDomainBody, VirDomainPatch, WorkOf } from "./work.ts";

const labelName = /^[A-Za-z0-9_-]{1,64}$/;

/** Labels: at most 64, plain names, base64 values of at most 256 characters. */
export function checkLabels(labels: VirDomainPatch["labels"]): void {
  const entries = Object.entries(labels ?? {});
  if (entries.length > 64) throw badRequest('"labels" holds more than 64 entries');
  for (const [name, label] of entries) {
    const value: unknown = label?.value;
    const plain = typeof value === "string" && value.length <= 256 && /^[A-Za-z0-9+/]*={0,2}$/.test(value);
    if (!labelName.test(name) || !plain) throw badRequest(`"labels.${name}" is not allowed`);
  }
}

/** A PATCH of a VM, or its refusal: boot devices must be its own, and the machine changes only while it is off. */
export function checkVirDomainPatch(state: ClusterState, vm: VirDomain, changes: VirDomainPatch): void {
  checkLabels(changes.labels);
  const own = new Set([...vm.blockDevs, ...vm.netDevs].map((device) => device.uuid));
  const foreign = changes.bootDevices?.find((device) => !own.has(device));
  if (foreign !== undefined) throw badRequest(`"bootDevices" names ${foreign}, which is not a device of this VM`);
  const offOnly = ["mem", "numVCPU", "bootDevices", "machineType", "cpuType"];
  const touched = Object.keys(changes).some((member) => offOnly.includes(member));
  if (touched && !state.isOff(vm) && !state.settings.lenientWhileRunning) throw notNow();
}

function emptyVirDomain(uuid: string, keyword: MachineKeyword): VirDomain {
  const now = unixSeconds();
  return {
    uuid,
    nodeUUID: "",
    lastSeenRunningOnNodeUUID: "",
    name: "",
    description: "",
    operatingSystem: "os_other",
    tags: "",
    state: "SHUTOFF",
    desiredDisposition: "SHUTOFF",
    uiState: "SHUTOFF",
    mem: 0,
    numVCPU: 0,
    blockDevs: [],
    netDevs: [],
    bootDevices: [],
    machineType: machineTypes[keyword][0],
    machineTypeKeyword: keyword,
    cpuType: "clusterBaseline-7.3",
    cloudInitData: { userData: "", metaData: "" },
    affinityStrategy: { strictAffinity: false, preferredNodeUUID: "", backupNodeUUID: "" },
    snapshotScheduleUUID: "",
    snapUUIDs: [],
    snapshotSerialNumber: 0,
    replicationUUIDs: [],
    sourceVirDomainUUID: "",
    created: now,
    modified: now,
    latestTaskTag: {},
    guestAgentState: "UNAVAILABLE",
    console: { type: "VNC", ip: "", port: 0, keymap: "en-us" },
  };
}

/** The VM shows up without its devices; whoever looks now sees a half-built one. */
function beginVirDomain(state: ClusterState, { vm, dom, options }: WorkOf<"vm-create">): void {
  const empty = emptyVirDomain(vm, options.machineTypeKeyword ?? "bios");
  const { machineType, ...settings } = settable(dom);
  const machine = options.machineTypeKeyword === undefined ? ofMachineType(machineType) : {};
  state.putVirDomain({ ...empty, ...versioned(state), ...mergePatch(state, empty, settings), ...machine });
  state.guests.put(vm, { cloudInitData: dom.cloudInitData });
}

/** Members that exist from 9.7. */
function versioned(state: ClusterState): Pick<VirDomain, "labels" | "runnable"> {
  return state.knowsLabels ? { labels: {}, runnable: true } : {};
}

function finishVirDomain(state: ClusterState, { vm, dom, options }: WorkOf<"vm-create">): void {
  for (const disk of dom.blockDevs ?? []) addDisk(state, vm, state.random.uuid(), disk);
  const netDevs = (dom.netDevs ?? []).map((nic) => buildNic(state, vm, state.random.uuid(), nic));
  state.updateVirDomain(vm, { netDevs });
  const windows = dom.operatingSystem?.startsWith("os_windows") === true;
  if (windows && options.attachGuestToolsISO !== false) addClusterCd(state, vm, "scale-guest-tools.iso");
  addCloudInitCd(state, vm, dom.cloudInitData);
}

function addCloudInitCd(state: ClusterState, vm: string, data: VirDomain["cloudInitData"] | undefined): void {
  if (data?.userData || data?.metaData) addClusterCd(state, vm, `cloud-init-${vm.slice(0, 8)}.iso`);
}

/** Only what PATCH may set: devices and states of a create body go other ways. */
function settable(dom: VirDomainBody): VirDomainPatch {
  const { name, description, operatingSystem, mem, numVCPU, tags, snapshotScheduleUUID } = dom;
  const { machineType, cpuType, affinityStrategy, cloudInitData, labels, runnable } = dom;
  const machine = { machineType, cpuType, affinityStrategy, cloudInitData, labels, runnable };
  const all = { name, description, operatingSystem, mem, numVCPU, tags, snapshotScheduleUUID, ...machine };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Cloud-init data goes in and does not come out again, unless the cluster is told to show it. */
function mergePatch(state: ClusterState, vm: VirDomain, changes: VirDomainPatch): Partial<VirDomain> {
  const shown = state.settings.showCloudInitData ? changes.cloudInitData : undefined;
  return {
    ...changes,
    cloudInitData: { ...vm.cloudInitData, ...shown },
    affinityStrategy: { ...vm.affinityStrategy, ...changes.affinityStrategy },
  };
}

function patchVirDomain(state: ClusterState, { vm, changes }: WorkOf<"vm-patch">): void {
  const current = state.takeVirDomain(vm);
  state.updateVirDomain(vm, { ...mergePatch(state, current, changes), ...ofMachineType(changes.machineType) });
}

/** A machine type with the keyword it belongs to. */
function ofMachineType(machineType: string | undefined): Partial<VirDomain> {
  if (machineType === undefined) return {};
  const found = Object.entries(machineTypes).find(([, types]) => types.some((type) => type === machineType));
  return found === undefined ? {} : { machineType, machineTypeKeyword: found[0] as MachineKeyword };
}

/** Devices, firmware stores and snapshots go with the VM; images and ISOs stay. */
function deleteVirDomain(state: ClusterState, vm: string): void {
  for (const snapshot of state.virdomains.get(vm)?.snapUUIDs ?? []) state.snapshots.delete(snapshot);
  state.virdomains.delete(vm);
  state.guests.delete(vm);
}

/** New identities for everything, the source's tags for the copy; labels and the runnable flag start afresh. */
function cloneVirDomain(state: ClusterState, { vm, source, snapUUID, template }: WorkOf<"vm-clone">): void {
  const original = snapUUID === undefined ? state.virdomains.get(source) : state.snapshots.get(snapUUID)?.domain;
  if (original === undefined) throw new TaskFailure("Clone source %@ does not exist", [snapUUID ?? source]);
  const renamed = new Map(original.blockDevs.map((disk) => [disk.uuid, state.random.uuid()]));
  const blockDevs = original.blockDevs
    .filter((disk) => !disk.name.startsWith("cloud-init-"))
    .map((disk) => cloneDisk(disk, vm, renamed));
  ensureRoom(
    state,
    blockDevs.reduce((sum, disk) => sum + (disk.type === "IDE_CDROM" ? 0 : disk.capacity), 0),
  );
  const bootDevices = state.settings.cloneBootDevices
    ? original.bootDevices.map((uuid) => renamed.get(uuid) ?? "")
    : [];
  const { machineType, machineTypeKeyword, cpuType, mem, numVCPU, description, tags, operatingSystem } = original;
  const carried = { machineType, machineTypeKeyword, cpuType, mem, numVCPU, description, tags, operatingSystem };
  const empty = emptyVirDomain(vm, machineTypeKeyword);
  state.putVirDomain({
    ...empty,
    ...versioned(state),
    ...carried,
    name: `clone-${original.name}`,
    ...mergePatch(state, empty, settable(template)),
    blockDevs,
    netDevs: original.netDevs.map((nic) => ({
      ...buildNic(state, vm, state.random.uuid(), { type: nic.type, vlan: nic.vlan, connected: nic.connected }),
    })),
    bootDevices: bootDevices.filter((uuid) => uuid !== ""),
  });
  state.guests.put(vm, { cloudInitData: template.cloudInitData });
  addCloudInitCd(state, vm, template.cloudInitData);
}

function cloneDisk(disk: BlockDevice, vm: string, renamed: ReadonlyMap<string, string>): BlockDevice {
  const uuid = renamed.get(disk.uuid) ?? disk.uuid;
  const media = disk.type === "IDE_CDROM" ? disk.path : `scribe/${uuid}`;
  return { ...disk, uuid, virDomainUUID: vm, path: media, createdTimestamp: unixSeconds() };
}

export const virDomainEffects: Pick<EffectTable, "vm-create" | "vm-patch" | "vm-delete" | "vm-clone"> = {
  "vm-create": {
    begin: beginVirDomain,
    finish: finishVirDomain,
    undo: (state, { vm }) => deleteVirDomain(state, vm),
  },
  "vm-patch": { finish: patchVirDomain },
  "vm-delete": {
    finish: (state, { vm }) => {
      const current = state.takeVirDomain(vm);
      if (!state.isOff(current)) throw new TaskFailure("Virtual machine %@ is %@", [current.name, current.state]);
      deleteVirDomain(state, vm);
    },
  },
  "vm-clone": { finish: cloneVirDomain },
};
