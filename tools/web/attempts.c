// SPDX-License-Identifier: MIT
#include "tools/web/attempts.h"

#include <string.h>

#define NS_PER_S UINT64_C(1000000000)

static struct in6_addr network_of(const struct in6_addr *address)
{
    struct in6_addr network = *address;
    if (!IN6_IS_ADDR_V4MAPPED(address))
        memset(network.s6_addr + 8, 0, 8);
    return network;
}

/** The place of a network, or one past the end. */
static int find(const struct web_attempts *attempts, const struct in6_addr *network)
{
    int at = 0;
    while (at < WEB_ATTEMPTS_PLACES && !IN6_ARE_ADDR_EQUAL(&attempts->list[at].address, network))
        at++;
    return at;
}

/** The place of who has tried least lately. */
static int find_oldest(const struct web_attempts *attempts)
{
    int oldest = 0;
    for (int i = 1; i < WEB_ATTEMPTS_PLACES; i++)
        if (attempts->list[i].free_ns < attempts->list[oldest].free_ns)
            oldest = i;
    return oldest;
}

/** How long until there is an attempt, when `count` come at once and then one each `each_ns`. */
static uint64_t wait_ns(uint64_t free_ns, uint64_t now_ns, unsigned count, uint64_t each_ns)
{
    const uint64_t limit_ns = now_ns + (count - 1) * each_ns;
    return free_ns > limit_ns ? free_ns - limit_ns : 0;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

unsigned web_attempts_take(struct web_attempts *attempts, const struct in6_addr *address,
                           uint64_t now_ns)
{
    const struct in6_addr network = network_of(address);
    int at = find(attempts, &network);
    const uint64_t own_ns = at < WEB_ATTEMPTS_PLACES ? attempts->list[at].free_ns : 0;
    const uint64_t wanted_ns =
        later(wait_ns(own_ns, now_ns, WEB_ATTEMPTS_OF_ONE, WEB_ATTEMPTS_ONE_NS),
              wait_ns(attempts->free_ns, now_ns, WEB_ATTEMPTS_OF_ALL, WEB_ATTEMPTS_ALL_NS));
    if (wanted_ns > 0)
        return (unsigned)((wanted_ns + NS_PER_S - 1) / NS_PER_S);
    if (at == WEB_ATTEMPTS_PLACES)
        at = find_oldest(attempts);
    attempts->list[at].address = network;
    attempts->list[at].free_ns = later(own_ns, now_ns) + WEB_ATTEMPTS_ONE_NS;
    attempts->free_ns = later(attempts->free_ns, now_ns) + WEB_ATTEMPTS_ALL_NS;
    return 0;
}

void web_attempts_give_back(struct web_attempts *attempts, const struct in6_addr *address)
{
    const struct in6_addr network = network_of(address);
    const int at = find(attempts, &network);
    if (at < WEB_ATTEMPTS_PLACES && attempts->list[at].free_ns >= WEB_ATTEMPTS_ONE_NS)
        attempts->list[at].free_ns -= WEB_ATTEMPTS_ONE_NS;
    if (attempts->free_ns >= WEB_ATTEMPTS_ALL_NS)
        attempts->free_ns -= WEB_ATTEMPTS_ALL_NS;
}
