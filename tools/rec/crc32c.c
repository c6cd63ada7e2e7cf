// SPDX-License-Identifier: MIT
#include "tools/rec/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { SLICES = 8 };

static uint32_t table[SLICES][256];

static void make_table(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
        table[0][i] = crc;
    }
    for (unsigned i = 0; i < 256; i++)
        for (int k = 1; k < SLICES; k++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
}

uint32_t rec_crc32c_by_tables(const void *data, size_t bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_table);
    const uint8_t *at = data;
    uint32_t crc = UINT32_MAX;
    for (; bytes >= SLICES; at += SLICES, bytes -= SLICES) {
        uint32_t next = 0;
        for (int k = 0; k < SLICES; k++) {
            const uint8_t mixed = (uint8_t)(at[k] ^ (k < 4 ? crc >> 8 * k : 0));
            next ^= table[SLICES - 1 - k][mixed];
        }
        crc = next;
    }
    for (; bytes > 0; at++, bytes--)
        crc = crc >> 8 ^ table[0][(crc ^ *at) & 255];
    return ~crc;
}

#if defined(__x86_64__)

#define INSTRUCTION         __attribute__((target("sse4.2")))
#define ADD_WORD(crc, word) ((uint32_t)__builtin_ia32_crc32di(crc, word))
#define ADD_BYTE(crc, byte) __builtin_ia32_crc32qi(crc, byte)

static bool has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2");
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

#define INSTRUCTION         __attribute__((target("+crc")))
#define ADD_WORD(crc, word) __builtin_aarch64_crc32cx(crc, word)
#define ADD_BYTE(crc, byte) __builtin_aarch64_crc32cb(crc, byte)

static bool has_instruction(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

#endif

#ifdef INSTRUCTION

INSTRUCTION static uint32_t by_instruction(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    uint32_t crc = UINT32_MAX;
    for (uint64_t word; bytes >= sizeof word; at += sizeof word, bytes -= sizeof word) {
        memcpy(&word, at, sizeof word);
        crc = ADD_WORD(crc, word);
    }
    for (; bytes > 0; at++, bytes--)
        crc = ADD_BYTE(crc, *at);
    return ~crc;
}

uint32_t rec_crc32c(const void *data, size_t bytes)
{
    return has_instruction() ? by_instruction(data, bytes) : rec_crc32c_by_tables(data, bytes);
}

#else

uint32_t rec_crc32c(const void *data, size_t bytes)
{
    return rec_crc32c_by_tables(data, bytes);
}

#endif
