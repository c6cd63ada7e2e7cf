// SPDX-License-Identifier: MIT
// The stream by libnats.
#include "tools/web/fleet_link.h"

#ifdef HAVE_NATS

#include "tools/nats/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 3000 };

struct web_fleet_link {
    const struct stream_access *access;
    natsConnection *nc;
    jsCtx *js;
    natsSubscription *subscription, *health;
    jsStreamInfo *info; /**< of the last look */
};

/** The node, of pinhole.NODE.... Returns what follows it. */
static const char *copy_level(char *out, size_t bytes, natsMsg *message)
{
    const char *level = natsMsg_GetSubject(message) + strlen(NATS_SUBJECT_PREFIX ".");
    const size_t length = strcspn(level, ".");
    snprintf(out, bytes, "%.*s", (int)length, level);
    return level + length;
}

static int fail(char why[WEB_FLEET_WHY_BYTES], const char *what, natsStatus status, int code)
{
    nats_login_why(why, WEB_FLEET_WHY_BYTES, what, status, code, "");
    return code == JSStreamNotFoundErr ? WEB_FLEET_NO_STREAM : WEB_FLEET_GONE;
}

static int fail_stream(const struct web_fleet_link *link, char why[WEB_FLEET_WHY_BYTES],
                       natsStatus status, int code)
{
    char what[WEB_FLEET_TOKEN_BYTES];
    snprintf(what, sizeof what, "stream %.200s", link->access->stream);
    return fail(why, what, status, code);
}

static void close_link(struct web_fleet_link *link)
{
    if (link == NULL)
        return;
    natsSubscription_Destroy(link->subscription);
    natsSubscription_Destroy(link->health);
    jsStreamInfo_Destroy(link->info);
    jsCtx_Destroy(link->js);
    natsConnection_Destroy(link->nc);
    free(link);
}

static int open_link(struct web_fleet_link **out, const struct stream_access *access,
                     char why[WEB_FLEET_WHY_BYTES])
{
    struct web_fleet_link *link = calloc(1, sizeof *link);
    jsOptions options;
    char what[WEB_FLEET_TOKEN_BYTES];
    *out = NULL;
    if (link == NULL) {
        snprintf(why, WEB_FLEET_WHY_BYTES, "out of memory");
        return WEB_FLEET_GONE;
    }
    link->access = access;
    natsStatus result = nats_login_connect(&link->nc, access, "pinhole-web");
    jsOptions_Init(&options);
    options.Wait = ANSWER_MS;
    if (result == NATS_OK)
        result = natsConnection_JetStream(&link->js, link->nc, &options);
    if (result == NATS_OK)
        result = natsConnection_SubscribeSync(&link->health, link->nc,
                                              NATS_SUBJECT_PREFIX ".*.relay.health");
    if (result != NATS_OK) {
        snprintf(what, sizeof what, "%.200s", access->servers);
        close_link(link);
        return fail(why, what, result, 0);
    }
    *out = link;
    return 0;
}

static int look(struct web_fleet_link *link, struct web_fleet_extent *out,
                char why[WEB_FLEET_WHY_BYTES])
{
    jsErrCode code;
    memset(&code, 0, sizeof code);
    jsStreamInfo_Destroy(link->info);
    link->info = NULL;
    const natsStatus result =
        js_GetStreamInfo(&link->info, link->js, link->access->stream, NULL, &code);
    // A stream that is not there has a status of its own, without a code.
    if (result != NATS_OK)
        return fail_stream(link, why, result,
                           result == NATS_NOT_FOUND ? JSStreamNotFoundErr : (int)code);
    *out = (struct web_fleet_extent){.messages = link->info->State.Msgs,
                                     .bytes = link->info->State.Bytes,
                                     .last = link->info->State.LastSeq,
                                     .created_ns = (uint64_t)link->info->Created};
    return 0;
}

static bool source(const struct web_fleet_link *link, unsigned index, struct web_fleet_source *out)
{
    if (link->info == NULL || index >= (unsigned)link->info->SourcesLen)
        return false;
    const jsStreamSourceInfo *from = link->info->Sources[index];
    const char *api = from->External != NULL ? from->External->APIPrefix : NULL;
    *out = (struct web_fleet_source){.behind = from->Lag};
    // A leaf's domain is its node's level: $JS.LEVEL.API
    if (api != NULL && strncmp(api, "$JS.", 4) == 0)
        snprintf(out->level, sizeof out->level, "%.*s", (int)strcspn(api + 4, "."), api + 4);
    return true;
}

static bool health(struct web_fleet_link *link, struct web_fleet_health *out)
{
    natsMsg *message = NULL;
    if (natsSubscription_NextMsg(&message, link->health, 0) != NATS_OK)
        return false;
    copy_level(out->level, sizeof out->level, message);
    snprintf(out->text, sizeof out->text, "%.*s", natsMsg_GetDataLength(message),
             natsMsg_GetData(message));
    natsMsg_Destroy(message);
    return true;
}

static int follow(struct web_fleet_link *link, uint64_t from, char why[WEB_FLEET_WHY_BYTES])
{
    jsSubOptions options;
    jsErrCode code;
    memset(&code, 0, sizeof code);
    natsSubscription_Destroy(link->subscription);
    link->subscription = NULL;
    jsSubOptions_Init(&options);
    options.Stream = link->access->stream;
    options.Ordered = true;
    options.Config.DeliverPolicy = from == 0 ? js_DeliverLastPerSubject : js_DeliverByStartSequence;
    options.Config.OptStartSeq = from;
    options.Config.HeadersOnly = true;
    const natsStatus result = js_SubscribeSync(&link->subscription, link->js,
                                               NATS_SUBJECT_PREFIX ".*.*", NULL, &options, &code);
    return result == NATS_OK ? 0 : fail_stream(link, why, result, (int)code);
}

// --- a record -----------------------------------------------------------------------------------

static uint64_t number(natsMsg *message, const char *name, int base)
{
    const char *text = NULL;
    return natsMsgHeader_Get(message, name, &text) == NATS_OK ? strtoull(text, NULL, base) : 0;
}

static void copy_text(char *out, size_t bytes, natsMsg *message, const char *name)
{
    const char *text = NULL;
    if (natsMsgHeader_Get(message, name, &text) == NATS_OK)
        snprintf(out, bytes, "%s", text);
}

static bool take(struct web_fleet_record *out, natsMsg *message)
{
    jsMsgMetaData *meta = NULL;
    if (natsMsg_GetMetaData(&meta, message) != NATS_OK)
        return false;
    *out = (struct web_fleet_record){.place = meta->Sequence.Stream,
                                     .stored_ns = (uint64_t)meta->Timestamp,
                                     .boot_id = number(message, "Pinhole-Boot", 16),
                                     .first = number(message, "Pinhole-First", 10),
                                     .sequence = number(message, "Pinhole-Sequence", 10),
                                     .time_ns = number(message, "Pinhole-Time", 10),
                                     .trigger = number(message, "Pinhole-Trigger", 10),
                                     .trigger_last = number(message, "Pinhole-Trigger-Last", 10)};
    jsMsgMetaData_Destroy(meta);
    out->is_frame = strcmp(copy_level(out->level, sizeof out->level, message), ".frame") == 0;
    copy_text(out->event, sizeof out->event, message, "Pinhole-Event");
    copy_text(out->outcome, sizeof out->outcome, message, "Pinhole-Outcome");
    return true;
}

static int next(struct web_fleet_link *link, struct web_fleet_record *out, int timeout_ms,
                char why[WEB_FLEET_WHY_BYTES])
{
    natsMsg *message = NULL;
    const natsStatus result =
        natsSubscription_NextMsg(&message, link->subscription, (int64_t)timeout_ms);
    // A connection that has ended need not say so here.
    if (result == NATS_TIMEOUT && natsConnection_IsClosed(link->nc))
        return fail(why, "the connection has ended", NATS_CONNECTION_CLOSED, 0);
    if (result != NATS_OK && result != NATS_TIMEOUT)
        return fail_stream(link, why, result, 0);
    const bool is_there = result == NATS_OK && take(out, message);
    natsMsg_Destroy(message);
    return is_there ? 1 : 0;
}

static int get(struct web_fleet_link *link, uint64_t place, uint8_t **data, size_t *bytes,
               char why[WEB_FLEET_WHY_BYTES])
{
    natsMsg *message = NULL;
    jsErrCode code;
    memset(&code, 0, sizeof code);
    const natsStatus result =
        js_GetMsg(&message, link->js, link->access->stream, place, NULL, &code);
    if (result == NATS_NOT_FOUND) {
        snprintf(why, WEB_FLEET_WHY_BYTES, "the stream has discarded the frame");
        return WEB_FLEET_DISCARDED;
    }
    if (result != NATS_OK)
        return fail_stream(link, why, result, (int)code);
    *bytes = (size_t)natsMsg_GetDataLength(message);
    *data = malloc(*bytes + 1);
    if (*data != NULL)
        memcpy(*data, natsMsg_GetData(message), *bytes);
    natsMsg_Destroy(message);
    if (*data != NULL)
        return 0;
    snprintf(why, WEB_FLEET_WHY_BYTES, "out of memory");
    return WEB_FLEET_GONE;
}

/** The plug-in's one symbol. */
extern const struct web_fleet_ops web_fleet_ops;
__attribute__((visibility("default"))) const struct web_fleet_ops web_fleet_ops = {
    open_link, close_link, look, source, health, follow, next, get};

#endif
