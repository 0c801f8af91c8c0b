import { execFile } from "node:child_process";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { completeMetaData } from "../../src/adapters/libvirt/storage/seed.ts";
import type { DesiredDisk } from "../../src/fleet/desired-state.ts";
import { desiredVm, freeContext, imageDisk, markOf, MiB } from "../support/desired-vm.ts";
import { instance, type LibvirtLab, onUserNetwork, openLibvirtLab } from "../support/libvirt-lab.ts";

const run = promisify(execFile);

interface ImageInfo {
  readonly format: string;
  readonly "virtual-size": number;
  readonly "actual-size": number;
  readonly "full-backing-filename"?: string;
  readonly "format-specific": { readonly data: { readonly compat: string } };
}

async function infoOf(lab: LibvirtLab, id: string): Promise<ImageInfo> {
  const { stdout } = await run("qemu-img", [
    "info",
    "-U",
    "--output=json",
    join(lab.daemon.poolDir, id.split("/")[1] ?? ""),
  ]);
  return JSON.parse(stdout) as ImageInfo;
}

async function createWith(lab: LibvirtLab, disk: DesiredDisk, name = "web-1") {
  const desired = onUserNetwork(desiredVm(name, { disks: [disk] }));
  return lab.driver.create(desired, markOf(desired, instance), freeContext());
}

async function qcow2(lab: LibvirtLab, name: string, ...options: readonly string[]): Promise<string> {
  const file = join(lab.folder, `${name}.qcow2`);
  await run("qemu-img", ["create", "-q", "-f", "qcow2", ...options, file, "4M"]);
  return file;
}

describe("images and disks", () => {
  it("copies a raw and a qcow2 image in full, enlarged and sparse", async () => {
    await using lab = await openLibvirtLab();
    const images = [await lab.image("debian"), lab.asset("small", await qcow2(lab, "small"), "qcow2")];
    for (const [index, image] of images.entries()) {
      const live = await createWith(lab, imageDisk("root", image, { capacityBytes: 1024 * MiB }), `web-${index}`);
      const info = await infoOf(lab, live.disks[0]?.id ?? "");
      expect(info).toMatchObject({ format: "qcow2", "virtual-size": 1024 * MiB });
      expect(info["full-backing-filename"]).toBeUndefined();
      // Version 3: older ones cannot be enlarged while they have snapshots.
      expect(info["format-specific"].data.compat).toBe("1.1");
      expect(info["actual-size"]).toBeLessThan(8 * MiB);
    }
  });

  it("makes overlays where that is configured, and never removes what they lie on", async () => {
    await using lab = await openLibvirtLab({ disks: "overlay" });
    const image = await lab.image("debian");
    const [one, two] = [
      await createWith(lab, imageDisk("root", image)),
      await createWith(lab, imageDisk("root", image), "web-2"),
    ];
    const base = (await lab.volumes()).find((name) => name.endsWith(".raw")) ?? "";
    for (const live of [one, two]) {
      const info = await infoOf(lab, live.disks[0]?.id ?? "");
      expect(info["full-backing-filename"]).toBe(join(lab.daemon.poolDir, base));
      expect(info["actual-size"]).toBeLessThan(MiB);
    }
    await lab.driver.delete(one, freeContext());
    for (let look = 0; look < 3; look += 1) await lab.driver.removeOrphanedUploads(freeContext());
    expect(await lab.volumes()).toContain(base);
    await lab.driver.start(two.id, freeContext());
    expect((await lab.driver.findVirdomain(two.id, AbortSignal.timeout(20_000)))?.power).toBe("running");
  });

  it("uploads an image once for VMs that are made at the same time", async () => {
    await using lab = await openLibvirtLab();
    const image = await lab.image("debian");
    await Promise.all([1, 2, 3].map((number) => createWith(lab, imageDisk("root", image), `web-${number}`)));
    expect((await lab.volumes()).filter((name) => name.includes("-asset-"))).toHaveLength(2);
  });

  it("refuses images that are not what the manifest says, or that lead to other files of the host", async () => {
    await using lab = await openLibvirtLab();
    const secret = join(lab.folder, "secret");
    await writeFile(secret, Buffer.alloc(MiB, "secret"));
    const cases: readonly (readonly [file: string, format: string, why: RegExp])[] = [
      [await qcow2(lab, "claims-raw"), "raw", /write format: qcow2/],
      [await qcow2(lab, "backed", "-b", secret, "-F", "raw"), "qcow2", /backing file/],
      [
        await qcow2(lab, "elsewhere", "-o", `data_file=${join(lab.folder, "data.raw")}`),
        "qcow2",
        /data in another file/,
      ],
      [secret, "qcow2", /is no qcow2 image/],
      [secret, "vmdk", /qemu-img convert/],
    ];
    for (const [file, format, why] of cases) {
      const disk = imageDisk("root", lab.asset("odd", file, format));
      await expect(lab.driver.prepare([disk], freeContext())).rejects.toMatchObject({
        code: "asset-refused",
        message: expect.stringMatching(why) as string,
      });
    }
    expect((await lab.volumes()).filter((name) => name.includes("-asset-"))).toEqual([]);
  });

  it("keeps what guests hold from other users of the host", async () => {
    await using lab = await openLibvirtLab();
    const live = await createWith(lab, imageDisk("root", await lab.image("debian")));
    const { mode } = await stat(join(lab.daemon.poolDir, live.disks[0]?.id.split("/")[1] ?? ""));
    expect(mode & 0o077).toBe(0);
  });

  it.each([
    ["", 'instance-id: u\nlocal-hostname: "web"\n'],
    ["local-hostname: web-1\n", "instance-id: u\nlocal-hostname: web-1\n"],
    ["instance-id: mine\n", "instance-id: mine\n"],
    ['{"local-hostname":"web-1"}', '{"instance-id":"u","local-hostname":"web-1"}'],
    ["- no map\n", "- no map\n"],
  ])("gives meta_data an instance-id where it has none: %j", (given, expected) => {
    expect(completeMetaData(given, { uuid: "u", name: "web" })).toBe(expected);
  });
});

describe("a host", () => {
  it("tells within seconds what somebody changed, and that anything may have while it was away", async () => {
    await using lab = await openLibvirtLab();
    const live = await createWith(lab, imageDisk("root", await lab.image("debian")));
    const heard: (string | undefined)[] = [];
    const stop = new AbortController();
    const listening = lab.driver.watchChanges((id) => heard.push(id), stop.signal);
    const until = async (id: string | undefined, act: () => Promise<unknown>): Promise<void> => {
      const before = heard.length;
      // Nothing says that virsh has begun to listen: the change is made again until it is heard.
      for (let attempt = 0; attempt < 40 && !heard.slice(before).includes(id); attempt += 1) {
        await act();
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      expect(heard.slice(before)).toContain(id);
    };
    await until(live.id, () => lab.daemon.virsh("desc", live.id, "--config", "--new-desc", String(Math.random())));
    await until(undefined, async () => {
      await lab.daemon.kill();
      await lab.daemon.start();
    });
    stop.abort();
    await listening;
  });

  it("says what it can do, and everything that is missing at once", async () => {
    await using lab = await openLibvirtLab({ accelerator: "auto" });
    const findings = (await lab.driver.check(AbortSignal.timeout(60_000))).join("\n");
    expect(findings).toMatch(/^libvirt \d.*QEMU/);
    expect(findings).toMatch(/pool lab has .* free/);
    expect(findings).toMatch(/KVM works|emulated/);
    const poor = await lab.open({ pool: "nowhere", networks: [{ network: "lan" }, { user: true }] });
    await expect(poor.check(AbortSignal.timeout(60_000))).rejects.toMatchObject({
      message: expect.stringMatching(/nowhere.*pool-define-as[^]*lan.*net-start/) as string,
    });
  });

  it("boots a TPM machine with Secure Boot where that is configured", async () => {
    await using lab = await openLibvirtLab({ secureBoot: true });
    const disks = [imageDisk("root", await lab.image("debian"))];
    const desired = onUserNetwork(desiredVm("sealed", { machineType: "tpm", disks }));
    const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
    await lab.driver.start(live.id, freeContext());
    const running = await lab.daemon.virsh("dumpxml", live.id);
    expect(running).toMatch(/<loader[^>]*secure='yes'[^>]*>.*OVMF_CODE.*(secboot|ms)/i);
    expect(running).toMatch(/<tpm model='tpm-crb'>/);
  });

  it("requires KVM unless told otherwise", async () => {
    await using lab = await openLibvirtLab({ accelerator: "kvm" });
    const works = (await lab.driver.check(AbortSignal.timeout(60_000)).catch((): readonly string[] => [])).includes(
      "KVM works",
    );
    const image = await lab.image("debian");
    const create = () => createWith(lab, imageDisk("root", image));
    if (works) expect((await create()).power).toBe("shutoff");
    else
      await expect(create()).rejects.toMatchObject({
        code: "cluster-unsupported",
        message: expect.stringContaining("accelerator") as string,
      });
  });
});
