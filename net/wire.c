// SPDX-License-Identifier: MIT
#include "net/wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void put_u8(uint8_t *out, uint8_t v)
{
    out[0] = v;
}

static void put_u16(uint8_t *out, uint16_t v)
{
    out[0] = (uint8_t)v;
    out[1] = (uint8_t)(v >> 8);
}

static void put_u32(uint8_t *out, uint32_t v)
{
    put_u16(out, (uint16_t)v);
    put_u16(out + 2, (uint16_t)(v >> 16));
}

static void put_u64(uint8_t *out, uint64_t v)
{
    put_u32(out, (uint32_t)v);
    put_u32(out + 4, (uint32_t)(v >> 32));
}

static void put_i16(uint8_t *out, int16_t v)
{
    put_u16(out, (uint16_t)v);
}

static void put_i64(uint8_t *out, int64_t v)
{
    put_u64(out, (uint64_t)v);
}

static uint8_t get_u8(const uint8_t *in)
{
    return in[0];
}

static uint16_t get_u16(const uint8_t *in)
{
    return (uint16_t)(in[0] | in[1] << 8);
}

static uint32_t get_u32(const uint8_t *in)
{
    return get_u16(in) | (uint32_t)get_u16(in + 2) << 16;
}

static uint64_t get_u64(const uint8_t *in)
{
    return get_u32(in) | (uint64_t)get_u32(in + 4) << 32;
}

static int16_t get_i16(const uint8_t *in)
{
    return (int16_t)get_u16(in);
}

static int64_t get_i64(const uint8_t *in)
{
    return (int64_t)get_u64(in);
}

void wire_store_u32(uint8_t *out, uint32_t value)
{
    put_u32(out, value);
}

void wire_store_u64(uint8_t *out, uint64_t value)
{
    put_u64(out, value);
}

uint32_t wire_load_u32(const uint8_t *in)
{
    return get_u32(in);
}

uint64_t wire_load_u64(const uint8_t *in)
{
    return get_u64(in);
}

void wire_put_header(uint8_t *out, const struct wire_header *header)
{
    put_u32(out, WIRE_MAGIC);
    put_u8(out + 4, header->version);
    put_u8(out + 5, header->type);
    put_u16(out + 6, header->flags);
    put_u32(out + 8, header->length);
    put_u32(out + 12, header->tag);
}

int wire_get_header(const uint8_t *in, struct wire_header *header)
{
    header->version = get_u8(in + 4);
    header->type = get_u8(in + 5);
    header->flags = get_u16(in + 6);
    header->length = get_u32(in + 8);
    header->tag = get_u32(in + 12);
    if (get_u32(in) != WIRE_MAGIC)
        return -EBADMSG;
    return header->version == 0 || header->version > WIRE_VERSION ? -EPROTONOSUPPORT : 0;
}

/** Copies what both sides know of a fixed part into `fixed`, the rest is zero. Returns the offset
 * of the variable part or -EBADMSG. */
static int take_fixed(uint8_t *fixed, size_t fixed_size, const uint8_t *in, size_t bytes)
{
    if (bytes < 2)
        return -EBADMSG;
    size_t sent = get_u16(in);
    if (sent < 2 || sent > bytes)
        return -EBADMSG;
    memset(fixed, 0, fixed_size);
    memcpy(fixed, in, sent < fixed_size ? sent : fixed_size);
    return (int)sent;
}

// Encoders and decoders generated from the field lists.
#define PUT(offset, type, field) put_##type(out + offset, m->field);
#define GET(offset, type, field) m->field = get_##type(fixed + offset);

size_t wire_put_hello(uint8_t *out, const struct wire_hello *m)
{
#define WIRE_HELLO PUT
#include "net/wire.def"
#undef WIRE_HELLO
    put_u16(out, WIRE_HELLO_FIXED);
    return WIRE_HELLO_FIXED;
}

size_t wire_put_subscribe(uint8_t *out, const struct wire_subscribe *m)
{
#define WIRE_SUBSCRIBE PUT
#include "net/wire.def"
#undef WIRE_SUBSCRIBE
    put_u16(out, WIRE_SUBSCRIBE_FIXED);
    return WIRE_SUBSCRIBE_FIXED;
}

size_t wire_put_frame(uint8_t *out, const struct wire_frame *m)
{
#define WIRE_FRAME PUT
#include "net/wire.def"
#undef WIRE_FRAME
    put_u16(out, WIRE_FRAME_FIXED);
    return WIRE_FRAME_FIXED;
}

size_t wire_put_event(uint8_t *out, const struct wire_event *m)
{
#define WIRE_EVENT PUT
#include "net/wire.def"
#undef WIRE_EVENT
    put_u16(out, WIRE_EVENT_FIXED);
    return WIRE_EVENT_FIXED;
}

size_t wire_put_error(uint8_t *out, const struct wire_error *m)
{
#define WIRE_ERROR PUT
#include "net/wire.def"
#undef WIRE_ERROR
    put_u16(out, WIRE_ERROR_FIXED);
    return WIRE_ERROR_FIXED;
}

int wire_get_hello(const uint8_t *in, size_t bytes, struct wire_hello *m)
{
    uint8_t fixed[WIRE_HELLO_FIXED];
    int at = take_fixed(fixed, sizeof fixed, in, bytes);
    if (at < 0)
        return at;
#define WIRE_HELLO GET
#include "net/wire.def"
#undef WIRE_HELLO
    return at;
}

int wire_get_subscribe(const uint8_t *in, size_t bytes, struct wire_subscribe *m)
{
    uint8_t fixed[WIRE_SUBSCRIBE_FIXED];
    int at = take_fixed(fixed, sizeof fixed, in, bytes);
    if (at < 0)
        return at;
#define WIRE_SUBSCRIBE GET
#include "net/wire.def"
#undef WIRE_SUBSCRIBE
    return at;
}

int wire_get_frame(const uint8_t *in, size_t bytes, struct wire_frame *m)
{
    uint8_t fixed[WIRE_FRAME_FIXED];
    int at = take_fixed(fixed, sizeof fixed, in, bytes);
    if (at < 0)
        return at;
#define WIRE_FRAME GET
#include "net/wire.def"
#undef WIRE_FRAME
    return at;
}

int wire_get_event(const uint8_t *in, size_t bytes, struct wire_event *m)
{
    uint8_t fixed[WIRE_EVENT_FIXED];
    int at = take_fixed(fixed, sizeof fixed, in, bytes);
    if (at < 0)
        return at;
#define WIRE_EVENT GET
#include "net/wire.def"
#undef WIRE_EVENT
    return at;
}

int wire_get_error(const uint8_t *in, size_t bytes, struct wire_error *m)
{
    uint8_t fixed[WIRE_ERROR_FIXED];
    int at = take_fixed(fixed, sizeof fixed, in, bytes);
    if (at < 0)
        return at;
#define WIRE_ERROR GET
#include "net/wire.def"
#undef WIRE_ERROR
    return at;
}

#define NAME_OF(names, value)                                                                      \
    ((value) < sizeof(names) / sizeof((names)[0]) && (names)[value] != NULL ? (names)[value] : "?")

const char *wire_outcome_name(unsigned outcome)
{
    static const char *const names[] = {"NONE", "MATCHED", "MISSED", "OVERRUN", "FAILED"};
    return NAME_OF(names, outcome);
}

const char *wire_source_name(unsigned source)
{
    static const char *const names[] = {"None", "Software", "Timer", "Line"};
    return NAME_OF(names, source);
}

const char *wire_event_name(unsigned kind)
{
    static const char *const names[] = {NULL,       "GAP",        "TRIGGER", "CAMERA",
                                        "FEATURES", "FRAME_LOST", "BOOT"};
    return NAME_OF(names, kind);
}

const char *wire_camera_state_name(unsigned state)
{
    static const char *const names[] = {"absent", "streaming", "stalled", "reconfigured"};
    return NAME_OF(names, state);
}

const char *wire_error_name(unsigned code)
{
    static const char *const names[] = {
        NULL,      "MALFORMED",    "VERSION",         "TOO_LARGE", "FULL",
        "TIMEOUT", "UNKNOWN_TYPE", "UNKNOWN_FEATURE", "READ_ONLY", "BAD_VALUE",
        "UNAVAILABLE", "SLOW"};
    return NAME_OF(names, code);
}
