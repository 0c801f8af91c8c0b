import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { PrivateLibvirt } from "../../../src/cli/demo/private-libvirt.ts";

const run = promisify(execFile);

/** What a script has to do for one VM: copy and enlarge the image, an empty disk, a seed, define and start. */
const script = `#!/bin/bash
set -eu
name=$1
pool=$2
base=$3
work=$4
uri=$5
qemu-img convert -O qcow2 "$base" "$pool/$name-root.qcow2"
qemu-img resize -q "$pool/$name-root.qcow2" 1G
qemu-img create -q -f qcow2 "$pool/$name-data.qcow2" 1G
mkdir "$work/$name"
printf '#cloud-config\\n# %s\\n' "$name" > "$work/$name/user-data"
printf 'instance-id: %s\\n' "$name" > "$work/$name/meta-data"
xorriso -as mkisofs -quiet -V cidata -J -r -o "$pool/$name-seed.iso" "$work/$name/user-data" "$work/$name/meta-data" 2>/dev/null
chmod 666 "$pool/$name"-*
cat > "$work/$name.xml" <<XML
<domain type='qemu'><name>$name</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/><apic/></features>
<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
<devices>
<controller type='scsi' index='0' model='virtio-scsi'/>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='$pool/$name-root.qcow2'/><target dev='vda' bus='virtio'/><boot order='1'/></disk>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='$pool/$name-data.qcow2'/><target dev='vdb' bus='virtio'/></disk>
<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='$pool/$name-seed.iso'/><target dev='sdz' bus='scsi'/><readonly/><address type='drive' controller='0' bus='0' target='0' unit='0'/></disk>
<interface type='user'><model type='virtio'/></interface>
<serial type='pty'/><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<graphics type='vnc' port='-1' autoport='yes'/><video><model type='vga'/></video><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
</devices></domain>
XML
virsh -q -c "$uri" define "$work/$name.xml"
virsh -q -c "$uri" start "$name"
`;

/** Makes VMs with `virsh` and `qemu-img`, so many at a time. */
export async function bareLibvirt(
  daemon: PrivateLibvirt,
  image: string,
  folder: string,
  names: readonly string[],
  atOnce: number,
): Promise<void> {
  const file = join(folder, "make-vm.sh");
  await writeFile(file, script, { mode: 0o755 });
  const waiting = [...names];
  const worker = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift())
      await run(file, [name, daemon.poolDir, image, folder, daemon.uri]);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
