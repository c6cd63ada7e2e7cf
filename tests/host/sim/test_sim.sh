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
# Seeds that found a fault once: a connection that took a byte within a turn was dropped in it, as slow.
# (Those that found a camera opened again too late see it no more; test_node_set holds that.)
# In the last two the simulation was wrong: a request came in 14 pieces, random bytes were a SUBSCRIBE.
for seed in 10 350 1750 1298353 1306514; do
    "$sim" "$seed" >/dev/null 2>&1 || { echo "seed $seed fails again"; exit 1; }
done
"$sim" 1 "${PINHOLE_SIM_SEEDS:-500}" 1
