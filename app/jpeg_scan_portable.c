// SPDX-License-Identifier: MIT
// The scan for any machine.
#define JPEG_SCAN_OPERATIONS "app/jpeg_scan_portable.h"
#include "app/jpeg_scan_row.h"

static bool is_supported(void)
{
    return true;
}

const struct jpeg_scan_variant jpeg_scan_portable = {"portable", code_row, is_supported};
