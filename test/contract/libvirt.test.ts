import { describe } from "vitest";
import { untilSaid } from "../support/until-said.ts";
import { instance, onUserNetwork, openLibvirtLab, pool } from "../support/libvirt-lab.ts";
import type { HypervisorBench } from "../support/hypervisor-bench.ts";
import { hypervisorContract } from "./hypervisor.contract.ts";

async function libvirtBench(): Promise<HypervisorBench> {
  const lab = await openLibvirtLab();
  const { virsh } = lab.daemon;
  return {
    driver: lab.driver,
    instance,
    adapt: onUserNetwork,
    image: (name) => lab.image(name),
    iso: (name) => lab.iso(name),
    guest: async () => lab.guest(),
    untilBooted: async (id) => {
      await untilSaid(lab.consoleOf(id), /^tiny: hardware/m);
    },
    cloneByHand: async (live, name) => {
      const definition = await virsh("dumpxml", "--inactive", live.id);
      const uuid = crypto.randomUUID();
      const copy = definition
        .replace(/<name>.*<\/name>/, `<name>${name}</name>`)
        .replace(/<uuid>.*<\/uuid>/, `<uuid>${uuid}</uuid>`);
      await define(lab, copy);
      return uuid;
    },
    createByHand: async (name) => {
      const uuid = crypto.randomUUID();
      await virsh("vol-create-as", pool, `${name}-${uuid.slice(0, 8)}.qcow2`, "4MiB", "--format", "qcow2");
      await define(
        lab,
        `<domain type='qemu'><name>${name === "web-1" ? "web-1-by-hand" : name}</name><uuid>${uuid}</uuid><description>made by hand</description>
          <metadata><people:tag xmlns:people='urn:people'>by-hand</people:tag></metadata>
          <memory unit='MiB'>512</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
          <cpu mode='custom' match='exact' check='none'><model>qemu64</model></cpu>
          <devices>
            <disk type='volume' device='disk'><driver name='qemu' type='qcow2'/><source pool='${pool}' volume='${name}-${uuid.slice(0, 8)}.qcow2'/><target dev='vda' bus='virtio'/></disk>
            <interface type='user'><model type='virtio'/></interface>
          </devices></domain>`,
      );
      return uuid;
    },
    rawTags: async (id) => {
      const definition = await virsh("dumpxml", "--inactive", id);
      return [...definition.matchAll(/<\w+:tag[^>]*>([^<]*)</g)].map(([, tag]) => tag ?? "");
    },
    ignoreShutdown: () => Promise.resolve(),
    snapshots: async () => {
      const uuids = (await virsh("-q", "list", "--all", "--uuid")).split(/\s+/).filter(Boolean);
      const found = [];
      for (const uuid of uuids) {
        for (const name of (await virsh("snapshot-list", uuid, "--name")).split(/\s+/).filter(Boolean)) {
          const text = await virsh("snapshot-dumpxml", uuid, name);
          found.push({
            id: `${uuid}/${name}`,
            virdomainId: uuid,
            label: /<description>([^<]*)</.exec(text)?.[1] ?? "",
            replicated: false,
            expiresAtMs: Number(/until-(\d+)$/.exec(name)?.[1] ?? 0) * 1000,
          });
        }
      }
      return found;
    },
    snapshotByHand: async (id, label) => {
      const name = `by-hand-${crypto.randomUUID().slice(0, 8)}`;
      await virsh("snapshot-create-as", id, "--name", name, "--description", label);
      return `${id}/${name}`;
    },
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  };
}

async function define(lab: Awaited<ReturnType<typeof openLibvirtLab>>, definition: string): Promise<void> {
  const { writeFile } = await import("node:fs/promises");
  const path = `${lab.folder}/by-hand.xml`;
  await writeFile(path, definition);
  await lab.daemon.virsh("define", path);
}

describe("libvirt on QEMU", () => {
  hypervisorContract(libvirtBench, {
    "keeps two VMs apart that share name and image": "libvirt keeps names unique and refuses a second VM of one name",
  });
});
