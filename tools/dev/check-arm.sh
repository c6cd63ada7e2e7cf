#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the project for 64-bit and 32-bit ARM and runs its C tests and a node under qemu-user. The
# compilers, the emulators and the libraries of both machines are in a Debian root filesystem
# (tools/dev/rootfs.sh); the builds stay in build/arm64 and build/armhf. Without libcamera, whose packages
# for two machines exclude each other. Every test program runs; those that want libcamera's cameras,
# simulated GPIO lines or a fast machine say what they skip. Last line "N passed, N failed, N skipped".
#   T=NAME   only the test programs whose name contains NAME
#   check-arm.sh build TARGET...   only builds these, below build/arm64 and build/armhf; the last
#                                  line is the root filesystem's directory
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

machines="arm64 armhf" # Debian's names: Raspberry Pi OS with 64 bits and with 32
declare -A triplet=([arm64]=aarch64-linux-gnu [armhf]=arm-linux-gnueabihf)
declare -A emulator=([arm64]=qemu-aarch64 [armhf]=qemu-arm)
declare -A without_neon=([armhf]="cortex-a9,neon=off,vfp-d32=off") # an emulated processor without
built="" passed=0 failed=0 skipped=0

# --- in the root filesystem ---------------------------------------------------------------------

# One check: its line, and the end of what it wrote when it failed. Returns as it did.
check() { # name, command...
    local start=$SECONDS
    if "${@:2}" >/tmp/log 2>&1; then
        printf 'ok      %s (%d s)\n' "$1" $((SECONDS - start))
        passed=$((passed + 1))
    else
        printf 'FAILED  %s (%d s)\n' "$1" $((SECONDS - start))
        tail -n 60 /tmp/log | sed 's/^/  | /'
        failed=$((failed + 1))
        return 1
    fi
}

make_for() { # machine, targets
    PKG_CONFIG_LIBDIR=/usr/lib/${triplet[$1]}/pkgconfig make --no-print-directory -j"$(nproc)" \
        BUILD="build/$1" CC="${triplet[$1]}-gcc" AR="${triplet[$1]}-ar" "${@:2}"
}

says_encoder() { # machine, variant, QEMU_CPU
    local version
    version=$(QEMU_CPU=${3:-max} "${emulator[$1]}" "build/$1/pinhole" --version)
    echo "$version"
    grep -qx "encoder: baseline JPEG, $2" <<<"$version"
}

# Ten frames from a node on one machine to pinholectl on the other.
frames() { # node's machine, pinholectl's machine
    local socket=/tmp/$1.socket node status=1
    "${emulator[$1]}" "build/$1/pinhole" --camera fake --width 320 --height 240 --listen "" \
        --socket "$socket" &
    node=$!
    while [ ! -S "$socket" ] && kill -0 "$node"; do
        sleep 0.1
    done
    timeout 60 "${emulator[$2]}" "build/$2/pinholectl" --node "unix:$socket" watch --count 10 &&
        status=0
    kill "$node"
    wait "$node" && return "$status"
}

# Four at a time, because many of them wait more than they compute.
tests() { # machine
    local p f s
    TEST_JOBS=4 TEST_EMULATOR=${emulator[$1]} BUILD=build/$1 tools/dev/run-tests.sh | tee /tmp/tests
    read -r p f s < <(grep -E '^[0-9]+ passed' /tmp/tests | tr -d 'a-z,')
    passed=$((passed + p)) failed=$((failed + ${f:-1})) skipped=$((skipped + ${s:-0}))
}

if [ "${1:-}" = --build ]; then
    shift
    for machine in $machines; do
        make_for "$machine" "${@/#/build/$machine/}" || exit
    done
    exit
fi
if [ "${1:-}" = --inside ]; then
    for machine in $machines; do
        check "$machine: the whole project builds" make_for "$machine" programs test-programs ||
            continue
        built+=" $machine"
        check "$machine: the encoder is NEON" says_encoder "$machine" NEON
        [ -z "${without_neon[$machine]:-}" ] || check "$machine: without NEON it is portable" \
            says_encoder "$machine" portable "${without_neon[$machine]}"
        tests "$machine"
    done
    if [ "$built" = " $machines" ]; then
        check "frames from a node on arm64 to pinholectl on armhf" frames arm64 armhf
        check "frames from a node on armhf to pinholectl on arm64" frames armhf arm64
    fi
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
    exit
fi

# --- outside ------------------------------------------------------------------------------------

if [ "$(id -u)" != 0 ]; then
    echo "check-arm: needs root (chroot, mounts): sudo make check-arm" >&2
    echo "0 passed, 1 failed"
    exit 1
fi
inside=(--inside)
[ "${1:-}" != build ] || inside=(--build "${@:2}")
packages="make pkg-config qemu-user"
for machine in $machines; do
    packages+=" gcc-${triplet[$machine]}"
    for library in libc6 libcmocka libgpiod libinih libjansson libjpeg libmicrohttpd libmosquitto libnats \
        libsqlite3 libturbojpeg0 nettle; do
        packages+=" $library-dev:$machine"
    done
done
if ! tree=$(tools/dev/rootfs.sh trixie "$packages"); then
    echo "0 passed, 1 failed"
    exit 1
fi
# shellcheck disable=SC2016 # the inner shell expands
unshare --mount --pid --fork --kill-child bash -ec '
    mount --make-rprivate /
    mount --bind . "$1/mnt"
    mount --rbind /dev "$1/dev"
    mount -t proc proc "$1/proc"
    mount -t tmpfs tmpfs "$1/tmp"
    exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin HOME=/tmp LC_ALL=C.UTF-8 T="$2" \
        PINHOLE_TEST_SLOW=1 PINHOLE_TRIGGER_SCHEDULES=20000 /mnt/tools/dev/check-arm.sh "${@:3}"
    ' - "$tree" "${T:-}" "${inside[@]}"
status=$?
chown -R --reference=. build # as everything that make builds
[ "${inside[0]}" = --inside ] || echo "$tree"
[ $status = 0 ]
