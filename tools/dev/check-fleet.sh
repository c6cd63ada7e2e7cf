#!/bin/bash
# SPDX-License-Identifier: MIT
# A node, pinhole-relay, a leaf, a hub of three NATS servers and two recorders through random kills and
# cuts; see tests/host/fleet/check.py. KILLS=50 SEED=7 tools/dev/check-fleet.sh repeats a run's moments. Before
# that, what the relay costs: tests/host/fleet/cost.py.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
export BUILD=${BUILD:-build/release} LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
make --no-print-directory programs || exit
python3 tests/host/fleet/cost.py || exit
exec python3 tests/host/fleet/check.py
