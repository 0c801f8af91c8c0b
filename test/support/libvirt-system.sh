#!/bin/bash
# A system libvirtd (qemu:///system) that the machine does not see: its folders are this process's own, and so is its network.
# Run under `unshare --mount --net --pid --fork --mount-proc` as root: libvirt-system.sh <folder> <command> [argument ...]
set -eu
folder=$1
shift
for own in run lib log cache; do mkdir -p "$folder/$own"; done
cp -r /etc/libvirt "$folder/etc"
mkdir -p /run/libvirt /var/cache/libvirt "$folder/lib/images" "$folder/log/qemu"
mount --bind "$folder/run" /run/libvirt
mount --bind "$folder/lib" /var/lib/libvirt
mount --bind "$folder/etc" /etc/libvirt
mount --bind "$folder/log" /var/log/libvirt
mount --bind "$folder/cache" /var/cache/libvirt
ip link set lo up
virtlogd -d
libvirtd -d
until virsh -q uri >/dev/null 2>&1; do sleep 0.1; done
virsh -q net-define /usr/share/libvirt/networks/default.xml >/dev/null 2>&1 || true
virsh -q net-start default >/dev/null
virsh -q pool-define-as kraken dir --target /var/lib/libvirt/images/kraken >/dev/null
virsh -q pool-build kraken >/dev/null
virsh -q pool-start kraken >/dev/null
# The namespace's processes end with this one.
"$@"
