// SPDX-License-Identifier: MIT
// What a simulated client asks of the node, and how it checks each answer.
#ifndef PINHOLE_TEST_SIM_CLIENT_REQUESTS_H
#define PINHOLE_TEST_SIM_CLIENT_REQUESTS_H

#include "tests/host/sim/client_records.h"

/** Sends a request, whole or cut anywhere. Nothing when there is no link, or too many are under
 * way.
 */
void client_send(struct client *c, uint8_t type, const void *payload, uint32_t bytes);
void client_send_lines(struct client *c, uint8_t type, const char *lines);
/** AUTH with the client's key. */
void client_authenticate(struct client *c);
/** PROVE. */
void client_ask_proof(struct client *c);
/** HELLO has come, and AUTH if there is a key: asks for what this kind of client wants. */
void client_after_hello(struct client *c);
/** The answer to the oldest request. */
void client_take_reply(struct client *c, const struct wire_header *header, const uint8_t *payload);
/** Asks for STATS; the answer is client_stats(). */
void client_request_stats(struct client *c);

#endif
