// SPDX-License-Identifier: MIT
#include "tools/nats/nkey.h"

#include <nettle/eddsa.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

enum {
    KEY_BYTES = ED25519_KEY_SIZE,
    CRC_BYTES = 2,
    USER = 20 << 3, /**< base32 begins with U */
    SEED = 18 << 3, /**< with S; the user's prefix is in the bits behind it */
    SEED_PREFIX_BYTES = 2,
    SEED_ALL_BYTES = SEED_PREFIX_BYTES + KEY_BYTES + CRC_BYTES,
    PUBLIC_ALL_BYTES = 1 + KEY_BYTES + CRC_BYTES,
};
static const uint8_t seed_prefix[SEED_PREFIX_BYTES] = {SEED | USER >> 5, (USER & 31) << 3};
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** CRC-16 of XMODEM. */
static uint16_t crc_of(const uint8_t *bytes, size_t count)
{
    unsigned crc = 0;
    for (size_t i = 0; i < count; i++) {
        crc ^= (unsigned)bytes[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1 ^ ((crc & 0x8000) != 0 ? 0x1021 : 0)) & 0xFFFF;
    }
    return (uint16_t)crc;
}

/** Appends the checksum and writes all as base32. */
static void encode(char *out, uint8_t *bytes, size_t count)
{
    const uint16_t crc = crc_of(bytes, count - CRC_BYTES);
    bytes[count - 2] = (uint8_t)crc;
    bytes[count - 1] = (uint8_t)(crc >> 8);
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < count; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 5; held -= 5)
            *out++ = digits[bits >> (held - 5) & 31];
    }
    if (held > 0)
        *out++ = digits[bits << (5 - held) & 31];
    *out = '\0';
}

/** Reads a seed's bytes. */
static bool decode(uint8_t out[SEED_ALL_BYTES], const char *seed)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t count = 0;
    if (strlen(seed) != NKEY_SEED_BYTES - 1)
        return false;
    for (; *seed != '\0'; seed++) {
        const char *digit = strchr(digits, *seed);
        if (digit == NULL)
            return false;
        bits = bits << 5 | (uint32_t)(digit - digits);
        held += 5;
        if (held >= 8) {
            held -= 8;
            out[count++] = (uint8_t)(bits >> held);
        }
    }
    const size_t before = SEED_ALL_BYTES - CRC_BYTES;
    return memcmp(out, seed_prefix, sizeof seed_prefix) == 0 &&
           crc_of(out, before) == (out[before] | out[before + 1] << 8);
}

bool nkey_make(char seed[NKEY_SEED_BYTES])
{
    uint8_t bytes[SEED_ALL_BYTES] = {0};
    memcpy(bytes, seed_prefix, sizeof seed_prefix);
    if (getrandom(bytes + SEED_PREFIX_BYTES, KEY_BYTES, 0) != KEY_BYTES)
        return false;
    encode(seed, bytes, sizeof bytes);
    return true;
}

const char *nkey_in_line(const char *line)
{
    static const char name[] = "nkey:";
    uint8_t bytes[SEED_ALL_BYTES] = {0};
    if (strncmp(line, name, strlen(name)) == 0)
        line += strlen(name);
    line += strspn(line, " \t");
    return decode(bytes, line) ? line : NULL;
}

bool nkey_public(char out[NKEY_PUBLIC_BYTES], const char *seed)
{
    uint8_t secret[SEED_ALL_BYTES] = {0}, key[PUBLIC_ALL_BYTES] = {USER};
    if (!decode(secret, seed))
        return false;
    ed25519_sha512_public_key(key + 1, secret + SEED_PREFIX_BYTES);
    encode(out, key, sizeof key);
    return true;
}
