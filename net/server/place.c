// SPDX-License-Identifier: MIT
#include "net/server/place.h"

#include <netinet/in.h>
#include <string.h>

enum { IPV4_AT = 12, IPV6_NETWORK_BYTES = 8 };

/** How readily a connection is replaced; 0: never. */
enum rank { RANK_NEVER, RANK_YOUNG, RANK_IDLE, RANK_SILENT, RANK_NO_ROLE, RANK_ENDING };

struct server_origin server_origin_of(const struct sockaddr_storage *address)
{
    static const uint8_t mapped[IPV4_AT] = {[10] = 0xff, [11] = 0xff};
    struct server_origin origin = {.is_local = true};
    if (address == NULL || (address->ss_family != AF_INET && address->ss_family != AF_INET6))
        return origin;
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        memcpy(origin.address, mapped, sizeof mapped);
        memcpy(origin.address + IPV4_AT, &v4->sin_addr, sizeof v4->sin_addr);
    } else {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        memcpy(origin.address, &v6->sin6_addr, sizeof origin.address);
        origin.is_local = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    }
    if (memcmp(origin.address, mapped, sizeof mapped) == 0)
        origin.is_local = origin.address[IPV4_AT] == IN_LOOPBACKNET;
    else // a host chooses its own addresses within a network
        memset(origin.address + IPV6_NETWORK_BYTES, 0, sizeof origin.address - IPV6_NETWORK_BYTES);
    return origin;
}

static bool is_same(const struct server_origin *a, const struct server_origin *b)
{
    return a->is_local == b->is_local && memcmp(a->address, b->address, sizeof a->address) == 0;
}

unsigned server_places_per_address(const struct server *server)
{
    const unsigned max = server->config.clients_max;
    return max < SERVER_PLACES_SHARED_MIN ? max : (max + 1) / 2;
}

static unsigned count_same(const struct server *server, const struct server_origin *origin)
{
    unsigned count = 0;
    for (unsigned i = 0; i < server->config.clients_max; i++)
        count +=
            server->conns[i].state != SERVER_CONN_FREE && is_same(&server->conns[i].origin, origin);
    return count;
}

static unsigned count_local(const struct server *server)
{
    unsigned count = 0;
    for (unsigned i = 0; i < server->config.clients_max; i++)
        count += server->conns[i].state != SERVER_CONN_FREE && server->conns[i].origin.is_local;
    return count;
}

static enum rank rank_of(const struct server_conn *conn, uint64_t now_ns)
{
    const uint64_t age_ns = now_ns > conn->heard_ns ? now_ns - conn->heard_ns : 0;
    if (conn->state == SERVER_CONN_LINGERING)
        return RANK_ENDING;
    if (conn->state == SERVER_CONN_OPEN && conn->role <= WIRE_ROLE_NONE)
        return RANK_NO_ROLE;
    if (conn->state != SERVER_CONN_OPEN || conn->policy != WIRE_POLICY_NONE ||
        conn->reply_bytes > 0 || conn->head_bytes > 0 || conn->on_end != NULL)
        return RANK_NEVER;
    if (!conn->has_spoken)
        return age_ns >= SERVER_SILENT_NS ? RANK_SILENT : RANK_YOUNG;
    return age_ns >= SERVER_IDLE_NS ? RANK_IDLE : RANK_NEVER;
}

/** Whether `a` is to be replaced rather than `b`, at the same rank. */
static bool goes_before(const struct server *server, const struct server_conn *a,
                        const struct server_conn *b)
{
    const unsigned a_count = count_same(server, &a->origin);
    const unsigned b_count = count_same(server, &b->origin);
    return a_count != b_count ? a_count > b_count : a->heard_ns < b->heard_ns;
}

/** Which connections a newcomer may replace. */
enum scope { SCOPE_ALL, SCOPE_REMOTE, SCOPE_SAME };

static struct server_conn *find_replaceable(struct server *server, enum scope scope,
                                            const struct server_origin *origin, uint64_t now_ns)
{
    struct server_conn *best = NULL;
    enum rank best_rank = RANK_NEVER;
    for (unsigned i = 0; i < server->config.clients_max; i++) {
        struct server_conn *conn = &server->conns[i];
        if (conn->state == SERVER_CONN_FREE || (scope == SCOPE_REMOTE && conn->origin.is_local) ||
            (scope == SCOPE_SAME && !is_same(&conn->origin, origin)))
            continue;
        const enum rank rank = rank_of(conn, now_ns);
        if (rank > best_rank ||
            (rank == best_rank && rank != RANK_NEVER && goes_before(server, conn, best))) {
            best = conn;
            best_rank = rank;
        }
    }
    return best;
}

static struct server_conn *find_free(struct server *server)
{
    for (unsigned i = 0; i < server->config.clients_max; i++)
        if (server->conns[i].state == SERVER_CONN_FREE)
            return &server->conns[i];
    return NULL;
}

enum server_place server_place_find(struct server *server, const struct server_origin *origin,
                                    uint64_t now_ns, struct server_conn **out)
{
    const unsigned max = server->config.clients_max, local = count_local(server);
    const unsigned kept = max < SERVER_PLACES_SHARED_MIN ? 0 : SERVER_PLACES_KEPT;
    *out = NULL;
    if (!origin->is_local && count_same(server, origin) >= server_places_per_address(server)) {
        *out = find_replaceable(server, SCOPE_SAME, origin, now_ns);
        return *out != NULL ? SERVER_PLACE_FOUND : SERVER_PLACE_ADDRESS_FULL;
    }
    const bool has_room = origin->is_local || server->stats.clients - local + kept < max;
    if (has_room)
        *out = find_free(server);
    if (*out == NULL)
        *out = find_replaceable(
            server, origin->is_local || (has_room && local > kept) ? SCOPE_ALL : SCOPE_REMOTE,
            origin, now_ns);
    return *out != NULL ? SERVER_PLACE_FOUND : SERVER_PLACE_FULL;
}
