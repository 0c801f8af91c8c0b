import type { BlockDevice, Iso, NetDevice, VirDomain, VirtualDisk } from "../../src/simulator/hypercore/wire.ts";
import type { Guest } from "../../src/simulator/hypercore/state.ts";
import type { HypercoreLab } from "../support/hypercore-lab.ts";

/** The simulated cluster from the inside: what its API shows, and what it hides. */
export interface ClusterState {
  readonly virdomains: readonly VirDomain[];
  readonly guests: Readonly<Record<string, Guest>>;
  readonly images: readonly VirtualDisk[];
  readonly isos: readonly Iso[];
  readonly tasksUnderWay: number;
  readonly sessions: number;
}

export async function readState(lab: HypercoreLab): Promise<ClusterState> {
  const state = (await lab.control("GET", "state")) as ClusterState;
  return { ...state, virdomains: state.virdomains.map(withMarksInTags) };
}

/**
 * A VM of 9.7 or later as one of 9.6 would be: marks from its labels stand among its tags, behind those noted as the
 * manifest's. Written from docs/hypercore.md, without the product's own code.
 */
function withMarksInTags(vm: VirDomain): VirDomain {
  const pieces = Object.entries(vm.labels ?? {})
    .filter(([name]) => name.startsWith("kraken-gitops-"))
    .sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  if (pieces.length === 0) return vm;
  const marks = pieces
    .map(([, { value }]) => Buffer.from(value, "base64").toString())
    .join("")
    .split(",");
  const noted = new Set(
    marks.filter((mark) => mark.startsWith("kg-tag:")).map((mark) => decodeURIComponent(mark.slice(7))),
  );
  const tags = vm.tags.split(",").filter((tag) => tag !== "");
  const own = marks.filter((mark) => !mark.startsWith("kg-tag:"));
  const sorted = [...tags.filter((tag) => noted.has(tag)), ...own, ...tags.filter((tag) => !noted.has(tag))];
  return { ...vm, tags: sorted.join(",") };
}

/** Only NICs of other people are on this network. */
export const peopleVlan = 999;

/**
 * The devices our tags on a VM name, by the manifest's names; read without the product's own code. A note of a
 * device that is gone is nobody's name.
 */
export function namedDevices<T extends BlockDevice | NetDevice>(
  vm: VirDomain,
  kind: "disk" | "nic",
  devices: readonly T[],
): ReadonlyMap<string, readonly T[]> {
  const named = new Map<string, readonly T[]>();
  for (const tag of vm.tags.split(",")) {
    const match = new RegExp(`^kg-${kind}:(.+)=([0-9a-f-]{8,})(\\..*)?$`).exec(tag);
    if (match === null) continue;
    const [, name = "", uuid = ""] = match;
    const found = devices.filter((device) => device.uuid.startsWith(uuid));
    if (found.length > 0) named.set(name, [...(named.get(name) ?? []), ...found]);
  }
  return named;
}
