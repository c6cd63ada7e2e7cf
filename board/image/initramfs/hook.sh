#!/bin/sh
# SPDX-License-Identifier: MIT
# Puts into the initramfs what root.sh beside this file needs.
[ "${1:-}" != prereqs ] || exit 0
# shellcheck disable=SC1091 # only where the initramfs is made
. /usr/share/initramfs-tools/hook-functions
for program in e2fsck fsck.fat resize2fs sfdisk partx; do
    copy_exec "$(command -v $program)" /sbin
done
