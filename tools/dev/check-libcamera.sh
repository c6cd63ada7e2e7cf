#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds and tests the project on other Debian releases, against their libcamera's virtual cameras:
#   tools/dev/check-libcamera.sh [SUITE...]      default: trixie testing
# Root filesystems are made once (tools/dev/rootfs.sh) and stay unchanged below an overlay; each suite has
# its own mounts, processes and network. One line per check, last line "N passed, N failed".
#   FRAMES=N   frames of the long runs at 720p30, a tenth of it at 1080p30 (default 10000)
#   KEEP=1     keeps the logs
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

suites=${*:-trixie testing}
frames=${FRAMES:-10000}
packages="binutils ca-certificates curl g++ gcc iproute2 libc6-dbg libc6-dev libcamera-dev
  libcamera-ipa libcmocka-dev libcrypt-dev libgnutls28-dev libgpiod-dev libinih-dev libjansson-dev libjpeg-dev
  libjpeg-turbo-progs libmicrohttpd-dev libturbojpeg0-dev make nettle-dev pkg-config procps python3 valgrind"

# --- inside a suite's own mounts ----------------------------------------------------------------

# One check: its line, and what it wrote when it failed. Returns as it did.
check() {
    local name=$1 start=$SECONDS log=$work/check-$BASHPID-$RANDOM.log
    shift
    if "$@" >"$log" 2>&1; then
        printf 'ok      %-8s %s (%d s)\n' "$suite" "$name" $((SECONDS - start))
        return 0
    else
        # One write, so that two suites do not mix their lines.
        printf '%s\n' "$(printf 'FAILED  %-8s %s (%d s)\n' "$suite" "$name" $((SECONDS - start))
            grep -a '^NOT ok' "$log" | sed 's/^/        | /'
            # Of a whole suite, what failed and its output.
            grep -a -A 80 '^FAILED ' "$log" | grep -av '^ok ' | head -n 200 | sed 's/^/        | /'
            grep -av 'DmaBufAllocator\|RUN  ' "$log" | tail -n 40 | cut -c 1-200 | sed 's/^/        | /')"
        return 1
    fi
}

# shellcheck disable=SC2016 # the inner shells expand
# A command in the tree, with a network (and so a set of camera claims) of its own.
inside() {
    unshare --net -- bash -c 'root=$1; shift; chroot "$root" /usr/sbin/ip link set lo up; exec chroot "$root" /usr/bin/env -i \
        HOME=/root PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        PINHOLE_SETUP=skip PINHOLE_PHOTOS=/usr/share/pinhole-test/originals \
        bash -c "cd /src/pinhole && $*"' inside "$tree" "$@"
}

mount_tree() {
    mount -t tmpfs tmpfs "$work"/layers || return
    mkdir "$work"/layers/{upper,work}
    mount -t overlay overlay "$tree" \
        -o "lowerdir=$base,upperdir=$work/layers/upper,workdir=$work/layers/work" || return
    mount -t proc proc "$tree/proc" && mount -t tmpfs tmpfs "$tree/dev" || return
    local node
    for node in null zero full random urandom tty; do
        : >"$tree/dev/$node" && mount --bind "/dev/$node" "$tree/dev/$node" || return
    done
    mkdir "$tree"/dev/{shm,pts}
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$tree/dev/pts"
    ln -s pts/ptmx "$tree/dev/ptmx"
    ln -s /proc/self/fd "$tree/dev/fd"
}

install_cameras() {
    local pipeline=$tree/usr/share/libcamera/pipeline/virtual
    mkdir -p "$pipeline" && cp tests/host/kernel/virtual.yaml "$pipeline/virtual.yaml"
}

# Noise, where there are no photographs.
# shellcheck disable=SC2016 # the shell in the tree expands
make_photos() {
    inside 'for i in 0 1 2; do head -c 1179648 /dev/urandom | (printf "P6\n768 512\n255\n"; cat) |
        cjpeg >/usr/share/pinhole-test/originals/$i.jpg; done'
}

# libcamera reads only pictures with halved chroma, numbered from 0.
install_photos() {
    local originals=$tree/usr/share/pinhole-test/originals n=0 photo
    local photos=$tree/usr/share/pinhole-test/photos
    mkdir -p "$originals" "$photos"
    cp "${PINHOLE_PHOTOS:-}"/*.jpg "$originals" 2>/dev/null || make_photos
    for photo in "$originals"/*.jpg; do
        inside "djpeg /usr/share/pinhole-test/originals/${photo##*/} |
            cjpeg -sample 2x2 >/usr/share/pinhole-test/photos/$n.jpg" || return
        n=$((n + 1))
        [ $n -lt 6 ] || break
    done
}

copy_checkout() {
    mkdir -p "$tree/src/pinhole"
    tar -c --exclude=./build --exclude=./.git . | tar -x -C "$tree/src/pinhole"
}

libcamera_tests() {
    local variables=$1 build=$2 prefix=${3:-} test
    for test in test_camera_libcamera test_camera_libcamera_recovery; do
        inside "$variables $prefix $build/tests/kernel/$test" || return
    done
}

full_suite() {
    inside "make --no-print-directory test BUILD=build/release TEST_TIMEOUT=900" | tee "$work/suite.log"
    tail -n 20 "$work/suite.log" | grep -E '^[0-9]+ passed, 0 failed'
}

run_suite() {
    suite=$1 base=$2 work=$3 tree=$3/tree
    mkdir -p "$tree" "$work/layers"
    if ! mount_tree || ! copy_checkout || ! install_photos; then
        echo "FAILED  $suite: no tree to test in"
        return
    fi
    local valgrind="valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite"
    local make="make --no-print-directory"

    check "without cameras: builds with sanitizers" inside "$make -j2 SAN=1 BUILD=build/san \
        build/san/tests/kernel/test_camera_libcamera build/san/tests/kernel/test_camera_libcamera_recovery" || return
    check "without cameras: says so" inside build/san/tests/kernel/test_camera_libcamera
    install_cameras
    check "the whole project builds" inside "$make -j2 BUILD=build/release all test-programs" || return
    check "a node of one's own: list, choose, stream, share, lose and find cameras" \
        inside tests/host/kernel/libcamera_node.sh build/release
    check "full test suite" full_suite
    # The long runs are paced by the cameras: two at a time leave the machine half idle.
    check "$frames frames at 720p30, $((frames / 10)) at 1080p30, contract, recovery, ASan and UBSan" \
        libcamera_tests "PINHOLE_TEST_FRAMES=$frames" build/san &
    check "$frames frames at 720p30, $((frames / 10)) at 1080p30, contract, recovery, release build" \
        libcamera_tests "PINHOLE_TEST_FRAMES=$frames" build/release &
    wait
    check "valgrind, a shorter run" libcamera_tests \
        "PINHOLE_TEST_SLOW=1 PINHOLE_TEST_RATE=2 PINHOLE_TEST_FRAMES=40 PINHOLE_TEST_CYCLES=6" \
        build/release "$valgrind"
    hand_over
}

# What libcamera's thread costs us to hear from, and the start: measured alone, when nobody tests any more.
hand_over() {
    local top=${work%/*} other
    : >"$top/tested-$suite"
    for other in $PINHOLE_SUITES; do
        until [ -e "$top/tested-$other" ]; do
            sleep 1
        done
    done
    exec 8<"$top"
    flock 8
    printf 'note    %-8s %s\n' "$suite" \
        "$(inside build/release/tests/kernel/test_camera_libcamera_recovery --bench 2>/dev/null | tail -n 1)"
    printf 'note    %-8s %s\n' "$suite" \
        "$(inside BUILD=build/release python3 tools/dev/bench/first_frame.py 2>/dev/null | tail -n 1)"
    exec 8<&-
}

if [ "${1:-}" = --suite ]; then
    shift
    run_suite "$@"
    exit
fi

# --- outside ------------------------------------------------------------------------------------

if [ "$(id -u)" != 0 ]; then
    echo "check-libcamera: needs root (chroot, mounts)" >&2
    echo "0 passed, 1 failed"
    exit 1
fi
top=$(mktemp -d "${TMPDIR:-/tmp}/check-libcamera.XXXXXX")
# shellcheck disable=SC2317 # called by the trap
end() {
    local pids
    pids=$(jobs -p)
    # shellcheck disable=SC2086 # a list
    [ -z "$pids" ] || kill $pids 2>/dev/null
    wait
    [ -n "${KEEP:-}" ] || rm -rf "$top"
}
trap end EXIT
trap 'exit 130' INT TERM

one_suite() {
    local base
    if ! base=$(tools/dev/rootfs.sh "$1" "$packages"); then
        echo "FAILED  $1: no root filesystem"
        return
    fi
    mkdir "$top/$1"
    PINHOLE_SUITES=$suites unshare --mount --pid --fork --kill-child -- \
        "$0" --suite "$1" "$base" "$top/$1"
    : >"$top/tested-$1" # however it ended
}

for suite in $suites; do
    one_suite "$suite" &
done | tee "$top/report"
passed=$(grep -c '^ok ' "$top/report")
failed=$(grep -c '^FAILED ' "$top/report")
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
