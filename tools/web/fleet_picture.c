// SPDX-License-Identifier: MIT
#include "tools/web/fleet_picture.h"

#include "tools/common/preview.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 320, QUALITY = 70, TEXT_BYTES = 16 };

static int refuse(char why[WEB_FLEET_WHY_BYTES], int error, const char *sentence)
{
    snprintf(why, WEB_FLEET_WHY_BYTES, "%s", sentence);
    return error;
}

/** Where the node's newest frame is: 1, or 0 with a copy of the thumbnail that is kept. */
static int find(struct web_fleet *fleet, const char *level, uint64_t *frame, uint8_t **jpeg,
                size_t *bytes, char why[WEB_FLEET_WHY_BYTES])
{
    const struct web_fleet_node *node = web_fleet_find(fleet, level);
    if (node == NULL)
        return refuse(why, -ENOENT, "there is no such node");
    if (node->frame == 0)
        return refuse(why, -ENOENT, "the node has no frame in the stream yet");
    *frame = node->frame;
    if (node->thumbnail.frame != node->frame)
        return 1;
    if (node->thumbnail.jpeg == NULL)
        return refuse(why, -EBADMSG, "the newest frame is no JPEG that can be decoded");
    *bytes = node->thumbnail.bytes;
    *jpeg = malloc(*bytes);
    if (*jpeg == NULL)
        return refuse(why, -EIO, "out of memory");
    memcpy(*jpeg, node->thumbnail.jpeg, *bytes);
    return 0;
}

/** The JPEG in a record, made small; NULL: it is none. */
static uint8_t *make(const uint8_t *data, size_t data_bytes, size_t *bytes)
{
    struct pinhole_record record;
    char text[TEXT_BYTES];
    *bytes = 0;
    if (pinhole_read_message(data, data_bytes, &record, text, sizeof text) < 0 ||
        record.kind != PINHOLE_FRAME)
        return NULL;
    return preview_make(record.frame.jpeg, record.frame.jpeg_bytes, WIDTH, QUALITY, bytes);
}

/** A connection that has ended since it was last used is made once more. */
static int get(const struct web_fleet_ops *ops, struct web_fleet_link **link,
               const struct stream_access *access, uint64_t frame, uint8_t **data, size_t *bytes,
               char why[WEB_FLEET_WHY_BYTES])
{
    int result = WEB_FLEET_GONE;
    for (int tries = 0; tries < 2 && result == WEB_FLEET_GONE; tries++) {
        const bool was_open = *link != NULL;
        result = was_open ? 0 : ops->open(link, access, why);
        if (result == 0)
            result = ops->get(*link, frame, data, bytes, why);
        if (result < 0 && result != WEB_FLEET_DISCARDED) {
            ops->close(*link);
            *link = NULL;
        }
        if (!was_open)
            break;
    }
    return result;
}

int web_fleet_fetch(struct web_fleet *fleet, struct web_fleet_link **link,
                    const struct stream_access *access, const char *level, uint8_t **jpeg,
                    size_t *bytes, char why[WEB_FLEET_WHY_BYTES])
{
    uint64_t frame = 0;
    uint8_t *data = NULL;
    size_t data_bytes = 0;
    pthread_mutex_lock(&fleet->lock);
    const uint64_t run = fleet->run;
    const bool is_live = fleet->state == WEB_FLEET_LIVE;
    int result = is_live ? find(fleet, level, &frame, jpeg, bytes, why) : -EIO;
    if (!is_live)
        snprintf(why, WEB_FLEET_WHY_BYTES, "%s", fleet->why);
    pthread_mutex_unlock(&fleet->lock);
    if (result <= 0)
        return result;
    result = get(fleet->ops, link, access, frame, &data, &data_bytes, why);
    if (result < 0)
        return result == WEB_FLEET_DISCARDED ? -ENOENT : -EIO;
    *jpeg = make(data, data_bytes, bytes);
    free(data);
    pthread_mutex_lock(&fleet->lock);
    struct web_fleet_node *node = fleet->run == run ? web_fleet_find(fleet, level) : NULL;
    if (node != NULL)
        web_fleet_keep_thumbnail(fleet, node, frame, *jpeg, *bytes);
    fleet->thumbnails++;
    pthread_mutex_unlock(&fleet->lock);
    return *jpeg != NULL ? 0
                         : refuse(why, -EBADMSG, "the newest frame is no JPEG that can be decoded");
}
