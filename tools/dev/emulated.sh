#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs a command, as root, where the kernel starts 64-bit and 32-bit ARM programs with qemu-user:
#   tools/dev/emulated.sh COMMAND [ARGUMENT]...
# The emulators are registered in a user namespace, so that the machine around it stays as it is.
# The users are the same inside and outside. Needs qemu-user-static and Linux 6.7.
set -euo pipefail

if [ "${1:-}" != --inside ]; then
    [ "$(id -u)" = 0 ] || {
        echo "emulated.sh: needs root" >&2
        exit 1
    }
    exec {ready}<> <(:) {mapped}<> <(:)
    unshare --user --mount --pid --fork --kill-child "$0" --inside "$ready" "$mapped" "$@" &
    child=$!
    trap 'kill $child 2>/dev/null' INT TERM
    # The new namespace is that of unshare's child; it waits here until its users are known.
    read -r -u "$ready" _
    first=$(pgrep -P $child)
    for map in uid gid; do
        echo "0 0 4294967295" >"/proc/$first/${map}_map"
    done
    echo >&"$mapped"
    wait $child
    exit
fi

ready=$2 mapped=$3
shift 3
echo >&"$ready"
read -r -u "$mapped" _
exec {ready}>&- {mapped}>&-
# The registration lasts as long as this mount.
registry=/proc/sys/fs/binfmt_misc
mount -t binfmt_misc binfmt_misc $registry
for machine in aarch64 arm; do
    # The line's flag F opens the emulator now, for every chroot.
    grep -v '^#' "/usr/lib/binfmt.d/qemu-$machine.conf" >$registry/register
done
exec "$@"
