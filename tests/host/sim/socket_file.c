// SPDX-License-Identifier: MIT
// The file of the node's Unix socket. bind() makes it; others may remove it, or replace it.
#include "tests/host/sim/descriptor.h"
#include "tests/host/sim/machine.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static struct {
    bool is_there, is_socket;
    ino_t inode, last_inode;
    uint64_t found_ns; /**< when it was last a socket of the node, or could not become one */
} file;

int __real_lstat(const char *path, struct stat *out);
int __real_unlink(const char *path);

static void make(bool is_socket)
{
    file.is_there = true;
    file.is_socket = is_socket;
    file.inode = ++file.last_inode;
}

void socket_file_init(bool is_left)
{
    file.found_ns = machine_now();
    if (is_left)
        make(true);
}

static bool is_listening(void)
{
    return file.is_there && file.is_socket && descriptor_is_listening(file.inode);
}

uint64_t socket_file_missing_ns(void)
{
    const bool is_blocked = machine_is_starved() || (file.is_there && !file.is_socket);
    if (is_listening() || is_blocked)
        file.found_ns = machine_now();
    return is_listening() || is_blocked ? 0 : file.found_ns;
}

int __wrap_lstat(const char *path, struct stat *out)
{
    if (strcmp(path, SOCKET_FILE) != 0)
        return __real_lstat(path, out);
    if (!file.is_there) {
        errno = ENOENT;
        return -1;
    }
    *out = (struct stat){.st_mode = file.is_socket ? S_IFSOCK : S_IFREG, .st_ino = file.inode};
    return 0;
}

int __wrap_unlink(const char *path)
{
    if (strcmp(path, SOCKET_FILE) != 0)
        return __real_unlink(path);
    CHECK(file.is_there && file.is_socket, "the node removes a file that is no socket");
    machine_trace("unlink the socket");
    file.is_there = false;
    return 0;
}

ino_t socket_file_bind(const char *path)
{
    CHECK(strcmp(path, SOCKET_FILE) == 0, "bind() to %s", path);
    if (file.is_there) {
        errno = EADDRINUSE;
        return 0;
    }
    machine_trace("bind the socket");
    make(true);
    return file.inode;
}

int socket_file_connect(void)
{
    return is_listening() ? 0 : ECONNREFUSED;
}

ino_t socket_file_inode(void)
{
    return is_listening() ? file.inode : 0;
}

void socket_file_break(enum socket_file_fault fault)
{
    machine_trace("the socket's file: fault %d", (int)fault);
    (void)socket_file_missing_ns();
    file.is_there = false;
    if (fault != SOCKET_FILE_REMOVED)
        make(fault == SOCKET_FILE_REPLACED);
}

void socket_file_check_end(void)
{
    CHECK(!file.is_there || !file.is_socket, "the node has left its socket's file");
}
