// SPDX-License-Identifier: MIT
#include "tools/relay/stream.h"

#include "hal/base.h"
#include "tools/common/say.h"
#include "tools/relay/message.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fail(struct relay_server *server, char why[RELAY_WHY_BYTES], const char *stream,
                 natsStatus status)
{
    char what[RELAY_TEXT_BYTES + 20];
    snprintf(what, sizeof what, "stream %s", stream);
    return relay_server_fail(server, why, what, status, (int)server->code);
}

// --- the stream itself --------------------------------------------------------------------------

bool relay_stream_ensure(struct relay_server *server, char why[RELAY_WHY_BYTES])
{
    const struct relay_settings *s = server->settings;
    jsStreamInfo *info = NULL;
    natsStatus result = js_GetStreamInfo(&info, server->js, s->stream, NULL, &server->code);
    if (result == NATS_NOT_FOUND) {
        const char *subjects[] = {RELAY_PREFIX ".*.*"};
        jsStreamConfig config;
        jsStreamConfig_Init(&config);
        config.Name = s->stream;
        config.Storage = js_FileStorage;
        config.Discard = js_DiscardOld;
        config.Replicas = (int64_t)s->replicas;
        config.MaxBytes = s->max_bytes != 0 ? (int64_t)s->max_bytes : -1;
        config.MaxAge = (int64_t)(s->max_age_s * NS_PER_S);
        config.Subjects = subjects;
        config.SubjectsLen = ARRAY_SIZE(subjects);
        result = js_AddStream(&info, server->js, &config, NULL, &server->code);
    }
    jsStreamInfo_Destroy(info);
    return result == NATS_OK || fail(server, why, s->stream, result);
}

// --- the hub ------------------------------------------------------------------------------------

/** Asks JetStream itself: the library would drop members of a configuration that it does not know.
 * NULL with a sentence in `why`, and server->code. */
static json_t *ask(struct relay_server *server, const char *verb, const json_t *body,
                   char why[RELAY_WHY_BYTES])
{
    const char *stream = server->settings->hub_stream;
    char subject[RELAY_TEXT_BYTES + 40];
    natsMsg *message = NULL;
    json_t *answer = NULL;
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : strdup("");
    snprintf(subject, sizeof subject, "$JS.API.STREAM.%s.%s", verb, stream);
    memset(&server->code, 0, sizeof server->code);
    const natsStatus result =
        text != NULL
            ? natsConnection_RequestString(&message, server->nc, subject, text, RELAY_ANSWER_MS)
            : NATS_NO_MEMORY;
    free(text);
    if (result == NATS_OK)
        answer =
            json_loadb(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message), 0, NULL);
    natsMsg_Destroy(message);
    const json_t *error = json_object_get(answer, "error");
    if (answer != NULL && error == NULL)
        return answer;
    server->code = (jsErrCode)json_integer_value(json_object_get(error, "err_code"));
    const char *said = json_string_value(json_object_get(error, "description"));
    if (result != NATS_OK)
        fail(server, why, stream, result);
    else
        snprintf(why, RELAY_WHY_BYTES, "stream %s: %s", stream,
                 said != NULL ? said : "an unknown answer");
    json_decref(answer);
    return NULL;
}

static json_t *make_config(const struct relay_settings *s)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:i, s:i}", "name", s->hub_stream,
                     "storage", "file", "retention", "limits", "discard", "old", "num_replicas",
                     (json_int_t)s->replicas, "max_bytes",
                     s->max_bytes != 0 ? (json_int_t)s->max_bytes : (json_int_t)-1, "max_age",
                     (json_int_t)s->max_age_s * (json_int_t)NS_PER_S, "max_msgs", -1,
                     "max_msg_size", -1, "max_consumers", -1);
}

/** A leaf's stream as the hub sees it. The API prefix has the leaf's domain. Records come by a
 * subject of the leaf's own, and get the leaf's name, whatever name it gave them. */
static json_t *make_source(const struct relay_settings *s, const char *leaf)
{
    char api[LEVEL_BYTES + 20], deliver[LEVEL_BYTES + 40], name[LEVEL_BYTES + 40];
    snprintf(api, sizeof api, "$JS.%s.API", leaf);
    snprintf(deliver, sizeof deliver, RELAY_PREFIX ".%s.hub.source", leaf);
    snprintf(name, sizeof name, RELAY_PREFIX ".%s.{{wildcard(2)}}", leaf);
    return json_pack("{s:s, s:{s:s, s:s}, s:[{s:s, s:s}]}", "name", s->stream, "external", "api",
                     api, "deliver", deliver, "subject_transforms", "src", RELAY_PREFIX ".*.*",
                     "dest", name);
}

static const char *api_of(const json_t *source)
{
    const char *api =
        json_string_value(json_object_get(json_object_get(source, "external"), "api"));
    return api != NULL ? api : "";
}

/** Adds a source for each leaf that has none. */
static bool add_sources(const struct relay_settings *s, json_t *config)
{
    size_t i;
    const json_t *each;
    if (json_object_get(config, "sources") == NULL)
        json_object_set_new(config, "sources", json_array());
    json_t *sources = json_object_get(config, "sources");
    for (unsigned leaf = 0; leaf < s->leaves_count; leaf++) {
        bool is_there = false;
        json_t *source = make_source(s, s->leaves[leaf]);
        json_array_foreach(sources, i, each) is_there =
            is_there || strcmp(api_of(each), api_of(source)) == 0;
        if (is_there)
            json_decref(source);
        else if (json_array_append_new(sources, source) < 0)
            return false;
    }
    return true;
}

/** What the server keeps of it: one that is too old leaves out the names. */
static void report(const struct relay_settings *s, const json_t *sources)
{
    size_t i, named = 0;
    const json_t *each;
    json_array_foreach(sources, i, each) named +=
        json_object_get(each, "subject_transforms") != NULL;
    say("stream %s takes those of %zu leaves", s->hub_stream, json_array_size(sources));
    if (named < json_array_size(sources))
        say("%zu of them can put records under other cameras' names: nats-server before 2.10, or a "
            "source that was made with one",
            json_array_size(sources) - named);
}

bool relay_stream_gather(struct relay_server *server, char why[RELAY_WHY_BYTES])
{
    const struct relay_settings *s = server->settings;
    json_t *info = ask(server, "INFO", NULL, why), *done = NULL;
    const bool is_new = info == NULL && server->code == JSStreamNotFoundErr;
    if (info == NULL && !is_new)
        return false;
    json_t *config = is_new ? make_config(s) : json_incref(json_object_get(info, "config"));
    if (config != NULL && add_sources(s, config))
        done = ask(server, is_new ? "CREATE" : "UPDATE", config, why);
    else
        snprintf(why, RELAY_WHY_BYTES, "out of memory");
    if (done != NULL)
        report(s, json_object_get(json_object_get(done, "config"), "sources"));
    const bool is_good = done != NULL;
    json_decref(done);
    json_decref(config);
    json_decref(info);
    return is_good;
}

// --- the position -------------------------------------------------------------------------------

/** The last message of a subject. NATS_NOT_FOUND: there is none. */
static natsStatus last_of(struct relay_server *server, const char *kind, struct relay_stored *out,
                          uint64_t *stream_sequence)
{
    char subject[RELAY_SUBJECT_BYTES];
    natsMsg *message = NULL;
    snprintf(subject, sizeof subject, RELAY_PREFIX ".%s.%s", server->settings->level, kind);
    natsStatus result =
        js_GetLastMsg(&message, server->js, server->settings->stream, subject, NULL, &server->code);
    if (result != NATS_OK)
        return result;
    *stream_sequence = natsMsg_GetSequence(message);
    result = relay_message_read(message, out);
    natsMsg_Destroy(message);
    return result;
}

/** The boot of the newest message, and the furthest place that a message of this boot names: all
 * records before it are stored. Records of a boot follow those of the boot before. */
static natsStatus find_place(struct relay_server *server, struct relay_position *out,
                             uint64_t *behind)
{
    static const char *const kinds[] = {"frame", "event", "trigger"};
    struct relay_stored last[ARRAY_SIZE(kinds)];
    uint64_t sequences[ARRAY_SIZE(kinds)] = {0}, newest = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const natsStatus result = last_of(server, kinds[i], &last[i], &sequences[i]);
        if (result == NATS_NOT_FOUND)
            sequences[i] = 0;
        else if (result != NATS_OK)
            return result;
        if (sequences[i] > newest) {
            newest = sequences[i];
            out->boot_id = last[i].boot_id;
            out->is_known = true;
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        if (sequences[i] != 0 && last[i].boot_id == out->boot_id && last[i].settled >= out->next) {
            out->next = last[i].settled;
            *behind = last[i].behind;
        }
    return NATS_OK;
}

/** Notes a message of the read-back. False: it is the last one. */
static natsStatus note(struct relay_position *out, natsMsg *message, bool *is_last)
{
    struct relay_stored stored;
    jsMsgMetaData *meta = NULL;
    natsStatus result = natsMsg_GetMetaData(&meta, message);
    if (result != NATS_OK)
        return result;
    *is_last = meta->NumPending == 0;
    jsMsgMetaData_Destroy(meta);
    result = relay_message_read(message, &stored);
    if (result != NATS_OK)
        return result == NATS_NOT_FOUND ? NATS_OK : result; // somebody else's
    if (stored.boot_id == out->boot_id && stored.sequence >= out->next &&
        !relay_ranges_add(&out->stored, stored.first, stored.sequence))
        return NATS_INSUFFICIENT_BUFFER;
    return NATS_OK;
}

/** Reads the headers of all messages of the node behind that place. */
static natsStatus read_back(struct relay_server *server, struct relay_position *out,
                            uint64_t behind)
{
    char subject[RELAY_SUBJECT_BYTES];
    natsSubscription *subscription = NULL;
    jsSubOptions options;
    bool is_last = false;
    snprintf(subject, sizeof subject, RELAY_PREFIX ".%s.*", server->settings->level);
    jsSubOptions_Init(&options);
    options.Stream = server->settings->stream;
    options.Ordered = true;
    options.Config.DeliverPolicy = js_DeliverByStartSequence;
    options.Config.OptStartSeq = behind + 1;
    options.Config.HeadersOnly = true;
    natsStatus result =
        js_SubscribeSync(&subscription, server->js, subject, NULL, &options, &server->code);
    while (result == NATS_OK && !is_last) {
        natsMsg *message = NULL;
        result = natsSubscription_NextMsg(&message, subscription, RELAY_ANSWER_MS);
        if (result == NATS_OK)
            result = note(out, message, &is_last);
        natsMsg_Destroy(message);
    }
    natsSubscription_Unsubscribe(subscription);
    natsSubscription_Destroy(subscription);
    return result;
}

bool relay_stream_position(struct relay_server *server, struct relay_position *out,
                           char why[RELAY_WHY_BYTES])
{
    jsStreamInfo *info = NULL;
    uint64_t behind = 0, until;
    *out = (struct relay_position){0};
    natsStatus result =
        js_GetStreamInfo(&info, server->js, server->settings->stream, NULL, &server->code);
    if (result == NATS_OK)
        out->stream_last = info->State.LastSeq;
    jsStreamInfo_Destroy(info);
    // A stream without messages is not asked for one. nats-server 2.9.10 has ended there.
    if (result == NATS_OK && out->stream_last > 0)
        result = find_place(server, out, &behind);
    if (result == NATS_OK && out->is_known)
        result = read_back(server, out, behind);
    if (result != NATS_OK)
        return fail(server, why, server->settings->stream, result);
    relay_ranges_hole(&out->stored, out->next, UINT64_MAX, &out->next, &until);
    return true;
}
