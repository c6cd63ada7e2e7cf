// SPDX-License-Identifier: MIT
// Motion JPEG as cameras send it. Many leave the Huffman tables out of each picture: those of ITU
// T.81 Annex K.3 are meant then. A decoder of JPEG files need not know that.
#ifndef PINHOLE_APP_JPEG_MJPEG_H
#define PINHOLE_APP_JPEG_MJPEG_H

#include "hal/base.h"

/** Where the tables have to be put into a picture that came without: the offset of the first SOS
 * marker of a baseline JPEG with no DHT before it. 0 when nothing is to be put in: there are
 * tables, it is no baseline JPEG, or its markers cannot be followed from SOI to SOS. Reads the
 * headers only; `jpeg` begins with SOI. A pure function. */
uint32_t mjpeg_find_missing_tables(const uint8_t *jpeg, uint32_t bytes);

#endif
