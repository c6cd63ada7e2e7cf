#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the Debian packages and tests them as a user meets them:
#   tools/dev/check-deb.sh [SUITE:MACHINE]...
#                          default: bookworm and trixie, each for amd64, arm64 and armhf
# Packages for another machine are cross-compiled. They are then installed, used, upgraded and purged
# in a fresh root filesystem of their own machine, under emulation where it is not this one. The root
# filesystems are made once (tools/dev/rootfs.sh) and stay unchanged below an overlay.
# One line per check, last line "N passed, N failed". The packages stay in build/deb/SUITE-MACHINE.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

targets=${*:-$(echo {bookworm,trixie}:{amd64,arm64,armhf})}
native=$(dpkg --print-architecture)
export NATIVE=${NATIVE:-$native} # in an emulated machine: that of the one around it
port_page=8080

# --- in a root filesystem -----------------------------------------------------------------------

check() { # name, command...
    local start=$SECONDS
    if "${@:2}" >/tmp/log 2>&1; then
        printf 'ok      %s: %s (%d s)\n' "$target" "$1" $((SECONDS - start))
    else
        printf 'FAILED  %s: %s (%d s)\n' "$target" "$1" $((SECONDS - start))
        tail -n 60 /tmp/log | sed 's/^/  | /'
        return 1
    fi
}

apt() {
    apt-get -q -y -o Acquire::Retries=3 -o Acquire::Check-Valid-Until=false \
        -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
}

build() {
    tar -c --exclude=./build --exclude=./.git -C /src . | tar -x -C /mnt &&
        tools/dev/deb.sh "${target#*:}" && cp build/packages/*.deb "/src/build/deb/${target/:/-}/"
}
lint() {
    lintian --allow-root --fail-on error --tag-display-limit 0 build/packages/*.changes
}
# An installed libpinhole serves a program that pkg-config's flags have compiled.
compile_example() {
    # shellcheck disable=SC2046 # a list of options
    dpkg --install build/packages/libpinhole{1,-dev}_*.deb &&
        gcc -o /tmp/pull tools/examples/pull.c $(pkg-config --cflags --libs pinhole) &&
        ldd /tmp/pull | grep "libpinhole.so.1 => /lib/$(gcc -print-multiarch)/"
}
inside_build() {
    cd /mnt || return
    check "packages build" build || return
    check "lintian finds no error" lint || return
    [ "${target#*:}" != "$NATIVE" ] ||
        check "a program compiles against libpinhole-dev" compile_example
}

packages="libpinhole-dev libpinhole1 pinhole pinhole-libcamera pinhole-tools python3-pinhole"
files() { # name part: the packages of one version
    local package
    for package in $packages; do
        printf '%s\n' "$1/${package}"_*.deb
    done
}
# Everything that could be left behind, but for the books of apt, dpkg and the system's users. As Debian
# has it, a user stays: its number must not go to somebody else, as long as files may have it.
list_files() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /mnt -o -path /tmp -o -path /run \
        -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /var/log -o -path '/etc/*-' \) -prune \
        -o ! -name '*.pyc' ! -name __pycache__ -print | sort
}

# shellcheck disable=SC2046,SC2086 # lists of files, and of words
install_libraries() {
    local list
    apt update &&
        list=$(apt --simulate install $(files /mnt) | awk '/^Inst / {print $2}' |
            grep -vxF "${packages// /$'\n'}") &&
        apt install $list && list_files >/tmp/before
}
# shellcheck disable=SC2046
install_packages() {
    apt install $(files /mnt)
}
depends_on_soname() {
    local soname
    soname=$(grep -ao 'libcamera\.so\.[0-9.]*[0-9]' /usr/lib/pinhole/pinhole-libcamera.so | head -n 1)
    echo "the backend needs $soname; it depends on: $(dpkg-query -W -f '${Depends}' pinhole-libcamera)"
    dpkg-query -W -f '${Depends}' pinhole-libcamera | grep -E "libcamera${soname#libcamera.so.}( |,|\$)"
}
loads_libcamera() {
    pinhole --list-cameras | tee /tmp/cameras && grep -q '^libcamera: no camera' /tmp/cameras
}
units_are_valid() {
    local unit
    systemd-analyze verify /usr/lib/systemd/system/pinhole*.service &&
        for unit in pinhole pinhole-boot pinhole-mqtt pinhole-relay pinhole-web; do
            systemctl --root=/ is-enabled $unit.service || return
        done
}
# The tree has no udev, so nobody uses the rules here; make check-vm does.
node_has_its_user() {
    id _pinhole && [ "$(id -nG _pinhole | tr ' ' '\n' | grep -cx 'gpio\|kvm\|render\|video')" = 4 ] &&
        [ -e /usr/lib/udev/rules.d/60-pinhole.rules ] && grep -x User=_pinhole /usr/lib/systemd/system/pinhole.service
}

start() {
    pinhole >/tmp/node.log 2>&1 &
    pinhole-web >/tmp/page.log 2>&1 &
    local tries=0
    until pinholectl ping -c 1 && curl -sf -o /dev/null "http://127.0.0.1:$port_page/healthz"; do
        [ $((tries += 1)) -lt 300 ] || {
            cat /tmp/node.log /tmp/page.log
            return 1
        }
        sleep 0.2
    done
}
stop() {
    local jobs
    jobs=$(jobs -p)
    # shellcheck disable=SC2086
    kill $jobs && wait $jobs
}
is_jpeg() {
    [ "$(head -c 3 "$1" | od -An -tx1 | tr -d ' ')" = ffd8ff ]
}
fetch() {
    pinholectl --timeout 30 grab -o /tmp/grabbed.jpg && is_jpeg /tmp/grabbed.jpg &&
        curl -sSf --max-time 60 -o /tmp/snapshot.jpg "http://127.0.0.1:$port_page/snapshot" &&
        is_jpeg /tmp/snapshot.jpg &&
        python3 -c 'import pinhole
with pinhole.Camera("127.0.0.1") as camera:
    assert next(iter(camera)).jpeg[:2] == b"\xff\xd8"' && pinhole-rec --version
}
# Column 2 of /proc/net/tcp is the local address, 0A is LISTEN; 0100007F is 127.0.0.1.
listens_on_loopback() {
    cat /proc/net/tcp /proc/net/tcp6
    [ "$(awk '$4 == "0A" && $2 !~ /^0100007F:/' /proc/net/tcp /proc/net/tcp6 | wc -l)" = 0 ] &&
        [ "$(awk '$4 == "0A"' /proc/net/tcp | wc -l)" = 2 ]
}
inside_network() { # what runs without a network
    start && case $1 in
    use) fetch && listens_on_loopback ;;
    name) pinholectl list | grep -F kept-by-the-upgrade ;;
    esac
    local status=$?
    stop
    return $status
}
# A network namespace of its own: only loopback, and every port is free.
without_network() {
    unshare --net -- bash -c 'ip link set lo up && exec "$0" "$@"' \
        /src/tools/dev/check-deb.sh --inside network "$1"
}

# The same packages with a higher version, and with another default in the settings.
# shellcheck disable=SC2046
make_higher() {
    local file version
    mkdir /tmp/higher
    for file in $(files /mnt); do
        dpkg-deb --raw-extract "$file" /tmp/tree &&
            version=$(dpkg-deb --field "$file" Version) &&
            sed -i "s/$version/9.9/" /tmp/tree/DEBIAN/control || return
        [ ! -e /tmp/tree/etc/pinhole/pinhole.ini ] ||
            echo "; a later default" >>/tmp/tree/etc/pinhole/pinhole.ini
        dpkg-deb --root-owner-group --build /tmp/tree /tmp/higher >/dev/null || return
        rm -rf /tmp/tree
    done
}
# shellcheck disable=SC2046
upgrade() {
    # A key that only root can read, as for a node that was root.
    (umask 077 && pinholectl keygen /tmp/key) &&
        printf '%s\n' '[node]' 'name = kept-by-the-upgrade' '[server]' 'control_key_file = /tmp/key' >>/etc/pinhole/pinhole.ini
    cp /etc/pinhole/pinhole.ini /tmp/edited.ini
    make_higher && apt -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        install $(files /tmp/higher) &&
        [ "$(dpkg-query -W -f '${Version}' pinhole)" = 9.9 ] &&
        cmp /tmp/edited.ini /etc/pinhole/pinhole.ini && [ "$(stat -c %U:%a /tmp/key)" = _pinhole:600 ]
}
# shellcheck disable=SC2086
purge() {
    dpkg --purge $packages && list_files >/tmp/after && diff /tmp/before /tmp/after
}
# What is for Raspberry Pi OS, as far as Debian can tell: cloud-init's own check of the user data, and
# the hook of the layer for rpi-image-gen, which installs the packages into a root file system.
user_data_is_valid() {
    apt update && apt install cloud-init && cloud-init schema --config-file board/image/raspberry-pi-os/user-data
}
layer_installs() {
    mkdir /tmp/layer && cp -r /mnt /tmp/layer/pkgs && python3 -c 'import sys, yaml
for hook in yaml.safe_load(sys.stdin)["mmdebstrap"]["customize-hooks"]:
    print(hook)' <board/image/raspberry-pi-os/layer/pinhole.yaml >/tmp/layer/hook &&
        (cd /tmp/layer && sh hook /) && pinhole --config /boot/firmware/pinhole.ini --check-config
}
inside_raspberry_pi_os() {
    cd /src || return
    check "cloud-init accepts the user data for Raspberry Pi OS" user_data_is_valid
    check "the layer's hook for rpi-image-gen installs the packages" layer_installs
}

inside_use() {
    export DEBIAN_FRONTEND=noninteractive
    check "the libraries they need are there" install_libraries || return
    check "packages install" install_packages || return
    check "the backend depends on the libcamera that it was built with" depends_on_soname
    check "the backend loads" loads_libcamera
    check "the units are valid and enabled" units_are_valid
    check "the node has a user in the groups of its devices" node_has_its_user
    check "node and page serve pictures, on loopback only" without_network use
    check "an upgrade keeps the settings, and the node its key" upgrade
    check "the upgraded node uses them" without_network name
    check "purging leaves nothing" purge
    [ "$target" != "trixie:${NATIVE:-}" ] ||
        inside_raspberry_pi_os
}

if [ "${1:-}" = --inside ]; then
    target=${TARGET:-}
    "inside_$2" "${@:3}"
    exit
fi

# --- around it ----------------------------------------------------------------------------------

# An overlay over a tree, with the checkout at /src, and a folder for packages at /mnt. The user namespace
# of emulated.sh has no trusted attributes; without any, dpkg's new folders cannot be renamed.
# shellcheck disable=SC2016 # the inner shell expands
enter() { # tree, packages, command of --inside
    unshare --mount --pid --fork --kill-child bash -ec '
        mount --make-rprivate /
        top=$(mktemp -d)
        trap "umount -l $top; rmdir $top" EXIT
        mount -t tmpfs tmpfs "$top"
        mkdir "$top"/{upper,work,tree}
        mount -t overlay overlay "$top/tree" -o "lowerdir=$1,upperdir=$top/upper,workdir=$top/work$4"
        mkdir "$top/tree/src"
        mount --rbind . "$top/tree/src"
        [ -z "$2" ] || mount --bind "$2" "$top/tree/mnt"
        mount -t proc proc "$top/tree/proc"
        mount -t tmpfs tmpfs "$top/tree/tmp"
        for node in null zero full random urandom tty; do
            [ -e "$top/tree/dev/$node" ] || : >"$top/tree/dev/$node"
            mount --bind "/dev/$node" "$top/tree/dev/$node"
        done
        cp /etc/resolv.conf "$top/tree/etc/"
        chroot "$top/tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 \
            TARGET="$TARGET" NATIVE="$NATIVE" /src/tools/dev/check-deb.sh --inside "$3"' \
        - "$1" "$2" "$3" "$([ "$3" = build ] || [ "${TARGET#*:}" = "$NATIVE" ] || echo ,userxattr)"
}

# Debian's names of what the packages are built from, for the machine that they are for.
build_needs() { # machine
    local word
    for word in $(sed -n '/^Build-Depends:/,/^[^ ]/{s/^Build-Depends://;/^[^ ]/d;s/([^)]*)//g;s/,/ /g;p}' debian/control); do
        case $word in
        debhelper-compat) echo debhelper ;;
        python3:any) echo python3 ;;
        lib*-dev | pkg-config) echo "$word$([ "$1" = "$native" ] || echo ":$1")" ;;
        *) echo "$word" ;;
        esac
    done
    echo build-essential lintian
    [ "$1" = "$native" ] || echo "crossbuild-essential-$1"
}

build_one() { # suite:machine
    local tree packages=build/deb/${1/:/-}
    export TARGET=$1
    rm -rf "$packages" && mkdir -p "$packages" || return
    tree=$(tools/dev/rootfs.sh --configured "${1%:*}" "$(build_needs "${1#*:}" | paste -sd' ')") &&
        enter "$tree" "" build
}

one() { # suite:machine
    local suite=${1%:*} machine=${1#*:} tree emulated=()
    [ "$machine" = "$native" ] || emulated=(tools/dev/emulated.sh)
    local packages=build/deb/$suite-$machine
    build_one "$1" &&
        tree=$("${emulated[@]}" tools/dev/rootfs.sh --configured "$suite" "curl iproute2 procps python3 systemd" "$machine") &&
        "${emulated[@]}" "$0" --enter "$tree" "$packages" use
}

case ${1:-} in
--enter)
    enter "${@:2}"
    exit
    ;;
--build) # suite:machine: only build and lint them
    build_one "$2"
    exit
    ;;
esac
if [ "$(id -u)" != 0 ]; then
    echo "check-deb: needs root (chroot, mounts): sudo make check-deb" >&2
    echo "0 passed, 1 failed"
    exit 1
fi
report=$(mktemp)
trap 'rm -f "$report"' EXIT
for target in $targets; do
    one "$target" || echo "FAILED  $target: could not be checked"
done | tee "$report"
passed=$(grep -c '^ok ' "$report")
failed=$(grep -c '^FAILED ' "$report")
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
