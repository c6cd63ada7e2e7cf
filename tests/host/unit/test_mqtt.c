// SPDX-License-Identifier: MIT
// The pure parts of pinhole-mqtt: the version to speak, the window.
#include "hal/base.h"
#include "tools/mqtt/version.h"
#include "tools/mqtt/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/** Plays attempts, each "5" or "3" with how it ends, and expects these versions to be spoken. */
static void play(const char *script, int expected_last)
{
    struct mqtt_version version = {0};
    for (; *script != '\0'; script += 2) {
        const int spoken = script[0] - '0';
        assert_int_equal(mqtt_version_next(&version), spoken);
        const enum mqtt_attempt attempt = script[1] == 'a'   ? MQTT_ACCEPTED
                                          : script[1] == 'c' ? MQTT_NO_CONNACK
                                          : script[1] == 'v' ? MQTT_NO_VERSION
                                          : script[1] == 'r' ? MQTT_REFUSED
                                                             : MQTT_UNREACHABLE;
        mqtt_version_note(&version, spoken, attempt);
    }
    assert_int_equal(mqtt_version_next(&version), expected_last);
}

static void the_version_falls_back(void **state)
{
    (void)state;
    play("5a5c5c5c", 5);   // a broker that has 5 never loses it
    play("5v", 3);         // said outright
    play("5c3a5c3a3c", 3); // closed without a word, and once more when asked again
    play("5c3a5a", 5);     // it was only starting
    play("5c3c5c3c", 5);   // neither works: not a matter of the version
    play("5u5u", 5);
    play("5c3r5c3r", 3); // a wrong password shows that 3.1.1 is understood
    play("5r5c", 5);
}

static void a_record_settles_behind_a_later_answer(void **state)
{
    (void)state;
    struct mqtt_window window = {0};
    const int one = mqtt_window_begin(&window, 7, 10);
    const uint64_t picture = mqtt_window_add(&window, one), meta = mqtt_window_add(&window, one);
    mqtt_window_end(&window, one);
    const int two = mqtt_window_begin(&window, 7, 11);
    const uint64_t second = mqtt_window_add(&window, two);
    mqtt_window_end(&window, two);
    assert_int_equal(mqtt_window_open(&window), 2);

    mqtt_window_acknowledge(&window, one, picture);
    assert_int_equal(mqtt_window_open(&window), 2);
    mqtt_window_acknowledge(&window, one, meta);
    mqtt_window_acknowledge(&window, two, second); // was handed over before those answers
    assert_int_equal(mqtt_window_open(&window), 0);
    assert_int_equal(window.acknowledged.sequence, 11);
    assert_false(window.settled.is_known);

    const uint64_t later = mqtt_window_add(&window, -1);
    mqtt_window_acknowledge(&window, -1, later);
    assert_int_equal(window.settled.sequence, 11);
    assert_int_equal(window.count, 0);
}

static void the_position_stops_at_a_hole(void **state)
{
    (void)state;
    struct mqtt_window window = {0};
    int slots[3];
    uint64_t numbers[3];
    for (unsigned i = 0; i < 3; i++) {
        slots[i] = mqtt_window_begin(&window, 7, 20 + i);
        numbers[i] = mqtt_window_add(&window, slots[i]);
        mqtt_window_end(&window, slots[i]);
    }
    mqtt_window_acknowledge(&window, slots[2], numbers[2]);
    mqtt_window_acknowledge(&window, slots[0], numbers[0]);
    assert_int_equal(window.acknowledged.sequence, 20);
    assert_int_equal(mqtt_window_oldest(&window).sequence, 21);
    mqtt_window_acknowledge(&window, -1, mqtt_window_add(&window, -1));
    assert_int_equal(window.settled.sequence, 20);

    mqtt_window_reset(&window); // a lost connection: what was not settled comes again
    assert_int_equal(window.acknowledged.sequence, 20);
    assert_false(mqtt_window_oldest(&window).is_known);
}

static void the_window_is_bounded(void **state)
{
    (void)state;
    struct mqtt_window window = {0};
    for (unsigned i = 0; i < MQTT_WINDOW_RECORDS; i++)
        assert_true(mqtt_window_begin(&window, 1, i) >= 0);
    assert_int_equal(mqtt_window_begin(&window, 1, 999), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_version_falls_back),
        cmocka_unit_test(a_record_settles_behind_a_later_answer),
        cmocka_unit_test(the_position_stops_at_a_hole),
        cmocka_unit_test(the_window_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
