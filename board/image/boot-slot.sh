#!/bin/sh
# SPDX-License-Identifier: MIT
# Which root the Raspberry Pi's firmware starts, A or B. RAUC calls it, as its bootloader's backend:
#   boot-slot get-primary | set-primary SLOT | get-state SLOT | set-state SLOT good|bad
# The boot partition has a folder for each slot. config.txt names the folder that every start takes,
# tryboot.txt the one that the next start tries when it is asked to. So a slot is
#   primary     config.txt names it
#   good        config.txt or tryboot.txt names it
#   bad         neither does: it may be half written
# Each name is one letter, overwritten in place in a file below one sector: a power cut leaves the old
# one or the new one.
set -eu
boot=${PINHOLE_BOOT:-/boot/firmware}

refuse() {
    echo "boot-slot: $*" >&2
    exit 1
}
named() { # file: the slot that it names
    sed -n 's|^os_prefix=\([ab]\)/.*|\1|p' "$boot/$1" | tr ab AB
}
name() { # file, slot
    place=$(grep -bo '^os_prefix=' "$boot/$1")
    printf %s "$2" | tr AB ab |
        dd of="$boot/$1" bs=1 seek=$((${place%%:*} + 10)) conv=notrunc,fsync status=none
}

# The partition is mounted for reading only, except for this moment.
make_writable() {
    mount -o remount,rw "$boot"
    trap 'mount -o remount,ro "$boot"' EXIT
}

# Kernel, initramfs, device trees and command line are in the root. The firmware reads them on the boot
# partition.
fetch() { # slot
    case $1 in
    A) folder=$boot/a number=2 ;;
    B) folder=$boot/b number=3 ;;
    esac
    root=$(mktemp -d)
    mount -o ro "/dev/disk/by-partuuid/70696e68-0$number" "$root"
    trap 'umount "$root"; rmdir "$root"; mount -o remount,ro "$boot"' EXIT
    # What a check of the partition saved of an update that was cut.
    rm -f "$boot"/FSCK*.REC
    mkdir -p "$folder"
    cp "$root/boot/vmlinuz" "$root/boot/initrd.img" "$root"/boot/*.dtb "$folder/"
    sed "s/root=[^ ]*/root=PARTUUID=70696e68-0$number/; s/rauc.slot=./rauc.slot=$1/" \
        "$root/boot/cmdline.txt" >"$folder/cmdline.txt"
    sync -f "$folder"
}

primary=$(named config.txt) tried=$(named tryboot.txt)
case "$primary$tried" in
[AB][AB]) ;;
*) refuse "config.txt and tryboot.txt do not name a slot" ;;
esac
case $* in
"get-primary") echo "$primary" ;;
"get-state $primary" | "get-state $tried") echo good ;;
"get-state "[AB]) echo bad ;;
"set-primary "[AB])
    make_writable
    [ "$2" = "$primary" ] || fetch "$2"
    name tryboot.txt "$2"
    ;;
"set-state $primary good") ;;
"set-state $tried good")
    make_writable
    name config.txt "$2"
    ;;
"set-state "[AB]" good") refuse "slot $2 is not complete" ;;
"set-state $primary bad") refuse "slot $2 is the one that every start takes, until the other one has proved itself" ;;
"set-state "[AB]" bad")
    make_writable
    name tryboot.txt "$primary"
    ;;
*) refuse "unknown: $*" ;;
esac
