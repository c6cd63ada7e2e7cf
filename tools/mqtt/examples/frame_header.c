// SPDX-License-Identifier: MIT
// Takes a message of `payload = header` apart. Needs nothing but the C library:
//
//     cc -o frame_header frame_header.c
//     mosquitto_sub -t pinhole/gate/frame -C 1 -N | ./frame_header picture.jpg
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/** What stands before the JPEG; times in nanoseconds since 1970. */
struct frame_header {
    uint16_t header_bytes, flags;
    uint64_t realtime_ns;
    uint32_t jpeg_bytes;
    uint16_t width, height;
    uint64_t boot_id, sequence;
    uint64_t trigger_id; /**< 0: it answers no trigger */
};

static uint64_t load(const uint8_t *bytes, unsigned count)
{
    uint64_t value = 0;
    while (count-- > 0)
        value = value << 8 | bytes[count];
    return value;
}

/** Reads the header. False: this is no whole message. The JPEG begins at message + header_bytes. */
static bool frame_header_read(const uint8_t *message, size_t bytes, struct frame_header *out)
{
    enum { HEADER_BYTES = 48 };
    if (bytes < HEADER_BYTES || memcmp(message, "PINF", 4) != 0)
        return false;
    *out = (struct frame_header){
        .header_bytes = (uint16_t)load(message + 4, 2),
        .flags = (uint16_t)load(message + 6, 2),
        .realtime_ns = load(message + 8, 8),
        .jpeg_bytes = (uint32_t)load(message + 16, 4),
        .width = (uint16_t)load(message + 20, 2),
        .height = (uint16_t)load(message + 22, 2),
        .boot_id = load(message + 24, 8),
        .sequence = load(message + 32, 8),
        .trigger_id = load(message + 40, 8),
    };
    return out->header_bytes >= HEADER_BYTES &&
           bytes == (size_t)out->header_bytes + out->jpeg_bytes;
}

int main(int argc, char **argv)
{
    static uint8_t message[4 << 20];
    struct frame_header header;
    const size_t bytes = fread(message, 1, sizeof message, stdin);
    if (!frame_header_read(message, bytes, &header)) {
        fprintf(stderr, "this is no picture with a header\n");
        return 1;
    }
    printf("boot %016" PRIx64 " sequence %" PRIu64 " trigger %" PRIu64 " %ux%u %" PRIu32
           " bytes at %" PRIu64 "\n",
           header.boot_id, header.sequence, header.trigger_id, header.width, header.height,
           header.jpeg_bytes, header.realtime_ns);
    FILE *file = argc > 1 ? fopen(argv[1], "wb") : NULL;
    if (file != NULL) {
        fwrite(message + header.header_bytes, 1, header.jpeg_bytes, file);
        fclose(file);
    }
    return 0;
}
