import type { CloudInitChecker } from "./check-cloud-init.ts";
import type { AssetTemplate, DiskTemplate, DiskType, NicTemplate, Templated, VirdomainTemplate } from "./document.ts";
import { type DocumentContext, asList, asRecord, asText, asWord, tagFault } from "./document-context.ts";
import { formatBytes } from "./quantity.ts";
import { canonicalTemplate, holdsTemplate } from "./template.ts";
import type { Path } from "./yaml-tree.ts";

/** Below this no guest we know of starts; the published format asks for 100 MB, small appliances do with less. */
export const minimumMemoryBytes = 64 * 1024 ** 2;

type Assets = ReadonlyMap<string, AssetTemplate>;

/** One resource of an application, normalised, with its cross checks. */
export function parseVirdomain(
  context: DocumentContext,
  path: Path,
  value: unknown,
  assets: Assets,
  cloudInit: CloudInitChecker,
): VirdomainTemplate {
  const resource = asRecord(value);
  const spec = asRecord(resource["spec"]);
  const at = (key: string): Path => [...path, "spec", key];
  const name = canonicalTemplate(
    context.name([...path, "name"], resource["name"], { template: true, forbidden: "/#" }),
  );
  const state = asWord(spec["state"], ["running", "shutoff"], "running");
  const os = asText(spec["os"])?.trim();
  return {
    resource: name,
    name: context.templated([...path, "name"], name),
    position: context.positionOf(path),
    description: context.templated(at("description"), asText(spec["description"])?.trim() ?? ""),
    os:
      os === undefined || os === ""
        ? undefined
        : context.templated(at("os"), os.toLowerCase() === os ? os : lowerOutsideBraces(os)),
    cpu: parseCpu(context, at("cpu"), spec["cpu"], state === "running"),
    memoryBytes: parseMemory(context, at("memory"), spec["memory"]),
    machineType: asWord(spec["machine_type"], ["bios", "uefi", "tpm"], "bios"),
    state,
    tags: parseTags(context, at("tags"), spec["tags"]),
    disks: parseDisks(context, at("storage_devices"), spec["storage_devices"], assets),
    nics: parseNics(context, at("network_devices"), spec["network_devices"]),
    cloudInit: parseCloudInit(context, at("cloud_init_data"), spec["cloud_init_data"], cloudInit),
  };
}

function lowerOutsideBraces(text: string): string {
  return holdsTemplate(text) ? text : text.toLowerCase();
}

function parseCpu(context: DocumentContext, path: Path, value: unknown, running: boolean): Templated<number> {
  const cpu = context.wholeNumber(path, value, 0, 1024) ?? 1;
  if (cpu === 0 && running) {
    context.report({
      code: "cpu-zero",
      path,
      message: "a VM without a CPU cannot run",
      hint: "at least 1, or state: shutoff for a template",
    });
  }
  return cpu;
}

function parseMemory(context: DocumentContext, path: Path, value: unknown): Templated<number> {
  const memory = context.bytes(path, value) ?? minimumMemoryBytes;
  if (typeof memory === "number" && memory < minimumMemoryBytes) {
    const message = `${formatBytes(memory)} of memory is too little`;
    context.report({
      code: "memory-too-small",
      path,
      message,
      hint: `at least ${formatBytes(minimumMemoryBytes)}; a number without a unit counts bytes`,
    });
  }
  return memory;
}

function parseTags(context: DocumentContext, path: Path, value: unknown): readonly Templated<string>[] {
  const seen = new Set<string>();
  return asList(value).flatMap((item, index): Templated<string>[] => {
    const tag = canonicalTemplate(asText(item)?.trim() ?? "");
    if (typeof item !== "string" || seen.has(tag)) return [];
    seen.add(tag);
    const fault = tagFault(tag);
    if (fault !== undefined) context.report({ code: "invalid-tag", path: [...path, index], ...fault });
    return [context.templated([...path, index], tag)];
  });
}

function parseDisks(context: DocumentContext, path: Path, value: unknown, assets: Assets): readonly DiskTemplate[] {
  const disks = asList(value).map((item, index) => parseDisk(context, [...path, index], asRecord(item), assets));
  context.unique(
    "storage device of this VM",
    disks.map(({ name }, index) => ({ name, path: [...path, index, "name"] })),
  );
  const bootOf = new Map<number, string>();
  for (const [index, { name, boot }] of disks.entries()) {
    if (boot === undefined) continue;
    const other = bootOf.get(boot);
    bootOf.set(boot, other ?? name);
    if (other === undefined) continue;
    context.report({
      code: "duplicate-boot",
      path: [...path, index, "boot"],
      message: `"${other}" has boot priority ${boot} too`,
      hint: "give each device its own priority",
    });
  }
  return disks;
}

function parseDisk(
  context: DocumentContext,
  path: Path,
  device: Readonly<Record<string, unknown>>,
  assets: Assets,
): DiskTemplate {
  const source = asText(device["source"])?.trim() || undefined;
  const asset = source === undefined ? undefined : assets.get(source);
  if (source !== undefined && asset === undefined)
    context.unknownReference("unknown-asset", [...path, "source"], "asset", source, assets.keys());
  const type = asWord<DiskType>(
    device["type"],
    ["virtio_disk", "ide_disk", "scsi_disk", "ide_cdrom"],
    asset?.type === "iso" ? "ide_cdrom" : "virtio_disk",
  );
  checkMedium(context, path, type, asset);
  const capacity = context.bytes([...path, "capacity"], device["capacity"]);
  checkCapacity(context, path, { type, source, written: device["capacity"], capacity });
  const boot = device["boot"];
  return {
    name: context.name([...path, "name"], device["name"]),
    type,
    source,
    // A CD-ROM is as large as what is in it, whatever the manifest says (HyperCore REST v1).
    capacityBytes: type === "ide_cdrom" ? undefined : capacity,
    boot: typeof boot === "number" ? boot : undefined,
    position: context.positionOf(path),
  };
}

function checkMedium(context: DocumentContext, path: Path, type: DiskType, asset: AssetTemplate | undefined): void {
  if (asset === undefined || (asset.type === "iso") === (type === "ide_cdrom")) return;
  if (asset.type === "iso")
    context.report({
      code: "wrong-medium",
      path: [...path, "source"],
      message: `"${asset.name}" is an ISO and cannot be a ${type}`,
      hint: "type: ide_cdrom",
    });
  else
    context.report({
      code: "wrong-medium",
      path: [...path, "source"],
      message: `"${asset.name}" is no ISO and cannot go into a CD-ROM drive`,
      hint: "type: virtio_disk, or format: iso on the asset",
    });
}

interface WrittenCapacity {
  readonly type: DiskType;
  readonly source: string | undefined;
  readonly written: unknown;
  readonly capacity: Templated<number> | undefined;
}

function checkCapacity(context: DocumentContext, path: Path, disk: WrittenCapacity): void {
  if (disk.type === "ide_cdrom") return;
  if (disk.written === undefined && disk.source === undefined) {
    context.report({
      code: "missing-key",
      path,
      message: '"capacity" is missing',
      hint: "an empty disk needs a capacity; a disk from an asset needs a source",
    });
  }
  if (disk.capacity === 0)
    context.report({
      code: "out-of-range",
      path: [...path, "capacity"],
      message: "the capacity is 0",
      hint: "leave it out to take the image's size",
    });
}

function parseNics(context: DocumentContext, path: Path, value: unknown): readonly NicTemplate[] {
  const nics = asList(value).map((item, index): NicTemplate => {
    const nic = asRecord(item);
    const at = [...path, index];
    return {
      name: context.name([...at, "name"], nic["name"]),
      type: asWord(nic["type"], ["virtio", "e1000", "rtl8139"], "virtio"),
      vlan: context.wholeNumber([...at, "vlan"], nic["vlan"], 0, 4094),
      position: context.positionOf(at),
    };
  });
  context.unique(
    "network device of this VM",
    nics.map(({ name }, index) => ({ name, path: [...path, index, "name"] })),
  );
  return nics;
}

function parseCloudInit(
  context: DocumentContext,
  path: Path,
  value: unknown,
  checker: CloudInitChecker,
): VirdomainTemplate["cloudInit"] {
  const data = asRecord(value);
  const userData = guestText(data["user_data"]);
  const metaData = guestText(data["meta_data"]);
  if (userData === "" && metaData === "") return undefined;
  checker.checkUserData(context, [...path, "user_data"], userData);
  checker.checkMetaData(context, [...path, "meta_data"], metaData);
  return {
    userData: context.templated([...path, "user_data"], userData),
    metaData: context.templated([...path, "meta_data"], metaData),
  };
}

/** Trailing space of a block says nothing to the guest, and must not look like a change. */
function guestText(value: unknown): string {
  const text = asText(value) ?? "";
  return text.trim() === "" ? "" : `${text.trimEnd()}\n`;
}
