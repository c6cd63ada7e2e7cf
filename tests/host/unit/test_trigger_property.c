// SPDX-License-Identifier: MIT
// The trigger engine against a slow reference, on random schedules: edges, bounce storms, drops,
// stalls, outages, reconfigurations, broken clocks, sequence wraps, results late and out of order.
//   PINHOLE_TRIGGER_SCHEDULES=10000000   how many schedules (default 500000)
//   PINHOLE_TRIGGER_SEED=N               the first one's seed: replays a reported failure
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/trigger/trigger.h"
#include "tests/host/support/trigger_reference.h"

#define SCHEDULES 500000
#define OPEN_MAX  256

struct schedule {
    uint64_t seed, random;
    unsigned step;
    struct trigger engine;
    uint64_t now;
    uint32_t sequence;
    uint64_t period, exposure, next_start; /**< the sensor */
    uint64_t grid;
    bool is_forgetful; /**< a node that hardly ever reports results or pops outcomes */
    struct {
        uint64_t id;
        uint32_t sensor_sequence;
    } open[OPEN_MAX]; /**< answers not reported yet */
    unsigned opened;
    unsigned holding;                       /**< frames that a node would hold */
    uint64_t delivered[REFERENCE_TRIGGERS]; /**< frames done, by trigger */
};

static struct schedule s;
static struct reference reference;

static uint64_t next_random(void)
{
    s.random ^= s.random << 13;
    s.random ^= s.random >> 7;
    s.random ^= s.random << 17;
    return s.random * UINT64_C(0x2545F4914F6CDD1D) >> 16;
}

static uint64_t below(uint64_t limit)
{
    return limit > 0 ? next_random() % limit : 0;
}

/** A random time below the limit. On the coarse grid of some schedules, moments often coincide. */
static uint64_t span(uint64_t limit)
{
    uint64_t time = below(limit);
    return s.grid > 1 ? time - time % s.grid : time;
}

static bool one_in(unsigned n)
{
    return below(n) == 0;
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "PINHOLE_TRIGGER_SEED=%" PRIu64 ", step %u, line %d: %s\n", s.seed,    \
                    s.step, __LINE__, #condition);                                                 \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static void check_decision(const struct trigger_decision *got,
                           const struct trigger_decision *wanted)
{
    EXPECT(got->verdict == wanted->verdict);
    EXPECT(got->trigger_id == wanted->trigger_id);
    EXPECT(got->source == wanted->source);
    EXPECT(got->edge_ns == wanted->edge_ns);
    EXPECT(got->exposure_delta_ns == wanted->exposure_delta_ns);
    EXPECT(got->burst_index == wanted->burst_index);
    EXPECT(got->pretrigger == wanted->pretrigger);
}

static void check_rule(const struct trigger_decision *decision, const struct trigger_frame *frame)
{
    const struct trigger_config *config = &s.engine.config;
    if (decision->verdict != TRIGGER_ANSWER || decision->burst_index > 0)
        return;
    uint64_t target = decision->edge_ns + config->delay_ns;
    if (config->rule == TRIGGER_FIRST_AFTER)
        EXPECT(frame->start_ns >= target);
    if (config->rule == TRIGGER_CONTAINS)
        EXPECT(frame->end_ns + config->readout_ns >= target);
    EXPECT(decision->pretrigger <= s.holding);
}

static void offer(const struct trigger_frame *frame)
{
    struct trigger_decision got;
    struct trigger_decision wanted = reference_frame(&reference, frame, s.now);
    trigger_frame(&s.engine, frame, s.now, &got);
    check_decision(&got, &wanted);
    check_rule(&got, frame);
    if (got.verdict == TRIGGER_HOLD && s.holding < s.engine.config.pretrigger)
        s.holding++;
    if (got.verdict != TRIGGER_ANSWER)
        return;
    s.holding -= got.pretrigger;
    EXPECT(s.opened < OPEN_MAX);
    s.open[s.opened].id = got.trigger_id;
    s.open[s.opened++].sensor_sequence = frame->sensor_sequence;
}

static void report(unsigned index, bool is_done)
{
    uint64_t id = s.open[index].id;
    reference_result(&reference, id, is_done);
    if (is_done) {
        trigger_frame_done(&s.engine, id);
        s.delivered[id - 1]++;
    } else {
        trigger_frame_failed(&s.engine, id, s.open[index].sensor_sequence);
    }
    s.open[index] = s.open[--s.opened];
}

static void op_frame(void)
{
    uint64_t periods = one_in(8) ? 1 + below(4) : 1;
    s.next_start += periods * s.period + span(s.period / 4) / 4 * (s.grid == 1);
    struct trigger_frame frame = {.start_ns = s.next_start,
                                  .end_ns = s.next_start + s.exposure,
                                  .sensor_sequence = (uint32_t)s.step};
    if (one_in(400)) { // a broken clock
        frame.end_ns += below(3 * NS_PER_S);
        frame.start_ns += below(2 * NS_PER_S);
    } else if (one_in(100)) {
        frame.end_ns -= below(3 * s.period);
    }
    if (s.now < s.next_start + s.exposure)
        s.now = s.next_start + s.exposure;
    s.now += span(s.period / 4);
    offer(&frame);
    if (s.opened == OPEN_MAX)
        report(0, true);
}

static void edge(uint64_t edge_ns)
{
    s.sequence += one_in(32) ? (uint32_t)(1 + below(1000)) : 1;
    if (one_in(512))
        s.sequence = (uint32_t)next_random();
    EXPECT(trigger_edge(&s.engine, edge_ns, s.sequence, s.now) ==
           reference_edge(&reference, edge_ns, s.sequence, s.now));
}

static void op_edge(void)
{
    uint64_t since_last = s.now - base_min_u64(s.now, reference.last_edge);
    uint64_t edge_ns = s.now - span(base_min_u64(s.period, since_last));
    if (one_in(100))
        edge_ns = one_in(2) ? s.now + below(3 * NS_PER_S) : s.now - below(10 * s.period);
    edge(edge_ns);
}

static void op_storm(void)
{
    uint64_t spacing = one_in(2) ? 1 + below(1000) : 1 + span(s.period / 2);
    unsigned edges = 2 + (unsigned)below(one_in(8) ? 150 : 20);
    for (unsigned i = 0; i < edges; i++) {
        s.now += spacing;
        edge(s.now);
    }
}

static void op_external_pair(void)
{
    edge(s.now);
    s.next_start = s.now + s.period / 2 + below(one_in(4) ? s.period : s.period / 64);
    s.now = s.next_start + s.exposure;
    struct trigger_frame frame = {.start_ns = s.next_start, .end_ns = s.now};
    if (!one_in(16))
        offer(&frame);
}

static void op_tick(void)
{
    uint64_t deadline = trigger_next_deadline(&s.engine);
    if (deadline != NS_NEVER && deadline > s.now && deadline < s.now + 20 * s.period && one_in(2))
        s.now = deadline - below(2);
    trigger_tick(&s.engine, s.now);
    reference_tick(&reference, s.now);
}

static void op_result(void)
{
    if (s.is_forgetful && !one_in(10))
        return;
    if (s.opened > 0 && !one_in(64)) {
        report((unsigned)below(one_in(2) ? 1 : s.opened), !one_in(6));
        return;
    }
    uint64_t id = below(reference.count + 3); // one that has no frame open, mostly: ignored
    for (unsigned i = 0; i < s.opened; i++)
        if (s.open[i].id == id)
            return;
    trigger_frame_done(&s.engine, id);
    reference_result(&reference, id, true);
}

static void op_pop(void)
{
    struct trigger_outcome run;
    while (trigger_pop_outcome(&s.engine, &run)) {
        EXPECT(run.first_id == reference.popped + 1 && run.last_id >= run.first_id);
        EXPECT(run.last_id <= reference.count);
        EXPECT(run.edge_ns == reference.trigger[run.first_id - 1].edge);
        for (uint64_t id = run.first_id; id <= run.last_id; id++) {
            const struct reference_trigger *x = &reference.trigger[id - 1];
            EXPECT(run.outcome == x->outcome && run.source == x->source);
            EXPECT((run.outcome == WIRE_OUTCOME_MATCHED) == (s.delivered[id - 1] > 0));
        }
        const struct reference_trigger *after = &reference.trigger[run.last_id];
        EXPECT(run.last_id == reference.count || after->outcome != run.outcome ||
               after->source != run.source);
        reference.popped = run.last_id;
    }
    EXPECT(reference.popped == reference.count ||
           reference.trigger[reference.popped].outcome == WIRE_OUTCOME_NONE);
}

static void configure(const struct trigger_config *config)
{
    EXPECT(trigger_configure(&s.engine, config, s.now) == 0);
    reference_configure(&reference, config, s.now);
    s.holding = 0;
}

static void op_configure(void)
{
    struct trigger_config config = {
        .is_on = !one_in(12),
        .source = (enum wire_trigger_source)(1 + below(3)),
        .rule = (enum trigger_rule)below(3),
        .divider = 1,
        .burst_count = 1,
        .deadline_ns = s.period / 2 + span(one_in(4) ? s.period : 16 * s.period),
        .period_ns = TRIGGER_PERIOD_MIN_NS + below(3 * s.period),
        .readout_ns = one_in(2) ? 0 : span(s.period),
        .frame_interval_ns = one_in(4) ? 0 : s.period,
        .window_ns = 1 + s.period / (one_in(2) ? 4 : 32),
    };
    if (one_in(2) || config.rule == TRIGGER_EXTERNAL)
        config.source = WIRE_SOURCE_LINE;
    if (config.rule != TRIGGER_EXTERNAL) {
        config.delay_ns = one_in(3) ? span(6 * s.period) : 0;
        config.divider = one_in(4) ? 1 + (uint32_t)below(5) : 1;
        config.hold_off_ns = one_in(4) ? span(s.period) : 0;
        config.burst_count = one_in(3) ? 1 + (uint32_t)below(6) : 1;
        config.pretrigger = one_in(3) ? (uint32_t)below(5) : 0;
    }
    configure(&config);
}

static void op_camera(bool is_up)
{
    if (is_up)
        trigger_camera_up(&s.engine, s.now);
    else
        trigger_camera_down(&s.engine, s.now);
    reference_camera(&reference, is_up, s.now);
    if (!is_up)
        s.holding = 0;
}

static void op_rest(void)
{
    s.now += span(one_in(4) ? 12 * s.period : s.period);
}

static void op_software(void)
{
    // Asked now and then alone, because asking tidies the ring up.
    bool is_sure = one_in(2) && trigger_refusal(&s.engine, &s.engine.config) == NULL;
    int64_t id = trigger_software(&s.engine, s.now);
    EXPECT(id == reference_software(&reference, s.now));
    EXPECT(!is_sure || id > 0);
}

static void op_reopen_line(void)
{
    trigger_line_opened(&s.engine);
    reference.last_sequence = 0;
    reference.last_edge = 0;
    s.sequence = 0;
}

static void step(unsigned edge_weight)
{
    if (!reference.is_up && one_in(5))
        op_camera(true);
    uint64_t dice = below(100 + edge_weight);
    if (dice >= 100)
        op_edge();
    else if (dice < 38)
        op_frame();
    else if (dice < 62)
        op_result();
    else if (dice < 74)
        op_tick();
    else if (dice < 84)
        op_rest();
    else if (dice < 87)
        s.engine.config.rule == TRIGGER_EXTERNAL ? op_external_pair() : op_storm();
    else if (dice < 91)
        op_software();
    else if (dice < 96 && !(s.is_forgetful && s.step % 64))
        op_pop();
    else if (dice < 97)
        op_configure();
    else if (dice < 99)
        op_camera(dice == 97);
    else
        op_reopen_line();
    EXPECT(trigger_next_deadline(&s.engine) == reference_next_deadline(&reference));
}

static void finish(void)
{
    while (s.opened > 0)
        report(0, !one_in(3));
    struct trigger_config off = {.divider = 1, .burst_count = 1, .deadline_ns = 1};
    configure(&off);
    op_pop();
    EXPECT(reference.popped == reference.count);

    struct trigger_counters want = reference.counters, *got = &s.engine.counters;
    want.triggers = reference.count;
    for (uint64_t i = 0; i < reference.count; i++)
        want.outcomes[reference.trigger[i].source][reference.trigger[i].outcome]++;
    EXPECT(memcmp(&want, got, sizeof want) == 0);
    uint64_t line = 0;
    for (unsigned i = 0; i <= WIRE_OUTCOME_FAILED; i++)
        line += got->outcomes[WIRE_SOURCE_LINE][i];
    EXPECT(got->edges ==
           got->edges_idle + got->edges_held_off + got->edges_divided + got->edges_refused + line);
}

static void run_schedule(uint64_t seed)
{
    memset(s.delivered, 0, (size_t)reference.count * sizeof s.delivered[0]);
    s.seed = seed;
    s.random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    s.opened = s.holding = 0;
    s.now = UINT64_C(1000) * NS_PER_S + below(NS_PER_S);
    s.sequence = one_in(4) ? UINT32_MAX - (uint32_t)below(40) : 0;
    s.period = 4 * (NS_PER_MS / 4 + below(12 * NS_PER_MS));
    s.grid = one_in(3) ? s.period / 4 : 1;
    s.is_forgetful = one_in(10);
    s.exposure = span(s.period);
    s.next_start = s.now;
    trigger_init(&s.engine);
    reference_init(&reference);
    s.engine.line_sequence = reference.last_sequence = s.sequence;
    op_camera(true);
    op_configure();
    unsigned steps = one_in(200) || (s.is_forgetful && one_in(4)) ? 600 : 15 + (unsigned)below(60);
    unsigned edge_weight = (unsigned)below(60);
    for (s.step = 0; s.step < steps; s.step++)
        step(edge_weight);
    finish();
}

static uint64_t number_from(const char *variable, uint64_t standard)
{
    const char *text = getenv(variable);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : standard;
}

static void engine_is_what_the_reference_says(void **state)
{
    (void)state;
    uint64_t schedules = number_from("PINHOLE_TRIGGER_SCHEDULES", SCHEDULES);
    uint64_t seed = number_from("PINHOLE_TRIGGER_SEED", 1);
    if (getenv("PINHOLE_TRIGGER_SEED") != NULL && getenv("PINHOLE_TRIGGER_SCHEDULES") == NULL)
        schedules = 1;
    uint64_t triggers = 0, outcomes[WIRE_OUTCOME_FAILED + 1] = {0}, lost = 0, refused = 0;
    for (uint64_t i = 0; i < schedules; i++) {
        run_schedule(seed + i);
        const struct trigger_counters *counters = &s.engine.counters;
        triggers += counters->triggers;
        lost += counters->edges_lost;
        refused += counters->edges_refused + counters->frames_refused;
        for (unsigned source = 0; source <= WIRE_SOURCE_LINE; source++)
            for (unsigned o = 0; o <= WIRE_OUTCOME_FAILED; o++)
                outcomes[o] += counters->outcomes[source][o];
    }
    printf("%" PRIu64 " schedules, %" PRIu64 " triggers: %" PRIu64 " matched, %" PRIu64
           " missed, %" PRIu64 " overrun, %" PRIu64 " failed; %" PRIu64 " edges lost, %" PRIu64
           " timestamps refused\n",
           schedules, triggers, outcomes[WIRE_OUTCOME_MATCHED], outcomes[WIRE_OUTCOME_MISSED],
           outcomes[WIRE_OUTCOME_OVERRUN], outcomes[WIRE_OUTCOME_FAILED], lost, refused);
    if (schedules >= 1000) // the generator must reach every corner, or the test proves nothing
        for (unsigned o = WIRE_OUTCOME_MATCHED; o <= WIRE_OUTCOME_FAILED; o++)
            assert_true(outcomes[o] > triggers / 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(engine_is_what_the_reference_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
