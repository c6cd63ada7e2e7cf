// SPDX-License-Identifier: MIT
// What the machine's descriptors and its sockets need of each other.
#ifndef PINHOLE_TEST_SIM_DESCRIPTOR_H
#define PINHOLE_TEST_SIM_DESCRIPTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct link;
struct link_events;
struct link_manners;

enum fd_kind {
    FD_FREE,
    FD_EPOLL,
    FD_SOCKET,
    FD_LISTENER,
    FD_DIALLING,
    FD_CONN,
    FD_SIGNAL,
    FD_EVENT
};

/** One of the node. */
struct descriptor {
    enum fd_kind kind;
    struct link *link;
    uint64_t count;  /**< FD_EVENT */
    bool is_unix;    /**< FD_SOCKET, FD_LISTENER */
    ino_t inode;     /**< of the Unix socket's file; 0 = not bound */
    int error;       /**< FD_DIALLING: why it ends; 0 = nobody has answered yet */
    uint32_t wanted; /**< epoll's events; 0 = not watched */
    bool is_watched;
    uint64_t data;
};

/** NULL: it is not open, or no descriptor of this machine. */
struct descriptor *descriptor_find(int fd);
/** -1 with errno EMFILE: there is no place. */
int descriptor_make(enum fd_kind kind);
/** `inode` is that of the Unix socket's file, 0 for TCP. */
bool descriptor_is_listening(ino_t inode);
/** accept4() is to fail with EMFILE. */
bool machine_is_starved(void);

/** A client waits to be accepted. */
bool link_is_pending(bool is_unix);
/** The node's end has the descriptor `fd`, -1: not yet. The client's end is closed so far. */
struct link *link_make(unsigned host, int fd, const struct link_manners *manners,
                       const struct link_events *events);
/** The connection is there: both ends are open. */
void link_establish(struct link *link);
/** The node's end, -1: there is none. */
int link_descriptor(const struct link *link);
/** A reset has arrived at the node. */
bool link_is_reset(const struct link *link);
/** epoll's events of a connection. */
uint32_t link_ready(const struct link *link);

/** The Unix socket's file. bind(): its new inode, or 0 with errno EADDRINUSE. */
ino_t socket_file_bind(const char *path);
/** connect() to it: 0, or the errno. */
int socket_file_connect(void);
/** For a client that connects: 0 when the file is no socket that somebody listens on. */
ino_t socket_file_inode(void);

/** connect() to a peer outside, of descriptor `fd`. */
int dial_connect(int fd);
/** socket() has failed for it. */
void dial_fail(void);

#endif
