// SPDX-License-Identifier: MIT
// A smaller picture of a JPEG: decoded at n/8 of its size in the DCT domain, then encoded.
#ifndef PINHOLE_TOOLS_MQTT_PREVIEW_H
#define PINHOLE_TOOLS_MQTT_PREVIEW_H

#include <stddef.h>
#include <stdint.h>

/** The largest n/8 of the picture, n = 1 to 8, whose width is at most `width`; 1/8 if none is.
 * Returns a JPEG that the caller frees, or NULL: no JPEG, or out of memory. Any thread. */
uint8_t *mqtt_preview_make(const uint8_t *jpeg, size_t jpeg_bytes, unsigned width, unsigned quality,
                           size_t *bytes);

#endif
