// SPDX-License-Identifier: MIT
// The EXIF block: a little-endian TIFF with two directories. Layout after CIPA DC-008 (Exif 2.32).
#include "app/jpeg/private.h"

#include <stdio.h>
#include <string.h>

enum { TYPE_ASCII = 2, TYPE_SHORT = 3, TYPE_LONG = 4, TYPE_RATIONAL = 5, TYPE_UNDEFINED = 7 };

enum {
    TAG_MAKE = 0x010f,
    TAG_MODEL = 0x0110,
    TAG_SOFTWARE = 0x0131,
    TAG_DATETIME = 0x0132,
    TAG_EXIF_DIRECTORY = 0x8769,
    TAG_EXPOSURE_TIME = 0x829a,
    TAG_ISO_SPEED = 0x8827,
    TAG_EXIF_VERSION = 0x9000,
    TAG_DATETIME_ORIGINAL = 0x9003,
    TAG_OFFSET_TIME = 0x9010,
    TAG_OFFSET_TIME_ORIGINAL = 0x9011,
    TAG_USER_COMMENT = 0x9286,
    TAG_SUBSEC_TIME_ORIGINAL = 0x9291,
    TAG_IMAGE_UNIQUE_ID = 0xa420,
};

#define ENTRY_BYTES  12u
#define HEADER_BYTES 6u /**< "Exif\0\0"; offsets count from behind it */
#define MODEL_BYTES  64u
#define ENTRIES_MAX  9u

/** A directory being written: entries at their fixed place, long values behind. */
struct tiff {
    uint8_t *base;      /**< the TIFF header */
    uint32_t directory; /**< offset of the current directory */
    uint32_t entries;
    uint32_t end; /**< where the next long value goes */
};

static void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *p, uint32_t value)
{
    put16(p, value);
    put16(p + 2, value >> 16);
}

static void begin_directory(struct tiff *t)
{
    t->directory = t->end;
    t->entries = 0;
    t->end += 2 + ENTRIES_MAX * ENTRY_BYTES + 4;
}

/** Tags must come in ascending order. Returns where the value goes. */
static uint8_t *add(struct tiff *t, uint32_t tag, uint32_t type, uint32_t count, uint32_t bytes)
{
    uint8_t *entry = t->base + t->directory + 2 + t->entries * ENTRY_BYTES;
    t->entries++;
    put16(t->base + t->directory, t->entries);
    put16(entry, tag);
    put16(entry + 2, type);
    put32(entry + 4, count);
    if (bytes <= 4)
        return entry + 8;
    put32(entry + 8, t->end);
    uint8_t *value = t->base + t->end;
    t->end += (bytes + 1) & ~1u;
    return value;
}

static void add_text(struct tiff *t, uint32_t tag, const char *text)
{
    uint32_t bytes = (uint32_t)strlen(text) + 1;
    memcpy(add(t, tag, TYPE_ASCII, bytes, bytes), text, bytes);
}

/** A date in the proleptic Gregorian calendar, UTC. gmtime_r() would read time zone files. */
struct date {
    uint32_t year, month, day;
};

/** Years counted from March, so that the leap day is the last of its year. */
static struct date date_of(uint64_t days_since_1970)
{
    uint64_t days = days_since_1970 + 719468; // since 0000-03-01
    uint64_t era = days / 146097, day_of_era = days % 146097;
    uint64_t year =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * day_of_year + 2) / 153; // 0 is March
    return (struct date){
        .year = (uint32_t)(year + era * 400 + (month >= 10)),
        .month = (uint32_t)(month < 10 ? month + 3 : month - 9),
        .day = (uint32_t)(day_of_year - (153 * month + 2) / 5 + 1),
    };
}

static void format_time(char out[32], uint64_t realtime_ns)
{
    uint64_t seconds = realtime_ns / NS_PER_S;
    struct date date = date_of(seconds / 86400);
    uint32_t in_day = (uint32_t)(seconds % 86400);
    snprintf(out, 32, "%04u:%02u:%02u %02u:%02u:%02u", date.year % 10000, date.month, date.day,
             in_day / 3600, in_day / 60 % 60, in_day % 60);
}

static void add_capture_time(struct tiff *t, uint64_t realtime_ns)
{
    char text[32];
    format_time(text, realtime_ns);
    add_text(t, TAG_DATETIME_ORIGINAL, text);
    add_text(t, TAG_OFFSET_TIME, "+00:00");
    add_text(t, TAG_OFFSET_TIME_ORIGINAL, "+00:00");
}

static void add_subsecond(struct tiff *t, uint64_t realtime_ns)
{
    char text[16];
    snprintf(text, sizeof text, "%06u", (unsigned)(realtime_ns % NS_PER_S / 1000));
    add_text(t, TAG_SUBSEC_TIME_ORIGINAL, text);
}

static void add_frame_comment(struct tiff *t, uint64_t frame_id)
{
    char text[48] = "ASCII\0\0";
    int length =
        snprintf(text + 8, sizeof text - 8, "Pinhole frame %llu", (unsigned long long)frame_id);
    uint32_t bytes = 8 + (uint32_t)length;
    memcpy(add(t, TAG_USER_COMMENT, TYPE_UNDEFINED, bytes, bytes), text, bytes);
}

/** 128 bits in hexadecimal, as the standard wants: the boot id, then the frame id. */
static void add_unique_id(struct tiff *t, uint64_t boot_id, uint64_t frame_id)
{
    char text[40];
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)boot_id,
             (unsigned long long)frame_id);
    add_text(t, TAG_IMAGE_UNIQUE_ID, text);
}

static void add_exif_directory(struct tiff *t, const struct jpeg_exif *exif)
{
    begin_directory(t);
    if (exif->exposure_us) {
        uint8_t *ratio = add(t, TAG_EXPOSURE_TIME, TYPE_RATIONAL, 1, 8);
        put32(ratio, exif->exposure_us);
        put32(ratio + 4, 1000000);
    }
    if (exif->gain_milli)
        put16(add(t, TAG_ISO_SPEED, TYPE_SHORT, 1, 2),
              base_min_u32(exif->gain_milli / 10 + (exif->gain_milli % 10 >= 5), 65535));
    memcpy(add(t, TAG_EXIF_VERSION, TYPE_UNDEFINED, 4, 4), "0232", 4);
    if (exif->realtime_ns)
        add_capture_time(t, exif->realtime_ns);
    if (exif->frame_id)
        add_frame_comment(t, exif->frame_id);
    if (exif->realtime_ns)
        add_subsecond(t, exif->realtime_ns);
    if (exif->frame_id)
        add_unique_id(t, exif->boot_id, exif->frame_id);
}

uint32_t jpeg_exif_build(uint8_t *out, const struct jpeg_exif *exif)
{
    memset(out, 0, JPEG_EXIF_BYTES);
    memcpy(out, "Exif\0\0II*\0\10\0\0\0", 14);
    struct tiff t = {.base = out + HEADER_BYTES, .end = 8};
    char text[MODEL_BYTES];
    begin_directory(&t);
    add_text(&t, TAG_MAKE, "Pinhole");
    if (exif->model != NULL) {
        snprintf(text, sizeof text, "%s", exif->model);
        add_text(&t, TAG_MODEL, text);
    }
    add_text(&t, TAG_SOFTWARE, "Pinhole " PINHOLE_VERSION);
    if (exif->realtime_ns) {
        format_time(text, exif->realtime_ns);
        add_text(&t, TAG_DATETIME, text);
    }
    uint8_t *directory = add(&t, TAG_EXIF_DIRECTORY, TYPE_LONG, 1, 4);
    put32(directory, t.end);
    add_exif_directory(&t, exif);
    return HEADER_BYTES + t.end;
}
