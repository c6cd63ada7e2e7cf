#!/bin/bash
# SPDX-License-Identifier: MIT
# A fleet on this machine: what the relay costs (tests/host/fleet/cost.py), and a node, pinhole-relay, a
# leaf, a hub of three NATS servers and two recorders through random kills and cuts (check.py); many
# nodes, up to what this machine carries (many.py); a night without a link (night.py); power cuts at the
# edge (power.py). As root the last two also with Debian 13's nats-server, and users with keys
# (tests/host/tools/test_nats_keys.py): Debian 12's has neither keys for leaves nor a setting that is safe.
#   KILLS=50 SEED=7    so many kills of each part, and the random moments
#   NODES=200          so many simulated nodes
#   CUTS=30 HOURS=8    so many power cuts, and hours of the night
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
export BUILD=${BUILD:-build/release} LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
make --no-print-directory programs || exit
python3 tests/host/fleet/cost.py || exit
python3 tests/host/fleet/check.py || exit
python3 tests/host/fleet/many.py || exit
python3 tests/host/fleet/night.py || exit
python3 tests/host/fleet/power.py # what the installed server loses
status=$?
[ $status = 0 ] || [ $status = 77 ] || exit
if [ "$(id -u)" != 0 ]; then
    echo "skipped: Debian 13's nats-server needs root (tools/dev/rootfs.sh)"
    exit 0
fi
tree=$(tools/dev/rootfs.sh trixie nats-server) || exit
server=$(mktemp -d)
trap 'rm -rf "$server"' EXIT
ln -s "$tree/usr/sbin/nats-server" "$server/"
PATH=$server:$PATH python3 tests/host/tools/test_nats_keys.py || exit
PATH=$server:$PATH python3 tests/host/fleet/night.py || exit
PATH=$server:$PATH python3 tests/host/fleet/power.py
status=$?
[ $status = 77 ] || exit $status
