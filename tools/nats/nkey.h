// SPDX-License-Identifier: MIT
// Keys of NATS users: Ed25519 in NATS' spelling. The seed is the secret ("SU..."); servers know the
// public key ("U..."). Both are base32 of a prefix, the key and a CRC-16.
#ifndef PINHOLE_TOOLS_NATS_NKEY_H
#define PINHOLE_TOOLS_NATS_NKEY_H

#include <stdbool.h>

/** Room for the texts with their 0. */
#define NKEY_SEED_BYTES   59
#define NKEY_PUBLIC_BYTES 57

/** Makes a seed from the kernel's random numbers. False: there are none. */
bool nkey_make(char seed[NKEY_SEED_BYTES]);
/** The seed in the line of a key file: "nkey: SU...", as nats-server includes it, or the seed
 * alone. NULL: there is no user's seed. */
const char *nkey_in_line(const char *line);
/** The public key that goes with a seed. False: that is no user's seed. */
bool nkey_public(char out[NKEY_PUBLIC_BYTES], const char *seed);

#endif
