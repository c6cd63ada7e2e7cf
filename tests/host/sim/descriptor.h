// SPDX-License-Identifier: MIT
// What the machine's descriptors and its sockets need of each other.
#ifndef PINHOLE_TEST_SIM_DESCRIPTOR_H
#define PINHOLE_TEST_SIM_DESCRIPTOR_H

#include <stdbool.h>
#include <stdint.h>

struct link;

enum fd_kind { FD_FREE, FD_EPOLL, FD_SOCKET, FD_LISTENER, FD_CONN, FD_SIGNAL, FD_EVENT };

/** One of the node. */
struct descriptor {
    enum fd_kind kind;
    struct link *link;
    uint64_t count;  /**< FD_EVENT */
    uint32_t wanted; /**< epoll's events; 0 = not watched */
    bool is_watched;
    uint64_t data;
};

/** NULL: it is not open, or no descriptor of this machine. */
struct descriptor *descriptor_find(int fd);
/** -1 with errno EMFILE: there is no place. */
int descriptor_make(enum fd_kind kind);
bool descriptor_is_listening(void);
/** accept4() is to fail with EMFILE. */
bool machine_is_starved(void);

/** A client waits to be accepted. */
bool link_is_pending(void);
/** epoll's events of a connection. */
uint32_t link_ready(const struct link *link);

#endif
