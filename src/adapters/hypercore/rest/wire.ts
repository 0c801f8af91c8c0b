/**
 * The members of HyperCore REST v1 objects this driver uses, checked on arrival. Whatever else an answer holds is
 * ignored; what identifies an object must be there, or the answer is refused rather than guessed at.
 */
export interface VirDomain {
  readonly uuid: string;
  readonly name: string;
  readonly description: string;
  readonly operatingSystem: string;
  readonly tags: string;
  /** Name -> base64. Undefined on clusters that do not know labels (before 9.7). */
  readonly labels: ReadonlyMap<string, string> | undefined;
  readonly state: VirDomainState;
  readonly desiredDisposition: string;
  readonly memBytes: number;
  readonly numVCPU: number;
  readonly machineType: string;
  readonly machineTypeKeyword: string;
  readonly blockDevs: readonly BlockDevice[];
  readonly netDevs: readonly NetDevice[];
  readonly bootDevices: readonly string[];
  readonly snapUUIDs: readonly string[];
  readonly sourceVirDomainUUID: string;
  readonly latestTask: TaskStatus | undefined;
  readonly guestAgentState: string;
}

const states = ["RUNNING", "BLOCKED", "PAUSED", "SHUTDOWN", "SHUTOFF", "CRASHED"] as const;
export type VirDomainState = (typeof states)[number];

export interface BlockDevice {
  readonly uuid: string;
  readonly type: string;
  readonly capacityBytes: number;
  /** Per bus; -1 on NVRAM and VTPM. */
  readonly slot: number;
  readonly path: string;
  readonly name: string;
}

export interface NetDevice {
  readonly uuid: string;
  readonly type: string;
  readonly vlan: number;
  readonly connected: boolean;
  readonly ipv4Addresses: readonly string[];
}

export interface VirtualDisk {
  readonly uuid: string;
  readonly name: string;
  readonly capacityBytes: number;
  readonly allocatedBytes: number;
}

export interface Iso {
  readonly uuid: string;
  readonly name: string;
  readonly readyForInsert: boolean;
  readonly path: string;
  readonly mounted: boolean;
}

export interface TaskStatus {
  readonly taskTag: string;
  readonly state: string;
  readonly progressPercent: number;
  readonly formattedMessage: string;
  readonly messageParameters: readonly string[];
  readonly formattedDescription: string;
  readonly descriptionParameters: readonly string[];
}

/** What a changing call answers. An empty tag means there is nothing to wait for. */
export interface ChangeReply {
  readonly taskTag: string;
  readonly createdUUID: string;
}

export interface Condition {
  readonly name: string;
  readonly value: boolean;
  readonly text: string;
}

type Members = Readonly<Record<string, unknown>>;

export function toVirDomainWire(value: unknown): VirDomain {
  const dom = members(value, "VirDomain");
  return {
    uuid: required(dom, "uuid", "VirDomain"),
    name: text(dom.name),
    description: text(dom.description),
    operatingSystem: text(dom.operatingSystem),
    tags: text(dom.tags),
    labels: toLabels(dom.labels),
    state: toState(dom.state),
    desiredDisposition: text(dom.desiredDisposition),
    memBytes: integer(dom.mem, "VirDomain.mem"),
    numVCPU: integer(dom.numVCPU, "VirDomain.numVCPU"),
    machineType: text(dom.machineType),
    machineTypeKeyword: text(dom.machineTypeKeyword),
    blockDevs: list(dom.blockDevs, "VirDomain.blockDevs").map(toBlockDevice),
    netDevs: list(dom.netDevs, "VirDomain.netDevs").map(toNetDevice),
    bootDevices: strings(dom.bootDevices),
    snapUUIDs: strings(dom.snapUUIDs),
    sourceVirDomainUUID: text(dom.sourceVirDomainUUID),
    latestTask: toLatestTask(dom.latestTaskTag),
    guestAgentState: text(dom.guestAgentState),
  };
}

function toState(value: unknown): VirDomainState {
  const state = states.find((known) => known === value);
  if (state === undefined) throw unexpected(`VirDomain.state ${JSON.stringify(value)}`);
  return state;
}

function toLabels(value: unknown): ReadonlyMap<string, string> | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return new Map(Object.entries(value).map(([name, label]) => [name, text(members(label, "VirDomain.labels").value)]));
}

function toBlockDevice(value: unknown): BlockDevice {
  const device = members(value, "VirDomainBlockDevice");
  return {
    uuid: required(device, "uuid", "VirDomainBlockDevice"),
    type: required(device, "type", "VirDomainBlockDevice"),
    capacityBytes: integer(device.capacity ?? 0, "VirDomainBlockDevice.capacity"),
    slot: integer(device.slot ?? -1, "VirDomainBlockDevice.slot"),
    path: text(device.path),
    name: text(device.name),
  };
}

function toNetDevice(value: unknown): NetDevice {
  const device = members(value, "VirDomainNetDevice");
  return {
    uuid: required(device, "uuid", "VirDomainNetDevice"),
    type: text(device.type),
    vlan: integer(device.vlan ?? 0, "VirDomainNetDevice.vlan"),
    connected: device.connected !== false,
    ipv4Addresses: strings(device.ipv4Addresses),
  };
}

/** A VM that never had a task shows an empty object, or none. */
function toLatestTask(value: unknown): TaskStatus | undefined {
  if (value === undefined || value === null) return undefined;
  const task = toTaskStatus(value);
  return task.taskTag === "" || task.state === "" ? undefined : task;
}

export function toTaskStatus(value: unknown): TaskStatus {
  const task = members(value, "TaskTagStatus");
  return {
    taskTag: text(task.taskTag),
    state: text(task.state),
    progressPercent: typeof task.progressPercent === "number" ? task.progressPercent : 0,
    formattedMessage: text(task.formattedMessage),
    messageParameters: strings(task.messageParameters),
    formattedDescription: text(task.formattedDescription),
    descriptionParameters: strings(task.descriptionParameters),
  };
}

export function toVirtualDisk(value: unknown): VirtualDisk {
  const disk = members(value, "VirtualDisk");
  return {
    uuid: required(disk, "uuid", "VirtualDisk"),
    name: text(disk.name),
    capacityBytes: integer(disk.capacityBytes ?? 0, "VirtualDisk.capacityBytes"),
    allocatedBytes: integer(disk.totalAllocationBytes ?? 0, "VirtualDisk.totalAllocationBytes"),
  };
}

export function toIso(value: unknown): Iso {
  const iso = members(value, "ISO");
  return {
    uuid: required(iso, "uuid", "ISO"),
    name: text(iso.name),
    readyForInsert: iso.readyForInsert === true,
    path: text(iso.path),
    mounted: Array.isArray(iso.mounts) && iso.mounts.length > 0,
  };
}

export function toChangeReply(value: unknown): ChangeReply {
  const reply = members(value, "task reply");
  return { taskTag: text(reply.taskTag), createdUUID: text(reply.createdUUID) };
}

export function toCondition(value: unknown): Condition {
  const condition = members(value, "Condition");
  const name = text(condition.name);
  return {
    name,
    value: condition.value === true,
    text: text(condition.userText) || text(condition.description) || name,
  };
}

export function toVersion(value: unknown): string {
  return text(members(value, "Cluster").icosVersion);
}

/** What a node tells of its room. */
export interface NodeFacts {
  readonly runsVms: boolean;
  readonly memoryBytes: number;
  readonly usedMemoryBytes: number;
  /** Empty on clusters that do not report them, or in another shape. */
  readonly drives: readonly { readonly type: string; readonly capacityBytes: number; readonly usedBytes: number }[];
}

export function toNodeFacts(value: unknown): NodeFacts {
  const node = members(value, "Node");
  return {
    runsVms: node.allowRunningVMs !== false,
    memoryBytes: integer(node.memSize ?? 0, "Node.memSize"),
    usedMemoryBytes: integer(node.totalMemUsageBytes ?? 0, "Node.totalMemUsageBytes"),
    drives: Array.isArray(node.drives) ? node.drives.flatMap(toDrive) : [],
  };
}

function toDrive(value: unknown): NodeFacts["drives"] {
  const { type, capacityBytes, usedBytes } = (value ?? {}) as Members;
  if (typeof capacityBytes !== "number" || typeof usedBytes !== "number") return [];
  return [{ type: text(type) || "storage", capacityBytes, usedBytes }];
}

/** Address of a node, `""` when it has none. */
export function toLanIp(value: unknown): string {
  return text(members(value, "Node").lanIP);
}

export function members(value: unknown, what: string): Members {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw unexpected(what);
  return value as Members;
}

export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function required(object: Members, member: string, what: string): string {
  const value = object[member];
  if (typeof value !== "string" || value === "") throw unexpected(`${what}.${member}`);
  return value;
}

function integer(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw unexpected(what);
  return value;
}

function list(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw unexpected(what);
  return value;
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

/** An answer that is not what HyperCore REST v1 promises; the client says which cluster gave it to which question. */
export class UnexpectedShape extends Error {
  override readonly name = "UnexpectedShape";
}

function unexpected(what: string): UnexpectedShape {
  return new UnexpectedShape(`unexpected ${what}`);
}
