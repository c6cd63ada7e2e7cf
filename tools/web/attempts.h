// SPDX-License-Identifier: MIT
// How many passwords may be tried: some at once, then one each few seconds, by one address and by
// all together. A right password costs nothing. The clock is an argument.
#ifndef PINHOLE_TOOLS_WEB_ATTEMPTS_H
#define PINHOLE_TOOLS_WEB_ATTEMPTS_H

#include <netinet/in.h>
#include <stdint.h>

#define WEB_ATTEMPTS_PLACES 64
#define WEB_ATTEMPTS_OF_ONE 10u                  /**< at once, by one address */
#define WEB_ATTEMPTS_ONE_NS UINT64_C(6000000000) /**< then one each 6 s */
#define WEB_ATTEMPTS_OF_ALL 100u                 /**< at once, by all */
#define WEB_ATTEMPTS_ALL_NS UINT64_C(600000000)  /**< then one each 0.6 s */

struct web_attempts {
    struct {
        struct in6_addr address; /**< of IPv6 its network: one host has 2^64 addresses */
        uint64_t free_ns;        /**< when all its attempts are there again */
    } list[WEB_ATTEMPTS_PLACES];
    uint64_t free_ns; /**< the same of all */
};

/** Takes an attempt. 0, or in how many seconds there is one. */
unsigned web_attempts_take(struct web_attempts *attempts, const struct in6_addr *address,
                           uint64_t now_ns);
/** Gives one back: it was right, or was not tried. */
void web_attempts_give_back(struct web_attempts *attempts, const struct in6_addr *address);

#endif
