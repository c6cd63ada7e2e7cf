// SPDX-License-Identifier: MIT
#include "tools/web/connection.h"

#include "net/tcp.h"
#include "tools/web/gateway.h"

#include <stdlib.h>
#include <string.h>

/** A frame of 1080p goes in at once. Little waits unsent, so that what a slow client gets next is a
 * new frame. */
enum { SEND_BUFFER_BYTES = 262144, NOT_SENT_BYTES = 32768 };

struct in6_addr web_connection_address(const struct sockaddr *peer)
{
    struct in6_addr out = {0};
    if (peer != NULL && peer->sa_family == AF_INET6) {
        out = ((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
    } else if (peer != NULL && peer->sa_family == AF_INET) {
        out.s6_addr[10] = out.s6_addr[11] = 0xFF;
        memcpy(out.s6_addr + 12, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    }
    return out;
}

bool web_connection_is_local(const struct in6_addr *address)
{
    return IN6_IS_ADDR_LOOPBACK(address) ||
           (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

/** Connections of one address: all, or those with a place. */
static unsigned count_of(const struct web_http *http, const struct in6_addr *address,
                         bool wants_places)
{
    unsigned count = 0;
    for (const struct web_connection *link = http->connections; link != NULL; link = link->next)
        count += (link->has_place || !wants_places) && IN6_ARE_ADDR_EQUAL(&link->address, address);
    return count;
}

bool web_connection_seat(struct web *web, struct web_connection *link)
{
    const struct web_options *options = &web->options;
    if (link->has_place)
        return true;
    if (!link->is_local &&
        count_of(&web->http, &link->address, true) >= (unsigned)options->max_clients_of_one)
        return false;
    link->has_place = web->http.place_count < web_connection_places(options, link->is_local);
    web->http.place_count += link->has_place;
    return link->has_place;
}

unsigned web_connection_places(const struct web_options *options, bool is_local)
{
    unsigned all = (unsigned)options->max_clients;
    unsigned kept = all / 4 < WEB_KEPT_FOR_LOCAL ? all / 4 : WEB_KEPT_FOR_LOCAL;
    return is_local ? all : all - kept;
}

enum MHD_Result web_connection_accepts(void *context, const struct sockaddr *peer, socklen_t bytes)
{
    (void)bytes;
    struct web *web = context;
    const struct in6_addr address = web_connection_address(peer);
    if (web_connection_is_local(&address))
        return MHD_YES;
    pthread_mutex_lock(&web->lock);
    const struct web_options *options = &web->options;
    bool is_over = web->http.connection_count >= (unsigned)options->max_clients + WEB_SURPLUS ||
                   count_of(&web->http, &address, false) >=
                       (unsigned)options->max_clients_of_one + WEB_SURPLUS_OF_ONE;
    web->http.refused_full += is_over;
    pthread_mutex_unlock(&web->lock);
    return is_over ? MHD_NO : MHD_YES;
}

static void tune(int fd)
{
    const struct net_tcp wish = {.send_buffer_bytes = SEND_BUFFER_BYTES,
                                 .unsent_bytes_max = NOT_SENT_BYTES};
    net_tcp_tune(fd, &wish);
}

static void add(struct web *web, struct MHD_Connection *connection, void **state)
{
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *peer =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct web_connection *link = fd == NULL ? NULL : calloc(1, sizeof *link);
    *state = link;
    if (link == NULL)
        return;
    link->fd = fd->connect_fd;
    link->address = web_connection_address(peer == NULL ? NULL : peer->client_addr);
    link->is_local = web_connection_is_local(&link->address);
    link->since_ns = clock_now_ns();
    tune(link->fd);
    struct web_http *http = &web->http;
    pthread_mutex_lock(&web->lock);
    http->accepted++;
    http->connection_count++;
    (void)web_connection_seat(web, link);
    link->next = http->connections;
    if (http->connections != NULL)
        http->connections->previous = link;
    http->connections = link;
    pthread_mutex_unlock(&web->lock);
}

static void forget(struct web *web, struct web_connection *link)
{
    pthread_mutex_lock(&web->lock);
    if (link->previous != NULL)
        link->previous->next = link->next;
    else
        web->http.connections = link->next;
    if (link->next != NULL)
        link->next->previous = link->previous;
    web->http.connection_count--;
    web->http.place_count -= link->has_place;
    pthread_mutex_unlock(&web->lock);
    free(link);
}

void web_connection_notify(void *context, struct MHD_Connection *connection, void **state,
                           enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        add(context, connection, state);
    else if (*state != NULL)
        forget(context, *state);
}

struct web_connection *web_connection_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}
