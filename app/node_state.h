// SPDX-License-Identifier: MIT
// The node's whole state, in parts. Each file is handed the part that it works on. Only the
// superloop (app/node.c), the requests and the numbers (app/node_request.c, app/node_stats.c) see
// all of it.
#ifndef PINHOLE_APP_NODE_STATE_H
#define PINHOLE_APP_NODE_STATE_H

#include "app/config/config.h"
#include "app/node_camera.h"
#include "app/node_encode.h"
#include "app/node_trigger.h"
#include "app/serial.h"
#include "app/turn.h"
#include "hal/os/loop.h"
#include "net/server/server.h"

/** The process: when it began, when it ends, what the system wants of it. */
struct node_process {
    uint64_t started_ns;
    bool said_clock;         /**< that the kernel does not say whether the clock is synchronised */
    uint64_t drain_until_ns; /**< 0 before the signal that ends the node */
    uint64_t watchdog_ns;    /**< between signs of life to the service manager; 0 = it wants none */
    int exit_status;         /**< -1 while running */
    int signal_fd;
    int second_timer, watchdog_timer, page_timer;
    uint8_t *store; /**< the store's memory; paged_bytes of it have their pages */
    size_t store_bytes, paged_bytes;
    char serial[SERIAL_BYTES]; /**< of the machine */
};

struct node {
    struct config config; /**< live: features change it */
    struct loop loop;
    struct store store;
    struct server server;
    struct event_log log;
    struct metrics metrics;
    struct node_trigger trigger;
    struct node_encode encode;
    struct node_camera camera;
    struct node_process process;
    struct turn turn;
};

/** Tells each part where its neighbours are, and sets what is not zero at the beginning. `config`
 * is already there. No I/O. */
void node_connect(struct node *node, const struct hal_camera_ops *camera, const char *camera_id);

#endif
