#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes an image that boots and streams, for a card or an emulator:  tools/dev/image.sh [BOARD]
# BOARD is a folder of board/image, default virt (QEMU's machine). Debian 13, 64-bit ARM; Pinhole's
# packages are cross-compiled for it. Needs root for chroot, but no loop device. The result is
# build/image/pinhole-BOARD.img, and .img.zst, which must fit into 350 MB, and pinhole-BOARD.raucb, the
# bundle that updates machines which run such an image.
#   PACKAGES=DIR   take the packages there instead of building them
#   UPDATE_KEY=FILE UPDATE_CERT=FILE   who signs updates; made in build/image when they are not there
# A bundle of a root alone:  tools/dev/image.sh --bundle BOARD ROOT.EXT4 BUNDLE
set -euo pipefail
cd "$(dirname "$0")/../.."

limit=350000000
suite=trixie machine=arm64
installed="pinhole pinhole-libcamera pinhole-tools" # the packages that the image has

# --- the root, under emulation --------------------------------------------------------------------

in_root() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin HOME=/tmp LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
lay_over() {
    cp -r board/image/root/. "$root/"
    cp board/image/initramfs/hook.sh "$root/etc/initramfs-tools/hooks/pinhole"
    cp board/image/initramfs/root.sh "$root/etc/initramfs-tools/scripts/local-bottom/pinhole"
    cp "board/image/$board/modules" "$root/etc/initramfs-tools/modules"
    local name
    for name in ssh-host-key boot-slot confirm-slot; do
        cp "board/image/$name.sh" "$root/usr/lib/pinhole/$name"
    done
    cp board/image/update.sh "$root/usr/sbin/pinhole-update"
    sed -i "s/@BOARD@/$board/" "$root/etc/rauc/system.conf"
    cp "$UPDATE_CERT" "$root/etc/rauc/keyring.pem"
    printf 'IMAGE_ID=pinhole-%s\nIMAGE_VERSION=%s\n' "$board" \
        "$(dpkg-deb --field "$packages"/pinhole_*.deb Version)" >>"$root/usr/lib/os-release"
    mkdir -p "$root/data" "$root/boot/firmware"
    # What must last is on the data partition.
    rm -rf "$root/var/lib/pinhole"
    ln -s /data/pinhole "$root/var/lib/pinhole"
    ln -sf /data/nats/relay.conf "$root/etc/pinhole/relay.conf"
    ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
    echo pinhole >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 pinhole\n::1 localhost\n' >"$root/etc/hosts"
}
# What would make machines the same, or do at each start what the overlay forgets.
tidy() {
    rm -rf "$root"/etc/ssh/ssh_host_* "$root"/var/lib/apt/lists/* "$root"/var/cache/* "$root"/var/log/* \
        "$root"/var/lib/systemd/random-seed "$root"/tmp/* "$root"/boot/*.old "$root"/vmlinuz* "$root"/initrd.img*
    mv "$root"/boot/vmlinuz-* "$root/boot/vmlinuz"
    mv "$root"/boot/initrd.img-* "$root/boot/initrd.img"
    cp "$root"/usr/lib/linux-image-*/broadcom/bcm2*-rpi-*.dtb "$root/boot/"
    cp "board/image/$board/cmdline.txt" "$root/boot/"
    : >"$root/etc/machine-id"
    touch "$root/etc/.updated" "$root/var/.updated"
}
inside_fill() {
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmp "$root/tmp"
    local name
    for name in $installed; do
        cp "$packages/${name}"_*.deb "$root/tmp/"
    done
    in_root sh -ec 'dpkg --install /tmp/*.deb'
    lay_over
    in_root systemctl enable pinhole-trial systemd-networkd systemd-resolved systemd-timesyncd
    in_root systemctl disable apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        e2scrub_reap.service
    in_root update-initramfs -c -k all
}

if [ "${1:-}" = --inside ]; then
    board=$2 root=$3 packages=$4
    inside_fill
    exit
fi

# --- partitions -----------------------------------------------------------------------------------

# Settings, where every computer can edit them, and for each root what the firmware reads of it.
make_boot() {
    rm -f "$work/boot"
    mkfs.vfat -F 32 -n PINHOLE -C "$work/boot" $((boot_mib * 1024)) >/dev/null
    mmd -i "$work/boot" ::a ::b
    mcopy -i "$work/boot" "$root"/boot/{vmlinuz,initrd.img,cmdline.txt,*.dtb} ::a
    mcopy -i "$work/boot" board/image/config.txt board/boot/pinhole{,-network}.ini ::
    mcopy -i "$work/boot" board/image/config.txt ::tryboot.txt
}
# Never written, so it needs no journal and no room.
make_root() {
    rm -f "$work/root.ext4"
    local mib=$(($(du -sm "$root" | cut -f1) * 108 / 100 + 32))
    [ $mib -le $root_mib ] || {
        echo "image: the root has $mib MiB, its partition $root_mib" >&2
        exit 1
    }
    mke2fs -q -t ext4 -O ^has_journal -m 0 -L pinhole-root -d "$root" "$work/root.ext4" ${mib}M
}
make_data() {
    rm -f "$work/data.ext4"
    mke2fs -q -t ext4 -b 4096 -m 0 -L pinhole-data "$work/data.ext4" ${data_mib}M
}
put() { # file, at MiB
    dd if="$1" of="$image" bs=1M seek="$2" conv=notrunc,sparse status=none
}
join() {
    rm -f "$image"
    truncate -s $((1 + boot_mib + 2 * root_mib + data_mib))M "$image"
    sfdisk --quiet "$image" <<END
label: dos
label-id: 0x70696e68
start=1MiB, size=${boot_mib}MiB, type=c, bootable
size=${root_mib}MiB, type=83
size=${root_mib}MiB, type=83
size=${data_mib}MiB, type=83
END
    put "$work/boot" 1
    put "$work/root.ext4" $((1 + boot_mib))
    put "$work/data.ext4" $((1 + boot_mib + 2 * root_mib))
}

# --- updates --------------------------------------------------------------------------------------

make_key() {
    [ ! -e "$UPDATE_KEY" ] || return 0
    echo "image: making $UPDATE_KEY, which signs updates: keep it"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 \
        -subj "/CN=Pinhole updates" -keyout "$UPDATE_KEY" -out "$UPDATE_CERT" 2>/dev/null
}
make_bundle() { # board, root, bundle
    local folder
    make_key
    folder=$(mktemp -d --tmpdir="$(dirname "$3")")
    ln "$2" "$folder/root.ext4" 2>/dev/null || cp --sparse=always "$2" "$folder/root.ext4"
    cat >"$folder/manifest.raucm" <<END
[update]
compatible=pinhole-$1
version=$(debugfs -R "cat /usr/lib/os-release" "$2" 2>/dev/null | sed -n 's/^IMAGE_VERSION=//p')

[bundle]
format=verity

[image.rootfs]
filename=root.ext4
END
    rm -f "$3"
    rauc --cert="$UPDATE_CERT" --key="$UPDATE_KEY" bundle --mksquashfs-args="-comp zstd -Xcompression-level 6 -quiet -no-progress" \
        "$folder" "$3" >"$folder.log" 2>&1 || {
        cat "$folder.log" >&2
        rm -rf "$folder" "$folder.log"
        exit 1
    }
    rm -rf "$folder" "$folder.log"
}

# --- in order -------------------------------------------------------------------------------------

export UPDATE_KEY=${UPDATE_KEY:-build/image/update.key} UPDATE_CERT=${UPDATE_CERT:-build/image/update.pem}
if [ "${1:-}" = --bundle ]; then
    make_bundle "$2" "$3" "$4"
    exit
fi
board=${1:-virt}
[ -e "board/image/$board/cmdline.txt" ] || {
    echo "image: there is no board $board in board/image" >&2
    exit 2
}
[ "$(id -u)" = 0 ] || {
    echo "image: needs root (chroot): sudo make image BOARD=$board" >&2
    exit 1
}
work=build/image/$board root=build/image/$board/root image=build/image/pinhole-$board.img
boot_mib=256 root_mib=1024 data_mib=64
packages=${PACKAGES:-build/deb/$suite-$machine}
if [ -z "${PACKAGES:-}" ]; then
    tools/dev/check-deb.sh --build $suite:$machine
fi
# The packages that they need are in the cached tree, so that what is new installs in a moment. That
# tree needs no initramfs, which takes minutes under emulation.
export INITRD=No
needed=$(for name in $installed; do
    dpkg-deb --field "$packages/${name}"_*.deb Depends
done | tr ',' '\n' | sed 's/|.*//; s/(.*//; s/ //g' | grep -v '^pinhole' | sort -u)
tree=$(tools/dev/emulated.sh tools/dev/rootfs.sh --configured $suite \
    "$(grep -hv '^#' "board/image/packages" "board/image/$board/packages" | paste -sd' ') $(paste -sd' ' <<<"$needed")" $machine)
mkdir -p "$work"
make_key
rm -rf "$root"
cp -a "$tree" "$root"
echo "image: installing Pinhole"
tools/dev/emulated.sh "$0" --inside "$board" "$root" "$packages" >"$work/log" 2>&1 || {
    tail -n 60 "$work/log" >&2
    exit 1
}
tidy
echo "image: making partitions"
make_boot
make_root
make_data
join
zstd --quiet --force -T0 -12 "$image"
make_bundle "$board" "$work/root.ext4" "${image%.img}.raucb"
rm -rf "${work:?}"/{root,boot,root.ext4,data.ext4}
bytes=$(stat -c %s "$image.zst")
echo "image: $image.zst has $((bytes / 1000000)) MB, $(($(stat -c %s "$image") / 1000000)) MB unpacked"
[ "$bytes" -le $limit ] || {
    echo "image: that is more than $((limit / 1000000)) MB" >&2
    exit 1
}
