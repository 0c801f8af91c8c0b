import path from "node:path";
import type { LibvirtConfig } from "./config.ts";
import type { ConfigPath } from "./config-problem.ts";
import type { RawLibvirt } from "./raw.ts";
import type { ResolveContext } from "./resolve-context.ts";

/** `test:` is libvirt's own driver for tests: nothing behind it is real. */
const schemes = [
  "qemu:",
  "qemu+unix:",
  "qemu+ssh:",
  "qemu+libssh:",
  "qemu+libssh2:",
  "qemu+tls:",
  "test:",
  "test+unix:",
];
/** The two libvirt daemons of a host: root's, and the one of the user who connects. */
const qemuPaths = ["/system", "/session"];

export function resolveLibvirt(raw: RawLibvirt, at: ConfigPath, context: ResolveContext): LibvirtConfig {
  const { machine = "q35", secureBoot = false, consoleLogs = "pool" } = raw;
  checkUri(raw.uri, [...at, "uri"], context);
  if (machine === "pc" && secureBoot)
    context.problem([...at, "secureBoot"], "needs machine q35: there is no Secure Boot on pc");
  if (consoleLogs !== "pool" && consoleLogs !== "off" && !path.posix.isAbsolute(consoleLogs))
    context.problem([...at, "consoleLogs"], "must be pool, off or an absolute folder on the host");
  return {
    uri: raw.uri,
    pool: raw.pool ?? "default",
    machine,
    accelerator: raw.accelerator ?? "kvm",
    disks: raw.disks ?? "copy",
    maxCpus: raw.maxCpus,
    secureBoot,
    seedBus: raw.seedBus ?? "scsi",
    consoleLogs,
  };
}

function checkUri(uri: string, at: ConfigPath, context: ResolveContext): void {
  const url = context.url(uri, at, schemes);
  if (url === undefined) return;
  if (url.protocol.startsWith("qemu") && !qemuPaths.includes(url.pathname))
    context.problem(at, "must end in /system or /session, e.g. qemu:///system or qemu+ssh://root@host/system");
  if (url.searchParams.get("no_verify") === "1")
    context.warning(at, "any host is accepted: somebody in between could take over the connection");
}
