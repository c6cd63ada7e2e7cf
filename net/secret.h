// SPDX-License-Identifier: MIT
// A secret that two sides share, and the proof that one of them knows it (SPEC.md, PROVE and AUTH).
// No heap, any thread.
#ifndef PINHOLE_NET_SECRET_H
#define PINHOLE_NET_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_SECRET_BYTES_MIN 16
#define NET_SECRET_BYTES_MAX 128
#define NET_CHALLENGE_BYTES  32
#define NET_PROOF_BYTES      32

struct net_secret {
    uint8_t bytes[NET_SECRET_BYTES_MAX];
    size_t length; /**< 0: there is none */
};

/** Reads a secret: the file's bytes, without the end of its last line. Returns NULL, or the reason
 * why the file cannot be used. */
const char *net_secret_read(const char *path, struct net_secret *out);

/** What a proof is about. The line of text keeps a proof of one kind from serving as another. */
struct net_claim {
    const char *text;                   /**< NET_CLAIM_... */
    const uint8_t *challenge, *another; /**< NET_CHALLENGE_BYTES each; another NULL: there is one */
    uint64_t boot_id;                   /**< the node's */
    const char *name;                   /**< its DeviceUserID, need not be 0-terminated */
    size_t name_bytes;
};
#define NET_CLAIM_PROVE "PINHOLE PROVE 1\n" /**< the challenge alone */
#define NET_CLAIM_AUTH  "PINHOLE AUTH 1\n"  /**< by a client: challenge, nonce */
#define NET_CLAIM_NODE  "PINHOLE NODE 1\n"  /**< the answer to it: nonce, challenge */

/** HMAC-SHA256 (RFC 2104) over the claim's members in their order. */
void net_secret_prove(const struct net_secret *secret, const struct net_claim *claim,
                      uint8_t proof[NET_PROOF_BYTES]);
/** Whether `proof` is the one that net_secret_prove() makes. Takes the same time for every wrong
 * one. False without a secret. */
bool net_secret_fits(const struct net_secret *secret, const struct net_claim *claim,
                     const uint8_t proof[NET_PROOF_BYTES]);

#endif
