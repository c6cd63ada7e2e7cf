// SPDX-License-Identifier: MIT
// Finds nodes, opens one by its id, takes stills by software trigger into its own memory.
//
//   cc still.c $(pkg-config --cflags --libs pinhole) -o still && ./still ADDRESS... > still.jpg
#include <pinhole.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { NODES_MAX = 16, STILLS = 3 };

static void check(struct pinhole *camera, int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s\n", pinhole_error(camera));
    exit(1);
}

static struct pinhole *open_first(const char *const *addresses)
{
    struct pinhole_node nodes[NODES_MAX];
    struct pinhole *camera;
    int count = pinhole_enumerate(nodes, NODES_MAX, addresses, 2000);
    for (int i = 0; i < count && i < NODES_MAX; i++)
        fprintf(stderr, "%s: %s, %s\n", nodes[i].address, nodes[i].id, nodes[i].model);
    if (count < 1) {
        fprintf(stderr, "no node answers\n");
        exit(1);
    }
    int result = pinhole_open(&camera, nodes[0].address, NULL);
    check(camera, result);
    const struct pinhole_info *info = pinhole_info(camera);
    fprintf(stderr, "%s, version %s\n", info->model, info->version);
    return camera;
}

/** The next frame that answers this trigger, into memory that grows as it must. */
static void take(struct pinhole *camera, uint64_t id, unsigned char **buffer, size_t *room)
{
    struct pinhole_record record;
    for (;;) {
        size_t bytes = *room;
        int result = pinhole_copy_next(camera, 5000, *buffer, &bytes, &record);
        if (result == -ENOSPC) {
            free(*buffer);
            *buffer = malloc(bytes);
            *room = *buffer == NULL ? 0 : bytes;
            continue;
        }
        check(camera, result);
        if (result > 0 && record.kind == PINHOLE_EVENT &&
            record.event.kind == PINHOLE_EVENT_TRIGGER) {
            fprintf(stderr, "no image: %s\n", pinhole_outcome_name(record.event.outcome));
            exit(1);
        }
        if (result > 0 && record.kind == PINHOLE_FRAME && record.frame.trigger_id == id)
            break;
    }
    fprintf(stderr, "trigger %" PRIu64 " image %d, %zu bytes\n", record.frame.trigger_id,
            record.frame.burst_index, record.frame.jpeg_bytes);
    fwrite(record.frame.jpeg, 1, record.frame.jpeg_bytes, stdout);
}

int main(int argc, char **argv)
{
    unsigned char *buffer = NULL;
    size_t room = 0;
    uint64_t id;
    struct pinhole *camera = open_first((const char *const *)argv + (argc > 0));

    check(camera, pinhole_set_enum(camera, "TriggerMode", "On"));
    check(camera, pinhole_set_enum(camera, "TriggerSource", "Software"));
    const struct pinhole_subscription wish = {.size = sizeof wish,
                                              .policy = PINHOLE_EVERY,
                                              .triggered_only = 1,
                                              .from_sequence = UINT64_MAX};
    check(camera, pinhole_subscribe(camera, &wish));

    check(camera, pinhole_trigger_burst(camera, 1, &id));
    take(camera, id, &buffer, &room);
    check(camera, pinhole_trigger_burst(camera, STILLS, &id));
    for (int i = 0; i < STILLS; i++)
        take(camera, id, &buffer, &room);

    check(camera, pinhole_pause(camera, 1));
    check(camera, pinhole_pause(camera, 0));
    pinhole_close(camera);
    free(buffer);
    return 0;
}
