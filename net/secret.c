// SPDX-License-Identifier: MIT
#include "net/secret.h"

#include "net/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *read_file(int fd, struct net_secret *out)
{
    struct stat status;
    uint8_t text[NET_SECRET_BYTES_MAX + 3]; // with "\r\n", and one byte that is too many
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return "it is no file";
    if ((status.st_mode & (S_IROTH | S_IWOTH)) != 0)
        return "everybody can read or write it: chmod 600";
    const ssize_t got = read(fd, text, sizeof text);
    if (got < 0)
        return strerror(errno);
    size_t length = (size_t)got;
    if (length > 0 && text[length - 1] == '\n')
        length--;
    if (length > 0 && text[length - 1] == '\r')
        length--;
    if (length < NET_SECRET_BYTES_MIN || length > NET_SECRET_BYTES_MAX)
        return "a secret has 16 to 128 bytes";
    memcpy(out->bytes, text, length);
    out->length = length;
    return NULL;
}

const char *net_secret_read(const char *path, struct net_secret *out)
{
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return strerror(errno);
    const char *why = read_file(fd, out);
    close(fd);
    return why;
}

void net_secret_prove(const struct net_secret *secret, const struct net_claim *claim,
                      uint8_t proof[NET_PROOF_BYTES])
{
    struct hmac_sha256_ctx hmac;
    uint8_t boot[sizeof claim->boot_id];
    wire_store_u64(boot, claim->boot_id);
    hmac_sha256_set_key(&hmac, secret->length, secret->bytes);
    hmac_sha256_update(&hmac, strlen(claim->text), (const uint8_t *)claim->text);
    hmac_sha256_update(&hmac, NET_CHALLENGE_BYTES, claim->challenge);
    if (claim->another != NULL)
        hmac_sha256_update(&hmac, NET_CHALLENGE_BYTES, claim->another);
    hmac_sha256_update(&hmac, sizeof boot, boot);
    hmac_sha256_update(&hmac, claim->name_bytes, (const uint8_t *)claim->name);
    hmac_sha256_digest(&hmac, NET_PROOF_BYTES, proof);
}

bool net_secret_fits(const struct net_secret *secret, const struct net_claim *claim,
                     const uint8_t proof[NET_PROOF_BYTES])
{
    uint8_t good[NET_PROOF_BYTES];
    if (secret->length == 0)
        return false;
    net_secret_prove(secret, claim, good);
    return memeql_sec(good, proof, sizeof good) != 0;
}
