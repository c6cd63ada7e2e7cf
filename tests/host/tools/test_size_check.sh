#!/bin/bash
# SPDX-License-Identifier: MIT
# `make size` must be able to fail: by each line of its budget, and by a frame without a bound.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/plain.c" <<'C'
char pool[1000];
int numbers[100] = {1};
int plain(int n);
int plain(int n)
{
    volatile char room[500];
    room[n] = 1;
    return room[0];
}
C
cat >"$work/unbounded.c" <<'C'
#include <alloca.h>
int unbounded(int n);
int unbounded(int n)
{
    volatile char *room = alloca((unsigned long)n);
    room[0] = 1;
    return room[n - 1];
}
C
for name in plain unbounded; do
    "${CC:-cc}" -O2 -fstack-usage -c "$work/$name.c" -o "$work/$name.o"
done

# judge WANTED-STATUS OBJECT TEXT DATA BSS STACK
judge() {
    printf 'text %s\ndata %s\nbss %s\nstack_frame %s\n' "${@:3}" >"$work/budget"
    local status=0
    BUDGET=$work/budget tools/dev/size-check.sh "$work/$2.o" >"$work/out" 2>&1 || status=$?
    if [ "$status" != "$1" ]; then
        echo "status $status instead of $1 for $*:"
        cat "$work/out"
        exit 1
    fi
}
judge 0 plain 4000 4000 4000 4000
judge 1 plain 10 4000 4000 4000
judge 1 plain 4000 399 4000 4000
judge 1 plain 4000 4000 999 4000
judge 1 plain 4000 4000 4000 399
judge 1 unbounded 4000 4000 4000 4000
