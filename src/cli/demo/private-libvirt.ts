import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, rename, stat } from "node:fs/promises";
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
 * However this process ends, its daemons and VMs end with it.
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
  const cleaner = startCleaner(folder);
  spawnDaemon(folder, "virtlogd");
  let libvirtd: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    libvirtd = spawnDaemon(folder, "libvirtd");
    await untilAnswering(virsh);
  };
  const kill = async (): Promise<void> => {
    if (libvirtd !== undefined) await ended(libvirtd, "SIGKILL");
    libvirtd = undefined;
  };
  try {
    await start();
  } catch (error) {
    await cleaner[Symbol.asyncDispose]();
    throw error;
  }
  await keepProbed(qemuCache);
  return {
    uri,
    poolDir,
    virsh,
    kill,
    start,
    [Symbol.asyncDispose]: () => cleaner[Symbol.asyncDispose](),
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

function spawnDaemon(folder: string, program: string): ChildProcess {
  // The folder on the command line tells the cleaner whose it is.
  const words = [program, "--pid-file", join(folder, "run", `${program}.pid`)];
  const [command = "", ...args] = isRoot() ? ["setpriv", ...unprivileged, ...words] : words;
  // In a process group of its own: Ctrl-C is for the demo, which ends its VMs before their daemon.
  const child = spawn(command, args, { env: environment(folder), cwd: folder, stdio: "ignore", detached: true });
  return child.once("error", () => undefined);
}

async function asUser(folder: string, program: string, args: readonly string[]): Promise<void> {
  const [command, words] = isRoot() ? ["setpriv", [...unprivileged, program, ...args]] : [program, args];
  await run(command, [...words], { env: environment(folder), cwd: folder });
}

async function timeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.mtimeMs ?? 0;
}

/** Keeps what was found out, for the next daemon, unless that is known; another one may be doing the same. */
async function keepProbed(from: string): Promise<void> {
  for (const name of await readdir(from).catch(() => [])) {
    const [found, known] = [join(from, name), join(probed, name)];
    if ((await timeOf(found)) === (await timeOf(known))) continue;
    const draft = `${known}.${crypto.randomUUID()}`;
    await cp(found, draft, { preserveTimestamps: true })
      .then(() => rename(draft, known))
      .catch(() => undefined);
  }
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill(signal);
  await gone;
}

/**
 * Waits until its input ends, then ends every daemon, VM and TPM emulator of a folder, found by the folder on their command
 * line, and removes it. grep reads the folder from its input, so as not to find itself.
 */
const cleanUp = `read -r _
until [ "$left" = no ]; do
  left=no
  for file in $(printf '%s/' "$1" | grep -lsaF -f - /proc/[0-9]*/cmdline); do
    pid=\${file#/proc/} pid=\${pid%/cmdline}
    read -r name <"/proc/$pid/comm" || continue
    case $name in qemu* | swtpm* | libvirtd | virtlogd) kill -9 "$pid" && left=yes ;; esac
  done
  [ $left = no ] || sleep 0.02
done 2>/dev/null
rm -rf "$1"`;

/** Its input ends when it is disposed of, or when this process ends in whatever way, SIGKILL included. */
function startCleaner(folder: string): AsyncDisposable {
  const child = spawn("sh", ["-c", cleanUp, "sh", folder], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await gone;
    },
  };
}
