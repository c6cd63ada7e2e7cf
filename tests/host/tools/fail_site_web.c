// SPDX-License-Identifier: MIT
// What the gateway calls beside what fail_site.c wraps: libmicrohttpd, and more of libpinhole.
#include "tests/host/support/fail_site.h"

#include <locale.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>

// clang-format off
WRAP(int, ppoll, (struct pollfd *fds, nfds_t count, const struct timespec *time, const sigset_t *mask), (fds, count, time, mask), ENOMEM, -1)
WRAP(int, eventfd, (unsigned count, int flags), (count, flags), EMFILE, -1)
WRAP(ssize_t, getrandom, (void *to, size_t bytes, unsigned flags), (to, bytes, flags), ENOSYS, -1)
WRAP(int, getsockopt, (int fd, int level, int name, void *to, socklen_t *bytes), (fd, level, name, to, bytes), ENOBUFS, -1)
WRAP(int, getaddrinfo, (const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out), (host, port, hints, out), ENOMEM, EAI_MEMORY)
WRAP(FILE *, open_memstream, (char **out, size_t *bytes), (out, bytes), ENOMEM, NULL)
WRAP(locale_t, newlocale, (int mask, const char *name, locale_t base), (mask, name, base), ENOMEM, (locale_t)0)
WRAP(struct MHD_Response *, MHD_create_response_from_buffer, (size_t bytes, void *from, enum MHD_ResponseMemoryMode mode), (bytes, from, mode), ENOMEM, NULL)
WRAP(struct MHD_Response *, MHD_create_response_from_buffer_with_free_callback_cls, (size_t bytes, void *from, MHD_ContentReaderFreeCallback done, void *user), (bytes, from, done, user), ENOMEM, NULL)
WRAP(struct MHD_Response *, MHD_create_response_from_callback, (uint64_t bytes, size_t block, MHD_ContentReaderCallback read, void *user, MHD_ContentReaderFreeCallback done), (bytes, block, read, user, done), ENOMEM, NULL)
WRAP(enum MHD_Result, MHD_add_response_header, (struct MHD_Response *response, const char *name, const char *value), (response, name, value), ENOMEM, MHD_NO)
WRAP(enum MHD_Result, MHD_queue_response, (struct MHD_Connection *connection, unsigned status, struct MHD_Response *response), (connection, status, response), ENOMEM, MHD_NO)
WRAP(enum MHD_Result, MHD_post_process, (struct MHD_PostProcessor *processor, const char *from, size_t bytes), (processor, from, bytes), ENOMEM, MHD_NO)
WRAP(struct MHD_PostProcessor *, MHD_create_post_processor, (struct MHD_Connection *connection, size_t bytes, MHD_PostDataIterator take, void *user), (connection, bytes, take, user), ENOMEM, NULL)
WRAP(const union MHD_ConnectionInfo *, MHD_get_connection_info, (struct MHD_Connection *connection, enum MHD_ConnectionInfoType what, ...), (connection, what), ENOMEM, NULL)
// clang-format on
