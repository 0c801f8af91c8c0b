import { maskedDifference } from "../lib/redact.ts";
import { formatBytes } from "../manifest/quantity.ts";
import type { DesiredVirdomain } from "../fleet/desired-state.ts";
import { identityKey } from "../fleet/desired-state.ts";
import { describeNetwork, type Difference, diffDisks, diffNics } from "./diff-devices.ts";
import type { ChangeKind, LiveVirdomain, PlatformTraits } from "./live-state.ts";
import { mayNeedOff, needsOff } from "./needs-off.ts";
import { isPowerOfPeople } from "./power.ts";
import type { Change, ChangeOrigin, Disruption, Notice } from "./plan.ts";

export interface VirdomainDifference {
  readonly changes: readonly Change[];
  readonly notices: readonly Notice[];
  /** Reasons why this VM cannot be brought to what is desired; it is then left as it is. */
  readonly refusals: readonly {
    readonly code: "cloud-init-refused" | "unsupported-change";
    readonly message: string;
  }[];
}

/** What is known of the VM before this revision. */
export interface DiffContext {
  /** Whether a path was changed by the revision or was different before. */
  readonly originOf?: (path: string) => ChangeOrigin;
  /** The same VM as the revision before asked for it: its guest text cannot be read back from a cluster. */
  readonly before?: DesiredVirdomain | undefined;
  /** Whether to move a mark to where the platform keeps it best by now; left out: yes. */
  readonly upkeep?: boolean;
}

/**
 * Field by field, what separates a VM from its desired state, and what each difference costs. Semantic: sizes are
 * numbers, tags and descriptions are trimmed, devices go by name, and what a platform rounds or adds does not count.
 */
export function diffVirdomain(
  desired: DesiredVirdomain,
  live: LiveVirdomain,
  traits: PlatformTraits,
  { originOf = () => "git", before, upkeep = true }: DiffContext = {},
): VirdomainDifference {
  const disks = diffDisks(desired.disks, live.disks, live.unmadeDisks);
  const nics = diffNics(desired.nics, live.nics);
  const cloudInit = diffCloudInit(desired, live, before);
  const differences = [
    ...diffFields(desired, live),
    ...disks.differences,
    ...nics.differences,
    ...cloudInit.differences,
  ];
  const marks = upkeep ? diffMarkPlace(live) : [];
  const running = live.power !== "shutoff" && live.power !== "crashed";
  const interrupts = (kind: ChangeKind): boolean => running && needsOff(kind, { live, desired }, traits);
  const toChange = (difference: Difference, origin: ChangeOrigin): Change => ({
    ...difference,
    disruption: disruptionOf(difference, interrupts(difference.kind)),
    origin,
  });
  const changes = [
    ...differences.map((difference) => toChange(difference, originOf(difference.path))),
    // Nobody's drift: the platform learnt something.
    ...marks.map((difference) => toChange(difference, "git")),
  ];
  return {
    changes,
    notices: [
      ...disks.notices,
      ...nics.notices,
      ...cloudInit.notices,
      ...(running && !changes.some(({ kind }) => interrupts(kind)) ? mayRestart(changes, traits) : []),
    ],
    refusals: [
      ...disks.impossible.map((message) => ({ code: "unsupported-change" as const, message })),
      ...cloudInit.refusals.map((message) => ({ code: "cloud-init-refused" as const, message })),
    ],
  };
}

/** Changes that are tried on a running VM which nothing else restarts anyway. */
function mayRestart(changes: readonly Change[], traits: PlatformTraits): Notice[] {
  return changes
    .filter(({ kind }) => mayNeedOff(kind, traits))
    .map(({ kind, path }) => ({
      code: "may-restart",
      path,
      message: `the VM is shut down and started again if its guest does not let go of the ${kind === "nic-remove" ? "NIC" : "disk"}`,
    }));
}

function diffMarkPlace({ mark, markOutdated }: LiveVirdomain): Difference[] {
  if (mark === undefined || mark.building || markOutdated !== true) return [];
  return [{ kind: "ownership", path: "metadata.mark", from: "tags", to: "labels" }];
}

/** What a new VM will be, as changes from nothing; its disks are listed on the operation. */
export function describeCreation(desired: DesiredVirdomain): Change[] {
  const facts: readonly (readonly [Difference["kind"], string, string | undefined])[] = [
    ["cpu", "cpu", String(desired.cpu)],
    ["memory", "memory", formatBytes(desired.memoryBytes)],
    ["machine-type", "machine_type", desired.machineType],
    ["tags", "tags", desired.tags.length === 0 ? undefined : desired.tags.join(", ")],
    ...desired.nics.map(
      (nic) => ["nic-add", `network_devices.${nic.name}`, `${nic.type} on ${describeNetwork(nic.network)}`] as const,
    ),
    ["power", "state", desired.state === "shutoff" ? "shutoff" : undefined],
  ];
  return facts.flatMap(([kind, path, to]) =>
    to === undefined ? [] : [{ kind, path, from: undefined, to, disruption: "live", origin: "git" }],
  );
}

function disruptionOf(difference: Difference, interrupts: boolean): Disruption {
  if (difference.lostBytes !== undefined) return "data-loss";
  if (difference.kind === "machine-type" || difference.kind === "cloud-init") return "rebuild";
  return interrupts ? "reboot" : "live";
}

function diffFields(desired: DesiredVirdomain, live: LiveVirdomain): Difference[] {
  const differences: Difference[] = [];
  const compare = (kind: Difference["kind"], path: string, from: string, to: string): void => {
    if (from !== to) differences.push({ kind, path, from, to });
  };
  compare("name", "name", live.name, desired.name);
  compare("description", "description", live.description.trimEnd(), desired.description.trimEnd());
  compare("cpu", "cpu", String(live.cpu), String(desired.cpu));
  if (live.memoryBytes !== desired.memoryBytes) {
    differences.push({
      kind: "memory",
      path: "memory",
      from: formatBytes(live.memoryBytes),
      to: formatBytes(desired.memoryBytes),
    });
  }
  compare("tags", "tags", live.tags.join(", "), desired.tags.join(", "));
  // A machine type outside the manifest's words (say tpm-compatible) came from a person's hand; rebuilding would lose data over a name.
  if (live.machineType !== "other") compare("machine-type", "machine_type", live.machineType, desired.machineType);
  if (desired.os !== undefined && isWindows(live.os) !== isWindows(desired.os)) {
    differences.push({ kind: "os", path: "os", from: live.os ?? "other", to: desired.os });
  }
  const power =
    live.power === "running"
      ? "running"
      : live.power === "shutoff" || live.power === "crashed"
        ? "shutoff"
        : live.power;
  if (!isPowerOfPeople(desired, live)) compare("power", "state", power, desired.state);
  const mark = live.mark;
  if (mark !== undefined) {
    compare("ownership", "metadata.identity", identityKey(mark.identity), identityKey(desired.identity));
    compare("ownership", "metadata.deployment", mark.deployment ?? "none", desired.deployment ?? "none");
    compare("ownership", "metadata.protected", String(mark.protected), String(isProtected(desired)));
  }
  return differences;
}

/** Platforms know Windows and everything else; `linux` and `other` are one. */
function isWindows(os: string | undefined): boolean {
  return os?.toLowerCase().startsWith("windows") ?? false;
}

/** Protection by the deployment's policy: a tag or the name of the VM is listed. */
export function isProtected(desired: DesiredVirdomain): boolean {
  return desired.policy.protect.some((entry) => entry === desired.name || desired.tags.includes(entry));
}

interface CloudInitDifference {
  readonly differences: readonly Difference[];
  readonly notices: readonly Notice[];
  readonly refusals: readonly string[];
}

/** cloud-init runs when a VM is born. A later change reaches the guest only by building it anew, which policy decides. */
function diffCloudInit(
  desired: DesiredVirdomain,
  live: LiveVirdomain,
  before: DesiredVirdomain | undefined,
): CloudInitDifference {
  const born = live.mark?.cloudInitHash;
  const wanted = desired.cloudInit?.hash;
  const nothing = { differences: [], notices: [], refusals: [] };
  if (live.mark === undefined || live.mark.building || sameHash(born, wanted)) return nothing;
  const detail = before === undefined ? "" : cloudInitText(before, desired);
  if (desired.policy.cloudInit === "rebuild") {
    const to = detail === "" ? wanted?.slice(0, 12) : detail;
    return { ...nothing, differences: [{ kind: "cloud-init", path: "cloud_init_data", from: born?.slice(0, 12), to }] };
  }
  if (desired.policy.cloudInit === "refuse") {
    return {
      ...nothing,
      refusals: ["cloud_init_data changed, and the deployment's policy refuses that on an existing VM"],
    };
  }
  const message =
    "cloud_init_data differs from what the VM was born with: no effect on the guest until the VM is rebuilt";
  const notice: Notice = { code: "cloud-init-unchanged-guest", path: "cloud_init_data", message };
  return { ...nothing, notices: [detail === "" ? notice : { ...notice, detail }] };
}

/** The guest text line by line, secrets masked; "" when it did not change between the revisions. */
function cloudInitText(before: DesiredVirdomain, after: DesiredVirdomain): string {
  const parts = [
    maskedDifference(before.cloudInit?.userData ?? "", after.cloudInit?.userData ?? ""),
    maskedDifference(before.cloudInit?.metaData ?? "", after.cloudInit?.metaData ?? ""),
  ];
  return parts.filter((part) => part !== "").join("\n");
}

/** Marks may hold an abbreviated hash: the shorter one must begin the longer one. */
function sameHash(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.startsWith(b) || b.startsWith(a);
}
