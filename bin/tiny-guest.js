#!/usr/bin/env node
// Builds the tiny guest: a small disk image that boots a real Linux kernel with BIOS and UEFI in seconds, says on its
// serial console what it finds, and runs the real QEMU guest agent. For demos and tests on real virtual machines. Made
// from Debian's packages, without root and without a loop device. Uses nothing but Node and the tools setup installs.
//
// What the agent costs, measured without KVM: 0.3 s of processor time at boot (of 11), 6.4 MiB of the guest's memory for
// itself and its libraries, and 2.6 MiB of the image (of 16).
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
import { gzipSync } from "node:zlib";

const here = fileURLToPath(new URL(".", import.meta.url));
const initScript = join(here, "tiny-guest", "init.sh");
const cache = join(here, "..", ".cache", "tiny-guest");
const mebibyte = 2 ** 20;
const sector = 512;

/** Debian's standard kernel: the smaller "cloud" one has no driver for SATA and for emulated NICs. */
const kernelPackage = "linux-image-amd64";
const otherPackages = ["busybox-static", "qemu-guest-agent"];

/** What the guest drives. The modules these depend on come with them. */
const modules = [
  ["virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net", "virtio_console"],
  ["ahci", "ata_piix", "sd_mod", "sr_mod", "isofs"],
  ["e1000", "8139cp", "button", "evdev"],
].flat();
/** Where they and their dependencies lie: unpacking all of the kernel's modules takes twice as long. */
const moduleFolders = [
  ["drivers/acpi", "drivers/ata", "drivers/block", "drivers/cdrom", "drivers/char", "drivers/input", "drivers/scsi"],
  ["drivers/virtio", "drivers/net/virtio_net.*", "drivers/net/net_failover.*", "drivers/net/mii.*"],
  ["drivers/net/ethernet/intel/e1000", "drivers/net/ethernet/realtek"],
  ["fs/isofs", "net/core", "block", "lib", "crypto"],
].flat();

/** The boot partition begins at 1 MiB; GRUB's core and, in the last sector, the guest's own note lie before it. */
const partitionStart = 2048;
/** Here init.sh remembers for which instance it ran; it knows the place and the word, too. */
const noteSector = partitionStart - 1;
const note = "tiny-instance:\n";

const kernelOptions = "console=ttyS0,115200 quiet loglevel=1 panic=5 random.trust_cpu=on";
const grubEarly = "search --file --set=root /vmlinuz\nset prefix=($root)/\nconfigfile ($root)/grub.cfg\n";
/**
 * With UEFI the kernel is started as what it also is, an EFI program: GRUB's own loader would need the whole kernel's
 * unpacked size (64 MiB) in a quarter of the memory, and say "out of memory" at 256 MiB.
 */
const grubConfig = `if [ "$grub_platform" = efi ]; then
  chainloader /vmlinuz initrd=\\initrd.gz ${kernelOptions}
else
  linux /vmlinuz ${kernelOptions}
  initrd /initrd.gz
fi
boot
`;
const grubModules = ["part_msdos", "fat", "search", "search_fs_file", "normal", "configfile", "test", "boot"];

/**
 * Builds the image unless it is there, and answers its path. A build is written elsewhere and renamed: killed half-way
 * it leaves nothing that looks whole, and of two at once the last one wins.
 */
export function ensureTinyGuest() {
  const image = join(cache, `tiny-guest-${recipe()}.raw`);
  if (existsSync(image)) return image;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), "tiny-guest-"));
  const draft = `${image}.${randomUUID()}`;
  try {
    writeFileSync(draft, build(work));
    renameSync(draft, image);
    return image;
  } finally {
    rmSync(draft, { force: true });
    rmSync(work, { recursive: true, force: true });
  }
}

/** Another recipe is another image. */
function recipe() {
  const hash = createHash("sha256");
  for (const file of [fileURLToPath(import.meta.url), initScript]) hash.update(readFileSync(file));
  return hash.digest("hex").slice(0, 12);
}

function build(work) {
  const root = join(work, "root");
  unpack(download(), root);
  const kernel = readdirSync(join(root, "boot")).find((name) => name.startsWith("vmlinuz-"));
  const initrd = join(work, "initrd.gz");
  writeFileSync(initrd, buildInitrd(root, join(work, "tree")));
  const fat = buildFat(work, join(root, "boot", kernel), initrd);
  return buildDisk(work, fat);
}

/** Runs a program, and says what it said when it fails. */
function run(command, args, options = {}) {
  const env = { ...process.env, LC_ALL: "C", PATH: `${process.env.PATH}:/usr/sbin:/sbin`, ...options.env };
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], ...options, env });
  } catch (error) {
    if (error.code === "ENOENT")
      throw new Error(`${command} is missing: run node bin/setup.js --libvirt`, { cause: error });
    throw new Error(`${command} failed: ${String(error.stderr || error.message).trim()}`, { cause: error });
  }
}

/**
 * The packages as files in the cache. apt's lists are the system's, or, where they are empty or out of date, ones of our
 * own, since only root may refresh the system's.
 */
function download() {
  const folder = join(cache, "packages");
  mkdirSync(folder, { recursive: true });
  try {
    return downloadWith([], folder);
  } catch {
    const own = join(cache, "apt");
    for (const part of ["lists/partial", "archives/partial"]) mkdirSync(join(own, part), { recursive: true });
    const options = [`Dir::State::lists=${own}/lists`, `Dir::Cache=${own}`, "APT::Sandbox::User="].flatMap((each) => [
      "-o",
      each,
    ]);
    run("apt-get", [...options, "-qq", "update"]);
    return downloadWith(options, folder);
  }
}

function downloadWith(options, folder) {
  const kernel = dependenciesOf(options, [kernelPackage]).find((name) => name.startsWith("linux-image-"));
  if (kernel === undefined)
    throw new Error(`apt knows no ${kernelPackage}: the tiny guest is made from Debian's packages`);
  const packages = new Set([kernel, ...otherPackages]);
  // What a program is linked with is in packages called lib*; the rest of what they depend on is not needed here.
  for (let level = otherPackages; level.length > 0; ) {
    const found = dependenciesOf(options, level);
    level = found.filter((name) => /^(lib|zlib)/.test(name) && !packages.has(name));
    for (const name of level) packages.add(name);
  }
  const uris = run("apt-get", [...options, "--print-uris", "download", ...packages]);
  const files = [...uris.matchAll(/^'[^']*' (\S+) \d+/gm)].map(([, file]) => join(folder, file));
  // Into a folder of this build alone, as another build may be at it; then each file in its place at once.
  if (files.some((file) => !existsSync(file))) {
    const draft = mkdtempSync(join(folder, "draft-"));
    try {
      run("apt-get", [...options, "-o", "APT::Sandbox::User=", "-qq", "download", ...packages], { cwd: draft });
      for (const name of readdirSync(draft)) renameSync(join(draft, name), join(folder, name));
    } finally {
      rmSync(draft, { recursive: true });
    }
  }
  return files;
}

function dependenciesOf(options, packages) {
  const said = run("apt-cache", [...options, "depends", "--important", ...packages]);
  return [...said.matchAll(/^ +(?:Pre)?Depends: ([a-z0-9][\w.+-]*)/gm)].map(([, name]) => name);
}

function unpack(packages, root) {
  mkdirSync(root);
  for (const file of packages) {
    if (!basename(file).startsWith("linux-image-")) run("dpkg-deb", ["-x", file, root]);
    else {
      const wanted = ["./boot/vmlinuz-*", ...moduleFolders.map((folder) => `*/kernel/${folder}`)];
      const script = 'file=$0; dpkg-deb --fsys-tarfile "$file" | tar -x --wildcards "$@"';
      run("sh", ["-c", script, file, "-C", root, ...wanted]);
    }
  }
}

/** Everything the guest runs, as the archive that the kernel unpacks into memory. */
function buildInitrd(root, tree) {
  const files = filesUnder(root);
  for (const folder of ["bin", "sbin", "lib", "lib64", "modules"]) mkdirSync(join(tree, folder), { recursive: true });
  const place = (from, to, mode) => {
    copyFileSync(from, join(tree, to));
    chmodSync(join(tree, to), mode);
  };
  place(initScript, "init", 0o755);
  place(findFile(files, "bin/busybox"), "bin/busybox", 0o755);
  symlinkSync("busybox", join(tree, "bin", "sh"));
  const agent = findFile(files, "bin/qemu-ga");
  place(agent, "bin/qemu-ga", 0o755);
  const loader = findFile(files, "/ld-linux-x86-64.so.2");
  place(loader, "lib64/ld-linux-x86-64.so.2", 0o755);
  for (const library of librariesOf(loader, agent, files)) place(library, join("lib", basename(library)), 0o644);
  const order = [];
  for (const name of modules) collectModule(name, files, order);
  // The position in front of the name is the order in which init.sh loads them.
  for (const [position, { name, bytes }] of order.entries())
    writeFileSync(join(tree, "modules", `${String(position).padStart(2, "0")}-${name}.ko`), bytes);
  run("sh", ["-c", `find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet >"$0"`, `${tree}.cpio`], { cwd: tree });
  return gzipSync(readFileSync(`${tree}.cpio`), { level: 9 });
}

function filesUnder(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}

function findFile(files, end) {
  const found = files.find((file) => file.endsWith(end) && existsSync(file));
  if (found === undefined) throw new Error(`Debian's packages hold no ${end}`);
  return found;
}

/** Asks the dynamic loader of the packages, so that nothing of this machine gets in. */
function librariesOf(loader, program, files) {
  const folders = new Set(files.filter((file) => /\.so\.\d/.test(file)).map((file) => join(file, "..")));
  const said = run(loader, ["--inhibit-cache", "--library-path", [...folders].join(":"), "--list", program]);
  if (said.includes("not found")) throw new Error(`a library is missing for ${program}:\n${said}`);
  return [...said.matchAll(/=> (\/\S+)/g)]
    .map(([, file]) => file)
    .filter((file) => basename(file) !== basename(loader));
}

/** A kernel module after those it depends on, which it names itself. */
function collectModule(name, files, order) {
  const plain = name.replaceAll("-", "_");
  if (order.some((each) => each.name === plain)) return;
  const file = files.find((each) => basename(each).replaceAll("-", "_").startsWith(`${plain}.ko`));
  if (file === undefined) throw new Error(`the kernel has no module ${name}`);
  if (file.endsWith(".xz")) run("xz", ["-d", file]);
  const bytes = readFileSync(file.replace(/\.xz$/, ""));
  const [, depends = ""] = /\0depends=([^\0]*)\0/.exec(bytes.toString("latin1")) ?? [];
  for (const other of depends.split(",").filter((each) => each !== "")) collectModule(other, files, order);
  order.push({ name: plain, bytes });
}

/** The boot partition: kernel, initrd, and GRUB for UEFI where firmware looks for it. */
function buildFat(work, kernel, initrd) {
  const fat = join(work, "fat.img");
  const bytes = statSync(kernel).size + statSync(initrd).size;
  run("mkfs.fat", ["-F", "16", "-n", "TINY", "-C", fat, String((Math.ceil(bytes / mebibyte) + 2) * 1024)]);
  const config = join(work, "grub.cfg");
  writeFileSync(config, grubConfig);
  const efi = grubImage(work, "x86_64-efi", ["chain"]);
  run("mmd", ["-i", fat, "::/EFI", "::/EFI/BOOT"]);
  const contents = { "/vmlinuz": kernel, "/initrd.gz": initrd, "/grub.cfg": config, "/EFI/BOOT/BOOTX64.EFI": efi };
  for (const [name, file] of Object.entries(contents)) run("mcopy", ["-i", fat, file, `::${name}`]);
  return readFileSync(fat);
}

function grubImage(work, format, extra) {
  const early = join(work, "early.cfg");
  writeFileSync(early, grubEarly);
  const output = join(work, `grub-${format}`);
  run("grub-mkimage", ["-O", format, "-o", output, "-p", "/", "-c", early, ...grubModules, ...extra]);
  return output;
}

/**
 * A partition table with one active partition of type 0xEF, which UEFI looks into; GRUB's first sector and, in the gap
 * before the partition, its core for BIOS. The two places where GRUB keeps sector numbers are from its sources
 * (GRUB_BOOT_MACHINE_KERNEL_SECTOR, and the block list at the end of the core's first sector).
 */
function buildDisk(work, fat) {
  const disk = Buffer.alloc(partitionStart * sector + fat.length);
  const boot = readFileSync("/usr/lib/grub/i386-pc/boot.img");
  const core = readFileSync(grubImage(work, "i386-pc", ["biosdisk", "linux"]));
  if (core.length > (noteSector - 1) * sector) throw new Error("GRUB does not fit in front of the partition");
  boot.copy(disk, 0, 0, 440);
  disk.writeUInt32LE(1, 92);
  disk.writeUInt16LE(0x9090, 102);
  const entry = 446;
  disk[entry] = 0x80;
  disk[entry + 4] = 0xef;
  disk.writeUInt32LE(partitionStart, entry + 8);
  disk.writeUInt32LE(fat.length / sector, entry + 12);
  disk.writeUInt16LE(0xaa55, 510);
  core.copy(disk, sector);
  disk.writeUInt32LE(2, sector + 500);
  disk.write(note, noteSector * sector);
  fat.copy(disk, partitionStart * sector);
  return disk;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    process.stdout.write(`${ensureTinyGuest()}\n`);
  } catch (error) {
    process.stderr.write(`tiny-guest: ${error.message}\n`);
    process.exitCode = 1;
  }
}
