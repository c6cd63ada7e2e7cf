// SPDX-License-Identifier: MIT
#include "tools/rec/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { SLICES = 8, LANES = 3, LANE_BYTES = 2048 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t table[SLICES][256];
/** By each byte of a checksum: what becomes of it behind LANE_BYTES of zeros. */
static uint32_t behind_lane[4][256];

static void make_tables(void)
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
    for (unsigned bit = 0; bit < 32; bit++) {
        uint32_t crc = UINT32_C(1) << bit;
        for (int k = 0; k < LANE_BYTES; k++)
            crc = crc >> 8 ^ table[0][crc & 255];
        for (unsigned i = 0; i < 256; i++)
            if (i >> bit % 8 & 1)
                behind_lane[bit / 8][i] ^= crc;
    }
}

uint32_t rec_crc32c_by_tables(const void *data, size_t bytes)
{
    pthread_once(&once, make_tables);
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

static uint32_t append_lane(uint32_t crc, uint32_t lane)
{
    return lane ^ behind_lane[0][crc & 255] ^ behind_lane[1][crc >> 8 & 255] ^
           behind_lane[2][crc >> 16 & 255] ^ behind_lane[3][crc >> 24];
}

static uint64_t word_at(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/** The instruction's result is there after three cycles, but one may begin in each: three lanes of
 * the data side by side, put together afterwards. */
INSTRUCTION static uint32_t by_instruction(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    uint32_t crc = UINT32_MAX;
    pthread_once(&once, make_tables);
    for (; bytes >= LANES * LANE_BYTES; at += LANES * LANE_BYTES, bytes -= LANES * LANE_BYTES) {
        uint32_t second = 0, third = 0;
        for (const uint8_t *end = at + LANE_BYTES; at < end; at += sizeof(uint64_t)) {
            crc = ADD_WORD(crc, word_at(at));
            second = ADD_WORD(second, word_at(at + LANE_BYTES));
            third = ADD_WORD(third, word_at(at + 2 * LANE_BYTES));
        }
        at -= LANE_BYTES;
        crc = append_lane(append_lane(crc, second), third);
    }
    for (; bytes >= sizeof(uint64_t); at += sizeof(uint64_t), bytes -= sizeof(uint64_t))
        crc = ADD_WORD(crc, word_at(at));
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
