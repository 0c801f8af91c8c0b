#!/usr/bin/env node
// Makes a fresh clone ready for `npm test`, `npm run demo` and `npm run bench`: installs npm packages, builds, and
// installs a Redis server through the system's package manager where there is none. With `--libvirt` also what real
// virtual machines need, with `--signing` what the tests of signed commits need. Uses nothing but Node itself.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], ...options });
  return result.status === 0;
}

function isOnPath(command) {
  return (process.env.PATH ?? "").split(":").some((folder) => folder !== "" && existsSync(join(folder, command)));
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    fail(`Node ${process.versions.node} is too old: 20.19 or newer is needed.`);
}

/** True when node_modules holds what package-lock.json names: npm writes its own copy of the lock file last. */
function packagesAreCurrent() {
  const marker = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(marker)) return false;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const found = JSON.parse(readFileSync(marker, "utf8")).packages;
  return Object.entries(wanted).every(
    ([path, entry]) => path === "" || entry.optional || found[path]?.version === entry.version,
  );
}

function ensurePackages() {
  if (packagesAreCurrent()) return;
  say("installing npm packages");
  if (!run("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"])) fail("`npm ci` failed, see above.");
}

function newestChange(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((newest, entry) => Math.max(newest, statSync(join(entry.parentPath, entry.name)).mtimeMs), 0);
}

function ensureBuild() {
  const built = join(root, "dist", "cli", "main.js");
  if (existsSync(built) && statSync(built).mtimeMs > newestChange(join(root, "src"))) return;
  say("building");
  if (!run("npm", ["run", "--silent", "build"])) fail("the build failed, see above.");
}

/** Debian's and Ubuntu's names; programs without which each package counts as missing. */
const libvirtPackages = {
  "libvirt-clients": "virsh",
  "libvirt-daemon": "virtlogd",
  "libvirt-daemon-system": "/etc/libvirt/qemu.conf",
  "libvirt-daemon-driver-qemu": "libvirtd",
  "qemu-system-x86": "qemu-system-x86_64",
  "qemu-utils": "qemu-img",
  ovmf: "/usr/share/OVMF/OVMF_VARS_4M.fd",
  swtpm: "swtpm",
  "swtpm-tools": "swtpm_setup",
  xorriso: "xorriso",
  "dnsmasq-base": "dnsmasq",
  iproute2: "ip",
  iptables: "iptables",
  "grub-common": "grub-mkimage",
  "grub-pc-bin": "/usr/lib/grub/i386-pc/boot.img",
  "grub-efi-amd64-bin": "/usr/lib/grub/x86_64-efi/fat.mod",
  mtools: "mcopy",
  dosfstools: "mkfs.fat",
  cpio: "cpio",
  "xz-utils": "xz",
  "util-linux": "setpriv",
};

function isThere(what) {
  return what.startsWith("/")
    ? existsSync(what)
    : isOnPath(what) || ["/usr/sbin", "/sbin"].some((folder) => existsSync(join(folder, what)));
}

function ensureRedis() {
  if (isOnPath("redis-server") || isOnPath("valkey-server")) return;
  installPackages(["redis-server"], "install redis-server (or valkey-server) and run this again");
}

/** What signed commits are judged with, and signed with in their tests. */
function ensureSigning() {
  const programs = { gpg: "gnupg", "ssh-keygen": "openssh-client" };
  const missing = Object.entries(programs).flatMap(([name, itsPackage]) => (isOnPath(name) ? [] : [itsPackage]));
  if (missing.length > 0) installPackages(missing, `install ${missing.join(", ")} and run this again`);
}

/** Everything for real virtual machines on this one, and the guest that boots in them. */
async function ensureLibvirt() {
  const missing = Object.entries(libvirtPackages).flatMap(([name, proof]) => (isThere(proof) ? [] : [name]));
  if (missing.length > 0) installPackages(missing, `install ${missing.join(", ")} and run this again`);
  const { ensureTinyGuest } = await import("./tiny-guest.js");
  try {
    say(`guest for real VMs: ${ensureTinyGuest()}`);
  } catch (error) {
    fail(`the guest for real VMs could not be built: ${error.message}`);
  }
}

function installPackages(names, help) {
  if (!isOnPath("apt-get")) fail(`not on this machine: ${names.join(", ")}; ${help}.`);
  const sudo = process.getuid?.() === 0 ? [] : isOnPath("sudo") ? ["sudo", "-n"] : undefined;
  if (sudo === undefined) fail(`not on this machine: ${names.join(", ")}, and only root may install it; ${help}.`);
  say(`installing ${names.join(", ")} with apt-get`);
  const apt = (...args) => {
    const [command, ...rest] = [...sudo, "apt-get", ...args];
    return run(command, rest, { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
  };
  const install = ["install", "-y", "-qq", "--no-install-recommends", ...names];
  if (!apt(...install) && !(apt("update", "-qq") && apt(...install)))
    fail(`apt-get could not install ${names.join(", ")}; ${help}.`);
}

function checkGit() {
  if (!isOnPath("git")) fail("git is not on PATH; install it and run this again.");
  const [, major, minor] = /(\d+)\.(\d+)/.exec(execFileSync("git", ["--version"], { encoding: "utf8" })) ?? [];
  if (Number(major) < 2 || (Number(major) === 2 && Number(minor) < 38))
    fail(`git ${major}.${minor} is too old: 2.38 or newer is needed.`);
}

checkNode();
checkGit();
ensurePackages();
ensureBuild();
ensureRedis();
if (process.argv.includes("--signing")) ensureSigning();
if (process.argv.includes("--libvirt")) await ensureLibvirt();
