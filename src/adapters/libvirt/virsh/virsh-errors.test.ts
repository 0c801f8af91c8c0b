import { describe, expect, it } from "vitest";
import { toError, toTrouble } from "./virsh-errors.ts";

/** What virsh really said, on libvirt 9.0 with QEMU 7.2, and what an operator is told. */
const cases: readonly (readonly [stderr: string, trouble: string, code: string, hint: RegExp | undefined])[] = [
  ["error: failed to get domain '5b7c'", "absent", "virdomain-changed", undefined],
  [
    "error: operation failed: domain 'web' already exists with uuid 0f83c6c6",
    "exists",
    "virdomain-conflict",
    undefined,
  ],
  ["error: Requested operation is not valid: domain is already running", "already-so", "virdomain-changed", undefined],
  [
    "error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory",
    "unreachable",
    "cluster-unreachable",
    /libvirt-daemon-system/,
  ],
  [
    "error: failed to connect to the hypervisor\nerror: authentication unavailable: no polkit agent available to authenticate action 'org.libvirt.unix.manage'",
    "refused",
    "cluster-auth-failed",
    /group libvirt/,
  ],
  [
    "error: failed to connect to the hypervisor\nerror: Cannot recv data: Host key verification failed.: Connection reset by peer",
    "refused",
    "cluster-auth-failed",
    /known_hosts/,
  ],
  [
    "error: Failed to start domain 'web'\nerror: Network not found: no network with matching name 'lan'",
    "configuration",
    "cluster-refused",
    /net-start/,
  ],
  [
    "error: Failed to create vol web\nerror: cannot fill file '/pool/web': No space left on device",
    "full",
    "cluster-full",
    /free some space/,
  ],
  [
    "error: Failed to start domain 'web'\nerror: operation failed: Unable to find any firmware to satisfy 'efi'",
    "unsupported",
    "cluster-refused",
    /ovmf/,
  ],
  [
    "error: Failed to start domain 'web'\nerror: Unable to find 'swtpm_setup' binary in $PATH: No such file or directory",
    "unsupported",
    "cluster-refused",
    /swtpm-tools/,
  ],
  [
    "error: failed to get pool 'kraken'\nerror: Storage pool not found: no storage pool with matching name 'kraken'",
    "configuration",
    "cluster-refused",
    /pool-define-as/,
  ],
  [
    "error: Failed to attach device from /x\nerror: internal error: No more available PCI slots",
    "unsupported",
    "cluster-refused",
    /next restart/,
  ],
  ["error: something nobody has seen before", "other", "cluster-failed", undefined],
  ["", "other", "cluster-failed", undefined],
];

describe("what virsh says", () => {
  it.each(cases)("%s", (stderr, trouble, code, hint) => {
    expect(toTrouble(stderr)).toBe(trouble);
    const error = toError({ cluster: "lab", what: "start VM web", stderr });
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^cluster lab: start VM web: \S/);
    if (hint === undefined) expect(error.message).not.toContain("(");
    else expect(error.message).toMatch(hint);
  });
});
