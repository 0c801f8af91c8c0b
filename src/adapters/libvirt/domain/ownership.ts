import type { OwnershipMark, QuarantineNote } from "../../../plan/live-state.ts";
import { attribute, childrenOf, escapeXml, find, tag, textOf, type XmlElement } from "./xml.ts";

/**
 * Our memory on a VM: one element of our own namespace in `<metadata>`, written together with the rest of the
 * definition, so that a VM and whose it is appear in one step. It holds no secrets: everybody who may read domains
 * reads it.
 */
export interface Ownership {
  readonly mark: OwnershipMark | undefined;
  /** The element belongs to another UUID: the domain is a copy made by a person. */
  readonly clone: boolean;
  readonly os: string | undefined;
  readonly tags: readonly string[];
  readonly disks: readonly DiskNote[];
  readonly nics: readonly NicNote[];
}

/**
 * A disk, drive or seed of a VM. Only what is `making` or `removing` may be deleted: everything else may hold data,
 * whatever has become of the device meanwhile.
 */
export interface DiskNote {
  /** The manifest's name; of a seed `seed`. */
  readonly name: string;
  /** A drive is a place whose medium is shared with other VMs and never deleted with it. */
  readonly role: "disk" | "drive" | "seed";
  /** What is in it, as `idOfSource` says it; undefined for an empty drive. */
  readonly source: string | undefined;
  /** Of a drive: its place, which stays when people change the medium. */
  readonly target: string | undefined;
  readonly assetId: string | undefined;
  /** `kept`: detached on purpose, held until the snapshots that contain it have expired. Undefined: in use. */
  readonly state: "making" | "removing" | "kept" | undefined;
}

export interface NicNote {
  readonly name: string;
  readonly mac: string;
}

export const namespace = "urn:kraken-gitops:vm:1";

export const noOwnership: Ownership = {
  mark: undefined,
  clone: false,
  os: undefined,
  tags: [],
  disks: [],
  nics: [],
};

/** Reads our element of a domain; a domain without it is nobody's we know. */
export function readOwnership(domain: XmlElement): Ownership {
  const element = findMark(domain);
  if (element === undefined) return noOwnership;
  const child = (name: string): XmlElement[] => named(element, name);
  const mark = readMark(element, textOf(find(domain, "uuid")));
  const os = child("os").map(textOf)[0];
  if (mark === undefined) return { ...noOwnership, os, clone: true };
  return {
    mark,
    clone: false,
    os,
    tags: child("tag").map(textOf),
    disks: child("disk").map(toDiskNote),
    nics: child("nic").map((nic) => ({ name: attribute(nic, "name") ?? "", mac: attribute(nic, "mac") ?? "" })),
  };
}

/** The mark in our element; undefined when it was made for another VM, of which this one is a copy. */
export function readMark(element: XmlElement, uuid: string): OwnershipMark | undefined {
  const [owner] = named(element, "owner");
  const [applied] = named(element, "applied");
  const quarantine = readQuarantine(named(element, "quarantine")[0]);
  if (attribute(owner, "uuid") !== uuid) return undefined;
  return {
    instance: attribute(owner, "instance") ?? "",
    identity: {
      repository: attribute(owner, "repository") ?? "",
      application: attribute(owner, "application") ?? "",
      resource: attribute(owner, "resource") ?? "",
      ordinal: Number(attribute(owner, "ordinal") ?? 0),
    },
    deployment: attribute(owner, "deployment"),
    revision: attribute(applied, "revision"),
    cloudInitHash: attribute(applied, "cloud-init"),
    building: named(element, "building").length > 0,
    protected: named(element, "protected").length > 0,
    ...(quarantine === undefined ? {} : { quarantine }),
  };
}

/** One that cannot be read is none: then nothing is purged. */
function readQuarantine(element: XmlElement | undefined): QuarantineNote | undefined {
  const [at = "", until = "", name = ""] = ["at", "until", "name"].map((key) => attribute(element, key));
  if (!/^\d{1,15}$/.test(at) || !/^\d{1,15}$/.test(until) || name === "") return undefined;
  return { atMs: Number(at), untilMs: Number(until), revision: attribute(element, "revision") ?? "", name };
}

function quarantineXml({ atMs, untilMs, revision, name }: QuarantineNote): string {
  return tag("kg:quarantine", { at: atMs, until: untilMs, revision, name });
}

/** Whatever prefix the namespace has: `virsh metadata` prints our element without one. */
function named(element: XmlElement, name: string): XmlElement[] {
  return childrenOf(element).filter(({ localName }) => localName === name);
}

/** Our element for `<metadata>`. */
export function ownershipXml(uuid: string, { mark, os, tags, disks, nics }: Ownership): string {
  if (mark === undefined) throw new Error("a VM is not marked without a mark");
  const { identity } = mark;
  return [
    `<kg:vm xmlns:kg="${namespace}">`,
    tag("kg:owner", {
      uuid,
      instance: mark.instance,
      repository: identity.repository,
      application: identity.application,
      resource: identity.resource,
      ordinal: identity.ordinal === 0 ? undefined : identity.ordinal,
      deployment: mark.deployment,
    }),
    tag("kg:applied", { revision: mark.revision, "cloud-init": mark.cloudInitHash }),
    ...(mark.building ? ["<kg:building/>"] : []),
    ...(mark.protected ? ["<kg:protected/>"] : []),
    ...(mark.quarantine === undefined ? [] : [quarantineXml(mark.quarantine)]),
    ...(os === undefined ? [] : [`<kg:os>${escapeXml(os)}</kg:os>`]),
    ...tags.map((text) => `<kg:tag>${escapeXml(text)}</kg:tag>`),
    ...disks.map(({ name, role, source, target, assetId, state }) =>
      tag("kg:disk", { name, role: role === "disk" ? undefined : role, source, target, asset: assetId, state }),
    ),
    ...nics.map(({ name, mac }) => tag("kg:nic", { name, mac })),
    "</kg:vm>",
  ].join("");
}

export function findMark(domain: XmlElement): XmlElement | undefined {
  return childrenOf(find(domain, "metadata")).find(
    ({ namespaceURI, localName }) => namespaceURI === namespace && localName === "vm",
  );
}

function toDiskNote(element: XmlElement): DiskNote {
  const role = attribute(element, "role");
  const state = attribute(element, "state");
  return {
    name: attribute(element, "name") ?? "",
    role: role === "seed" || role === "drive" ? role : "disk",
    source: attribute(element, "source"),
    target: attribute(element, "target"),
    assetId: attribute(element, "asset"),
    state: state === "making" || state === "removing" || state === "kept" ? state : undefined,
  };
}
