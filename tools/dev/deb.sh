#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the Debian packages of this checkout:  tools/dev/deb.sh [MACHINE]
# They are for the Debian that this runs on, and for its machine unless MACHINE names another, whose
# compiler and libraries are there then. Everything goes to build/packages.
set -euo pipefail
cd "$(dirname "$0")/../.."

machine=${1:-$(dpkg --print-architecture)}
version=$(dpkg-parsechangelog --show-field Version)
grep -qx "VERSION := $version" Makefile || {
    echo "deb: debian/changelog says version $version, the Makefile does not" >&2
    exit 1
}
# The same source becomes other packages on another Debian; the older one's sort first.
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "${VERSION_ID:+~deb$VERSION_ID}")

packages=$PWD/build/packages source=$PWD/build/packages/source
rm -rf "$packages"
mkdir -p "$source"
tar -c --exclude=./build --exclude=./.git . | tar -x -C "$source"
cd "$source"
sed -i "1s/($version)/($version$suite)/" debian/changelog
profiles=nocheck
[ "$machine" = "$(dpkg --print-architecture)" ] || profiles=cross,nocheck
dpkg-buildpackage --build=binary --host-arch="$machine" --unsigned-changes --unsigned-buildinfo \
    --build-profiles="$profiles"
cd ..
rm -rf source
ls -- *.deb
