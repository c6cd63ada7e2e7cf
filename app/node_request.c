// SPDX-License-Identifier: MIT
#include "app/node_request.h"

#include <string.h>

#include "app/features.h"
#include "app/node_set.h"
#include "app/node_state.h"
#include "app/node_stats.h"

int node_request(void *user, uint8_t type, char *text, size_t bytes, char *reply, size_t reply_size,
                 uint64_t now_ns)
{
    struct node *node = user;
    struct reply out = reply_begin(reply, reply_size);
    int status = 0;
    uint64_t id;
    if (strlen(text) != bytes) {
        reply_add(&out, "the text of the request has a NUL byte in it");
        return -WIRE_ERROR_BAD_VALUE;
    }
    switch (type) {
    case WIRE_TYPE_FEATURES: features_list(&node->camera, &out); break;
    case WIRE_TYPE_GET: status = features_get(&node->camera, text, &out); break;
    case WIRE_TYPE_SET: status = node_set(&node->camera, text, &out, now_ns); break;
    case WIRE_TYPE_TRIGGER:
        status = node_trigger_once(&node->camera, &out, &id, now_ns);
        if (status < 0)
            return status;
        wire_store_u64((uint8_t *)reply, id);
        return sizeof id;
    case WIRE_TYPE_STATS: node_stats_print(node, &out, now_ns); break;
    default: return -WIRE_ERROR_UNKNOWN_TYPE;
    }
    return status < 0 ? status : (int)out.used;
}
