// SPDX-License-Identifier: MIT
// Where a serial number comes from, on a folder that stands for the system.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/serial.h"

static char root[] = "/tmp/pinhole-test-XXXXXX";
static char board[64], machine[64];
static const char *const folders[] = {"/proc", "/proc/device-tree", "/etc"};

static int begin(void **state)
{
    (void)state;
    if (mkdtemp(root) == NULL)
        return -1;
    for (unsigned i = 0; i < ARRAY_SIZE(folders); i++) {
        char path[64];
        snprintf(path, sizeof path, "%s%s", root, folders[i]);
        if (mkdir(path, 0700) < 0)
            return -1;
    }
    snprintf(board, sizeof board, "%s/proc/device-tree/serial-number", root);
    snprintf(machine, sizeof machine, "%s/etc/machine-id", root);
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(board);
    unlink(machine);
    for (unsigned i = ARRAY_SIZE(folders); i > 0; i--) {
        char path[64];
        snprintf(path, sizeof path, "%s%s", root, folders[i - 1]);
        rmdir(path);
    }
    return rmdir(root);
}

static void put(const char *path, const char *text, size_t bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static const char *find(void)
{
    static char out[SERIAL_BYTES];
    memset(out, 'x', sizeof out);
    serial_find(root, "gate", out);
    return out;
}

static void a_machine_without_any_has_its_name(void **state)
{
    (void)state;
    assert_string_equal(find(), "gate");
    put(machine, "uninitialized\n", 14);
    assert_string_equal(find(), "gate");
}

static void the_machine_id_is_not_told(void **state)
{
    (void)state;
    char one[SERIAL_BYTES];
    put(machine, "0123456789abcdef0123456789abcde0\n", 33);
    snprintf(one, sizeof one, "%s", find());
    assert_int_equal(strlen(one), 16);
    assert_int_equal(strspn(one, "0123456789abcdef"), 16);
    assert_null(strstr("0123456789abcdef0123456789abcde0", one));
    assert_string_equal(find(), one);
    put(machine, "0123456789abcdef0123456789abcde1\n", 33);
    assert_string_not_equal(find(), one);
}

static void the_board_goes_first(void **state)
{
    (void)state;
    put(machine, "0123456789abcdef0123456789abcde0\n", 33);
    put(board, "10000000a1b2c3d4", 17); // with its 0, as the kernel shows it
    assert_string_equal(find(), "10000000a1b2c3d4");
    put(board, "0000000000000000", 17);
    assert_int_equal(strlen(find()), 16);
    assert_string_not_equal(find(), "0000000000000000");
    put(board, "SN-7\nReboot=1", 13); // it becomes part of a line
    assert_string_equal(find(), "SN-7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_without_any_has_its_name),
        cmocka_unit_test(the_machine_id_is_not_told),
        cmocka_unit_test(the_board_goes_first),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
