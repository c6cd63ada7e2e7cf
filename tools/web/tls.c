// SPDX-License-Identifier: MIT
#include "tools/web/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/** NULL, or what is wrong. */
static const char *read_file(const char *path, char out[WEB_TLS_FILE_BYTES])
{
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return strerror(errno);
    const ssize_t got = read(fd, out, WEB_TLS_FILE_BYTES);
    const int error = errno;
    close(fd);
    if (got < 0)
        return strerror(error);
    if (got == WEB_TLS_FILE_BYTES)
        return "it is too long";
    out[got] = '\0';
    return NULL;
}

static gnutls_datum_t datum(char *text)
{
    return (gnutls_datum_t){.data = (unsigned char *)text, .size = (unsigned)strlen(text)};
}

static const char *judge_certificate(char *text)
{
    gnutls_x509_crt_t certificate;
    const gnutls_datum_t pem = datum(text);
    int error = gnutls_x509_crt_init(&certificate);
    if (error < 0)
        return gnutls_strerror(error);
    error = gnutls_x509_crt_import(certificate, &pem, GNUTLS_X509_FMT_PEM);
    gnutls_x509_crt_deinit(certificate);
    return error < 0 ? gnutls_strerror(error) : NULL;
}

static const char *judge_key(char *text)
{
    gnutls_x509_privkey_t key;
    const gnutls_datum_t pem = datum(text);
    int error = gnutls_x509_privkey_init(&key);
    if (error < 0)
        return gnutls_strerror(error);
    error = gnutls_x509_privkey_import2(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_x509_privkey_deinit(key);
    return error < 0 ? gnutls_strerror(error) : NULL;
}

static const char *judge_pair(struct web_tls *tls)
{
    gnutls_certificate_credentials_t both;
    const gnutls_datum_t certificate = datum(tls->certificate), key = datum(tls->key);
    int error = gnutls_certificate_allocate_credentials(&both);
    if (error < 0)
        return gnutls_strerror(error);
    error = gnutls_certificate_set_x509_key_mem(both, &certificate, &key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(both);
    if (error == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return "it is not the key of that certificate";
    return error < 0 ? gnutls_strerror(error) : NULL;
}

int web_tls_read(struct web_tls *tls, const char *certificate, const char *key, char *why,
                 size_t size)
{
    const char *wrong = read_file(certificate, tls->certificate);
    if (wrong == NULL)
        wrong = judge_certificate(tls->certificate);
    if (wrong != NULL) {
        snprintf(why, size, "--tls-certificate %.300s: %s", certificate, wrong);
        return -1;
    }
    wrong = read_file(key, tls->key);
    if (wrong == NULL)
        wrong = judge_key(tls->key);
    if (wrong == NULL)
        wrong = judge_pair(tls);
    if (wrong != NULL)
        snprintf(why, size, "--tls-key %.300s: %s", key, wrong);
    return wrong == NULL ? 0 : -1;
}
