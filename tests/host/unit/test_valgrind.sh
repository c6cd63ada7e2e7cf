#!/bin/bash
# SPDX-License-Identifier: MIT
# The C tests of wire, store, server and client under valgrind: no byte is used or sent before it
# was written, and no memory is read after it was freed. ASan does not see the first of these.
set -euo pipefail
build=${BUILD:-build/release}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
if [ -n "${SAN:-}" ] || ! command -v valgrind >/dev/null; then
    echo "skipped: it needs valgrind and a build without sanitizers"
    exit 77
fi

memcheck() {
    valgrind --quiet --error-exitcode=9 --trace-children=no "$1" >"$out/log" 2>&1
}

# The check itself must be able to see: a sample that sends a byte which was never written.
cat >"$out/sample.c" <<'C'
#include <unistd.h>
int main(void) { volatile char byte; return write(2, (const void *)&byte, 1) != 1; }
C
"${CC:-cc}" -w -o "$out/sample" "$out/sample.c"
if memcheck "$out/sample"; then
    echo "the check does not see the unwritten byte of its own sample"
    exit 1
fi

status=0
for test in unit/test_wire unit/test_store unit/test_address node/test_server node/test_server_listen \
    client/test_client client/test_client_link client/test_sdk; do
    if ! memcheck "$build/tests/$test"; then
        echo "$test:"
        cat "$out/log"
        status=1
    fi
done
[ $status = 0 ] && echo "nothing is used before it was written"
exit $status
