#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes a Debian root filesystem from the package mirror, once, and prints its directory:
#   tools/dev/rootfs.sh [--configured] SUITE "package package ..." [MACHINE]
#                                     SUITE: bookworm, trixie, testing   MACHINE: default the host's
# The packages are unpacked, not configured (no maintainer script runs): enough to boot a test
# script, to chroot and to compile. With --configured they are installed with apt, as on a real
# machine; another MACHINE then needs its emulator registered (tools/dev/emulated.sh).
# Cached below ${XDG_CACHE_HOME:-~/.cache}/pinhole/rootfs by suite, machine, package list and this
# script; treat the printed tree as read-only. A package of another architecture is named with it
# (libc6-dev:arm64); apt knows that architecture in the tree alone.
#   MIRROR=URL    default: the one of the host's apt sources, else http://deb.debian.org/debian
set -euo pipefail

variant=extract
if [ "${1:-}" = --configured ]; then
    variant=apt
    shift
fi
suite=${1:?usage: tools/dev/rootfs.sh [--configured] SUITE \"packages\" [MACHINE]}
machine=${3:-$(dpkg --print-architecture)}
# A shell and the usual commands come with every tree.
base="base-files base-passwd bash coreutils dash diffutils findutils grep gzip hostname libc-bin mawk mount procps sed tar util-linux"
# shellcheck disable=SC2086 # a list of words
packages=$(printf "%s\n" $base ${2:-} | sort -u | paste -sd, -)
architectures=$({ echo "$machine" && grep -o ':[^,]*' <<<"$packages" | tr -d :; } |
    awk '!seen[$0]++' | paste -sd, - || true)

host_mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources \
        2>/dev/null | grep -oE '^(URIs:|deb( \[[^]]*\])?) *https?://[^ ]*/debian/?( |$)' |
        grep -oE 'https?://[^ ]*' | head -n 1 || true
}

mirror=${MIRROR:-$(host_mirror)}
mirror=${mirror:-http://deb.debian.org/debian}
mirror=${mirror%/}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/pinhole/rootfs
key=$(printf '%s\n' "$suite" "$packages" "$variant" "$machine" | cat - "$0" | sha256sum | cut -c1-16)
tree=$cache/$suite-$machine-$key
mkdir -p "$cache"

# One process at a time builds a tree. The others wait and use it.
exec 9>"$tree.lock"
flock 9
if [ ! -e "$tree.made" ]; then
    echo "rootfs: making $suite from $mirror ($(wc -w <<<"${packages//,/ }") packages and what they need)" >&2
    rm -rf "$tree"
    log=$tree.log
    # Debian testing's Release file lapses a week after it was made, and mirrors may be older.
    # Before Debian 13 the /bin, /lib links were made by a maintainer script. Nobody answers debconf's
    # questions, which take long to find under emulation, and a cut while making it is made good.
    if ! mmdebstrap --quiet --variant="$variant" --include="$packages" \
        --architectures="$architectures" \
        --hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        --aptopt='Acquire::Retries "3"' --aptopt='#clear DPkg::Pre-Install-Pkgs;' \
        --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$suite" "$tree" "deb $mirror $suite main non-free-firmware" >"$log" 2>&1; then
        cat "$log" >&2
        echo "rootfs: mmdebstrap could not make $suite from $mirror" >&2
        rm -rf "$tree"
        exit 1
    fi
    if [ "$variant" = apt ]; then
        : >"$tree.made"
        printf '%s\n' "$tree"
        exit
    fi
    # What the maintainer scripts would have done and everything needs.
    cp "$tree/usr/share/base-passwd/passwd.master" "$tree/etc/passwd"
    cp "$tree/usr/share/base-passwd/group.master" "$tree/etc/group"
    mkdir -p "$tree"/{boot,dev,mnt,proc,root,run,sys,tmp}
    ldconfig -r "$tree"
    for modules in "$tree"/usr/lib/modules/*/; do
        [ ! -d "$modules" ] || depmod -b "$tree" "$(basename "$modules")"
    done
    ln -sf mawk "$tree/usr/bin/awk"
    [ ! -x "$tree/usr/bin/gcc" ] || ln -sf gcc "$tree/usr/bin/cc"
    [ ! -x "$tree/usr/bin/g++" ] || ln -sf g++ "$tree/usr/bin/c++"
    : >"$tree.made"
fi
printf '%s\n' "$tree"
