import {
  envelopeSchema,
  filledListSchema,
  type JsonSchema,
  listSchema,
  nameSchema,
  objectSchema,
  textSchema,
  wordSchema,
} from "./json-schema.ts";

export const assetFormats = ["raw", "img", "qcow2", "vmdk", "vhd", "vhdx", "iso"] as const;
export const lifecycles = ["draft", "testonly", "production", "undeploy"] as const;

const bytes: JsonSchema = {
  type: ["integer", "string"],
  examples: ["4 GiB", "50 GB", 4294967296],
};

const tag: JsonSchema = { type: "string", minLength: 1, maxLength: 200, examples: ["tier:web"] };

const asset = objectSchema(
  {
    name: nameSchema("Name that storage devices refer to.", ["ubuntu"]),
    type: wordSchema(["virtual_disk", "iso"], "A disk image, or a CD-ROM image."),
    format: wordSchema(
      assetFormats,
      "Format of the file. Left out: by the ending of the URL, otherwise raw. An iso format makes the asset an ISO.",
    ),
    url: {
      type: "string",
      minLength: 1,
      description:
        "https URL of the file. What its end names is verified: `#sha256=` and 64 hex digits, or a checksum file beside it (`#sha256=SHA256SUMS`).",
      examples: ["https://example.com/ubuntu.img"],
    },
  },
  ["name", "type", "url"],
  "A file from which disks are made or which is put into a CD-ROM drive.",
);

const storageDevice = objectSchema(
  {
    name: nameSchema("Name of the device within its VM: it is how a disk is recognised when the manifest changes.", [
      "data",
    ]),
    type: wordSchema(
      ["virtio_disk", "ide_disk", "scsi_disk", "ide_cdrom"],
      "Left out: ide_cdrom for an ISO, otherwise virtio_disk.",
    ),
    source: textSchema("Name of an asset; without it the disk is empty.", ["ubuntu"]),
    capacity: {
      ...bytes,
      description: "Size; required without a source. Left out with a source: as large as the image.",
    },
    boot: {
      type: "integer",
      minimum: 1,
      maximum: 255,
      description: "Boot priority, 1 first. Devices without one are not booted from.",
    },
  },
  ["name"],
  "A disk or a CD-ROM drive.",
);

const networkDevice = objectSchema(
  {
    name: nameSchema("Name of the NIC: it is recognised by it, and mapped to the cluster's own network.", ["web-net"]),
    type: wordSchema(["virtio", "e1000", "rtl8139"], "Left out: virtio."),
    vlan: { type: ["integer", "string"], minimum: 0, maximum: 4094, description: "VLAN, 0 to 4094." },
  },
  ["name"],
  "A network interface.",
);

const virdomain = objectSchema(
  {
    description: textSchema("What the VM is for."),
    os: textSchema("Operating system of the guest, for platforms that care.", ["windows", "other"]),
    cpu: {
      type: ["integer", "string"],
      minimum: 0,
      maximum: 1024,
      description: "Virtual CPUs. 0 only for a VM that is shut off.",
    },
    memory: { ...bytes, description: 'Memory: bytes, or a number with a unit ("4 GiB"; GB is 10^9, GiB is 2^30).' },
    machine_type: wordSchema(["bios", "uefi", "tpm"], "Firmware. Left out: bios."),
    state: wordSchema(["running", "shutoff"], "Power state. Left out: running."),
    storage_devices: listSchema(
      storageDevice,
      "Disks and CD-ROM drives; the order is the order the guest sees them in when it is created.",
    ),
    network_devices: listSchema(networkDevice, "NICs, in order."),
    tags: listSchema(tag, "Tags on the VM: for people, for the order of a Deployment, for instances and protection."),
    cloud_init_data: {
      ...objectSchema(
        {
          user_data: textSchema(
            "cloud-init user data; begins with #cloud-config, #! or another header cloud-init knows.",
          ),
          meta_data: textSchema("cloud-init meta data: YAML with instance-id and local-hostname."),
        },
        [],
        "Data for cloud-init. It takes effect at the first boot of a new VM only.",
      ),
      type: ["object", "null"],
    },
  },
  ["cpu", "memory"],
  "One virtual machine.",
);

const resource = objectSchema(
  {
    type: wordSchema(["virdomain"], "Always virdomain: a virtual machine."),
    name: nameSchema("Name of the VM; may hold template variables. As written here it is the VM's identity.", [
      "web-{{ instance_id }}",
    ]),
    spec: virdomain,
  },
  ["type", "name", "spec"],
  "A resource of the application.",
);

/** `type: Application` as people really write it. */
export const applicationSchema: JsonSchema = envelopeSchema(
  "Application",
  objectSchema(
    {
      name: nameSchema("Name of the application, unique in the repository.", ["three-tier-webapp"]),
      description: textSchema("What the application is."),
      labels: listSchema(tag, "Labels, for people."),
      clusterGroups: listSchema(
        nameSchema("Name of a ClusterGroup."),
        "Where the application goes when no Deployment names it.",
      ),
      lifecycle: wordSchema(
        lifecycles,
        "draft: only validated. testonly: only on clusters labelled lifecycle=testonly. production: the default. undeploy: removed everywhere.",
      ),
    },
    ["name"],
    "Who the application is.",
  ),
  objectSchema(
    {
      assets: listSchema(asset, "Files the VMs are made from."),
      resources: filledListSchema(resource, "The virtual machines."),
    },
    ["resources"],
    "What the application consists of.",
  ),
  "A Kraken application: virtual machines and the files they are made from.",
);
