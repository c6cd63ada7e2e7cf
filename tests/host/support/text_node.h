// SPDX-License-Identifier: MIT
// A node that answers each request with a text of the test's choice, for fuzzers of its clients. It
// serves any number of connections on a Unix socket, each in a thread of its own.
#ifndef PINHOLE_TEST_SUPPORT_TEXT_NODE_H
#define PINHOLE_TEST_SUPPORT_TEXT_NODE_H

#include <stddef.h>
#include <stdint.h>

#define TEXT_NODE_BYTES_MAX 4000u

/** Starts it in the folder. Returns the address for pinhole_open(), or NULL. Once. */
const char *text_node_start(const char *folder);
/** The text of all replies from now on, cut to TEXT_NODE_BYTES_MAX. Each subscription gets one
 * outcome of a trigger with this text. Any thread. */
void text_node_say(const void *text, size_t bytes);

#endif
