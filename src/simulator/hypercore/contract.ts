import type { MemberRule, Shape } from "./body.ts";

const text: MemberRule = { kind: "string" };
const flag: MemberRule = { kind: "boolean" };
const size: MemberRule = { kind: "integer", min: 0 };

const diskTypes = ["VIRTIO_DISK", "IDE_DISK", "SCSI_DISK", "IDE_CDROM", "IDE_FLOPPY", "NVRAM", "VTPM"] as const;
const nicTypes = ["VIRTIO", "INTEL_E1000", "RTL8139", "PCNET"] as const;
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
      // The vendor's Terraform provider says that the API wants them all; its Ansible collection got away with fewer on 9.5.
      required: [
        "domainUUID",
        "label",
        "type",
        "automatedTriggerTimestamp",
        "localRetainUntilTimestamp",
        "remoteRetainUntilTimestamp",
        "blockCountDiffFromSerialNumber",
        "replication",
      ],
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
