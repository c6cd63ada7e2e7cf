// SPDX-License-Identifier: MIT
#include "app/turn.h"

bool turn_wait(struct turn *turn)
{
    turn->has_waited = true;
    return turn->cpu_ns == 0 || turn->start_ns - turn->read_ns >= TURN_READING_NS;
}

void turn_read(struct turn *turn, uint64_t cpu_ns)
{
    turn->read_ns = turn->start_ns;
    turn->cpu_ns = cpu_ns;
    turn->busy_ns = 0;
}

void turn_start(struct turn *turn, uint64_t now_ns)
{
    if (turn->has_waited)
        turn->start_ns = now_ns;
    turn->has_waited = false;
}

bool turn_end(struct turn *turn, uint64_t now_ns)
{
    turn->length_ns = now_ns - turn->start_ns;
    turn->start_ns = now_ns;
    turn->busy_ns += turn->length_ns;
    turn->worst_ns = base_max_u64(turn->worst_ns, turn->length_ns);
    return turn->length_ns > turn->worst_cpu_ns;
}

void turn_judge(struct turn *turn, uint64_t cpu_ns)
{
    uint64_t own_ns = cpu_ns - turn->cpu_ns;
    uint64_t away_ns = turn->busy_ns > own_ns ? turn->busy_ns - own_ns : 0;
    if (turn->length_ns > away_ns)
        turn->worst_cpu_ns = base_max_u64(turn->worst_cpu_ns, turn->length_ns - away_ns);
    turn_read(turn, cpu_ns);
}

void turn_skip(struct turn *turn, uint64_t now_ns, uint64_t cpu_ns)
{
    turn->start_ns = now_ns;
    turn_read(turn, cpu_ns);
}
