// SPDX-License-Identifier: MIT
// The wire format: golden messages both ways, every field of SPEC.md's tables at its offset, and
// what the decoders do with input that is short, long or hostile.
#include "net/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT_BYTES(text) (sizeof text - 1)

/** A message as the codec and these tests know it. */
typedef size_t (*put_fn)(uint8_t *, const void *);
typedef int (*get_fn)(const uint8_t *, size_t, void *);

struct field {
    const char *name;
    size_t offset, size, member;
};

#define FIELD_OF(owner, at, type, field)                                                           \
    {#field, at, sizeof(wire_##type), offsetof(struct owner, field)},

#define WIRE_HELLO(offset, type, field) FIELD_OF(wire_hello, offset, type, field)
static const struct field hello_fields[] = {
#include "net/wire.def"
    {0}};
#undef WIRE_HELLO
#define WIRE_SUBSCRIBE(offset, type, field) FIELD_OF(wire_subscribe, offset, type, field)
static const struct field subscribe_fields[] = {
#include "net/wire.def"
    {0}};
#undef WIRE_SUBSCRIBE
#define WIRE_FRAME(offset, type, field) FIELD_OF(wire_frame, offset, type, field)
static const struct field frame_fields[] = {
#include "net/wire.def"
    {0}};
#undef WIRE_FRAME
#define WIRE_EVENT(offset, type, field) FIELD_OF(wire_event, offset, type, field)
static const struct field event_fields[] = {
#include "net/wire.def"
    {0}};
#undef WIRE_EVENT
#define WIRE_ERROR(offset, type, field) FIELD_OF(wire_error, offset, type, field)
static const struct field error_fields[] = {
#include "net/wire.def"
    {0}};
#undef WIRE_ERROR

#define CODEC(name)                                                                                \
    static size_t put_##name(uint8_t *out, const void *in)                                         \
    {                                                                                              \
        return wire_put_##name(out, in);                                                           \
    }                                                                                              \
    static int get_##name(const uint8_t *in, size_t bytes, void *out)                              \
    {                                                                                              \
        return wire_get_##name(in, bytes, out);                                                    \
    }
CODEC(hello)
CODEC(subscribe)
CODEC(frame)
CODEC(event)
CODEC(error)

static const struct message {
    const char *heading; /**< in SPEC.md */
    const struct field *fields;
    size_t fixed_bytes, struct_bytes;
    put_fn put;
    get_fn get;
} messages[] = {
    {"HELLO", hello_fields, 104, sizeof(struct wire_hello), put_hello, get_hello},
    {"SUBSCRIBE", subscribe_fields, 24, sizeof(struct wire_subscribe), put_subscribe,
     get_subscribe},
    {"FRAME", frame_fields, 136, sizeof(struct wire_frame), put_frame, get_frame},
    {"EVENT", event_fields, 72, sizeof(struct wire_event), put_event, get_event},
    {"ERROR", error_fields, 8, sizeof(struct wire_error), put_error, get_error},
};
enum { MESSAGES = sizeof messages / sizeof messages[0], FIXED_MAX = 136 };

// --- SPEC.md's tables against wire.def and the codec ---------------------------------------------

/** Reads "| 8 | 4 | name |" lines of the first table under "## heading"; returns how many. */
static int parse_table(const char *heading, struct field *out, char (*names)[32], int max)
{
    FILE *spec = fopen("net/SPEC.md", "r");
    char line[1024], wanted[64];
    int count = 0;
    bool is_inside = false;
    if (spec == NULL)
        fail_msg("net/SPEC.md: %s (run from the repository's root)", strerror(errno));
    snprintf(wanted, sizeof wanted, "## %s", heading);
    while (fgets(line, sizeof line, spec) != NULL) {
        unsigned offset, size;
        if (strncmp(line, "## ", 3) == 0) {
            line[strcspn(line, ",\n")] = '\0'; // "## Message header, 16 bytes"
            is_inside = strcmp(line, wanted) == 0;
        }
        if (!is_inside || count == max ||
            sscanf(line, "| %u | %u | %31[a-z_0-9] |", &offset, &size, names[count]) != 3)
            continue;
        out[count] = (struct field){.name = names[count], .offset = offset, .size = size};
        count++;
    }
    fclose(spec);
    return count;
}

static void test_spec_tables_and_field_lists_agree(void **state)
{
    (void)state;
    for (int m = 0; m < MESSAGES; m++) {
        struct field rows[64];
        char names[64][32];
        int count = parse_table(messages[m].heading, rows, names, 64), i = 0;
        size_t end = 0;
        for (const struct field *f = messages[m].fields; f->name != NULL; f++, i++) {
            if (i >= count)
                fail_msg("SPEC.md, %s: no row for %s", messages[m].heading, f->name);
            assert_string_equal(rows[i].name, f->name);
            assert_int_equal(rows[i].offset, f->offset);
            assert_int_equal(rows[i].size, f->size);
            assert_int_equal(f->offset, end); // no hole, no overlap
            end = f->offset + f->size;
        }
        assert_int_equal(i, count);
        assert_int_equal(end, messages[m].fixed_bytes);
    }
    struct field rows[16];
    char names[16][32];
    assert_int_equal(parse_table("Message header", rows, names, 16), 6);
    assert_int_equal(rows[5].offset + rows[5].size, WIRE_HEADER_BYTES);
}

/** Composes a little-endian number: what the codec is compared with. */
static uint64_t number_at(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = size; i > 0; i--)
        value = value << 8 | bytes[i - 1];
    return value;
}

static uint64_t member_of(const void *structure, const struct field *f)
{
    const uint8_t *at = (const uint8_t *)structure + f->member;
    switch (f->size) {
    case 1: return *at;
    case 2: return *(const uint16_t *)(const void *)at;
    case 4: return *(const uint32_t *)(const void *)at;
    case 8: return *(const uint64_t *)(const void *)at;
    default: return number_at(at, f->size); // bytes
    }
}

/** Bytes of which no two neighbours are alike, so that a field read one byte off is noticed. */
static void fill(uint8_t *bytes, size_t fixed_bytes, uint8_t salt)
{
    for (size_t i = 0; i < fixed_bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + salt);
    bytes[0] = (uint8_t)fixed_bytes;
    bytes[1] = 0;
}

static void test_every_field_at_its_offset(void **state)
{
    (void)state;
    for (int m = 0; m < MESSAGES; m++) {
        struct field rows[64];
        char names[64][32];
        int count = parse_table(messages[m].heading, rows, names, 64);
        for (int salt = 1; salt < 256; salt += 127) {
            uint8_t bytes[FIXED_MAX], again[FIXED_MAX] = {0};
            uint64_t structure[FIXED_MAX / 8 + 1];
            fill(bytes, messages[m].fixed_bytes, (uint8_t)salt);
            assert_int_equal(messages[m].get(bytes, messages[m].fixed_bytes, structure),
                             messages[m].fixed_bytes);
            for (int i = 0; i < count; i++) // offsets from SPEC.md, members from wire.def
                assert_int_equal(member_of(structure, &messages[m].fields[i]),
                                 number_at(bytes + rows[i].offset, rows[i].size));
            assert_int_equal(messages[m].put(again, structure), messages[m].fixed_bytes);
            assert_memory_equal(again, bytes, messages[m].fixed_bytes);
        }
    }
}

static void test_older_and_newer_senders(void **state)
{
    (void)state;
    for (int m = 0; m < MESSAGES; m++) {
        const size_t fixed = messages[m].fixed_bytes;
        uint8_t bytes[FIXED_MAX + 64];
        uint64_t structure[FIXED_MAX / 8 + 1];
        fill(bytes, sizeof bytes, 1);
        for (size_t sent = 2; sent <= sizeof bytes; sent++) {
            bytes[0] = (uint8_t)sent;
            memset(structure, 0xa5, sizeof structure);
            assert_int_equal(messages[m].get(bytes, sizeof bytes, structure), sent);
            for (const struct field *f = messages[m].fields; f->name != NULL; f++)
                assert_int_equal(
                    member_of(structure, f),
                    f->offset + f->size > sent ? 0 : number_at(bytes + f->offset, f->size));
            if (sent < sizeof bytes) // the payload may not be shorter than its fixed part
                assert_int_equal(messages[m].get(bytes, sent - 1, structure), -EBADMSG);
        }
        bytes[0] = (uint8_t)fixed;
        for (size_t have = 0; have < 2; have++)
            assert_int_equal(messages[m].get(bytes, have, structure), -EBADMSG);
        bytes[0] = 1;
        assert_int_equal(messages[m].get(bytes, sizeof bytes, structure), -EBADMSG);
        bytes[0] = 0;
        assert_int_equal(messages[m].get(bytes, sizeof bytes, structure), -EBADMSG);
    }
}

static void test_header(void **state)
{
    (void)state;
    const uint8_t bytes[WIRE_HEADER_BYTES] = {'P',  'I',  'N',  'H',  1,    0x22, 0x34, 0x12,
                                              0x44, 0x33, 0x22, 0x11, 0xdd, 0xcc, 0xbb, 0xaa};
    uint8_t out[WIRE_HEADER_BYTES];
    struct wire_header header;
    assert_int_equal(wire_get_header(bytes, &header), 0);
    assert_int_equal(header.version, 1);
    assert_int_equal(header.type, 0x22);
    assert_int_equal(header.flags, 0x1234);
    assert_int_equal(header.length, 0x11223344);
    assert_int_equal(header.tag, 0xaabbccdd);
    wire_put_header(out, &header);
    assert_memory_equal(out, bytes, sizeof bytes);
    for (int i = 0; i < 4; i++) {
        memcpy(out, bytes, sizeof bytes);
        out[i] ^= 0x20;
        assert_int_equal(wire_get_header(out, &header), -EBADMSG);
    }
    memcpy(out, bytes, sizeof bytes);
    out[4] = 0;
    assert_int_equal(wire_get_header(out, &header), -EPROTONOSUPPORT);
    out[4] = 2;
    assert_int_equal(wire_get_header(out, &header), -EPROTONOSUPPORT);
    assert_int_equal(header.version, 2);
    assert_int_equal(header.length, 0x11223344);
}

// --- golden files
// ---------------------------------------------------------------------------------

static uint8_t golden[1024];

static size_t read_golden(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "tests/host/unit/golden/%s.bin", name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s: %s", path, strerror(errno));
    size_t bytes = fread(golden, 1, sizeof golden, file);
    fclose(file);
    assert_in_range(bytes, WIRE_HEADER_BYTES, sizeof golden - 1);
    return bytes;
}

/** Compares a whole message both ways. `codec` NULL: the payload is `rest` alone. */
static void check_golden(const char *name, struct wire_header header, const struct message *codec,
                         const void *structure, const void *rest, size_t rest_bytes)
{
    uint8_t made[1024];
    size_t fixed = codec != NULL ? codec->put(made + WIRE_HEADER_BYTES, structure) : 0;
    memcpy(made + WIRE_HEADER_BYTES + fixed, rest, rest_bytes);
    header.version = WIRE_VERSION;
    header.length = (uint32_t)(fixed + rest_bytes);
    wire_put_header(made, &header);
    size_t bytes = read_golden(name);
    if (bytes != WIRE_HEADER_BYTES + header.length)
        fail_msg("%s.bin has %zu bytes", name, bytes);
    assert_memory_equal(made, golden, bytes);

    struct wire_header read;
    assert_int_equal(wire_get_header(golden, &read), 0);
    assert_memory_equal(&read, &header, sizeof read);
    if (codec == NULL)
        return;
    uint64_t decoded[FIXED_MAX / 8 + 1];
    assert_int_equal(codec->get(golden + WIRE_HEADER_BYTES, header.length, decoded), fixed);
    assert_memory_equal(decoded, structure, codec->struct_bytes);
}

#define BOOT            UINT64_C(0x1122334455667788)
#define MONO_NS         UINT64_C(5000000000)
#define REAL_NS         UINT64_C(1795000000000000000)
#define HEADER(t, f, g) ((struct wire_header){.type = WIRE_TYPE_##t, .flags = (f), .tag = (g)})

static void test_golden_hello_and_subscribe(void **state)
{
    (void)state;
    static const char text[] =
        "DeviceUserID=gate 7\nDeviceModelName=imx296\nDeviceFirmwareVersion=0.1.0\n";
    struct wire_hello hello = {104,  1,       1,       4096, BOOT,  2097152,        16,  100, 41,
                               1042, MONO_NS, REAL_NS, 1,    10000, WIRE_ROLE_VIEW, {0}, {0}};
    for (uint8_t i = 0; i < sizeof hello.challenge; i++)
        hello.challenge[i] = i;
    const struct wire_subscribe subscribe = {
        24, WIRE_POLICY_EVERY, WIRE_FILTER_TRIGGERED_ONLY, 100000, BOOT, 1043};
    check_golden("hello", HEADER(HELLO, 0, 0), &messages[0], &hello, text, TEXT_BYTES(text));
    check_golden("subscribe_request", HEADER(SUBSCRIBE, 0, 0xA1B2C3D4), &messages[1], &subscribe,
                 "", 0);
    uint8_t start[8];
    wire_store_u64(start, 1043);
    check_golden("subscribe_reply", HEADER(SUBSCRIBE, WIRE_FLAG_REPLY, 0xA1B2C3D4), NULL, NULL,
                 start, sizeof start);
}

static void test_golden_frame(void **state)
{
    (void)state;
    const struct wire_frame frame = {
        .fixed_bytes = 136,
        .format = 1,
        .quality = 80,
        .flags = WIRE_FRAME_CLOCK_SYNCHRONIZED | WIRE_FRAME_STROBE_COVERED,
        .boot_id = BOOT,
        .sequence = 1043,
        .frame_id = 1000,
        .sensor_sequence = 70000,
        .width = 1456,
        .height = 1088,
        .timestamp_ns = MONO_NS,
        .realtime_ns = REAL_NS,
        .exposure_us = 8000,
        .gain_milli = 1500,
        .digital_gain_milli = 1001,
        .frame_duration_us = 33333,
        .colour_temperature_k = 5600,
        .lux_milli = 120500,
        .lens_position_milli = 2000,
        .acquired_us = 900,
        .encode_start_us = 1200,
        .encoded_us = 6200,
        .queued_us = 6300,
        .skipped = 3,
        .trigger_id = 17,
        .edge_ns = UINT64_C(4999000000),
        .exposure_delta_ns = -7000123,
        .trigger_source = WIRE_SOURCE_LINE,
        .encodes = 2,
        .burst_index = -1,
    };
    check_golden("frame", HEADER(FRAME, 0, 0), &messages[2], &frame, "\xff\xd8\xff\xd9", 4);
    assert_int_equal(number_at(golden + WIRE_HEADER_BYTES + WIRE_FRAME_QUEUED_US_AT, 4), 6300);
    assert_int_equal(number_at(golden + WIRE_HEADER_BYTES + WIRE_FRAME_SKIPPED_AT, 4), 3);
    wire_store_u32(golden + WIRE_HEADER_BYTES + WIRE_FRAME_SKIPPED_AT, 9);
    assert_int_equal(wire_load_u32(golden + WIRE_HEADER_BYTES + WIRE_FRAME_SKIPPED_AT), 9);
}

static void check_event(const char *name, struct wire_event event, const char *text)
{
    event.fixed_bytes = 72;
    event.boot_id = BOOT;
    event.monotonic_ns = MONO_NS;
    event.realtime_ns = REAL_NS;
    check_golden(name, HEADER(EVENT, 0, 0), &messages[3], &event, text, strlen(text));
}

static void test_golden_events(void **state)
{
    (void)state;
    check_event(
        "event_gap",
        (struct wire_event){.kind = WIRE_EVENT_GAP, .sequence = 900, .first = 41, .last = 900}, "");
    check_event("event_trigger",
                (struct wire_event){.kind = WIRE_EVENT_TRIGGER,
                                    .trigger_source = WIRE_SOURCE_LINE,
                                    .outcome = WIRE_OUTCOME_OVERRUN,
                                    .sequence = 1044,
                                    .first = 18,
                                    .last = 20,
                                    .edge_ns = UINT64_C(4999500000)},
                "edge came too early");
    check_event("event_camera",
                (struct wire_event){.kind = WIRE_EVENT_CAMERA,
                                    .camera_state = WIRE_CAMERA_STALLED,
                                    .sequence = 1045},
                "no frame for 2 s");
    check_event("event_features",
                (struct wire_event){.kind = WIRE_EVENT_FEATURES, .sequence = 1046},
                "Gain=2\nExposureTime=5000\n");
    check_event("event_frame_lost",
                (struct wire_event){
                    .kind = WIRE_EVENT_FRAME_LOST, .sequence = 1047, .sensor_sequence = 70004},
                "does not fit at quality 20");
    check_event("event_boot", (struct wire_event){.kind = WIRE_EVENT_BOOT},
                "the node has restarted");
}

static void test_golden_requests_and_replies(void **state)
{
    (void)state;
    static const char features[] = "Width\t1456\tInteger\tpixels\t64\t4096\t2\trw\t\tColumns\n"
                                   "GainAuto\tOff\tEnum\t\t\t\t\trw\tOff|Once|Continuous\t\n";
    static const char stats[] = "# TYPE pinhole_clients gauge\npinhole_clients 2\n";
    uint8_t id[8];
    wire_store_u64(id, UINT64_C(0x0102030405060708));
    assert_int_equal(wire_load_u64(id), UINT64_C(0x0102030405060708));
#define PLAIN(name, type, flags, tag, rest, bytes)                                                 \
    check_golden(name, HEADER(type, flags, tag), NULL, NULL, rest, bytes)
    PLAIN("features_request", FEATURES, 0, 2, "", 0);
    PLAIN("features_reply", FEATURES, WIRE_FLAG_REPLY, 2, features, TEXT_BYTES(features));
    PLAIN("get_request", GET, 0, 3, "Width\nHeight", 12);
    PLAIN("get_reply", GET, WIRE_FLAG_REPLY, 3, "Width=1456\nHeight=1088\n", 23);
    PLAIN("set_request", SET, 0, 4, "Gain=2\nGainAuto=Off", 19);
    PLAIN("set_reply", SET, WIRE_FLAG_REPLY, 4, "Gain=2\nGainAuto=Off\n", 20);
    PLAIN("trigger_request", TRIGGER, 0, 5, "", 0);
    PLAIN("trigger_reply", TRIGGER, WIRE_FLAG_REPLY, 5, id, sizeof id);
    PLAIN("stats_request", STATS, 0, 6, "", 0);
    PLAIN("stats_reply", STATS, WIRE_FLAG_REPLY, 6, stats, TEXT_BYTES(stats));
    PLAIN("ping_request", PING, 0, 7, "abcdefgh", 8);
    PLAIN("ping_reply", PING, WIRE_FLAG_REPLY, 7, "abcdefgh", 8);
    uint8_t request[WIRE_AUTH_BYTES], reply[WIRE_AUTH_REPLY_BYTES] = {WIRE_ROLE_CONTROL};
    for (uint8_t i = 0; i < sizeof request; i++)
        request[i] = i;
    memcpy(reply + WIRE_AUTH_REPLY_PROOF_AT, request, WIRE_AUTH_PROOF_AT);
    PLAIN("auth_request", AUTH, 0, 8, request, sizeof request);
    PLAIN("auth_reply", AUTH, WIRE_FLAG_REPLY, 8, reply, sizeof reply);
}

static void test_golden_errors(void **state)
{
    (void)state;
    const struct wire_error refused = {8, WIRE_ERROR_BAD_VALUE, 0};
    const struct wire_error closing = {8, WIRE_ERROR_TOO_LARGE, WIRE_ERROR_CLOSING};
    check_golden("error", HEADER(ERROR, WIRE_FLAG_REPLY, 4), &messages[4], &refused,
                 "Gain: 99 is above 16", 20);
    const struct wire_error denied = {8, WIRE_ERROR_DENIED, 0};
    check_golden("error_denied", HEADER(ERROR, WIRE_FLAG_REPLY, 4), &messages[4], &denied,
                 "SET needs the role control", 26);
    check_golden("error_closing", HEADER(ERROR, 0, 0), &messages[4], &closing,
                 "length 5000 is above 4096", 25);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(wire_outcome_name(WIRE_OUTCOME_OVERRUN), "OVERRUN");
    assert_string_equal(wire_source_name(WIRE_SOURCE_LINE), "Line");
    assert_string_equal(wire_event_name(WIRE_EVENT_BOOT), "BOOT");
    assert_string_equal(wire_camera_state_name(WIRE_CAMERA_RECONFIGURED), "reconfigured");
    assert_string_equal(wire_error_name(WIRE_ERROR_SLOW), "SLOW");
    assert_string_equal(wire_event_name(0), "?");
    assert_string_equal(wire_error_name(0), "?");
    assert_string_equal(wire_error_name(WIRE_ERROR_DENIED), "DENIED");
    assert_string_equal(wire_error_name(13), "?");
    assert_string_equal(wire_type_name(WIRE_TYPE_AUTH), "AUTH");
    assert_string_equal(wire_role_name(WIRE_ROLE_UNKNOWN), "?");
    assert_string_equal(wire_role_name(WIRE_ROLE_CONTROL), "control");
    assert_string_equal(wire_outcome_name(UINT32_MAX), "?");
}

/** A caller that prints what it could not read must not print what was on its stack. */
static void test_refused_payloads_leave_zeros(void **state)
{
    (void)state;
    static const uint8_t too_short[1] = {9}, says_too_much[4] = {200, 0, 7, 7};
    static const struct wire_subscribe zeros;
    struct wire_subscribe subscribe;
    memset(&subscribe, 0xa5, sizeof subscribe);
    assert_int_equal(wire_get_subscribe(too_short, sizeof too_short, &subscribe), -EBADMSG);
    assert_memory_equal(&subscribe, &zeros, sizeof zeros);
    memset(&subscribe, 0xa5, sizeof subscribe);
    assert_int_equal(wire_get_subscribe(says_too_much, sizeof says_too_much, &subscribe), -EBADMSG);
    assert_memory_equal(&subscribe, &zeros, sizeof zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_payloads_leave_zeros),
        cmocka_unit_test(test_spec_tables_and_field_lists_agree),
        cmocka_unit_test(test_every_field_at_its_offset),
        cmocka_unit_test(test_older_and_newer_senders),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_golden_hello_and_subscribe),
        cmocka_unit_test(test_golden_frame),
        cmocka_unit_test(test_golden_events),
        cmocka_unit_test(test_golden_requests_and_replies),
        cmocka_unit_test(test_golden_errors),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
