/** What a test wants of one VM: the part of a manifest it plays with. */
export interface VmWish {
  readonly application: string;
  readonly name: string;
  /** What it was called before. */
  readonly formerName?: string;
  readonly machineType: "bios" | "uefi";
  readonly cpu: number;
  readonly memoryMiB: number;
  readonly description: string;
  readonly tags: readonly string[];
  readonly state: "running" | "shutoff";
  /** The first one is booted from. */
  readonly disks: readonly { readonly name: string; readonly gibibytes: number; readonly image: string | undefined }[];
  readonly nics: readonly { readonly name: string; readonly vlan: number }[];
}

export const bucket = "https://storage.googleapis.com/demo-bucket/";

/** What the manifests folder holds at one commit. */
export interface Scene {
  readonly wishes: readonly VmWish[];
  /** How often the file of an application has moved. */
  readonly moves: Readonly<Record<string, number>>;
  /** The application whose file cannot be read. */
  readonly broken: string | undefined;
}

/** The manifests folder of a scene: one file per application, and one deployment for all. */
export function manifestsOf({ wishes, moves, broken }: Scene): ReadonlyMap<string, string> {
  const applications = [...new Set(wishes.map((wish) => wish.application))].sort();
  if (applications.length === 0) return new Map();
  const files = applications.map((application): [string, string] => {
    const text = manifestOf(
      application,
      wishes.filter((wish) => wish.application === application),
    );
    const moved = moves[application] ?? 0;
    const folder = moved === 0 ? "manifests" : `manifests/moved-${moved}`;
    return [`${folder}/${application}.yaml`, application === broken ? `${text}  oops: [\n` : text];
  });
  return new Map([...files, ["manifests/fleet.yaml", deploymentOf(applications, wishes)]]);
}

function deploymentOf(applications: readonly string[], wishes: readonly VmWish[]): string {
  const renames = wishes.flatMap(({ name, formerName }) =>
    formerName === undefined ? [] : [`${name}: ${formerName}`],
  );
  return [
    "type: ClusterGroup",
    'version: "1.0.0"',
    "metadata: { name: all }",
    'spec: { clusters: ["*"] }',
    "---",
    "type: Deployment",
    'version: "1.0.0"',
    "metadata: { name: all }",
    "spec:",
    `  applications: [${applications.join(", ")}]`,
    "  clusterGroups: [all]",
    `  renamed_from: { ${renames.join(", ")} }`,
    "",
  ].join("\n");
}

/** The same for a VM whatever it is called at the moment. */
export function stableName(name: string): string {
  return name.replace(/-renamed$/, "");
}

function manifestOf(application: string, wishes: readonly VmWish[]): string {
  const images = [...new Set(wishes.flatMap((wish) => wish.disks.flatMap((disk) => disk.image ?? [])))].sort();
  return [
    "type: Application",
    'version: "1.0.0"',
    `metadata: { name: ${application} }`,
    "spec:",
    "  assets:",
    ...images.map((image) => `    - { name: ${image}, type: virtual_disk, format: raw, url: "${bucket}${image}.img" }`),
    "  resources:",
    ...wishes.map(resourceOf),
    "",
  ].join("\n");
}

function resourceOf(wish: VmWish): string {
  const disk = ({ name, gibibytes, image }: VmWish["disks"][number], index: number): string =>
    `          - { name: ${name}, type: virtio_disk, capacity: ${gibibytes} GiB${image === undefined ? "" : `, source: ${image}`}${index === 0 ? ", boot: 1" : ""} }`;
  return [
    "    - type: virdomain",
    `      name: ${wish.name}`,
    "      spec:",
    `        description: ${wish.description}`,
    `        cpu: ${wish.cpu}`,
    `        memory: ${wish.memoryMiB} MiB`,
    `        machine_type: ${wish.machineType}`,
    `        state: ${wish.state}`,
    `        tags: [${wish.tags.join(", ")}]`,
    "        storage_devices:",
    ...wish.disks.map(disk),
    "        network_devices:",
    ...wish.nics.map(({ name, vlan }) => `          - { name: ${name}, type: virtio, vlan: ${vlan} }`),
  ].join("\n");
}

/** A VM as HyperCore's REST shows it; other platforms are told in its words. */
export interface RawVm {
  readonly uuid: string;
  readonly name: string;
  readonly state: string;
  readonly mem: number;
  readonly numVCPU: number;
  readonly description: string;
  readonly tags: string;
  readonly bootDevices: readonly string[];
  readonly blockDevs: readonly {
    readonly uuid: string;
    readonly type: string;
    readonly slot: number;
    readonly capacity: number;
  }[];
  readonly netDevs: readonly { readonly uuid: string; readonly vlan: number }[];
}

/** Everything in which the cluster is not as wished, in words; empty when it is. */
export function compareFleet(wishes: readonly VmWish[], vms: readonly RawVm[]): string[] {
  const names = new Set(wishes.map((wish) => wish.name));
  const strangers = vms
    .filter((vm) => !names.has(vm.name) && !isAside(vm))
    .map((vm) => `VM ${vm.name} (${vm.uuid}) should not be`);
  return [...strangers, ...wishes.flatMap((wish) => compareVm(wish, vms))];
}

/** Deleted, and kept with its disks for a time: not running, and under a name that nobody wishes. */
export function isAside({ name, state }: Pick<RawVm, "name" | "state">): boolean {
  return /\.quarantined-[0-9a-f]{7}(-[0-9a-f]{8})?$/.test(name) && (state === "SHUTOFF" || state === "CRASHED");
}

function compareVm(wish: VmWish, vms: readonly RawVm[]): string[] {
  const found = vms.filter((vm) => vm.name === wish.name);
  const [vm] = found;
  if (vm === undefined) return [`VM ${wish.name} is missing`];
  if (found.length > 1) return [`VM ${wish.name} exists ${found.length} times`];
  const tags = vm.tags.split(",");
  const disks = vm.blockDevs.filter((device) => device.type === "VIRTIO_DISK");
  const facts: readonly (readonly [what: string, is: unknown, should: unknown])[] = [
    ["state", vm.state, wish.state === "running" ? "RUNNING" : "SHUTOFF"],
    ["memory", vm.mem, wish.memoryMiB * 1024 ** 2],
    ["CPUs", vm.numVCPU, wish.cpu],
    ["description", vm.description, wish.description],
    ["tags of people", tags.filter((tag) => !tag.startsWith("kg-")), wish.tags],
    ["owners", tags.filter((tag) => tag.startsWith("kg-own:")), [`kg-own:edge/fleet/${wish.application}/${wish.name}`]],
    ["under construction", tags.includes("kg-building"), false],
    ["disks", capacities(vm), wish.disks.map(({ name, gibibytes }) => `${name}=${gibibytes * 1024 ** 3}`).sort()],
    ["number of disks", disks.length, wish.disks.length],
    ["slots in use", new Set(disks.map((device) => device.slot)).size, wish.disks.length],
    ["NICs", vlans(vm), wish.nics.map(({ name, vlan }) => `${name}=${vlan}`).sort()],
    ["number of NICs", vm.netDevs.length, wish.nics.length],
    [
      "boot order",
      vm.bootDevices.map((uuid) => nameOf(vm, "disk", uuid)),
      wish.disks.slice(0, 1).map(({ name }) => name),
    ],
  ];
  return facts
    .map(([what, is, should]) => [what, JSON.stringify(is), JSON.stringify(should)] as const)
    .filter(([, is, should]) => is !== should)
    .map(([what, is, should]) => `${what} of ${wish.name}: ${is} instead of ${should}`);
}

function capacities(vm: RawVm): string[] {
  return vm.blockDevs
    .filter((device) => device.type === "VIRTIO_DISK")
    .map((device) => `${nameOf(vm, "disk", device.uuid)}=${device.capacity}`)
    .sort();
}

function vlans(vm: RawVm): string[] {
  return vm.netDevs.map((device) => `${nameOf(vm, "nic", device.uuid)}=${device.vlan}`).sort();
}

/** The manifest's name of a device, as the VM's tags remember it. */
export function nameOf(vm: RawVm, kind: "disk" | "nic", uuid: string): string {
  for (const tag of vm.tags.split(",")) {
    const match = new RegExp(`^kg-${kind}:(.+)=([0-9a-fA-F-]{8,})`).exec(tag);
    if (match !== null && uuid.startsWith(match[2] ?? "-")) return match[1] ?? "";
  }
  return `unnamed ${uuid}`;
}
