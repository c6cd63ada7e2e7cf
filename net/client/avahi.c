// SPDX-License-Identifier: MIT
// Nodes that announce themselves by DNS-SD, through the Avahi daemon.
#include "net/client/client.h"

#ifdef HAVE_AVAHI
#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-common/simple-watch.h>
#include <net/if.h>
#include <stdio.h>

#define SERVICE "_pinhole._tcp"

struct browse {
    AvahiClient *client;
    bool is_over;
    void (*found)(void *user, const char *address);
    void *user;
};

static void resolved(AvahiServiceResolver *resolver, AvahiIfIndex interface, AvahiProtocol protocol,
                     AvahiResolverEvent event, const char *name, const char *type,
                     const char *domain, const char *host, const AvahiAddress *address,
                     uint16_t port, AvahiStringList *text, AvahiLookupResultFlags flags, void *user)
{
    struct browse *browse = user;
    char number[AVAHI_ADDRESS_STR_MAX], scope[IF_NAMESIZE] = "", out[128];
    (void)protocol, (void)name, (void)type, (void)domain, (void)host, (void)text, (void)flags;
    if (event == AVAHI_RESOLVER_FOUND) {
        avahi_address_snprint(number, sizeof number, address);
        const uint8_t *bytes = address->data.ipv6.address;
        const bool is_v6 = address->proto == AVAHI_PROTO_INET6;
        // A link-local address means nothing without its link, and the link may be gone by now.
        const bool is_local = is_v6 && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
        if (is_local && if_indextoname((unsigned)interface, scope) == NULL)
            goto out;
        if (is_v6)
            snprintf(out, sizeof out, "[%s%s%s]:%u", number, is_local ? "%" : "", scope, port);
        else
            snprintf(out, sizeof out, "%s:%u", number, port);
        browse->found(browse->user, out);
    }
out:
    avahi_service_resolver_free(resolver);
}

static void browsed(AvahiServiceBrowser *browser, AvahiIfIndex interface, AvahiProtocol protocol,
                    AvahiBrowserEvent event, const char *name, const char *type, const char *domain,
                    AvahiLookupResultFlags flags, void *user)
{
    struct browse *browse = user;
    (void)browser, (void)flags;
    if (event == AVAHI_BROWSER_NEW)
        (void)avahi_service_resolver_new(browse->client, interface, protocol, name, type, domain,
                                         AVAHI_PROTO_UNSPEC, 0, resolved, browse);
    else if (event == AVAHI_BROWSER_FAILURE)
        browse->is_over = true;
}

static void client_changed(AvahiClient *client, AvahiClientState state, void *user)
{
    struct browse *browse = user;
    (void)client;
    if (state == AVAHI_CLIENT_FAILURE)
        browse->is_over = true;
}

void client_browse(int timeout_ms, void (*found)(void *user, const char *address), void *user)
{
    struct browse browse = {.found = found, .user = user};
    const uint64_t deadline_ns = client_deadline_ns(timeout_ms);
    AvahiServiceBrowser *browser = NULL;
    AvahiSimplePoll *poll = avahi_simple_poll_new();
    if (poll == NULL)
        return;
    browse.client = avahi_client_new(avahi_simple_poll_get(poll), 0, client_changed, &browse, NULL);
    if (browse.client != NULL)
        browser = avahi_service_browser_new(browse.client, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC,
                                            SERVICE, NULL, 0, browsed, &browse);
    while (browser != NULL && !browse.is_over) {
        const uint64_t now_ns = clock_now_ns();
        if (now_ns >= deadline_ns ||
            avahi_simple_poll_iterate(poll, (int)((deadline_ns - now_ns) / NS_PER_MS) + 1) != 0)
            break;
    }
    if (browse.client != NULL)
        avahi_client_free(browse.client); // its browsers and resolvers too
    avahi_simple_poll_free(poll);
}
#else
void client_browse(int timeout_ms, void (*found)(void *user, const char *address), void *user)
{
    (void)timeout_ms, (void)found, (void)user;
}
#endif
