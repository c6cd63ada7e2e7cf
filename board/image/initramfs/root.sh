#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs in the initramfs, once the root is mounted, read-only, at $rootmnt. It lays memory over the root
# and mounts the data partition at /data, before anything of the root has started: systemd reads the
# machine's identity as its first act. Debian's overlayroot would do the first half only. The boot
# partition is mounted here, too: systemd would wait for udev to find it, and on a slow or busy machine
# give up and start the node with the last good settings.
[ "${1:-}" != prereqs ] || exit 0
# shellcheck disable=SC1091 # only in the initramfs
. /scripts/functions
data=${rootmnt:?}/data

# --- memory over the root -------------------------------------------------------------------------
cover() {
    mkdir -p /run/overlay &&
        mount -t tmpfs -o mode=755,size=25% overlay /run/overlay &&
        mkdir /run/overlay/lower /run/overlay/upper /run/overlay/work &&
        mount -o move "$rootmnt" /run/overlay/lower &&
        mount -t overlay -o lowerdir=/run/overlay/lower,upperdir=/run/overlay/upper,workdir=/run/overlay/work \
            overlay "$rootmnt"
}

# --- the data partition ---------------------------------------------------------------------------
# The last partition takes what is left of the card. Only the first sector is written, so a power cut
# leaves the old size or the new one.
grow_partition() { # /dev/NAME
    node=/sys/class/block/${1#/dev/}
    disk=$(readlink -f "$node/..")
    end=$(($(cat "$node/start") + $(cat "$node/size")))
    # Less than a MiB is not worth it.
    [ "$(cat "$disk/size")" -gt $((end + 2048)) ] || return 0
    number=$(cat "$node/partition")
    echo ", +" | sfdisk --quiet --no-reread --no-tell-kernel -N "$number" "/dev/${disk##*/}" &&
        partx --update --nr "$number" "/dev/${disk##*/}"
}

# The file system grows while it is mounted: its journal covers that. Without such a partition, or with
# one that cannot be mended, the node works all the same, under an identity that lasts until it stops.
mount_data() {
    partition=$(blkid -L pinhole-data) || return
    grow_partition "$partition"
    e2fsck -y "$partition"
    mount -t ext4 -o noatime "$partition" "$data" && resize2fs "$partition"
}

# --- the boot partition ---------------------------------------------------------------------------
# Only pinhole-boot and updates write to it.
mount_boot() {
    partition=$(blkid -L PINHOLE) || return
    fsck.fat -a "$partition"
    mount -t vfat -o ro,umask=0077 "$partition" "$rootmnt/boot/firmware"
}

# --- identity -------------------------------------------------------------------------------------
identify() {
    mkdir -p "$data/pinhole" "$data/ssh" "$data/nats" "$data/rauc"
    if ! grep -qsxE '[0-9a-f]{32}' "$data/machine-id"; then
        tr -d - </proc/sys/kernel/random/uuid >"$data/machine-id.new" && sync &&
            mv "$data/machine-id.new" "$data/machine-id" && sync
    fi
    cp "$data/machine-id" "$rootmnt/etc/machine-id"
}

cover || panic "pinhole: memory cannot be laid over the root"
mount_data || echo "pinhole: there is no data partition to use"
mount_boot || echo "pinhole: there is no boot partition to read"
identify
# Next, udev's script moves /dev to the root, unless its daemon ends before it has answered. Process 1 needs
# no more than a console then, and mounts /dev itself. Without one the kernel would panic.
mknod -m 600 "$rootmnt/dev/console" c 5 1
