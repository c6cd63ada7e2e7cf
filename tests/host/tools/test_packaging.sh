#!/bin/bash
# SPDX-License-Identifier: MIT
# What the Debian packages say agrees with the rest of the tree: the version, the libraries that the
# build asks for, and every program that it makes.
set -uo pipefail

fail() {
    echo "$*"
    exit 1
}
version=$(sed -n 's/^VERSION := //p' Makefile)
[ "$(sed -n '1s/^pinhole (\(.*\)) .*/\1/p' debian/changelog)" = "$version" ] ||
    fail "debian/changelog is not for version $version"

needs=$(sed -n '/^Build-Depends:/,/^Standards-Version/p' debian/control | tr ' ,' '\n\n')
for package in $(sed -n 's/^build\(_wants\)\?="\(.*\)"$/\2/p' tools/setup.sh); do
    case $package in
    # What every Debian build has, and what is needed to run.
    gcc | g++ | make | libc6-dev | libcamera-ipa) ;;
    *) grep -qxF "$package" <<<"$needs" || fail "tools/setup.sh needs $package, debian/control does not" ;;
    esac
done

for program in "${BUILD:-build/release}"/pinhole*; do
    name=${program##*/}
    [ -x "$program" ] && [[ $name != *.so* ]] || continue
    grep -qE "^usr/bin/($name|pinhole-\*)$" debian/*.install || fail "no package has $name"
    [[ $name == pinhole-* ]] && ! grep -qx 'usr/bin/pinhole-\*' debian/pinhole-tools.install &&
        fail "pinhole-tools lacks $name"
done
for unit in board/*.service; do
    grep -qxF "\${env:UNITS}/${unit##*/}" debian/*.install || fail "no package has ${unit##*/}"
    grep -q "dh_installsystemd .* ${unit##*/}\$" debian/rules || fail "debian/rules says nothing of ${unit##*/}"
done
exit 0
