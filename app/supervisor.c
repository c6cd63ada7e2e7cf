// SPDX-License-Identifier: MIT
#include "app/supervisor.h"

void supervisor_init(struct supervisor *s, const struct supervisor_config *config, uint64_t now_ns)
{
    *s = (struct supervisor){
        .config = *config, .alive_ns = now_ns, .quiet_ns = now_ns, .open_ns = now_ns};
}

static uint64_t give_up_at(const struct supervisor *s)
{
    return s->config.give_up_ns == 0 ? NS_NEVER : s->alive_ns + s->config.give_up_ns;
}

/** When a stream that is silent or broken is dealt with. An error is answered at once, but one that
 * comes back before any frame came is not: that would be a storm of restarts. */
static uint64_t restart_at(const struct supervisor *s)
{
    uint64_t stall_ns = s->quiet_ns + s->config.stall_ns;
    if (!s->wants_restart)
        return stall_ns;
    return s->restarts == 0 ? s->quiet_ns
                            : base_min_u64(stall_ns, s->quiet_ns + s->config.reopen_ns);
}

enum supervisor_action supervisor_next(const struct supervisor *s, uint64_t now_ns)
{
    if (now_ns >= give_up_at(s))
        return SUPERVISOR_GIVE_UP;
    if (!s->is_streaming)
        return now_ns >= s->open_ns ? SUPERVISOR_OPEN : SUPERVISOR_WAIT;
    if (now_ns < restart_at(s))
        return SUPERVISOR_WAIT;
    return s->restarts < s->config.restart_attempts ? SUPERVISOR_RESTART : SUPERVISOR_OPEN;
}

uint64_t supervisor_deadline(const struct supervisor *s)
{
    uint64_t next_ns = s->is_streaming ? restart_at(s) : s->open_ns;
    return base_min_u64(next_ns, give_up_at(s));
}

void supervisor_started(struct supervisor *s, uint64_t now_ns)
{
    s->is_streaming = true;
    s->wants_restart = false;
    s->quiet_ns = now_ns;
}

void supervisor_restarting(struct supervisor *s)
{
    s->restarts++;
}

void supervisor_closed(struct supervisor *s, uint64_t now_ns)
{
    s->is_streaming = false;
    s->wants_restart = false;
    s->restarts = 0;
    s->open_ns = now_ns + s->config.reopen_ns;
}

void supervisor_stream_error(struct supervisor *s)
{
    s->wants_restart = true;
}

void supervisor_frame(struct supervisor *s, uint64_t now_ns)
{
    s->restarts = 0;
    supervisor_expect_silence(s, now_ns);
}

void supervisor_expect_silence(struct supervisor *s, uint64_t now_ns)
{
    // A turn's time may be from before a start within the turn.
    s->quiet_ns = base_max_u64(s->quiet_ns, now_ns);
    s->alive_ns = base_max_u64(s->alive_ns, now_ns);
}
