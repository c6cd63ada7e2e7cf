#!/bin/bash
# SPDX-License-Identifier: MIT
# What json_dumps() of jansson returns when one allocation fails while its buffer grows. It is why the
# tools measure a document with json_dumpb() and write it into memory of that size.
#
# Seen with Debian 12's jansson 2.14-2, a flat object of 40 numbers (671 bytes of JSON) and malloc()
# failing once, at each allocation in turn: NULL 8 times, and twice a text that lacks bytes in the
# middle and is no JSON. Nothing tells the caller. json_dumpb() into memory of the document's size
# never was wrong without another count.
# Downloads the packages into a temporary folder; gcc is there. Fails if any of this changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq libjansson4=2.14-2 libjansson-dev=2.14-2
for package in *.deb; do dpkg-deb -x "$package" root; done
library=$folder/root/usr/lib/x86_64-linux-gnu

cat >dump.c <<'END'
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long left = -1; /* allocations until one fails; -1: none does */
static int has_failed;

static void *scarce(size_t bytes)
{
    has_failed |= left == 0;
    return left >= 0 && left-- == 0 ? NULL : malloc(bytes);
}

int main(void)
{
    json_set_alloc_funcs(scarce, free);
    json_t *document = json_object();
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "member_%d", i);
        json_object_set_new(document, name, json_integer(1000 + i));
    }
    char *whole = json_dumps(document, JSON_COMPACT), *measured = malloc(strlen(whole));
    int nothing = 0, damaged = 0, unnoticed = 0;
    for (long i = 0;; i++) {
        has_failed = 0;
        left = i;
        char *text = json_dumps(document, JSON_COMPACT);
        left = -1;
        if (!has_failed)
            break;
        nothing += text == NULL;
        damaged += text != NULL && json_loads(text, 0, NULL) == NULL;
        free(text);
        left = i;
        size_t bytes = json_dumpb(document, measured, strlen(whole), JSON_COMPACT);
        left = -1;
        unnoticed += bytes == strlen(whole) && memcmp(measured, whole, bytes) != 0;
    }
    printf("jansson %s, %zu bytes\njson_dumps: NULL %d, damaged %d\njson_dumpb: damaged and unnoticed %d\n",
           jansson_version_str(), strlen(whole), nothing, damaged, unnoticed);
}
END
gcc -I root/usr/include dump.c -o dump "$library"/libjansson.so.4.*
LD_LIBRARY_PATH=$library ./dump >seen

cat >expected <<'END'
jansson 2.14, 671 bytes
json_dumps: NULL 8, damaged 2
json_dumpb: damaged and unnoticed 0
END
cat seen
diff expected seen
