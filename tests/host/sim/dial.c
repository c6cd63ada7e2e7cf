// SPDX-License-Identifier: MIT
// Connections that the node makes itself: who is dialled decides what becomes of each.
#include "tests/host/sim/descriptor.h"
#include "tests/host/sim/machine.h"

#include <errno.h>

static struct link_listener listener;

void link_listen(const struct link_listener *who)
{
    listener = *who;
}

static void settle(void *arg, uint64_t error)
{
    struct link *link = arg;
    const int fd = link_descriptor(link);
    if (fd < 0)
        return; // the node does not wait any more
    struct descriptor *d = descriptor_find(fd);
    d->error = (int)error;
    if (error != 0)
        return;
    d->kind = FD_CONN;
    link_establish(link);
    listener.connected(listener.events.user, link);
}

int dial_connect(int fd)
{
    CHECK(listener.dialled != NULL, "the node dials, but has no uplink");
    const struct link_dial dial = listener.dialled(listener.events.user);
    if (dial.delay_ns == 0 && dial.error != 0) {
        errno = dial.error;
        return -1;
    }
    struct link *link = link_make(0, fd, &listener.manners, &listener.events);
    struct descriptor *d = descriptor_find(fd);
    d->kind = FD_DIALLING;
    d->link = link;
    if (dial.delay_ns == 0) {
        settle(link, 0);
        return 0;
    }
    if (dial.delay_ns != NS_NEVER)
        machine_at(machine_now() + dial.delay_ns, settle, link, (uint64_t)dial.error);
    errno = EINPROGRESS;
    return -1;
}

void dial_fail(void)
{
    listener.failed(listener.events.user);
}
