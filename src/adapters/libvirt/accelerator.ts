import { readFile } from "node:fs/promises";
import { WatcherError } from "../../lib/errors.ts";
import { pause } from "../pause.ts";
import { childrenOf, attribute, find, parseXml } from "./domain/xml.ts";
import { findDomain, type Host, withFile } from "./host.ts";
import { isTrouble } from "./virsh/virsh-errors.ts";

/** Whether VMs are emulated, and why; `why` is worth telling an operator who did not ask for emulation. */
export interface Accelerator {
  readonly emulated: boolean;
  readonly why: string | undefined;
}

/**
 * Decides once per driver. That /dev/kvm opens and libvirt offers `kvm` is no proof: under a half-virtualised CPU the VM
 * "runs" and never boots. So a VM of no disks is started for a moment with the host's CPU, which QEMU then refuses.
 */
export async function chooseAccelerator(host: Host, signal: AbortSignal): Promise<Accelerator> {
  const { accelerator } = host.options;
  if (accelerator === "tcg") return { emulated: true, why: undefined };
  const why = await whyNoKvm(host, signal);
  if (why === undefined) return { emulated: false, why: undefined };
  if (accelerator === "auto") {
    host.log("warn", { cluster: host.cluster, why }, "KVM does not work on this host, VMs are emulated and slow");
    return { emulated: true, why };
  }
  throw new WatcherError(
    "cluster-unsupported",
    `cluster ${host.cluster}: KVM does not work on this host: ${why}; switch virtualisation on in its firmware, or set libvirt.accelerator to auto or tcg (slow)`,
  );
}

async function whyNoKvm(host: Host, signal: AbortSignal): Promise<string | undefined> {
  const capabilities = parseXml(await host.virsh.run(["capabilities"], { what: "read what the host can do", signal }));
  const offered = childrenOf(capabilities, "guest").some((guest) =>
    childrenOf(find(guest, "arch"), "domain").some((domain) => attribute(domain, "type") === "kvm"),
  );
  if (!offered) return "libvirt does not offer it (is /dev/kvm there, and may QEMU open it?)";
  if (isLocal(host.options.uri) && !(await cpuHasVirtualisation())) return "the CPU shows neither vmx nor svm";
  return probe(host, signal);
}

function isLocal(uri: string): boolean {
  return /^qemu(\+unix)?:\/\/\//.test(uri);
}

async function cpuHasVirtualisation(): Promise<boolean> {
  const facts = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  return facts === "" || /^flags\s*:.*\b(vmx|svm)\b/m.test(facts) || !/^flags\s*:/m.test(facts);
}

/** A transient VM: nothing of it stays, whatever happens. */
async function probe(host: Host, signal: AbortSignal): Promise<string | undefined> {
  const uuid = crypto.randomUUID();
  const definition = [
    `<domain type="kvm"><name>kraken-gitops-probe-${uuid.slice(0, 8)}</name><uuid>${uuid}</uuid>`,
    `<memory unit="MiB">32</memory><vcpu>1</vcpu><os><type arch="x86_64">hvm</type></os>`,
    `<features><acpi/></features><cpu mode="host-passthrough"/><on_crash>destroy</on_crash><devices/></domain>`,
  ].join("");
  try {
    await withFile(host, definition, (path) =>
      host.virsh.run(["create", path], { what: "try KVM", signal, limitMs: host.timeouts.startMs }),
    );
    // QEMU that cannot run the CPU dies within its first moments.
    await pause(500, signal);
    const seen = await findDomain(host, uuid, signal);
    return seen?.power === "running" ? undefined : "a trial VM did not stay alive";
  } catch (error) {
    if (isTrouble(error, "unreachable", "refused")) throw error;
    signal.throwIfAborted();
    return error instanceof Error ? error.message : String(error);
  } finally {
    await host.virsh
      .run(["destroy", uuid], { what: "end the trial", signal: AbortSignal.timeout(10_000) })
      .catch(() => "");
  }
}
