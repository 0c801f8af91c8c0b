/** Shapes of HyperCore REST API v1 as this double stores and answers them (HyperCore REST v1 OpenAPI). */

type VmState = "RUNNING" | "BLOCKED" | "PAUSED" | "SHUTDOWN" | "SHUTOFF" | "CRASHED";
type TaskState = "QUEUED" | "RUNNING" | "COMPLETE" | "ERROR" | "UNINITIALIZED";
export type MachineKeyword = "bios" | "uefi" | "tpm" | "tpm-compatible";

export interface BlockDevice {
  readonly uuid: string;
  readonly virDomainUUID: string;
  readonly type: string;
  readonly cacheMode: string;
  /** Bytes. */
  readonly capacity: number;
  readonly allocation: number;
  readonly physical: number;
  readonly slot: number;
  readonly name: string;
  readonly path: string;
  readonly disableSnapshotting: boolean;
  readonly tieringPriorityFactor: number;
  readonly mountPoints: readonly string[];
  /** Unix seconds. */
  readonly createdTimestamp: number;
  readonly readOnly: boolean;
  readonly shareUUID: string;
}

export interface NetDevice {
  readonly uuid: string;
  readonly virDomainUUID: string;
  readonly type: string;
  readonly macAddress: string;
  readonly vlan: number;
  readonly connected: boolean;
  readonly ipv4Addresses: readonly string[];
}

interface AffinityStrategy {
  readonly strictAffinity: boolean;
  readonly preferredNodeUUID: string;
  readonly backupNodeUUID: string;
}

export interface TaskTagStatus {
  readonly taskTag: string;
  readonly progressPercent: number;
  readonly state: TaskState;
  readonly formattedDescription: string;
  readonly descriptionParameters: readonly string[];
  readonly formattedMessage: string;
  readonly messageParameters: readonly string[];
  readonly objectUUID: string;
  readonly created: number;
  readonly modified: number;
  readonly completed: number;
  readonly sessionID: string;
  readonly nodeUUIDs: readonly string[];
}

export interface VirDomain {
  readonly uuid: string;
  readonly nodeUUID: string;
  readonly lastSeenRunningOnNodeUUID: string;
  readonly name: string;
  readonly description: string;
  readonly operatingSystem: string;
  readonly tags: string;
  readonly state: VmState;
  readonly desiredDisposition: "RUNNING" | "SHUTOFF" | "PAUSED";
  readonly uiState: string;
  /** Bytes. */
  readonly mem: number;
  readonly numVCPU: number;
  readonly blockDevs: readonly BlockDevice[];
  readonly netDevs: readonly NetDevice[];
  readonly bootDevices: readonly string[];
  readonly machineType: string;
  readonly machineTypeKeyword: MachineKeyword;
  readonly cpuType: string;
  readonly cloudInitData: { readonly userData: string; readonly metaData: string };
  readonly affinityStrategy: AffinityStrategy;
  readonly snapshotScheduleUUID: string;
  readonly snapUUIDs: readonly string[];
  readonly snapshotSerialNumber: number;
  readonly replicationUUIDs: readonly string[];
  readonly sourceVirDomainUUID: string;
  /** Unix seconds. */
  readonly created: number;
  readonly modified: number;
  readonly latestTaskTag: TaskTagStatus | Record<string, never>;
  readonly guestAgentState: "UNKNOWN" | "UNAVAILABLE" | "AVAILABLE";
  readonly console: { readonly type: string; readonly ip: string; readonly port: number; readonly keymap: string };
  /** 9.7 and later. */
  readonly labels?: Readonly<Record<string, { readonly value: string }>>;
  /** 9.7 and later. */
  readonly runnable?: boolean;
}

export interface VirtualDisk {
  readonly uuid: string;
  /** `uploading-X`, then `converting-X`, then `X`. */
  readonly name: string;
  readonly blockSize: number;
  readonly capacityBytes: number;
  readonly totalAllocationBytes: number;
  readonly replicationFactor: number;
}

export interface Iso {
  readonly uuid: string;
  readonly name: string;
  readonly size: number;
  readonly readyForInsert: boolean;
  readonly path: string;
}

export interface Snapshot {
  readonly uuid: string;
  readonly domainUUID: string;
  readonly label: string;
  readonly type: string;
  readonly timestamp: number;
  readonly automatedTriggerTimestamp: number;
  readonly localRetainUntilTimestamp: number;
  readonly remoteRetainUntilTimestamp: number;
  readonly blockCountDiffFromSerialNumber: number;
  readonly replication: boolean;
  readonly deviceSnapshots: readonly { readonly uuid: string }[];
  /** The VM as it was. */
  readonly domain: VirDomain;
}

export interface PowerAction {
  readonly virDomainUUID: string;
  readonly actionType: string;
  readonly nodeUUID?: string;
}
