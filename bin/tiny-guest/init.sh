#!/bin/sh
# The whole operating system of the tiny guest: what it finds out about its machine, it says on its console, in lines
# that begin with "tiny:". An emulated CPU is slow at starting programs, so what runs again and again uses the shell alone.
export PATH=/bin:/sbin
busybox mkdir -p /proc /sys /dev /run/cloud-init /tmp /var/run /etc /seed /www
# The links lead to what /proc says this program is.
busybox mount -t proc proc /proc
busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
echo 'ID=tiny-guest
NAME="Tiny guest"' >/etc/os-release

say() { echo "tiny: $*" >/dev/ttyS0; }

# In the order in which they depend on each other.
for module in /modules/*.ko; do insmod "$module" || say "cannot load $module"; done 2>/dev/null

# --- The seed: NoCloud, an ISO 9660 labelled cidata, on whatever it is attached to -----------------------------------

# Sets $label: the label of an ISO 9660 in a drive, or nothing.
read_label() {
  label=
  dd if="$1" of=/run/label bs=1 skip=32808 count=32 2>/dev/null && read -r label </run/label
  label=${label%%[!A-Za-z0-9_.-]*}
}
find_seed() {
  for seed in /dev/sr* /dev/vd* /dev/sd*; do
    [ -b "$seed" ] && read_label "$seed" && [ "$label" = cidata ] && return
  done
  seed=
}
# Drivers look for their drives before insmod returns; a slow bus may still take a moment.
for attempt in 1 2 3 4 5 6; do
  find_seed
  [ -n "$seed" ] && break
  sleep 0.3
done
[ -n "$seed" ] && mount -t iso9660 -o ro "$seed" /seed && cp /seed/user-data /seed/meta-data /run/ && umount /seed
touch /run/user-data /run/meta-data

field() { sed -n "s/^$1: *[\"']\{0,1\}\([^\"']*\)[\"']\{0,1\} *\$/\1/p" /run/meta-data | head -n 1; }
name=$(field local-hostname)
instance=$(field instance-id)
[ -n "$name" ] && hostname "$name"
[ -d /sys/firmware/efi ] && firmware=uefi || firmware=bios
[ -e /sys/class/tpm/tpm0 ] && tpm=yes || tpm=no
say "booted hostname=$name instance-id=$instance firmware=$firmware tpm=$tpm"
while IFS= read -r line || [ -n "$line" ]; do say "user-data: $line"; done </run/user-data
while IFS= read -r line || [ -n "$line" ]; do say "meta-data: $line"; done </run/meta-data

# --- Disks -----------------------------------------------------------------------------------------------------------

# Sets $serial. A SCSI disk has it in a page with four bytes in front.
read_serial() {
  serial=
  if [ -r "/sys/block/$1/serial" ]; then
    read -r serial <"/sys/block/$1/serial"
  elif [ -r "/sys/block/$1/device/vpd_pg80" ]; then
    serial=$(tail -c +5 "/sys/block/$1/device/vpd_pg80")
  fi
}
start_of() { dd if="/dev/$1" bs=512 count=1 2>/dev/null | tr -d '\0'; }

# User data is for the first boot of an instance, as with cloud-init. Which one this was is noted in a sector that the
# image has free for it (see tiny-guest.js).
note_sector=2047
first=yes
for path in /sys/block/vd* /sys/block/sd*; do
  disk=/dev/${path##*/}
  [ -b "$disk" ] || continue
  dd if="$disk" of=/run/note bs=512 skip=$note_sector count=1 2>/dev/null
  read -r word known </run/note
  [ "$word" = tiny-instance: ] || continue
  [ -n "$instance" ] && [ "$known" = "$instance" ] && first=no
  printf 'tiny-instance: %s\n' "$instance" | dd of="$disk" bs=512 seek=$note_sector conv=notrunc,fsync 2>/dev/null
  break
done

# "#tiny: write <serial> <word>" puts a word at the start of an empty disk; what is there already stays.
[ $first = yes ] && grep '^#tiny: write ' /run/user-data | while read -r _ _ wanted word; do
  for path in /sys/block/vd* /sys/block/sd*; do
    [ -e "$path" ] || continue
    disk=${path##*/}
    read_serial "$disk"
    [ "$serial" = "$wanted" ] && [ -z "$(start_of "$disk")" ] || continue
    printf '%s' "$word" | dd of="/dev/$disk" conv=notrunc,fsync 2>/dev/null
  done
done
for path in /sys/block/vd* /sys/block/sd*; do
  disk=${path##*/}
  [ -e "$path" ] && [ ! -e "$path/${disk}1" ] || continue
  read_serial "$disk"
  text=$(start_of "$disk")
  say "content $serial ${text%%[![:print:]]*}"
done

# --- What cloud-init leaves behind when it is done; the product reads it through the agent -----------------------------

if [ -n "$seed" ]; then
  cat >/run/cloud-init/result.tmp <<EOF
{
 "v1": {
  "datasource": "DataSourceNoCloud [seed=$seed]",
  "errors": []
 }
}
EOF
  mv /run/cloud-init/result.tmp /run/cloud-init/result.json
fi

# --- Power: the button, and the command that the agent runs ------------------------------------------------------------

grep -q '^#tiny: ignore-acpi' /run/user-data && ignored=", ignored" || ignored=
cat >/sbin/shutdown <<EOF
#!/bin/sh
echo "tiny: power button, pressed by the guest agent (\$*)$ignored" >/dev/ttyS0
[ -n "$ignored" ] && exit 1
sync
case " \$* " in *" -r "*) reboot -f ;; *) poweroff -f ;; esac
EOF
chmod +x /sbin/shutdown
# As the kernel reports it: type 1 (key), code 116 (power), value 1 (pressed).
for path in /sys/class/input/event*; do
  read -r input <"$path/device/name" && [ "$input" = "Power Button" ] || continue
  key=/run/key-${path##*/}
  (
    while dd of="$key" bs=24 count=1 2>/dev/null; do
      set -- $(od -An -tu2 -j16 -N6 "$key")
      [ "$*" = "1 116 1" ] || continue
      say "power button$ignored"
      [ -z "$ignored" ] && sync && poweroff -f
    done
  ) <"/dev/input/${path##*/}" &
done

# --- The agent: its channel has no name without udev -------------------------------------------------------------------

for path in /sys/class/virtio-ports/*; do
  [ -e "$path/name" ] && read -r channel <"$path/name" || continue
  [ "$channel" = org.qemu.guest_agent.0 ] && qemu-ga -d -m virtio-serial -p "/dev/${path##*/}" -t /run -f /run/qemu-ga.pid
done

# --- Network: every NIC by DHCP, those plugged in later, too -------------------------------------------------------------

cat >/sbin/leased <<'EOF'
#!/bin/sh
case "$1" in
  deconfig) ifconfig "$interface" 0.0.0.0 ;;
  bound | renew)
    ifconfig "$interface" "$ip" netmask "${subnet:-255.255.255.0}"
    [ -n "$router" ] && route add default gw "${router%% *}" dev "$interface" 2>/dev/null
    [ "$1" = bound ] && echo "tiny: address $interface $ip" >/dev/ttyS0
    ;;
esac
exit 0
EOF
chmod +x /sbin/leased
ifconfig lo 127.0.0.1
echo "tiny guest $name" >/www/index.html
httpd -p 8080 -h /www

bring_up_nics() {
  for path in /sys/class/net/eth*; do
    nic=${path##*/}
    [ -e "$path" ] && [ ! -e "/run/dhcp-$nic" ] || continue
    ifconfig "$nic" up
    : >"/run/dhcp-$nic"
    udhcpc -f -i "$nic" -s /sbin/leased -p "/run/dhcp-$nic" -t 8 -T 2 -A 5 >/dev/null 2>&1 &
  done
  for path in /run/dhcp-*; do
    [ -e "$path" ] && [ ! -e "/sys/class/net/${path#/run/dhcp-}" ] || continue
    read -r pid <"$path" && kill "$pid"
    rm -f "$path"
  done
}

# --- The hardware, at boot and whenever it changes -----------------------------------------------------------------------

# What the machine has, as its firmware says; MemTotal would be without what the kernel keeps for itself.
memory=0
for path in /sys/firmware/dmi/entries/17-*/raw; do
  [ -e "$path" ] && memory=$((memory + $(od -An -tu2 -j12 -N2 "$path")))
done

# Reading a label means starting a program, so not every second.
passes=0
look_into_drives() {
  drives=
  for path in /sys/block/sr*; do
    [ -e "$path" ] || continue
    read_label "/dev/${path##*/}"
    drives=$drives,${path##*/}:$label
  done
}
look() {
  cpus=0 disks= nics=
  for path in /sys/devices/system/cpu/cpu[0-9]*; do
    # A CPU that was plugged in waits to be switched on. The first has no switch.
    on=1
    [ -e "$path/online" ] && read -r on <"$path/online"
    [ "$on" = 1 ] || echo 1 >"$path/online"
    cpus=$((cpus + 1))
  done
  for path in /sys/block/vd* /sys/block/sd*; do
    read -r size <"$path/size" || continue
    read_serial "${path##*/}"
    disks=$disks,${path##*/}:$((size * 512)):$serial
  done
  for path in /sys/class/net/eth*; do read -r mac <"$path/address" && nics=$nics,$mac; done
  [ $((passes % 3)) = 0 ] && look_into_drives
  passes=$((passes + 1))
  hardware="cpus=$cpus memory-mib=$memory disks=${disks#,} nics=${nics#,} cdroms=${drives#,}"
} 2>/dev/null
known=
while true; do
  bring_up_nics
  look
  [ "$hardware" = "$known" ] || say "hardware $hardware"
  known=$hardware
  sleep 1
done
