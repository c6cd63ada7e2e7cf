// SPDX-License-Identifier: MIT
#include "tools/nats/login.h"

#include "tools/nats/nkey.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    SERVERS_MAX = 16,
    LIST_BYTES = 1024,
    CONNECT_MS = 2000,
    PING_MS = 2000,
    PINGS_OUT = 2,
};

natsStatus nats_login_servers(natsOptions *options, const char *list)
{
    char text[LIST_BYTES], *rest = NULL;
    const char *servers[SERVERS_MAX];
    int count = 0;
    snprintf(text, sizeof text, "%s", list);
    for (char *url = strtok_r(text, ", ", &rest); url != NULL && count < SERVERS_MAX;
         url = strtok_r(NULL, ", ", &rest))
        servers[count++] = url;
    return count > 0 ? natsOptions_SetServers(options, servers, count) : NATS_ADDRESS_MISSING;
}

static bool has(const char *text)
{
    return text != NULL && *text != '\0';
}

static natsStatus sign(char **why, unsigned char **signature, int *bytes, const char *nonce,
                       void *seed)
{
    (void)why;
    return nats_Sign(seed, nonce, signature, bytes);
}

/** The library asks for the signature at each connection. */
static natsStatus set_nkey(natsOptions *options, const char *line)
{
    char key[NKEY_PUBLIC_BYTES];
    const char *seed = nkey_in_line(line);
    if (seed == NULL || !nkey_public(key, seed))
        return NATS_INVALID_ARG;
    return natsOptions_SetNKey(options, key, sign, (void *)(uintptr_t)seed);
}

natsStatus nats_login_set(natsOptions *options, const struct nats_login *login)
{
    natsStatus result = NATS_OK;
    if (has(login->user))
        result = natsOptions_SetUserInfo(options, login->user,
                                         login->password != NULL ? login->password : "");
    if (result == NATS_OK && has(login->token))
        result = natsOptions_SetToken(options, login->token);
    if (result == NATS_OK && has(login->credentials_file))
        result = natsOptions_SetUserCredentialsFromFiles(options, login->credentials_file, NULL);
    if (result == NATS_OK && has(login->nkey))
        result = set_nkey(options, login->nkey);
    if (result == NATS_OK && has(login->ca_file))
        result = natsOptions_SetSecure(options, true);
    if (result == NATS_OK && has(login->ca_file))
        result = natsOptions_LoadCATrustedCertificates(options, login->ca_file);
    if (result == NATS_OK && has(login->cert_file))
        result = natsOptions_LoadCertificatesChain(options, login->cert_file, login->key_file);
    return result;
}

natsStatus nats_login_connect(natsConnection **out, const struct stream_access *access,
                              const char *name)
{
    const struct nats_login login = {.user = access->user,
                                     .password = access->password,
                                     .token = access->token,
                                     .credentials_file = access->credentials_file,
                                     .nkey = access->nkey,
                                     .ca_file = access->ca_file,
                                     .cert_file = access->cert_file,
                                     .key_file = access->key_file};
    natsOptions *options = NULL;
    natsStatus result = natsOptions_Create(&options);
    if (result == NATS_OK)
        result = nats_login_servers(options, access->servers);
    if (result == NATS_OK)
        result = nats_login_set(options, &login);
    if (result == NATS_OK) {
        natsOptions_SetName(options, name);
        natsOptions_SetTimeout(options, CONNECT_MS);
        natsOptions_SetAllowReconnect(options, false);
        natsOptions_SetPingInterval(options, PING_MS);
        natsOptions_SetMaxPingsOut(options, PINGS_OUT);
        result = natsConnection_Connect(out, options);
    }
    natsOptions_Destroy(options);
    return result;
}

/** What a user can do about it; NULL: the library's words must do. */
static const char *explain(natsStatus status, int code)
{
    switch (code) {
    case JSNotEnabledErr:
    case JSNotEnabledForAccountErr: return "JetStream is not enabled at this server";
    case JSAccountResourcesExceededErr:
    case JSInsufficientResourcesErr:
    case JSMemoryResourcesExceededErr:
    case JSStorageResourcesExceededErr: return "the server's limits for streams are reached";
    case JSStreamNotFoundErr: return "there is no such stream";
    default: break;
    }
    switch ((int)status) {
    case NATS_INVALID_ARG: return "a URL or the nkey is malformed";
    case NATS_NO_SERVER: return "no server answers";
    case NATS_CONNECTION_AUTH_FAILED: return "the server refuses the credentials";
    case NATS_NO_RESPONDERS: return "JetStream is not enabled at this server, or has no leader now";
    case NATS_TIMEOUT: return "no answer in time";
    case NATS_SSL_ERROR: return "TLS fails";
    case NATS_SECURE_CONNECTION_REQUIRED: return "the server wants TLS; see --ca-file";
    default: return NULL;
    }
}

void nats_login_why(char *why, size_t bytes, const char *what, natsStatus status, int code,
                    const char *trouble)
{
    natsStatus last = NATS_OK;
    const char *text = nats_GetLastError(&last);
    const char *explained = explain(status, code);
    if (text == NULL || *text == '\0' || last != status)
        text = natsStatus_GetText(status);
    const char *words =
        text[0] == '(' ? strstr(text, "): ") : NULL; // behind a place in the library
    if (words != NULL)
        text = words + strlen("): ");
    snprintf(why, bytes, "%s: %s%s%.200s%s%s%s", what, explained != NULL ? explained : "",
             explained != NULL ? " (" : "", text, explained != NULL ? ")" : "",
             trouble[0] != '\0' ? "; the server says: " : "", trouble);
}
