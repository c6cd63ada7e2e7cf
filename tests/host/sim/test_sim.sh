#!/bin/bash
# SPDX-License-Identifier: MIT
# The node in the simulated machine: a few hundred seeds hold all invariants, and a seed gives the same
# trace twice. `make sim SEEDS=N` runs more, `make sim SEED=X` replays one with its trace.
set -euo pipefail
sim=${BUILD:-build/release}/tests/sim/sim
for seed in 1 2 3; do
    first=$("$sim" --hash "$seed") second=$("$sim" --hash "$seed")
    [ "$first" = "$second" ] || { echo "seed $seed: trace $first, then $second"; exit 1; }
done
[ "$("$sim" --hash 1)" != "$("$sim" --hash 2)" ] || { echo "all seeds have one trace"; exit 1; }
"$sim" 1 "${PINHOLE_SIM_SEEDS:-500}" 1
