import { badRequest } from "./refusal.ts";

/** What a member of a body may hold. */
export type MemberRule =
  | { readonly kind: "string"; readonly oneOf?: readonly string[] }
  | { readonly kind: "integer"; readonly min?: number; readonly max?: number; readonly oneOf?: readonly number[] }
  | { readonly kind: "boolean" }
  | { readonly kind: "strings" }
  | { readonly kind: "list"; readonly of: Shape }
  | { readonly kind: "object"; readonly shape: Shape }
  | { readonly kind: "map" };

/** One body of the contract. A closed shape refuses members it does not know; an open one drops them without a word. */
export interface Shape {
  readonly name: string;
  readonly members: Readonly<Record<string, MemberRule>>;
  readonly required?: readonly string[];
  /** Members that GET shows and nobody may send. */
  readonly readOnly?: readonly string[];
  readonly open?: boolean;
}

const text: MemberRule = { kind: "string" };
const flag: MemberRule = { kind: "boolean" };
const size: MemberRule = { kind: "integer", min: 0 };

export const diskTypes = ["VIRTIO_DISK", "IDE_DISK", "SCSI_DISK", "IDE_CDROM", "IDE_FLOPPY", "NVRAM", "VTPM"] as const;
export const nicTypes = ["VIRTIO", "INTEL_E1000", "RTL8139", "PCNET"] as const;
const cacheModes = ["NONE", "WRITEBACK", "WRITETHROUGH"];
const tieringFactors = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 10_240];

/** Machine types by keyword, the first one being what a new VM gets. */
export const machineTypes = {
  bios: ["scale-bios-9.3", "scale-7.2", "scale-5.4", "scale-6.4", "scale-bios-lsi-9.2"],
  uefi: ["scale-uefi-9.3", "scale-8.10"],
  tpm: ["scale-uefi-tpm-9.3", "scale-uefi-tpm-9.2"],
  "tpm-compatible": ["scale-uefi-tpm-compatible-9.3"],
} as const;

const cloudInitData: MemberRule = {
  kind: "object",
  shape: { name: "CloudInitData", members: { userData: text, metaData: text } },
};
const affinityStrategy: MemberRule = {
  kind: "object",
  shape: {
    name: "AffinityStrategy",
    members: { strictAffinity: flag, preferredNodeUUID: text, backupNodeUUID: text },
  },
};

const diskMembers = {
  type: { kind: "string", oneOf: diskTypes },
  capacity: size,
  cacheMode: { kind: "string", oneOf: cacheModes },
  slot: { kind: "integer", min: -1 },
  path: text,
  name: text,
  tieringPriorityFactor: { kind: "integer", oneOf: tieringFactors },
  disableSnapshotting: flag,
} as const satisfies Record<string, MemberRule>;
const diskReadOnly = ["uuid", "allocation", "physical", "mountPoints", "createdTimestamp", "readOnly", "shareUUID"];

const nicMembers = {
  type: { kind: "string", oneOf: nicTypes },
  macAddress: text,
  vlan: { kind: "integer", min: 0, max: 4094 },
  connected: flag,
} as const satisfies Record<string, MemberRule>;
const nicReadOnly = ["uuid", "ipv4Addresses"];

const virDomainMembers = {
  name: text,
  description: text,
  operatingSystem: text,
  mem: size,
  numVCPU: size,
  tags: text,
  bootDevices: { kind: "strings" },
  snapshotScheduleUUID: text,
  machineType: { kind: "string", oneOf: Object.values(machineTypes).flat() },
  cpuType: text,
  affinityStrategy,
  cloudInitData,
} as const satisfies Record<string, MemberRule>;
const virDomainReadOnly = [
  "uuid",
  "nodeUUID",
  "lastSeenRunningOnNodeUUID",
  "machineTypeKeyword",
  "snapUUIDs",
  "snapshotSerialNumber",
  "replicationUUIDs",
  "sourceVirDomainUUID",
  "created",
  "modified",
  "latestTaskTag",
  "guestAgentState",
  "console",
];
const since97: Record<string, MemberRule> = { labels: { kind: "map" }, runnable: flag };

const copyOptions: MemberRule = {
  kind: "object",
  shape: { name: "VirtualDiskOptions", members: { regenerateDiskID: flag, readOnly: flag } },
};
const diskTemplate: MemberRule = {
  kind: "object",
  shape: { name: "VirDomainBlockDevice", members: { virDomainUUID: text, ...diskMembers }, open: true },
};

/** The bodies as one version of the cluster knows them. Labels exist from 9.7. */
export function contractOf(knowsLabels: boolean) {
  const versioned: Record<string, MemberRule> = { ...virDomainMembers, ...(knowsLabels ? since97 : {}) };
  return {
    virDomainCreate: {
      name: "VirDomainCreate",
      members: {
        dom: {
          kind: "object",
          shape: {
            name: "VirDomain",
            members: {
              ...versioned,
              state: { kind: "string", oneOf: ["RUNNING", "BLOCKED", "PAUSED", "SHUTDOWN", "SHUTOFF", "CRASHED"] },
              desiredDisposition: { kind: "string", oneOf: ["RUNNING", "SHUTOFF", "PAUSED"] },
              uiState: text,
              blockDevs: {
                kind: "list",
                of: {
                  name: "VirDomainBlockDevice",
                  members: diskMembers,
                  required: ["type", "capacity"],
                  readOnly: diskReadOnly,
                },
              },
              netDevs: {
                kind: "list",
                of: { name: "VirDomainNetDevice", members: nicMembers, readOnly: nicReadOnly },
              },
            },
            readOnly: virDomainReadOnly,
          },
        },
        options: {
          kind: "object",
          shape: {
            name: "VirDomainCreateOptions",
            members: {
              attachGuestToolsISO: flag,
              machineTypeKeyword: { kind: "string", oneOf: Object.keys(machineTypes) },
            },
          },
        },
      },
      required: ["dom", "options"],
    },
    virDomainPatch: { name: "VirDomain", members: versioned },
    virDomainClone: {
      name: "VirDomainClone",
      members: {
        snapUUID: text,
        template: { kind: "object", shape: { name: "VirDomain", members: versioned, open: true } },
      },
    },
    action: {
      name: "VirDomainAction",
      members: {
        virDomainUUID: text,
        actionType: {
          kind: "string",
          oneOf: ["START", "SHUTDOWN", "STOP", "REBOOT", "RESET", "PAUSE", "NMI", "LIVEMIGRATE"],
        },
        nodeUUID: text,
      },
      required: ["virDomainUUID", "actionType"],
    },
    diskCreate: {
      name: "VirDomainBlockDevice",
      members: { virDomainUUID: text, ...diskMembers },
      required: ["virDomainUUID", "type", "capacity"],
      readOnly: diskReadOnly,
    },
    diskPatch: { name: "VirDomainBlockDevice", members: diskMembers },
    diskClone: {
      name: "VirDomainBlockDeviceClone",
      members: { snapUUID: text, options: copyOptions, template: diskTemplate },
      required: ["template"],
    },
    nicCreate: {
      name: "VirDomainNetDevice",
      members: { virDomainUUID: text, ...nicMembers },
      required: ["virDomainUUID"],
      readOnly: nicReadOnly,
    },
    nicPatch: { name: "VirDomainNetDevice", members: nicMembers },
    attach: {
      name: "VirtualDiskAttach",
      members: { options: copyOptions, template: diskTemplate },
      required: ["template"],
    },
    isoCreate: {
      name: "ISO",
      members: { name: text, size, readyForInsert: flag },
      required: ["name", "readyForInsert"],
      readOnly: ["uuid", "path", "mounts"],
    },
    isoPatch: { name: "ISO", members: { name: text, readyForInsert: flag } },
    snapshotCreate: {
      name: "VirDomainSnapshot",
      members: {
        domainUUID: text,
        label: text,
        type: { kind: "string", oneOf: ["USER", "AUTOMATED", "SUPPORT"] },
        automatedTriggerTimestamp: size,
        localRetainUntilTimestamp: size,
        remoteRetainUntilTimestamp: size,
        blockCountDiffFromSerialNumber: { kind: "integer", min: -1 },
        replication: flag,
      },
      required: ["domainUUID"],
      readOnly: ["uuid", "timestamp", "domain", "deviceSnapshots"],
    },
    login: {
      name: "Login",
      members: { username: text, password: text, useOIDC: flag },
      required: ["username", "password"],
    },
    nothing: { name: "Body", members: {} },
  } as const satisfies Record<string, Shape>;
}

export type Contract = ReturnType<typeof contractOf>;

/**
 * The body with only what the contract knows, or a 400 that names the first offending member.
 * `ignoreReadOnly` drops read-only members instead of refusing them.
 */
export function checkBody(body: unknown, shape: Shape, ignoreReadOnly = false): Record<string, unknown> {
  if (!isRecord(body)) throw badRequest(`${shape.name} must be an object`);
  const kept: Record<string, unknown> = {};
  for (const [member, value] of Object.entries(body)) {
    const rule = Object.hasOwn(shape.members, member) ? shape.members[member] : undefined;
    if (rule !== undefined) kept[member] = checkMember(value, rule, `${shape.name}.${member}`, ignoreReadOnly);
    else if (!isIgnored(member, shape, ignoreReadOnly)) throw badRequest(`"${member}" is not allowed in ${shape.name}`);
  }
  const missing = shape.required?.find((member) => !Object.hasOwn(kept, member));
  if (missing !== undefined) throw badRequest(`"${missing}" is required in ${shape.name}`);
  return kept;
}

function isIgnored(member: string, shape: Shape, ignoreReadOnly: boolean): boolean {
  return shape.open === true || (ignoreReadOnly && shape.readOnly?.includes(member) === true);
}

function checkMember(value: unknown, rule: MemberRule, path: string, ignoreReadOnly: boolean): unknown {
  switch (rule.kind) {
    case "object":
      return checkBody(value, rule.shape, ignoreReadOnly);
    case "list":
      if (!Array.isArray(value)) throw badRequest(`"${path}" must be a list`);
      return value.map((item: unknown) => checkBody(item, rule.of, ignoreReadOnly));
    default:
      if (!fits(value, rule)) throw badRequest(`"${path}" does not hold an allowed value`);
      return value;
  }
}

function fits(value: unknown, rule: Exclude<MemberRule, { kind: "object" | "list" }>): boolean {
  switch (rule.kind) {
    case "string":
      return typeof value === "string" && (rule.oneOf?.includes(value) ?? true);
    case "integer":
      return isInteger(value) && inRange(value, rule);
    case "boolean":
      return typeof value === "boolean";
    case "strings":
      return Array.isArray(value) && value.every((item) => typeof item === "string");
    case "map":
      return isRecord(value);
    default:
      return rule satisfies never;
  }
}

function inRange(value: number, rule: Extract<MemberRule, { kind: "integer" }>): boolean {
  if (rule.oneOf !== undefined) return rule.oneOf.includes(value);
  return value >= (rule.min ?? value) && value <= (rule.max ?? value);
}

function isInteger(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
