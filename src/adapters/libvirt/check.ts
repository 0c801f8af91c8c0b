import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { NetworkTarget } from "../../fleet/cluster.ts";
import { messageOf, WatcherError } from "../../lib/errors.ts";
import { formatBytes } from "../../manifest/quantity.ts";
import { chooseAccelerator } from "./accelerator.ts";
import { attribute, childrenOf, find, parseXml, textOf, type XmlElement } from "./domain/xml.ts";
import { type Host, wordsOf } from "./host.ts";
import { readPool } from "./storage/pool.ts";

const run = promisify(execFile);

/**
 * What an operator wants to know of a host before trusting it with changes. Everything that is missing is told at once,
 * with the package that brings it.
 */
export async function checkHost(
  host: Host,
  networks: readonly NetworkTarget[],
  signal: AbortSignal,
): Promise<string[]> {
  const version = await host.virsh.run(["version"], { what: "connect", signal });
  const running = /Running hypervisor: (.*)/.exec(version)?.[1] ?? "unknown hypervisor";
  const library = /Using library: libvirt (.*)/.exec(version)?.[1] ?? "?";
  const checks = [
    describePool(host, signal),
    describeAccelerator(host, signal),
    checkFirmware(host, signal),
    checkNetworks(host, networks, signal),
    checkXorriso(),
  ];
  const ends = await Promise.allSettled(checks);
  const problems = ends.flatMap((end) => (end.status === "rejected" ? [messageOf(end.reason)] : []));
  const findings = ends.flatMap((end) => (end.status === "fulfilled" ? end.value : []));
  if (problems.length > 0) throw new WatcherError("cluster-refused", problems.join("; "));
  return [`libvirt ${library}, ${running}`, ...findings];
}

async function describePool(host: Host, signal: AbortSignal): Promise<string[]> {
  const { name, availableBytes } = await readPool(host, signal);
  return [`pool ${name} has ${formatBytes(availableBytes)} free`];
}

async function describeAccelerator(host: Host, signal: AbortSignal): Promise<string[]> {
  const { emulated, why } = await chooseAccelerator(host, signal);
  if (!emulated) return ["KVM works"];
  return [why === undefined ? "VMs are emulated, as configured" : `VMs are emulated and slow: ${why}`];
}

/** The values of an `<enum>` of domain capabilities. */
function values(element: XmlElement | undefined, name: string): string[] {
  const found = childrenOf(element, "enum").find((each) => attribute(each, "name") === name);
  return childrenOf(found, "value").map(textOf);
}

/** UEFI and TPM are asked of libvirt, which looks at the host's files itself. */
async function checkFirmware(host: Host, signal: AbortSignal): Promise<string[]> {
  const what = "read what VMs can have";
  const { machine } = host.options;
  const xml = await host.virsh.run(["domcapabilities", "--machine", machine, "--arch", "x86_64"], { what, signal });
  const capabilities = parseXml(xml);
  const missing: string[] = [];
  if (!values(find(capabilities, "os"), "firmware").includes("efi"))
    missing.push("no UEFI firmware is installed on the host, machine types uefi and tpm cannot be used (package ovmf)");
  const tpm = find(capabilities, "devices", "tpm");
  if (attribute(tpm, "supported") !== "yes" || !values(tpm, "backendModel").includes("emulator"))
    missing.push(
      "no TPM emulator is installed on the host, machine type tpm cannot be used (packages swtpm and swtpm-tools)",
    );
  const secure = values(find(capabilities, "os", "loader"), "secure").includes("yes");
  if (host.options.secureBoot && !secure) missing.push("the host's firmware offers no Secure Boot (package ovmf)");
  if (missing.length > 0) throw new WatcherError("cluster-refused", missing.join("; "));
  return [];
}

async function checkNetworks(host: Host, networks: readonly NetworkTarget[], signal: AbortSignal): Promise<string[]> {
  const names = [...new Set(networks.flatMap(({ network }) => (network === undefined ? [] : [network])))];
  const [active] = await host.virsh.batch(["net-list --name"], { what: "list networks", signal });
  const running = new Set(wordsOf(active));
  const missing = names.filter((name) => !running.has(name));
  if (missing.length === 0) return [];
  throw new WatcherError(
    "cluster-refused",
    `networks not there or not started: ${missing.join(", ")} (virsh net-start and net-autostart, or map the NICs to others under networks)`,
  );
}

async function checkXorriso(): Promise<string[]> {
  await run("xorriso", ["-version"]).catch(() =>
    Promise.reject(
      new WatcherError("cluster-refused", "xorriso is not installed here, cloud-init seeds need it (package xorriso)"),
    ),
  );
  return [];
}
