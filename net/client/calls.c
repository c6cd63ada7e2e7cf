// SPDX-License-Identifier: MIT
// Requests that are no features: software trigger, counters, ping, proof of a secret.
#include "net/client/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define BURST "AcquisitionBurstFrameCount"

int client_trigger(struct pinhole *p, uint64_t *id)
{
    int error = client_request(p, WIRE_TYPE_TRIGGER, NULL, 0);
    if (error < 0)
        return error;
    if (p->message_length < sizeof(uint64_t))
        return client_fail(p, EPROTO, "%.160s: the reply to TRIGGER has %zu bytes", p->address,
                           p->message_length);
    if (id != NULL)
        *id = wire_load_u64(p->message);
    return 0;
}

int pinhole_trigger(struct pinhole *p, uint64_t *id)
{
    client_enter(p);
    return client_leave(p, client_trigger(p, id));
}

int pinhole_trigger_burst(struct pinhole *p, unsigned frames, uint64_t *id)
{
    char wanted[16], value[32];
    snprintf(wanted, sizeof wanted, "%u", frames);
    client_enter(p);
    int result = client_get(p, BURST, value, sizeof value);
    if (result == 0 && strcmp(value, wanted) != 0)
        result = client_set(p, BURST, wanted);
    if (result == 0)
        result = client_trigger(p, id);
    return client_leave(p, result);
}

int pinhole_stats(struct pinhole *p, char *text, size_t size)
{
    client_enter(p);
    int error = client_request(p, WIRE_TYPE_STATS, NULL, 0);
    if (error < 0)
        return client_leave(p, error);
    if (size > 0) {
        size_t kept = p->message_length < size ? p->message_length : size - 1;
        memcpy(text, p->message, kept);
        text[kept] = '\0';
    }
    return client_leave(p, (int)p->message_length);
}

static int64_t ping(struct pinhole *p)
{
    uint8_t payload[8];
    uint64_t start_ns = clock_now_ns();
    wire_store_u64(payload, start_ns);
    int error = client_request(p, WIRE_TYPE_PING, payload, sizeof payload);
    if (error < 0)
        return error;
    if (p->message_length != sizeof payload || memcmp(p->message, payload, sizeof payload) != 0)
        return client_fail(p, EPROTO, "%.160s: the reply to PING is not what was sent", p->address);
    return (int64_t)(clock_now_ns() - start_ns);
}

int64_t pinhole_ping(struct pinhole *p)
{
    client_enter(p);
    int64_t result = ping(p);
    client_leave(p, result < 0 ? (int)result : 0);
    return result;
}

static int check_secret(struct pinhole *p, const struct net_secret *secret)
{
    uint8_t challenge[NET_CHALLENGE_BYTES];
    if (getrandom(challenge, sizeof challenge, 0) != sizeof challenge)
        return client_fail(p, errno, "no random numbers: %s", strerror(errno));
    const int error = client_request(p, WIRE_TYPE_PROVE, challenge, sizeof challenge);
    if (error == -ENOSYS)
        return client_fail(p, ENOSYS, "%.160s: the node's software is older than uplink secrets",
                           p->address);
    if (error < 0)
        return error;
    const struct net_claim claim = client_claim(p, NET_CLAIM_PROVE, challenge, NULL);
    if (p->message_length != NET_PROOF_BYTES || !net_secret_fits(secret, &claim, p->message))
        return client_fail(p, EACCES, "%.160s: the node does not know the secret", p->address);
    return 0;
}

int pinhole_check_secret(struct pinhole *p, const void *secret, size_t bytes)
{
    struct net_secret mine = {.length = bytes};
    client_enter(p);
    if (bytes < NET_SECRET_BYTES_MIN || bytes > sizeof mine.bytes)
        return client_leave(p, client_fail(p, EINVAL, "a secret has %d to %zu bytes",
                                           NET_SECRET_BYTES_MIN, sizeof mine.bytes));
    memcpy(mine.bytes, secret, bytes);
    return client_leave(p, check_secret(p, &mine));
}
