// SPDX-License-Identifier: MIT
#include "app/serial.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hal/os/root_file.h"

#define BOARD            "/proc/device-tree/serial-number"
#define MACHINE          "/etc/machine-id"
#define MACHINE_ID_BYTES 32

static bool read_board(const char *root, char out[SERIAL_BYTES])
{
    char text[SERIAL_BYTES] = "";
    if (root_file_read(root, BOARD, text, sizeof text - 1) <= 0)
        return false;
    text[strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_")] = '\0';
    if (text[strspn(text, "0")] == '\0') // also when there is nothing
        return false;
    memcpy(out, text, sizeof text);
    return true;
}

/** FNV-1a, begun with the program's name, so that no other program has the same digits. */
static uint64_t hash(const char *text, size_t bytes)
{
    uint64_t state = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes; i++)
        state = (state ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
    return state;
}

static bool read_machine(const char *root, char out[SERIAL_BYTES])
{
    char text[] = "pinhole:0123456789abcdef0123456789abcdef";
    char *id = strchr(text, ':') + 1;
    if (root_file_read(root, MACHINE, id, MACHINE_ID_BYTES) != MACHINE_ID_BYTES ||
        strspn(id, "0123456789abcdef") != MACHINE_ID_BYTES)
        return false; // "uninitialized", say, before the first boot
    snprintf(out, SERIAL_BYTES, "%016" PRIx64, hash(text, strlen(text)));
    return true;
}

void serial_find(const char *root, const char *name, char out[SERIAL_BYTES])
{
    if (!read_board(root, out) && !read_machine(root, out))
        snprintf(out, SERIAL_BYTES, "%s", name);
}
