#!/bin/bash
# SPDX-License-Identifier: MIT
# `make bench`: what a frame costs, beside references measured in the same run. PEERS=1 installs
# GStreamer, ffmpeg and µStreamer to compare with (USTREAMER=PATH: this one); WEB_REFERENCE=PATH is another
# build's gateway; QUICK=1 looks at 1080p alone; ARM=1 counts instructions and cache misses on emulated
# 64-bit and 32-bit ARM instead (as root); TLS=1 measures HTTPS and stunnel instead.
set -euo pipefail
build=${BUILD:-build/release}
missing=""
have() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }
want() {
    for package in "$@"; do
        have "$package" || missing="$missing $package"
    done
}
want lomiri-wallpapers-16.04 libjpeg-turbo-progs valgrind linux-perf curl
[ -z "${ARM:-}" ] || want mmdebstrap
[ -z "${TLS:-}" ] || want stunnel4 openssl
if [ -n "${PEERS:-}" ]; then
    want gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
        gstreamer1.0-plugins-bad ffmpeg
    [ -n "${USTREAMER:-}" ] || want ustreamer
fi
if [ -n "$missing" ] && [ "${PINHOLE_SETUP:-}" != skip ]; then
    echo "bench: installing$missing"
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
if [ -n "${ARM:-}" ]; then
    make --no-print-directory BUILD="$build" "$build/tests/qemu_count.so" \
        "$build/tests/bench/bench_client" "$build/pinholectl"
    tree=$(tools/dev/check-arm.sh build pinhole tests/bench/bench_encode | tee /dev/stderr | tail -n 1)
    BUILD=$build QUICK=1 exec python3 tools/dev/bench/arm.py "$tree" \
        "$(tools/dev/rootfs.sh bookworm qemu-user)"
fi
make --no-print-directory BUILD="$build" "$build/tests/bench/bench_encode" "$build/tests/bench/bench_client" \
    "$build/tests/bench/bench_forward" "$build/tests/bench/bench_throughput" "$build/tests/kernel/test_camera_libcamera_recovery" \
    "$build/tests/count_heap.so" "$build/tests/fake_v4l2.so" "$build/pinhole" "$build/pinholectl" \
    "$build/pinhole-web" "$build/pinhole-rec"
[ -z "${TLS:-}" ] || BUILD=$build exec python3 tools/dev/bench/tls.py
BUILD=$build python3 tests/host/bench/bench_throughput.py
BUILD=$build exec python3 tools/dev/bench/main.py
