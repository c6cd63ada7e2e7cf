// SPDX-License-Identifier: MIT
#include "tools/relay/claim.h"

#include "hal/os/clock.h"
#include "tools/relay/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/** A stream that takes this subject answers, too, in its own way. */
static const char mark[] = "pinhole-relay since ";

enum {
    /** All answers come at once over loopback and within a round trip over a leaf's link. */
    ANSWER_MS = 300,
};

static void make_subject(const struct relay_server *server, char out[RELAY_SUBJECT_BYTES])
{
    snprintf(out, RELAY_SUBJECT_BYTES, RELAY_PREFIX ".%s.relay.claim", server->settings->level);
}

void relay_claim_identity(char *out, size_t bytes)
{
    char host[100] = "";
    gethostname(host, sizeof host - 1);
    snprintf(out, bytes, "%s%020" PRIu64 " on %s, process %d", mark, clock_realtime_ns(), host,
             (int)getpid());
}

static void on_question(natsConnection *nc, natsSubscription *subscription, natsMsg *message,
                        void *user)
{
    const struct relay_server *server = user;
    (void)subscription;
    if (natsMsg_GetReply(message) != NULL)
        natsConnection_PublishString(nc, natsMsg_GetReply(message), server->identity);
    natsMsg_Destroy(message);
}

bool relay_claim_begin(struct relay_server *server, char why[RELAY_WHY_BYTES])
{
    char subject[RELAY_SUBJECT_BYTES];
    make_subject(server, subject);
    const natsStatus result =
        natsConnection_Subscribe(&server->claims_of, server->nc, subject, on_question, server);
    return result == NATS_OK ||
           relay_server_fail(server, why, "cannot ask for other relays", result, 0);
}

/** Is that another relay that goes first? */
static bool goes_first(const struct relay_server *server, natsMsg *answer,
                       char why[RELAY_WHY_BYTES])
{
    char text[sizeof server->identity];
    snprintf(text, sizeof text, "%.*s", natsMsg_GetDataLength(answer), natsMsg_GetData(answer));
    if (strncmp(text, mark, strlen(mark)) != 0 || strcmp(text, server->identity) >= 0)
        return false;
    const char *where = strstr(text, " on ");
    snprintf(why, RELAY_WHY_BYTES,
             "another relay serves %s already%s; standing by until it has ended",
             server->settings->name, where != NULL ? where : "");
    return true;
}

bool relay_claim_ask(struct relay_server *server, char why[RELAY_WHY_BYTES])
{
    char subject[RELAY_SUBJECT_BYTES];
    natsInbox *inbox = NULL;
    natsSubscription *answers = NULL;
    natsMsg *answer = NULL;
    bool is_first = true;
    make_subject(server, subject);
    natsStatus result = natsInbox_Create(&inbox);
    if (result == NATS_OK)
        result = natsConnection_SubscribeSync(&answers, server->nc, inbox);
    if (result == NATS_OK)
        result = natsConnection_PublishRequestString(server->nc, subject, inbox, "");
    // Nobody else: the server says so at once.
    while (result == NATS_OK && is_first) {
        result = natsSubscription_NextMsg(&answer, answers, ANSWER_MS);
        if (result != NATS_OK)
            break;
        is_first = !goes_first(server, answer, why);
        natsMsg_Destroy(answer);
    }
    natsSubscription_Destroy(answers);
    natsInbox_Destroy(inbox);
    if (result == NATS_OK || result == NATS_TIMEOUT || result == NATS_NO_RESPONDERS)
        return is_first;
    return relay_server_fail(server, why, "cannot ask for other relays", result, 0);
}
