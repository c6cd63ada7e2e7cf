#!/bin/bash
# SPDX-License-Identifier: MIT
# pinhole-mqtt with real brokers: outages, stalls, cost, many nodes, bad input. The parts are in
# tests/host/mqtt/check.py; `tools/dev/check-mqtt.sh PART...` runs only these. Last line "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
export BUILD=${BUILD:-build/release} LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
make --no-print-directory programs || exit
exec python3 tests/host/mqtt/check.py "$@"
