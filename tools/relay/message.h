// SPDX-License-Identifier: MIT
// A record as a message of the stream.
//
// The payload is the record as net/SPEC.md has it: header, fixed part, JPEG or text. Headers say
// what a consumer needs to choose without decoding it.
#ifndef PINHOLE_TOOLS_RELAY_MESSAGE_H
#define PINHOLE_TOOLS_RELAY_MESSAGE_H

#include "tools/nats/login.h"
#include "tools/relay/window.h"

#include <nats/nats.h>

/** Room for "BOOT:SEQUENCE". */
#define RELAY_ID_BYTES 40
/** What headers and the protocol add to a payload, at most. The server counts it, too. */
#define RELAY_OVERHEAD_BYTES 600
/** First of the subjects' tokens. */
#define RELAY_PREFIX NATS_SUBJECT_PREFIX
/** Room for a subject. */
#define RELAY_SUBJECT_BYTES 256

/** What the headers of a stored message say. */
struct relay_stored {
    uint64_t boot_id, first, sequence;
    uint64_t settled; /**< all records of this boot before this one were stored by then */
    uint64_t behind;  /**< and all others stand behind this sequence of the stream */
};

/** "frame", "trigger" or "event". */
const char *relay_message_kind(const struct relay_entry *entry);
/** Makes the message of an entry; the caller destroys it. `settled` is the oldest record on its
 * way, of the same boot. */
natsStatus relay_message_make(natsMsg **out, const char *subject, const char *reply,
                              const struct relay_entry *entry, const struct relay_entry *settled);
/** Reads the headers back. NATS_NOT_FOUND: it is no message of a relay. Else nobody knows. */
natsStatus relay_message_read(natsMsg *message, struct relay_stored *out);

#endif
