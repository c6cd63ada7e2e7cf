#!/bin/bash
# SPDX-License-Identifier: MIT
# The node's own C objects refer to nothing that takes memory from the heap: neither the allocator
# nor the libc calls that use it behind the caller's back.
set -euo pipefail
build=${BUILD:-build/release}

forbidden='malloc|calloc|realloc|reallocarray|free|memalign|aligned_alloc|posix_memalign|valloc|pvalloc'
forbidden+='|strdup|strndup|wcsdup|asprintf|vasprintf|getline|getdelim|open_memstream|fmemopen'
forbidden+='|fopen|fopen64|fdopen|freopen|freopen64|tmpfile|popen|opendir|fdopendir|scandir|scandir64'
forbidden+='|alphasort|ftw|nftw|glob|wordexp|regcomp|qsort|qsort_r|setlocale|syslog|openlog|getcwd|realpath'
forbidden+='|getaddrinfo|gethostbyname|gethostbyaddr|getpwnam|getpwuid|getgrnam|getgrgid'
forbidden+='|localtime|mktime|strftime|tzset|hsearch|tsearch|putenv|setenv|dlopen|pthread_create'

# One line per forbidden reference: "object: symbol". Fortified twins (__asprintf_chk) count as well.
heap_references() {
    nm -A -u "$@" | sed -E 's/^(.*):[^:]* U (.*)$/\1: \2/' |
        grep -E ": (__)?($forbidden)(_chk)?(@.*)?$" || true
}

# The check itself must be able to see: a sample with one direct and one hidden call.
sample=$(mktemp -d)
trap 'rm -rf "$sample"' EXIT
cat >"$sample/sample.c" <<'C'
#include <stdio.h>
#include <stdlib.h>
int sample(char **out);
int sample(char **out) { free(*out); return asprintf(out, "%d", 1); }
C
"${CC:-cc}" -D_GNU_SOURCE -O2 -D_FORTIFY_SOURCE=2 -c "$sample/sample.c" -o "$sample/sample.o"
if [ "$(heap_references "$sample/sample.o" | wc -l)" != 2 ]; then
    echo "the check does not see the heap calls of its own sample"
    exit 1
fi

objects=()
shopt -s globstar
for source in {hal,app,net}/**/*.c; do
    object=$build/obj/${source%.c}.o
    case $source in
    net/client/*) continue ;; # the client library, not the node
    hal/gpio/gpiod*) [ -e "$object" ] || continue ;; # built for one version of libgpiod
    esac
    if [ ! -e "$object" ]; then
        echo "$object is missing: build first"
        exit 1
    fi
    objects+=("$object")
done
# Loading a backend takes memory: once, before the loop.
found=$(heap_references "${objects[@]}" | grep -v '/hal/libcamera/load\.o: dlopen' || true)
if [ -n "$found" ]; then
    echo "heap references in the node's own objects:"
    echo "$found"
    exit 1
fi
echo "${#objects[@]} objects, no heap reference"
