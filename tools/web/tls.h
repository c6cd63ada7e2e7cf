// SPDX-License-Identifier: MIT
// The certificate and the key of HTTPS. GnuTLS judges them at the start; libmicrohttpd serves with
// them.
#ifndef PINHOLE_TOOLS_WEB_TLS_H
#define PINHOLE_TOOLS_WEB_TLS_H

#include <stddef.h>

#define WEB_TLS_FILE_BYTES 65536u /**< with the 0 */

/** Of a chain the server's own certificate is first. PEM, 0-terminated. */
struct web_tls {
    char certificate[WEB_TLS_FILE_BYTES], key[WEB_TLS_FILE_BYTES];
};

/** Reads both files. 0, or -1 with a sentence in `why` that names the file. */
int web_tls_read(struct web_tls *tls, const char *certificate, const char *key, char *why,
                 size_t size);

#endif
