#!/bin/bash
# SPDX-License-Identifier: MIT
# pinhole-mqtt with real brokers: outages, stalls, cost, many nodes, bad input. The parts are in
# tests/host/mqtt/check.py; `tools/dev/check-mqtt.sh PART...` runs only these, with this system's
# packages. Without arguments all of them, and then those that depend on the broker and on
# libmosquitto with Debian 13's, in a tree of its own (as root). Last line "N passed, N failed".
#   DEBIAN_13=PARTS   with Debian 13's, these parts, after the parts named
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
export BUILD=${BUILD:-build/release} LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
make --no-print-directory programs || exit

passed=0 failed=0
count() { # the parts' own last line
    local p f
    read -r p f < <(tail -n 1 "$1" | tr -d 'a-z,')
    passed=$((passed + p)) failed=$((failed + ${f:-1}))
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
python3 tests/host/mqtt/check.py "$@" | tee "$log"
count "$log"

if { [ $# = 0 ] || [ -n "${DEBIAN_13:-}" ]; } && [ "$(id -u)" = 0 ]; then
    packages="mosquitto mosquitto-clients rabbitmq-server nats-server iproute2 procps libjansson4
        libjpeg62-turbo libinih1 libmicrohttpd12t64 libturbojpeg0 libavahi-client3 libmosquitto1"
    if tree=$(tools/dev/rootfs.sh trixie "$packages"); then
        echo "--- Debian 13"
        layers=$(mktemp -d)
        # shellcheck disable=SC2016 # the inner shell expands
        unshare --mount --pid --fork --kill-child bash -ec '
            mount --make-rprivate /
            mount -t proc proc /proc
            mount -t tmpfs tmpfs "$2"
            root=$2/root
            mkdir "$2/upper" "$2/work" "$root"
            mount -t overlay overlay "$root" -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work"
            echo "127.0.0.1 localhost" >"$root/etc/hosts"
            mount --bind . "$root/mnt"
            mount --rbind /dev "$root/dev"
            mount -t proc proc "$root/proc"
            mount --bind /tmp "$root/tmp"
            MQTT_ROOT=$root MQTT_RABBITMQ_SPEAKS=5 \
                exec python3 tests/host/mqtt/check.py ${3:-brokers outages}
            ' - "$tree" "$layers" "${DEBIAN_13:-}" | tee "$log"
        rmdir "$layers"
        count "$log"
    else
        failed=$((failed + 1))
    fi
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
