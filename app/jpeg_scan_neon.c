// SPDX-License-Identifier: MIT
// The scan for ARM with NEON, which every 64-bit ARM has, built by GCC.
#include "app/jpeg_private.h"

#if defined(__aarch64__) && !defined(__clang__)
#define JPEG_SCAN_OPERATIONS "app/jpeg_scan_neon.h"
#include "app/jpeg_scan_row.h"

static bool is_supported(void)
{
    return true;
}

const struct jpeg_scan_variant jpeg_scan_neon = {"NEON", code_row, is_supported};

#else

const struct jpeg_scan_variant jpeg_scan_neon = {"NEON", NULL, NULL};

#endif
