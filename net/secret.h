// SPDX-License-Identifier: MIT
// The secret that a node and its recorder share, and the proof that a node knows it (SPEC.md,
// PROVE). No heap, any thread.
#ifndef PINHOLE_NET_SECRET_H
#define PINHOLE_NET_SECRET_H

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

/** HMAC-SHA256 (RFC 2104) over "PINHOLE PROVE 1\n", the challenge, the boot id and the node's name,
 * which need not be 0-terminated. */
void net_secret_prove(const struct net_secret *secret, const uint8_t challenge[NET_CHALLENGE_BYTES],
                      uint64_t boot_id, const char *name, size_t name_bytes,
                      uint8_t proof[NET_PROOF_BYTES]);

#endif
