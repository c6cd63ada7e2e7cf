#!/bin/bash
# SPDX-License-Identifier: MIT
# The encoder takes no memory per frame: 10 and 110 frames of each format, with refusals by the sink
# and changing quality, make the same number of heap calls, libjpeg's own included.
set -euo pipefail
build=${BUILD:-build/release}
if [ -n "${SAN:-}" ] || nm -D "$build/tests/unit/test_jpeg" | grep -q __asan; then
    echo "the sanitizers replace the allocator"
    exit 77
fi
file=$(mktemp)
trap 'rm -f "$file"' EXIT

heap_calls() {
    rm -f "$file"
    COUNT_HEAP_FILE=$file LD_PRELOAD=$build/tests/count_heap.so "$build/tests/unit/test_jpeg" encode "$1"
    od -A n -t u8 -N 8 "$file" | tr -d ' '
}

few=$(heap_calls 10)
many=$(heap_calls 110)
echo "heap calls: $few for 10 frames of each format, $many for 110"
[ "$few" -gt 0 ] && [ "$few" = "$many" ]
