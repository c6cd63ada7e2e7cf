#!/bin/bash
# SPDX-License-Identifier: MIT
# The client library's threads under ThreadSanitizer: 1,000 cycles of start, stop and close, and
# lookups that nobody waits for any more.
set -euo pipefail

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cc=${CC:-gcc}
flags=(-std=c11 -D_GNU_SOURCE= -I. -g -O1 -fsanitize=thread)
echo 'int main(void) { return 0; }' >"$out/probe.c"
if ! "$cc" "${flags[@]}" "$out/probe.c" -o "$out/probe" 2>"$out/log" || ! "$out/probe" 2>>"$out/log"; then
    cat "$out/log"
    echo "skip: $cc cannot build or run programs under ThreadSanitizer here"
    exit 77
fi
library=(net/*.c net/client/*.c hal/os/clock.c tests/host/support/peer.c)
"$cc" "${flags[@]}" "${library[@]}" tests/host/support/flood.c tests/host/client/test_sdk_stress.c \
    -lcmocka -lnettle -lpthread -lm -o "$out/stress"
"$cc" "${flags[@]}" "${library[@]}" tests/host/client/test_client_lookup.c -lcmocka -lnettle -lpthread -lm -o "$out/lookup"
export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 ${TSAN_OPTIONS:-}"
"$out/stress"
"$out/lookup"

# The sanitizer is really on.
cat >"$out/race.c" <<'RACE'
#include <pthread.h>
static int shared;
static void *run(void *p) { shared++; return p; }
int main(void) { pthread_t a, b; pthread_create(&a, 0, run, 0); pthread_create(&b, 0, run, 0);
    pthread_join(a, 0); pthread_join(b, 0); return 0; }
RACE
"$cc" "${flags[@]}" "$out/race.c" -lpthread -o "$out/race"
if "$out/race" >"$out/log" 2>&1; then
    echo "a race went unseen: the sanitizer does not work here"
    exit 1
fi
