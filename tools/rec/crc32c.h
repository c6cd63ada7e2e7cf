// SPDX-License-Identifier: MIT
// CRC-32C (Castagnoli, as in iSCSI, RFC 3720). Any thread.
#ifndef PINHOLE_TOOLS_REC_CRC32C_H
#define PINHOLE_TOOLS_REC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/** Of the bytes, by the processor's instruction for it (SSE 4.2, ARMv8 CRC) where it has one. */
uint32_t rec_crc32c(const void *data, size_t bytes);
/** The same by tables, as on any other processor. */
uint32_t rec_crc32c_by_tables(const void *data, size_t bytes);

#endif
