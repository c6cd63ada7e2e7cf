// SPDX-License-Identifier: MIT
#include "net/wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static uint64_t load_le(const uint8_t *in, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

static void store_le(uint8_t *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

void wire_store_u32(uint8_t *out, uint32_t value)
{
    store_le(out, value, sizeof value);
}

void wire_store_u64(uint8_t *out, uint64_t value)
{
    store_le(out, value, sizeof value);
}

uint32_t wire_load_u32(const uint8_t *in)
{
    return (uint32_t)load_le(in, sizeof(uint32_t));
}

uint64_t wire_load_u64(const uint8_t *in)
{
    return load_le(in, sizeof(uint64_t));
}

void wire_put_header(uint8_t *out, const struct wire_header *header)
{
    store_le(out, WIRE_MAGIC, 4);
    store_le(out + 4, header->version, 1);
    store_le(out + 5, header->type, 1);
    store_le(out + 6, header->flags, 2);
    store_le(out + 8, header->length, 4);
    store_le(out + 12, header->tag, 4);
}

int wire_get_header(const uint8_t *in, struct wire_header *header)
{
    header->version = in[4];
    header->type = in[5];
    header->flags = (uint16_t)load_le(in + 6, 2);
    header->length = wire_load_u32(in + 8);
    header->tag = wire_load_u32(in + 12);
    if (wire_load_u32(in) != WIRE_MAGIC)
        return -EBADMSG;
    return header->version == 0 || header->version > WIRE_VERSION ? -EPROTONOSUPPORT : 0;
}

/** One field: where it stands on the wire and in the struct; the same size in both. */
struct field {
    uint8_t offset, size, member;
};

struct message {
    const struct field *fields;
    size_t count;
    size_t fixed_bytes; /**< on the wire */
    size_t struct_bytes;
};

/** Numbers change their byte order, bytes do not. */
#define IS_NUMBER(size) ((size) == 1 || (size) == 2 || (size) == 4 || (size) == 8)

/** The tables come from the field lists; a list that contradicts itself does not compile. */
#define SIZE_OF(type)                   sizeof(wire_##type)
#define ROW(type, offset, field, owner) {offset, SIZE_OF(type), offsetof(struct owner, field)},
#define CHECK(type, offset, field, owner, fixed)                                                   \
    static_assert((offset) + SIZE_OF(type) <= (fixed),                                             \
                  #owner "." #field " ends after the fixed part");                                 \
    static_assert(!IS_NUMBER(SIZE_OF(type)) || (offset) % SIZE_OF(type) == 0,                      \
                  #owner "." #field " is not aligned");                                            \
    static_assert(sizeof(struct owner) <= UINT8_MAX, #owner " is too large for struct field");

#define WIRE_HELLO(offset, type, field) ROW(type, offset, field, wire_hello)
static const struct field hello_fields[] = {
#include "net/wire.def"
};
#undef WIRE_HELLO
#define WIRE_HELLO(offset, type, field) CHECK(type, offset, field, wire_hello, WIRE_HELLO_FIXED)
#include "net/wire.def"
#undef WIRE_HELLO

#define WIRE_SUBSCRIBE(offset, type, field) ROW(type, offset, field, wire_subscribe)
static const struct field subscribe_fields[] = {
#include "net/wire.def"
};
#undef WIRE_SUBSCRIBE
#define WIRE_SUBSCRIBE(offset, type, field)                                                        \
    CHECK(type, offset, field, wire_subscribe, WIRE_SUBSCRIBE_FIXED)
#include "net/wire.def"
#undef WIRE_SUBSCRIBE

#define WIRE_FRAME(offset, type, field) ROW(type, offset, field, wire_frame)
static const struct field frame_fields[] = {
#include "net/wire.def"
};
#undef WIRE_FRAME
#define WIRE_FRAME(offset, type, field) CHECK(type, offset, field, wire_frame, WIRE_FRAME_FIXED)
#include "net/wire.def"
#undef WIRE_FRAME

#define WIRE_EVENT(offset, type, field) ROW(type, offset, field, wire_event)
static const struct field event_fields[] = {
#include "net/wire.def"
};
#undef WIRE_EVENT
#define WIRE_EVENT(offset, type, field) CHECK(type, offset, field, wire_event, WIRE_EVENT_FIXED)
#include "net/wire.def"
#undef WIRE_EVENT

#define WIRE_ERROR(offset, type, field) ROW(type, offset, field, wire_error)
static const struct field error_fields[] = {
#include "net/wire.def"
};
#undef WIRE_ERROR
#define WIRE_ERROR(offset, type, field) CHECK(type, offset, field, wire_error, WIRE_ERROR_FIXED)
#include "net/wire.def"
#undef WIRE_ERROR

#define MESSAGE(name, fixed)                                                                       \
    static const struct message name = {name##_fields,                                             \
                                        sizeof name##_fields / sizeof name##_fields[0], fixed,     \
                                        sizeof(struct wire_##name)}
MESSAGE(hello, WIRE_HELLO_FIXED);
MESSAGE(subscribe, WIRE_SUBSCRIBE_FIXED);
MESSAGE(frame, WIRE_FRAME_FIXED);
MESSAGE(event, WIRE_EVENT_FIXED);
MESSAGE(error, WIRE_ERROR_FIXED);

/** An enumerator per FRAME field, to compare the header's two patch offsets with the list. */
#define WIRE_FRAME(offset, type, field) FRAME_AT_##field = (offset),
enum {
#include "net/wire.def"
};
#undef WIRE_FRAME
static_assert(FRAME_AT_queued_us == WIRE_FRAME_QUEUED_US_AT, "wire.h and wire.def: queued_us");
static_assert(FRAME_AT_skipped == WIRE_FRAME_SKIPPED_AT, "wire.h and wire.def: skipped");

static uint64_t load_member(const uint8_t *at, size_t size)
{
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (size) {
    case 1: return *at;
    case 2: memcpy(&u16, at, 2); return u16;
    case 4: memcpy(&u32, at, 4); return u32;
    default: memcpy(&u64, at, 8); return u64;
    }
}

static void store_member(uint8_t *at, uint64_t value, size_t size)
{
    const uint16_t u16 = (uint16_t)value;
    const uint32_t u32 = (uint32_t)value;
    switch (size) {
    case 1: *at = (uint8_t)value; break;
    case 2: memcpy(at, &u16, 2); break;
    case 4: memcpy(at, &u32, 4); break;
    default: memcpy(at, &value, 8); break;
    }
}

static size_t put(uint8_t *out, const void *in, const struct message *m)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct field *f = &m->fields[i];
        const uint8_t *member = (const uint8_t *)in + f->member;
        if (IS_NUMBER(f->size))
            store_le(out + f->offset, load_member(member, f->size), f->size);
        else
            memcpy(out + f->offset, member, f->size);
    }
    store_le(out, m->fixed_bytes, 2);
    return m->fixed_bytes;
}

/** Reads the fields that lie within the part that was sent; the others are 0. */
static int get(const uint8_t *in, size_t bytes, void *out, const struct message *m)
{
    memset(out, 0, m->struct_bytes);
    if (bytes < 2)
        return -EBADMSG;
    const size_t sent = (size_t)load_le(in, 2);
    if (sent < 2 || sent > bytes)
        return -EBADMSG;
    for (size_t i = 0; i < m->count; i++) {
        const struct field *f = &m->fields[i];
        uint8_t *member = (uint8_t *)out + f->member;
        if ((size_t)f->offset + f->size > sent)
            continue;
        if (IS_NUMBER(f->size))
            store_member(member, load_le(in + f->offset, f->size), f->size);
        else
            memcpy(member, in + f->offset, f->size);
    }
    return (int)sent;
}

size_t wire_put_hello(uint8_t *out, const struct wire_hello *m)
{
    return put(out, m, &hello);
}

size_t wire_put_subscribe(uint8_t *out, const struct wire_subscribe *m)
{
    return put(out, m, &subscribe);
}

size_t wire_put_frame(uint8_t *out, const struct wire_frame *m)
{
    return put(out, m, &frame);
}

size_t wire_put_event(uint8_t *out, const struct wire_event *m)
{
    return put(out, m, &event);
}

size_t wire_put_error(uint8_t *out, const struct wire_error *m)
{
    return put(out, m, &error);
}

int wire_get_hello(const uint8_t *in, size_t bytes, struct wire_hello *m)
{
    return get(in, bytes, m, &hello);
}

int wire_get_subscribe(const uint8_t *in, size_t bytes, struct wire_subscribe *m)
{
    return get(in, bytes, m, &subscribe);
}

int wire_get_frame(const uint8_t *in, size_t bytes, struct wire_frame *m)
{
    return get(in, bytes, m, &frame);
}

int wire_get_event(const uint8_t *in, size_t bytes, struct wire_event *m)
{
    return get(in, bytes, m, &event);
}

int wire_get_error(const uint8_t *in, size_t bytes, struct wire_error *m)
{
    return get(in, bytes, m, &error);
}

#define NAME_OF(names, value)                                                                      \
    ((value) < sizeof names / sizeof((names)[0]) && (names)[value] != NULL ? (names)[value] : "?")

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
    static const char *const names[] = {NULL,        "MALFORMED", "VERSION",      "TOO_LARGE",
                                        "FULL",      "TIMEOUT",   "UNKNOWN_TYPE", "UNKNOWN_FEATURE",
                                        "READ_ONLY", "BAD_VALUE", "UNAVAILABLE",  "SLOW",
                                        "DENIED"};
    return NAME_OF(names, code);
}

const char *wire_type_name(unsigned type)
{
    static const char *const names[] = {NULL,       "HELLO", "SUBSCRIBE", "FRAME",   "EVENT",
                                        "FEATURES", "GET",   "SET",       "TRIGGER", "STATS",
                                        "PING",     "ERROR", "PROVE",     "AUTH"};
    return NAME_OF(names, type);
}

const char *wire_role_name(unsigned role)
{
    static const char *const names[] = {NULL, "none", "view", "control"};
    return NAME_OF(names, role);
}
