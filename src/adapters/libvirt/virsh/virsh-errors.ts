import { type ErrorCode, WatcherError } from "../../../lib/errors.ts";

/**
 * What virsh says, sorted by what it means. virsh has two exit codes only, so its English messages (LC_ALL=C) are the one
 * way to tell; each was seen on libvirt 9.0, newer wordings beside it are from libvirt's sources.
 */
export type Trouble =
  | "absent"
  | "exists"
  | "already-so"
  | "busy"
  | "held-by-guest"
  | "unreachable"
  | "refused"
  | "full"
  | "configuration"
  | "unsupported"
  | "other";

const signs: readonly (readonly [RegExp, Trouble])[] = [
  [/Storage pool not found|no storage pool with|storage pool '[^']*' is not active/i, "configuration"],
  [/failed to get (domain|vol|network|snapshot)|Domain not found|no domain with matching/i, "absent"],
  [/Requested metadata element is not present/i, "absent"],
  [/(Storage volume|Domain snapshot) not found|no (storage vol|domain snapshot) with/i, "absent"],
  [
    /no network with matching name|Network not found|Cannot get interface MTU|network '[^']*' is not active/i,
    "configuration",
  ],
  [
    /already exists with uuid|is already defined with uuid|storage volume '[^']*' exists already|domain with name .* already exists/i,
    "exists",
  ],
  [
    /domain is already (active|running)|domain is not running|pool '[^']*' is already active|Domain is already in the desired state/i,
    "already-so",
  ],
  [
    /is still being allocated|asynchronous jobs running|being asynchronously|cannot acquire state change lock|another .*job|domain .* is already being|volume '[^']*' is still in use/i,
    "busy",
  ],
  [/Timed out during operation|device .* not detached|acknowledge/i, "held-by-guest"],
  [
    /Host key verification failed|Cannot read CA certificate|authentication (failed|unavailable)|Permission denied \(publickey|certificate/i,
    "refused",
  ],
  [/virtlogd-sock/i, "configuration"],
  [
    /failed to connect to the hypervisor|Failed to connect socket|Connection refused|end of file|client socket is closed|Cannot recv data|Connection reset|keepalive|unable to connect to server|Disconnected from/i,
    "unreachable",
  ],
  [/No space left on device|\bENOSPC\b|Disk quota exceeded|no space/i, "full"],
  [/Cannot allocate memory|cannot set up guest memory|Maximum CPUs greater than/i, "full"],
  [/Permission denied|Operation not permitted|cannot access storage file/i, "configuration"],
  [
    /No more available PCI slots|unsupported configuration|XML error|failed to validate|not supported|Unable to find any firmware|Unable to find .*swtpm|TPM .* not/i,
    "unsupported",
  ],
];

export function toTrouble(stderr: string): Trouble {
  return signs.find(([sign]) => sign.test(stderr))?.[1] ?? "other";
}

const codes: Readonly<Record<Trouble, ErrorCode>> = {
  absent: "virdomain-changed",
  exists: "virdomain-conflict",
  "already-so": "virdomain-changed",
  busy: "cluster-busy",
  "held-by-guest": "virdomain-running",
  unreachable: "cluster-unreachable",
  refused: "cluster-auth-failed",
  full: "cluster-full",
  configuration: "cluster-refused",
  unsupported: "cluster-refused",
  other: "cluster-failed",
};

/** What an operator can do about it; shown after virsh's own words. */
const hints: readonly (readonly [RegExp, string])[] = [
  [
    /No more available PCI slots/i,
    "the VM has used up its free places for devices while it runs; the next restart brings new ones",
  ],
  [/virtlogd-sock/i, "start virtlogd on the host (package libvirt-daemon)"],
  [
    /Failed to connect socket to '[^']*libvirt-sock|libvirtd-sock|virtqemud-sock/i,
    "start libvirtd on the host (package libvirt-daemon-system), and check that this user may use it (group libvirt)",
  ],
  [/authentication unavailable|polkit|access denied/i, "add this user to the group libvirt on the host"],
  [/Host key verification failed/i, "add the host to known_hosts of the user who runs kraken-gitops"],
  [/Unable to find any firmware/i, "install the firmware on the host (package ovmf)"],
  [/swtpm/i, "install swtpm and swtpm-tools on the host"],
  [
    /no network with matching name|network '[^']*' is not active/i,
    "define and start it (virsh net-start), or map the NIC to another one under networks",
  ],
  [
    /Storage pool not found|no storage pool with/i,
    "define and start it (virsh pool-define-as, pool-start), or name another one under libvirt.pool",
  ],
  [
    /Could not open .*Permission denied|cannot access storage file/i,
    "the QEMU user of the host must be able to enter the pool's folder",
  ],
  [/No space left on device/i, "free some space in the pool"],
  [
    /KVM is not available|Could not access KVM/i,
    "switch virtualisation on in the host's firmware, or set libvirt.accelerator to auto or tcg",
  ],
];

export interface FailedCall {
  readonly cluster: string;
  /** What was tried, in words, without secrets. */
  readonly what: string;
  readonly stderr: string;
}

/** The failure in an operator's words. */
export function toError({ cluster, what, stderr }: FailedCall): LibvirtError {
  const message = lastError(stderr);
  const trouble = toTrouble(stderr);
  const hint = hints.find(([sign]) => sign.test(stderr))?.[1];
  return new LibvirtError(
    trouble,
    codes[trouble],
    `cluster ${cluster}: ${what}: ${message}${hint === undefined ? "" : ` (${hint})`}`,
  );
}

/** A WatcherError that still knows what kind of trouble virsh reported, for the steps that expect it. */
export class LibvirtError extends WatcherError {
  readonly trouble: Trouble;

  constructor(trouble: Trouble, code: ErrorCode, message: string) {
    super(code, message);
    this.trouble = trouble;
  }
}

export function isTrouble(error: unknown, ...troubles: readonly Trouble[]): boolean {
  return error instanceof LibvirtError && troubles.includes(error.trouble);
}

/** virsh prints `error: Failed to start domain 'x'` and then `error: <why>`; both are worth reading. */
export function lastError(stderr: string): string {
  const lines = stderr
    .split("\n")
    .map((line) => line.replace(/^error: /, "").trim())
    .filter((line) => line !== "");
  return lines.slice(-2).join(": ") || "virsh gave no reason";
}
