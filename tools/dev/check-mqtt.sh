#!/bin/bash
# SPDX-License-Identifier: MIT
# pinhole-mqtt with real brokers: outages, stalls, cost, many nodes, bad input. The parts are in
# tests/host/mqtt/check.py; `tools/dev/check-mqtt.sh PART...` runs only these, with this system's
# packages. Without arguments all of them, and then those that depend on the broker and on
# libmosquitto with Debian 13's, in a tree of its own (as root). Last line "N passed, N failed".
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

if [ $# = 0 ] && [ "$(id -u)" = 0 ]; then
    packages="mosquitto mosquitto-clients rabbitmq-server nats-server iproute2 procps libjansson4
        libjpeg62-turbo libinih1 libmicrohttpd12t64 libturbojpeg0 libavahi-client3 libmosquitto1"
    if tree=$(tools/dev/rootfs.sh trixie "$packages"); then
        echo "--- Debian 13"
        # shellcheck disable=SC2016 # the inner shell expands
        unshare --mount --pid --fork --kill-child bash -ec '
            mount --make-rprivate /
            mount -t proc proc /proc
            mount --bind . "$1/mnt"
            mount --rbind /dev "$1/dev"
            mount -t proc proc "$1/proc"
            mount --bind /tmp "$1/tmp"
            MQTT_ROOT=$1 MQTT_RABBITMQ_SPEAKS=5 exec python3 tests/host/mqtt/check.py brokers outages
            ' - "$tree" | tee "$log"
        count "$log"
    else
        failed=$((failed + 1))
    fi
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
