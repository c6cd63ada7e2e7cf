// SPDX-License-Identifier: MIT
// What a simulated client knows, and how it checks each record against the truth.
#ifndef PINHOLE_TEST_SIM_CLIENT_RECORDS_H
#define PINHOLE_TEST_SIM_CLIENT_RECORDS_H

#include "net/secret.h"
#include "net/wire.h"
#include "tests/host/sim/client.h"
#include "tests/host/sim/machine.h"

#include <stddef.h>

#define REQUESTS_MAX 32

struct client {
    unsigned id, host;
    enum client_kind kind;
    struct client_limits limits;
    struct link_manners manners;
    struct link *link;
    uint8_t *message;
    size_t used;
    bool is_greeted, is_subscribed, is_steward, is_retired;
    bool is_mute; /**< asks for nothing */
    /** its role, and the key for more */
    bool is_foreign;    /**< it has another secret than the node */
    const char *secret; /**< of the uplink, as a collector has it */
    const char *key;    /**< NULL: none */
    unsigned key_role;  /**< that the key gives; NONE: it is a wrong one */
    unsigned role;      /**< as HELLO or the last AUTH has said */
    bool is_proving;
    uint8_t auth[WIRE_AUTH_BYTES], challenge[NET_CHALLENGE_BYTES];
    uint8_t proof_challenge[NET_CHALLENGE_BYTES];
    char name[64];
    uint64_t boot_id;
    /** the subscription */
    uint64_t next;     /**< every: the sequence that must come; 0 = not known yet */
    uint64_t wanted;   /**< every: from_sequence of the SUBSCRIBE under way */
    uint64_t last;     /**< latest: the last sequence that is accounted for */
    uint64_t skipped;  /**< latest: frames passed over since the last one */
    bool has_baseline; /**< latest: there was a record or a GAP to count from */
    uint64_t records;
    /** requests under way, oldest first */
    struct {
        uint32_t tag;
        uint8_t type;
        uint64_t sent_ns;
    } request[REQUESTS_MAX];
    unsigned requests, replies; /**< replies: on this link */
    uint32_t last_tag;
};

/** A subscription begins, at that sequence. */
void client_start_position(struct client *c, uint64_t position);
/** Takes the payload of a FRAME or an EVENT. */
void client_take_frame(struct client *c, const uint8_t *payload, uint32_t bytes);
void client_take_event(struct client *c, const uint8_t *payload, uint32_t bytes);

#endif
