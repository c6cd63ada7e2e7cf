// SPDX-License-Identifier: MIT
#include "tools/relay/server.h"

#include "hal/base.h"
#include "tools/nats/login.h"
#include "tools/relay/message.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    CONNECT_MS = 2000,
    WRITE_MS = 2000, /**< a server that takes nothing for this long is given up */
    PING_MS = 5000,
    PINGS_OUT = 2,
};

int relay_server_init(struct relay_server *server, const struct relay_settings *settings,
                      char why[RELAY_WHY_BYTES])
{
    server->settings = settings;
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->wake_fd < 0) {
        snprintf(why, RELAY_WHY_BYTES, "cannot make an eventfd: %s", strerror(errno));
        return -errno;
    }
    pthread_mutex_init(&server->lock, NULL);
    return 0;
}

// --- sentences ----------------------------------------------------------------------------------

bool relay_server_fail(struct relay_server *server, char why[RELAY_WHY_BYTES], const char *what,
                       natsStatus status, int code)
{
    pthread_mutex_lock(&server->lock);
    nats_login_why(why, RELAY_WHY_BYTES, what, status, code, server->trouble);
    pthread_mutex_unlock(&server->lock);
    return false;
}

// --- the library's threads ----------------------------------------------------------------------

static void wake(struct relay_server *server)
{
    const uint64_t one = 1;
    // It fails only when it is set already.
    if (write(server->wake_fd, &one, sizeof one) < 0)
        return;
}

static void on_closed(natsConnection *nc, void *user)
{
    struct relay_server *server = user;
    pthread_mutex_lock(&server->lock);
    server->is_ended = server->is_ended || nc == server->nc;
    pthread_mutex_unlock(&server->lock);
    wake(server);
}

/** A permission that lacks, a slow consumer: the library tells it here alone. */
static void on_trouble(natsConnection *nc, natsSubscription *subscription, natsStatus status,
                       void *user)
{
    struct relay_server *server = user;
    const char *text = NULL;
    (void)subscription;
    if (natsConnection_GetLastError(nc, &text) == NATS_OK || text == NULL || *text == '\0')
        text = natsStatus_GetText(status);
    pthread_mutex_lock(&server->lock);
    snprintf(server->trouble, sizeof server->trouble, "%s", text);
    pthread_mutex_unlock(&server->lock);
}

static void add_ack(struct relay_server *server, const struct relay_ack *ack)
{
    pthread_mutex_lock(&server->lock);
    // More than the window has cannot be on their way; a server that says so is not believed.
    if (server->acks_count < ARRAY_SIZE(server->acks))
        server->acks[(server->acks_first + server->acks_count++) % ARRAY_SIZE(server->acks)] = *ack;
    pthread_mutex_unlock(&server->lock);
    wake(server);
}

static void read_answer(struct relay_ack *ack, const char *data, size_t bytes)
{
    json_t *answer = json_loadb(data, bytes, 0, NULL);
    const json_t *error = json_object_get(answer, "error");
    const char *text = json_string_value(json_object_get(error, "description"));
    ack->sequence = (uint64_t)json_integer_value(json_object_get(answer, "seq"));
    ack->code = (int)json_integer_value(json_object_get(error, "err_code"));
    if (error != NULL || ack->sequence == 0)
        snprintf(ack->text, sizeof ack->text, "%s", text != NULL ? text : "an unknown answer");
    if (error != NULL)
        ack->sequence = 0;
    json_decref(answer);
}

static void on_ack(natsConnection *nc, natsSubscription *subscription, natsMsg *message, void *user)
{
    struct relay_server *server = user;
    struct relay_ack ack = {0};
    (void)nc;
    (void)subscription;
    // INBOX.CONNECTION.SERIAL
    const char *subject = natsMsg_GetSubject(message);
    const size_t before = strlen(server->inbox) + 1;
    char *end = NULL;
    if (strlen(subject) > before)
        ack.connection = strtoull(subject + before, &end, 10);
    if (end != NULL && *end == '.')
        ack.serial = strtoull(end + 1, NULL, 10);
    if (natsMsg_IsNoResponders(message))
        snprintf(ack.text, sizeof ack.text,
                 "no stream takes the record now: JetStream is away, or has no leader");
    else
        read_answer(&ack, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
    natsMsg_Destroy(message);
    add_ack(server, &ack);
}

// --- connecting ---------------------------------------------------------------------------------

static natsStatus set_options(natsOptions *options, struct relay_server *server)
{
    const struct relay_settings *s = server->settings;
    char name[LEVEL_BYTES + 20];
    snprintf(name, sizeof name, "pinhole-relay %s", s->level);
    const struct nats_login login = {.user = s->user,
                                     .password = s->has_password ? s->password : NULL,
                                     .token = s->has_token ? s->token : NULL,
                                     .credentials_file = s->credentials_file,
                                     .nkey = s->nkey,
                                     .ca_file = s->ca_file,
                                     .cert_file = s->cert_file,
                                     .key_file = s->key_file};
    natsStatus result = nats_login_servers(options, s->server);
    if (result == NATS_OK)
        result = nats_login_set(options, &login);
    if (result != NATS_OK)
        return result;
    natsOptions_SetName(options, name);
    natsOptions_SetTimeout(options, CONNECT_MS);
    natsOptions_SetAllowReconnect(options, false);
    natsOptions_SetWriteDeadline(options, WRITE_MS);
    natsOptions_SetPingInterval(options, PING_MS);
    natsOptions_SetMaxPingsOut(options, PINGS_OUT);
    natsOptions_SetNoEcho(options, true);
    natsOptions_SetClosedCB(options, on_closed, server);
    return natsOptions_SetErrorHandler(options, on_trouble, server);
}

static natsStatus open_connection(struct relay_server *server)
{
    natsOptions *options = NULL;
    natsConnection *nc = NULL;
    natsStatus result = natsOptions_Create(&options);
    if (result == NATS_OK)
        result = set_options(options, server);
    if (result == NATS_OK)
        result = natsConnection_Connect(&nc, options);
    natsOptions_Destroy(options);
    pthread_mutex_lock(&server->lock);
    server->nc = nc;
    pthread_mutex_unlock(&server->lock);
    return result;
}

static natsStatus listen_for_acks(struct relay_server *server)
{
    char subject[RELAY_SUBJECT_BYTES];
    jsOptions options;
    natsStatus result = natsInbox_Create(&server->inbox);
    if (result != NATS_OK)
        return result;
    snprintf(subject, sizeof subject, "%.200s.*.*", server->inbox);
    result = natsConnection_Subscribe(&server->acks_of, server->nc, subject, on_ack, server);
    jsOptions_Init(&options);
    options.Wait = RELAY_ANSWER_MS;
    if (result == NATS_OK)
        result = natsConnection_JetStream(&server->js, server->nc, &options);
    return result;
}

bool relay_server_connect(struct relay_server *server, char why[RELAY_WHY_BYTES])
{
    relay_server_close(server);
    server->connection++;
    memset(&server->code, 0, sizeof server->code);
    natsStatus result = open_connection(server);
    if (result == NATS_OK)
        result = listen_for_acks(server);
    if (result == NATS_OK)
        server->payload_max = (uint64_t)natsConnection_GetMaxPayload(server->nc);
    return result == NATS_OK || relay_server_fail(server, why, server->settings->server, result, 0);
}

void relay_server_close(struct relay_server *server)
{
    pthread_mutex_lock(&server->lock);
    natsConnection *nc = server->nc;
    server->nc = NULL;
    pthread_mutex_unlock(&server->lock);
    natsSubscription_Destroy(server->acks_of);
    natsSubscription_Destroy(server->claims_of);
    jsCtx_Destroy(server->js);
    natsConnection_Destroy(nc);
    natsInbox_Destroy(server->inbox);
    server->acks_of = server->claims_of = NULL;
    server->js = NULL;
    server->inbox = NULL;
    pthread_mutex_lock(&server->lock);
    server->is_ended = false;
    server->trouble[0] = '\0';
    server->acks_count = 0;
    pthread_mutex_unlock(&server->lock);
}

bool relay_server_has_ended(struct relay_server *server, char why[RELAY_WHY_BYTES])
{
    uint64_t times;
    if (read(server->wake_fd, &times, sizeof times) < 0 && errno != EAGAIN)
        return false;
    pthread_mutex_lock(&server->lock);
    const bool is_ended = server->is_ended;
    if (is_ended)
        snprintf(why, RELAY_WHY_BYTES, "the connection has ended%s%s",
                 server->trouble[0] != '\0' ? ": " : "", server->trouble);
    pthread_mutex_unlock(&server->lock);
    return is_ended;
}

void relay_server_reply(const struct relay_server *server, uint64_t serial, char *out, size_t bytes)
{
    snprintf(out, bytes, "%.200s.%" PRIu64 ".%" PRIu64, server->inbox, server->connection, serial);
}

bool relay_server_take(struct relay_server *server, struct relay_ack *out)
{
    bool is_there = false;
    pthread_mutex_lock(&server->lock);
    while (server->acks_count > 0 && !is_there) {
        *out = server->acks[server->acks_first];
        server->acks_first = (server->acks_first + 1) % ARRAY_SIZE(server->acks);
        server->acks_count--;
        is_there = out->connection == server->connection;
    }
    pthread_mutex_unlock(&server->lock);
    return is_there;
}
