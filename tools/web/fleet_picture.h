// SPDX-License-Identifier: MIT
// A node's newest picture as a thumbnail: fetched from the stream when somebody wants to see it,
// and kept until the node has a newer one.
#ifndef PINHOLE_TOOLS_WEB_FLEET_PICTURE_H
#define PINHOLE_TOOLS_WEB_FLEET_PICTURE_H

#include "tools/web/fleet.h"

/** Connects if *link is NULL, and makes the thumbnail of a node. 0 with *jpeg, which free() takes.
 * -ENOENT: no such node, or no frame. -EBADMSG: the frame is no JPEG that can be decoded.
 * -EIO: the server is away. All with a sentence in `why`. Without the lock; of one thread. */
int web_fleet_fetch(struct web_fleet *fleet, struct web_fleet_link **link,
                    const struct stream_access *access, const char *level, uint8_t **jpeg,
                    size_t *bytes, char why[WEB_FLEET_WHY_BYTES]);

#endif
