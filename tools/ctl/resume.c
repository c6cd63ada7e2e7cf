// SPDX-License-Identifier: MIT
// The file that remembers how far a command has got in a node's log: one line, boot id and
// sequence.
#include "tools/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES                                                                                 \
    38 /**< "%016x %020u\n": always as long, so that one write replaces the whole                  \
        */

int ctl_resume_open(const char *path, struct pinhole_subscription *wish)
{
    char line[LINE_BYTES + 1] = "";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    ssize_t bytes = fd < 0 ? -1 : pread(fd, line, LINE_BYTES, 0);
    char *middle, *end;
    if (bytes < 0) {
        fprintf(stderr, "pinholectl: %s: %s\n", path, strerror(errno));
        goto fail;
    }
    if (bytes == 0)
        return fd;
    uint64_t boot_id = strtoull(line, &middle, 16);
    uint64_t sequence = strtoull(middle, &end, 10);
    if (bytes != LINE_BYTES || middle != line + 16 || end != line + LINE_BYTES - 1 ||
        sequence == UINT64_MAX) {
        fprintf(stderr, "pinholectl: %s: not a file of --resume\n", path);
        goto fail;
    }
    wish->boot_id = boot_id;
    wish->from_sequence = sequence + 1;
    return fd;
fail:
    if (fd >= 0)
        close(fd);
    return -1;
}

bool ctl_resume_write(int fd, uint64_t boot_id, uint64_t sequence)
{
    char line[LINE_BYTES + 1];
    snprintf(line, sizeof line, "%016" PRIx64 " %020" PRIu64 "\n", boot_id, sequence);
    if (pwrite(fd, line, LINE_BYTES, 0) == LINE_BYTES)
        return true;
    fprintf(stderr, "pinholectl: the file of --resume: %s\n", strerror(errno));
    return false;
}
