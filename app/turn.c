// SPDX-License-Identifier: MIT
#include "app/turn.h"

void turn_wait(struct turn *turn, uint64_t cpu_ns)
{
    turn->base_cpu_ns = cpu_ns;
    turn->has_waited = true;
}

void turn_start(struct turn *turn, uint64_t now_ns)
{
    if (turn->has_waited)
        turn->start_ns = turn->base_ns = now_ns;
    turn->has_waited = false;
}

bool turn_end(struct turn *turn, uint64_t now_ns)
{
    turn->length_ns = now_ns - turn->start_ns;
    turn->start_ns = now_ns;
    turn->worst_ns = base_max_u64(turn->worst_ns, turn->length_ns);
    return turn->length_ns > turn->worst_cpu_ns;
}

void turn_judge(struct turn *turn, uint64_t cpu_ns)
{
    uint64_t wall_ns = turn->start_ns - turn->base_ns, own_ns = cpu_ns - turn->base_cpu_ns;
    uint64_t away_ns = wall_ns > own_ns ? wall_ns - own_ns : 0;
    if (turn->length_ns > away_ns)
        turn->worst_cpu_ns = base_max_u64(turn->worst_cpu_ns, turn->length_ns - away_ns);
    turn->base_ns = turn->start_ns;
    turn->base_cpu_ns = cpu_ns;
}

void turn_skip(struct turn *turn, uint64_t now_ns, uint64_t cpu_ns)
{
    turn->start_ns = turn->base_ns = now_ns;
    turn->base_cpu_ns = cpu_ns;
}
