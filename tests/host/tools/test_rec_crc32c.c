// SPDX-License-Identifier: MIT
// The recorder's checksum: the processor's instruction and the tables agree, at any length and
// alignment.
#include "tools/rec/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/** Data of this length and more goes through lanes side by side. */
enum { LANES_BYTES = 3 * 2048, BYTES = 2 * LANES_BYTES + 300 };

/** RFC 3720, B.4. */
static void test_examples_of_the_standard(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(rec_crc32c(bytes, sizeof bytes), 0x8A9136AA);
    assert_int_equal(rec_crc32c_by_tables(bytes, sizeof bytes), 0x8A9136AA);
    memset(bytes, 0xFF, sizeof bytes);
    assert_int_equal(rec_crc32c(bytes, sizeof bytes), 0x62A8AB43);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(rec_crc32c(bytes, sizeof bytes), 0x46DD794E);
    assert_int_equal(rec_crc32c("123456789", 9), 0xE3069283);
    assert_int_equal(rec_crc32c("", 0), 0);
}

static void test_both_ways_agree(void **state)
{
    (void)state;
    uint8_t bytes[BYTES];
    uint32_t random = 1;
    for (unsigned i = 0; i < BYTES; i++) {
        random = random * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(random >> 24);
    }
    for (size_t from = 0; from < 8; from++)
        for (size_t lanes = 0; lanes <= 2; lanes++)
            for (size_t rest = 0; rest <= 300 - from; rest++) {
                const size_t length = lanes * LANES_BYTES + rest;
                assert_int_equal(rec_crc32c(bytes + from, length),
                                 rec_crc32c_by_tables(bytes + from, length));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_of_the_standard),
        cmocka_unit_test(test_both_ways_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
