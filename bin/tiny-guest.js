#!/usr/bin/env node
// Builds the tiny guest: a small disk image that boots a real Linux kernel with BIOS and UEFI in seconds, says on its
// serial console what it finds, and runs the real QEMU guest agent. For demos and tests on real virtual machines. Made
// from Debian's packages, without root and without a loop device. Uses nothing but Node and the tools setup installs.
import { execFileSync } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const cache = join(here, "..", ".cache", "tiny-guest");
const mebibyte = 2 ** 20;
const partitionStart = 2048;

const modules = [
  ["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci"],
  ["virtio_blk", "virtio_scsi", "scsi_common", "scsi_mod", "cdrom", "sr_mod", "libata", "ata_piix", "isofs"],
  ["failover", "net_failover", "virtio_net", "virtio_console", "button", "evdev"],
].flat();

/** What qemu-ga is linked with; all of it is in the packages it depends on. */
const libraries = [
  ["ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libpcre2-8.so.0"],
  ["libglib-2.0.so.0", "libgmodule-2.0.so.0", "libnuma.so.1", "libudev.so.1", "liburing.so.2"],
].flat();

const grubEarly = "search --file --set=root /vmlinuz\nset prefix=($root)/\nconfigfile ($root)/grub.cfg\n";
const grubConfig =
  "linux /vmlinuz console=ttyS0,115200 quiet loglevel=1 panic=5 random.trust_cpu=on\ninitrd /initrd.gz\nboot\n";
const grubModules = ["part_msdos", "fat", "search", "search_fs_file", "normal", "configfile", "linux", "boot"];

/** Builds the image unless it is there, and answers its path. Two builds at once do no harm: the last rename wins. */
export function ensureTinyGuest() {
  const image = join(cache, `tiny-guest-${recipe()}.raw`);
  if (existsSync(image)) return image;
  const work = mkdtempSync(join(tmpdir(), "tiny-guest-"));
  try {
    const built = build(work);
    mkdirSync(cache, { recursive: true });
    const draft = `${image}.${randomUUID()}`;
    copyFileSync(built, draft);
    renameSync(draft, image);
    return image;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Another recipe is another image. */
function recipe() {
  const hash = createHash("sha256");
  for (const file of ["tiny-guest.js", join("tiny-guest", "init.sh")]) hash.update(readFileSync(join(here, file)));
  return hash.digest("hex").slice(0, 12);
}

function run(command, args, options = {}) {
  return execFileSync(command, args, { stdio: ["pipe", "pipe", "pipe"], maxBuffer: 256 * mebibyte, ...options });
}

function build(work) {
  const root = unpackPackages(work);
  const kernel = readdirSync(join(root, "boot")).find((name) => name.startsWith("vmlinuz-"));
  const initrd = buildInitrd(work, root);
  const fat = buildFat(work, join(root, "boot", kernel), initrd);
  return buildDisk(work, fat);
}

/** The current cloud kernel, a static busybox, the guest agent and the libraries it needs, in one folder. */
function unpackPackages(work) {
  const depends = run("apt-cache", ["depends", "linux-image-cloud-amd64"]).toString();
  const kernel = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (kernel === undefined) throw new Error("apt knows no linux-image-cloud-amd64: run apt-get update");
  const options = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances", "pre-depends"];
  const args = ["depends", "--recurse", ...options.map((each) => `--no-${each}`), "qemu-guest-agent"];
  const wanted =
    run("apt-cache", args)
      .toString()
      .match(/^[a-z]\S*/gm) ?? [];
  const packages = [kernel, "busybox-static", "qemu-guest-agent", ...wanted.filter((name) => /^lib/.test(name))];
  const folder = join(work, "packages");
  mkdirSync(folder);
  run("apt-get", ["download", "-q", ...new Set(packages)], { cwd: folder });
  const root = join(work, "root");
  for (const deb of readdirSync(folder)) run("dpkg-deb", ["-x", join(folder, deb), root]);
  return root;
}

function filesUnder(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) => join(entry.parentPath, entry.name));
}

function buildInitrd(work, root) {
  const tree = join(work, "tree");
  for (const folder of ["bin", "modules", "lib64", "lib"]) mkdirSync(join(tree, folder), { recursive: true });
  copyFileSync(join(here, "tiny-guest", "init.sh"), join(tree, "init"));
  chmodSync(join(tree, "init"), 0o755);
  const files = filesUnder(root);
  const find = (name) => {
    const found = files.find((file) => basename(file) === name && existsSync(file));
    if (found === undefined) throw new Error(`Debian's packages hold no ${name}`);
    return found;
  };
  copyFileSync(find("busybox"), join(tree, "bin", "busybox"));
  symlinkSync("busybox", join(tree, "bin", "sh"));
  copyFileSync(find("qemu-ga"), join(tree, "bin", "qemu-ga"));
  for (const name of libraries) copyFileSync(find(name), join(tree, name.startsWith("ld-") ? "lib64" : "lib", name));
  for (const name of modules) {
    const module = files.find((file) => basename(file).replaceAll("-", "_").startsWith(`${name}.ko`));
    if (module === undefined) throw new Error(`the kernel has no module ${name}`);
    const plain = join(tree, "modules", `${name}.ko`);
    if (module.endsWith(".xz")) writeFileSync(plain, run("xz", ["-dc", module]));
    else copyFileSync(module, plain);
  }
  const names = run("find", ["."], { cwd: tree });
  const archive = run("cpio", ["-o", "-H", "newc", "-R", "0:0", "--quiet"], { cwd: tree, input: names });
  const initrd = join(work, "initrd.gz");
  writeFileSync(initrd, run("gzip", ["-9", "-c"], { input: archive }));
  return initrd;
}

function grubImage(work, format, extra) {
  const early = join(work, "early.cfg");
  writeFileSync(early, grubEarly);
  const output = join(work, `grub-${format}`);
  run("grub-mkimage", ["-O", format, "-o", output, "-p", "/", "-c", early, ...grubModules, ...extra]);
  return output;
}

function buildFat(work, kernel, initrd) {
  const fat = join(work, "fat.img");
  const mebibytes = Math.ceil((statSync(kernel).size + statSync(initrd).size) / mebibyte) + 4;
  run("mkfs.fat", ["-F", "16", "-n", "TINY", "-C", fat, String(mebibytes * 1024)], {
    env: { ...process.env, PATH: `${process.env.PATH}:/sbin:/usr/sbin` },
  });
  const config = join(work, "grub.cfg");
  writeFileSync(config, grubConfig);
  const efi = grubImage(work, "x86_64-efi", []);
  const mtools = { env: { ...process.env, MTOOLS_SKIP_CHECK: "1" } };
  run("mmd", ["-i", fat, "::/EFI", "::/EFI/BOOT"], mtools);
  for (const [file, name] of [
    [kernel, "::/vmlinuz"],
    [initrd, "::/initrd.gz"],
    [config, "::/grub.cfg"],
    [efi, "::/EFI/BOOT/BOOTX64.EFI"],
  ])
    run("mcopy", ["-i", fat, file, name], mtools);
  return fat;
}

/**
 * A partition table with one active partition of type 0xEF, which UEFI looks into; GRUB's first sector and, in the gap
 * before the partition, its core for BIOS. The two places where GRUB keeps sector numbers are from its sources
 * (GRUB_BOOT_MACHINE_KERNEL_SECTOR, and the block list at the end of the core's first sector).
 */
function buildDisk(work, fat) {
  const fatBytes = readFileSync(fat);
  const disk = Buffer.alloc(partitionStart * 512 + fatBytes.length);
  const boot = readFileSync("/usr/lib/grub/i386-pc/boot.img");
  const core = readFileSync(grubImage(work, "i386-pc", ["biosdisk"]));
  if (core.length > (partitionStart - 1) * 512) throw new Error("GRUB does not fit in front of the partition");
  boot.copy(disk, 0, 0, 440);
  disk.writeUInt32LE(1, 92);
  disk.writeUInt16LE(0x9090, 102);
  const entry = 446;
  disk[entry] = 0x80;
  disk[entry + 4] = 0xef;
  disk.writeUInt32LE(partitionStart, entry + 8);
  disk.writeUInt32LE(fatBytes.length / 512, entry + 12);
  disk.writeUInt16LE(0xaa55, 510);
  core.copy(disk, 512);
  disk.writeUInt32LE(2, 512 + 500);
  fatBytes.copy(disk, partitionStart * 512);
  const image = join(work, "tiny-guest.raw");
  writeFileSync(image, disk);
  return image;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const image = ensureTinyGuest();
  process.stdout.write(`${image} (${Math.round(statSync(image).size / mebibyte)} MiB)\n`);
}
