#!/bin/sh
# The whole operating system of the tiny guest: everything it finds out about its machine, it says on its console.
export PATH=/bin
busybox mkdir -p /bin /proc /sys /dev /run /tmp /var/run /run/cloud-init /etc /seed /www
# Links are made to what /proc says this program is.
busybox mount -t proc proc /proc
busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

say() { echo "tiny: $*" >/dev/ttyS0; }

# Three passes, so that the order of what depends on what does not matter.
for pass in 1 2 3; do for module in /modules/*.ko; do insmod "$module" 2>/dev/null; done; done

# NoCloud: an ISO 9660 labelled cidata, on whatever it is attached to. Slow buses may take a moment.
find_seed() {
  for device in /dev/sr* /dev/vd* /dev/sd*; do
    [ -b "$device" ] || continue
    [ "$(dd if="$device" bs=1 skip=32808 count=6 2>/dev/null)" = cidata ] && echo "$device" && return
  done
}
for attempt in 1 2 3 4 5; do
  seed=$(find_seed)
  [ -n "$seed" ] && break
  sleep 0.3
done
if [ -n "$seed" ]; then
  mount -t iso9660 -o ro "$seed" /seed
  cp /seed/user-data /seed/meta-data /run/
  umount /seed
fi
touch /run/user-data /run/meta-data
field() { sed -n "s/^$1: *\"\{0,1\}\([^\"]*\)\"\{0,1\} *$/\1/p" /run/meta-data | head -n 1; }
hostname "$(field local-hostname)" 2>/dev/null

[ -d /sys/firmware/efi ] && firmware=uefi || firmware=bios
[ -e /sys/class/tpm/tpm0 ] && tpm=yes || tpm=no
say "booted hostname=$(field local-hostname) instance-id=$(field instance-id) firmware=$firmware tpm=$tpm"
while IFS= read -r line || [ -n "$line" ]; do say "user-data: $line"; done </run/user-data
while IFS= read -r line || [ -n "$line" ]; do say "meta-data: $line"; done </run/meta-data

serial_of() { cat "/sys/block/$1/serial" 2>/dev/null; }

# "#tiny: write <serial> <word>" puts a word at the start of an empty disk; what is there already stays.
grep '^#tiny: write ' /run/user-data | while read -r _ _ serial word; do
  for path in /sys/block/vd*; do
    disk=${path##*/}
    [ "$(serial_of "$disk")" = "$serial" ] || continue
    [ -z "$(dd if="/dev/$disk" bs=512 count=1 2>/dev/null | tr -d '\0')" ] && printf '%s' "$word" | dd of="/dev/$disk" conv=notrunc 2>/dev/null
    sync
  done
done
for path in /sys/block/vd*; do
  [ -e "$path" ] || continue
  disk=${path##*/}
  [ -e "$path/${disk}1" ] && continue
  say "content $(serial_of "$disk") $(dd if="/dev/$disk" bs=64 count=1 2>/dev/null | tr -cd ' -~')"
done

# What cloud-init leaves behind when it has finished; the product asks for it through the agent.
if [ -n "$seed" ]; then
  echo '{"v1":{"datasource":"DataSourceNoCloud [seed='"$seed"']","errors":[]}}' >/run/cloud-init/result.json
fi

# Network: every NIC by DHCP, those plugged in later, too.
cat >/bin/leased <<'EOF'
#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ifconfig "$interface" "$ip" netmask "${subnet:-255.255.255.0}"
[ -n "$router" ] && route add default gw "${router%% *}" dev "$interface" 2>/dev/null
[ "$1" = bound ] && echo "tiny: address $interface $ip" >/dev/ttyS0
exit 0
EOF
chmod +x /bin/leased
ifconfig lo 127.0.0.1
echo "the tiny guest $(hostname)" >/www/index.html
httpd -p 8080 -h /www

bring_up() {
  for path in /sys/class/net/eth* /sys/class/net/en*; do
    [ -e "$path" ] || continue
    nic=${path##*/}
    [ -e "/run/dhcp-$nic" ] && continue
    touch "/run/dhcp-$nic"
    ifconfig "$nic" up
    udhcpc -i "$nic" -s /bin/leased -t 8 -T 2 -A 5 >/dev/null 2>&1 &
  done
}

# The agent's channel appears with the virtio console driver; there is no udev to name it.
port=
for path in /sys/class/virtio-ports/*; do
  [ "$(cat "$path/name" 2>/dev/null)" = org.qemu.guest_agent.0 ] && port=/dev/${path##*/}
done
[ -n "$port" ] && qemu-ga -m virtio-serial -p "$port" -t /run -f /run/qga.pid -d

# The power button, as ACPI reports it: type 1 (key), code 116 (power), value 1 (pressed).
if ! grep -q '^#tiny: ignore-acpi' /run/user-data; then
  for path in /sys/class/input/event*; do
    [ "$(cat "$path/device/name" 2>/dev/null)" = "Power Button" ] || continue
    (
      while true; do
        event=$(dd bs=24 count=1 2>/dev/null | od -An -tu2 -j16 -N6 | xargs)
        [ "$event" = "1 116 1" ] && say "power button" && sync && poweroff -f
      done <"/dev/input/${path##*/}"
    ) &
  done
fi

hardware() {
  disks=; nics=; drives=
  for path in /sys/block/vd* /sys/block/sd*; do
    [ -e "$path" ] || continue
    disk=${path##*/}
    disks="$disks,$disk:$(($(cat "$path/size") * 512)):$(serial_of "$disk")"
  done
  for path in /sys/class/net/eth* /sys/class/net/en*; do
    [ -e "$path" ] && nics="$nics,$(cat "$path/address")"
  done
  for path in /sys/block/sr*; do
    [ -e "$path" ] || continue
    drives="$drives,${path##*/}:$(dd if="/dev/${path##*/}" bs=1 skip=32808 count=32 2>/dev/null | tr -cd '[:alnum:]_-')"
  done
  # A CPU that was plugged in waits to be switched on.
  for cpu in /sys/devices/system/cpu/cpu*/online; do [ "$(cat "$cpu")" = 1 ] || echo 1 >"$cpu"; done 2>/dev/null
  memory=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
  echo "hardware cpus=$(grep -c ^processor /proc/cpuinfo) memory-mib=$memory disks=${disks#,} nics=${nics#,} cdroms=${drives#,}"
}

# Looking costs much where a processor is emulated: what changes is read without starting a program.
glance() {
  seen=
  for file in /sys/devices/system/cpu/present /sys/block/[vs]*/size /sys/class/net/*/address; do
    [ -e "$file" ] && read -r value <"$file" && seen="$seen $file=$value"
  done
}
known=
while true; do
  glance
  if [ "$seen" != "$known" ]; then
    known=$seen
    bring_up
    say "$(hardware)"
  fi
  sleep 1
done
