import type { PowerState } from "../../../plan/live-state.ts";
import type { DiskNote, Ownership } from "./ownership.ts";
import { readOwnership } from "./ownership.ts";
import { type DiskDevice, disksOf, idOfSource, type NicDevice, nicsOf } from "./devices.ts";
import { find, parseXml, textOf, type XmlElement } from "./xml.ts";

/** A libvirt domain: what it is started with next (`config`), and what runs (`live`), which are two documents. */
export interface Domain extends ListedDomain {
  /** The definitions are whole and may be written back. */
  readonly editable: true;
}

/** A domain to look at. Controllers are half of its definitions, tell nothing, and are left out. */
export interface ListedDomain {
  readonly uuid: string;
  readonly name: string;
  readonly power: PowerState;
  readonly config: XmlElement;
  readonly live: XmlElement | undefined;
  readonly ownership: Ownership;
  /** Of what runs, else of the configuration. */
  readonly disks: readonly NamedDisk[];
  readonly nics: readonly NamedNic[];
}

/** A drive with what we noted about it; `note` undefined: nobody's we know. */
export interface NamedDisk {
  readonly device: DiskDevice;
  readonly note: DiskNote | undefined;
}

export interface NamedNic {
  readonly device: NicDevice;
  readonly name: string | undefined;
}

export function toDomain(configText: string, liveText: string | undefined, stateText: string): Domain {
  return { ...read(configText, liveText, stateText), editable: true };
}

export function toListedDomain(configText: string, liveText: string | undefined, stateText: string): ListedDomain {
  return read(withoutControllers(configText), liveText && withoutControllers(liveText), stateText);
}

function withoutControllers(text: string): string {
  return text.replaceAll(/<controller\b[^>]*(?:\/>|>[^]*?<\/controller>)/g, "");
}

function read(configText: string, liveText: string | undefined, stateText: string): ListedDomain {
  const config = parseXml(configText);
  const power = toPower(stateText);
  // One that is off, or saved to disk, answers its configuration when it is asked what runs.
  const live = liveText === undefined || /^\s*shut off/.test(stateText) ? undefined : parseXml(liveText);
  const ownership = readOwnership(config);
  const hardware = live ?? config;
  return {
    uuid: textOf(find(config, "uuid")),
    name: textOf(find(config, "name")),
    power,
    config,
    live,
    ownership,
    disks: nameDisks(hardware, ownership),
    nics: nameNics(hardware, ownership),
  };
}

/** The drives of a definition with their notes. */
export function nameDisks(definition: XmlElement, { disks: notes }: Ownership): NamedDisk[] {
  return disksOf(definition).map((device) => ({ device, note: notes.find((note) => isNoteOf(note, device)) }));
}

function isNoteOf(note: DiskNote, device: DiskDevice): boolean {
  if (note.role === "drive") return device.device === "cdrom" && device.target === note.target;
  return note.source !== undefined && device.source !== undefined && idOfSource(device.source) === note.source;
}

export function nameNics(definition: XmlElement, { nics: notes }: Ownership): NamedNic[] {
  return nicsOf(definition).map((device) => ({ device, name: notes.find(({ mac }) => mac === device.mac)?.name }));
}

/**
 * `domstate --reason`, e.g. `shut off (destroyed)`. A VM saved to disk counts as paused: its guest goes on where it was,
 * and its disks are not at rest.
 */
export function toPower(text: string): PowerState {
  const [, state = "", reason = ""] = /^\s*([a-z ]+?)\s*(?:\(([^)]*)\))?\s*$/.exec(text) ?? [];
  switch (state) {
    case "running":
    case "idle":
    case "blocked":
      return "running";
    case "paused":
    case "pmsuspended":
      return "paused";
    case "in shutdown":
    case "shutdown":
      return "shutting-down";
    case "crashed":
      return "crashed";
    case "shut off":
      return reason === "saved" ? "paused" : "shutoff";
    default:
      throw new Error(`unexpected state of a domain: ${text.trim()}`);
  }
}

export function isOff({ power }: Pick<Domain, "power">): boolean {
  return power === "shutoff";
}
