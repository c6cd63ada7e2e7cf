// SPDX-License-Identifier: MIT
// The key of a link: the library proves that it knows it, and demands the same of the node.
#include "net/client/client.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int client_auth_read_key(struct pinhole *p)
{
    const char *path = p->options.key_file;
    const char *why = path != NULL ? net_secret_read(path, &p->key) : NULL;
    p->options.key_file = NULL; // the caller's text
    return why == NULL ? 0 : client_fail(p, EINVAL, "the key, %.160s: %s", path, why);
}

struct net_claim client_claim(const struct pinhole *p, const char *text, const uint8_t *challenge,
                              const uint8_t *another)
{
    return (struct net_claim){.text = text,
                              .challenge = challenge,
                              .another = another,
                              .boot_id = p->hello.boot_id,
                              .name = p->name,
                              .name_bytes = strlen(p->name)};
}

int client_auth_too_old(struct pinhole *p)
{
    return client_fail(p, ENOSYS, "the node's software is older than keys");
}

int client_auth_make(struct pinhole *p, uint8_t payload[WIRE_AUTH_BYTES])
{
    if (p->hello.role == WIRE_ROLE_UNKNOWN)
        return client_auth_too_old(p);
    if (getrandom(p->nonce, sizeof p->nonce, 0) != sizeof p->nonce)
        return client_fail(p, errno, "no random numbers: %s", strerror(errno));
    const struct net_claim claim = client_claim(p, NET_CLAIM_AUTH, p->hello.challenge, p->nonce);
    memcpy(payload, p->nonce, sizeof p->nonce);
    net_secret_prove(&p->key, &claim, payload + WIRE_AUTH_PROOF_AT);
    return 0;
}

int client_auth_end(struct pinhole *p)
{
    const struct net_claim claim = client_claim(p, NET_CLAIM_NODE, p->nonce, p->hello.challenge);
    if (p->message_length != WIRE_AUTH_REPLY_BYTES ||
        !net_secret_fits(&p->key, &claim, p->message + WIRE_AUTH_REPLY_PROOF_AT))
        return client_fail(p, EPERM, "the node does not know the key");
    p->hello.role = p->message[0];
    p->is_proved = true;
    return 1;
}
