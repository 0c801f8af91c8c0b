import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const startMs = 60_000;
/** What libvirtd found out about QEMU, which takes it seconds: shared by all daemons of this checkout. */
const probed = fileURLToPath(new URL("../../../.cache/libvirt-capabilities", import.meta.url));

/** A libvirtd with its own VMs, pools and networks, that nobody else sees: for demos and tests. */
export interface PrivateLibvirt extends AsyncDisposable {
  readonly uri: string;
  /** A folder for images that QEMU may use. */
  readonly poolDir: string;
  /** Runs virsh on it as an administrator would; answers what it printed. */
  virsh(this: void, ...args: readonly string[]): Promise<string>;
  /** Ends libvirtd alone, by force: VMs go on. */
  kill(this: void): Promise<void>;
  /** Starts it again after `kill`. */
  start(this: void): Promise<void>;
}

/**
 * Starts libvirtd and virtlogd in session mode, in a folder of their own. A session daemon needs no rights on the host; as
 * root it runs as `nobody`, since root's would be the system's. QEMU, firmware and TPM emulator are the real ones.
 */
export async function startPrivateLibvirt(): Promise<PrivateLibvirt> {
  const folder = await mkdtemp(join(tmpdir(), "kgv-"));
  const runDir = join(folder, "run");
  const poolDir = join(folder, "pool");
  const qemuCache = join(folder, "cache", "libvirt", "qemu", "cache", "capabilities");
  for (const path of [runDir, poolDir]) await mkdir(path, { mode: 0o700 });
  await mkdir(join(folder, "config"));
  await mkdir(qemuCache, { recursive: true });
  await cp(probed, qemuCache, { recursive: true, preserveTimestamps: true }).catch(() => undefined);
  if (isRoot()) await run("chown", ["-R", "nobody:nogroup", folder]);
  await asUser(folder, "/usr/share/swtpm/swtpm-create-user-config-files", ["--overwrite"]).catch(() => undefined);
  const uri = `qemu+unix:///session?socket=${runDir}/libvirt/libvirt-sock`;
  const virsh = async (...args: readonly string[]): Promise<string> => {
    const env = { ...process.env, LC_ALL: "C" };
    return (await run("virsh", ["-c", uri, ...args], { env, maxBuffer: 64 * 2 ** 20 })).stdout;
  };
  const virtlogd = spawnAsUser(folder, "virtlogd");
  virtlogd.once("error", () => undefined);
  let libvirtd: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    libvirtd = spawnAsUser(folder, "libvirtd");
    libvirtd.once("error", () => undefined);
    await untilAnswering(virsh);
  };
  const kill = async (): Promise<void> => {
    if (libvirtd !== undefined) await ended(libvirtd, "SIGKILL");
    libvirtd = undefined;
  };
  await start();
  await keepProbed(qemuCache);
  return {
    uri,
    poolDir,
    virsh,
    kill,
    start,
    async [Symbol.asyncDispose]() {
      if (libvirtd !== undefined) await ended(libvirtd, "SIGKILL");
      await ended(virtlogd, "SIGKILL");
      await endLeftovers(folder);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function untilAnswering(virsh: PrivateLibvirt["virsh"]): Promise<void> {
  const deadline = Date.now() + startMs;
  for (;;) {
    try {
      await virsh("version");
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function environment(folder: string): NodeJS.ProcessEnv {
  return {
    PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`,
    LC_ALL: "C",
    HOME: folder,
    XDG_RUNTIME_DIR: join(folder, "run"),
    XDG_CONFIG_HOME: join(folder, "config"),
    XDG_CACHE_HOME: join(folder, "cache"),
    XDG_DATA_HOME: join(folder, "data"),
  };
}

const unprivileged = ["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"];

function spawnAsUser(folder: string, program: string): ChildProcess {
  const [command, args] = isRoot() ? ["setpriv", [...unprivileged, program]] : [program, []];
  // In a process group of its own: Ctrl-C is for the demo, which ends its VMs before their daemon.
  return spawn(command, args, { env: environment(folder), cwd: folder, stdio: "ignore", detached: true });
}

async function asUser(folder: string, program: string, args: readonly string[]): Promise<void> {
  const [command, words] = isRoot() ? ["setpriv", [...unprivileged, program, ...args]] : [program, args];
  await run(command, [...words], { env: environment(folder), cwd: folder });
}

/** Keeps what was found out, for the next daemon; another one may be doing the same. */
async function keepProbed(from: string): Promise<void> {
  const found = await readdir(from).catch(() => []);
  const known = await readdir(probed).catch(() => []);
  if (found.length === 0 || known.length > 0) return;
  await mkdir(probed, { recursive: true });
  await cp(from, probed, { recursive: true, preserveTimestamps: true }).catch(() => undefined);
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill(signal);
  await gone;
}

/** QEMU and swtpm of this daemon, found by the folder on their command line. */
async function endLeftovers(folder: string): Promise<void> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (/^[^\0]*(qemu-system|swtpm)/.test(line) && line.includes(`${folder}/`)) endProcess(Number(pid));
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
