// SPDX-License-Identifier: MIT
#include "tools/relay/stream.h"

#include "hal/base.h"
#include "tools/common/say.h"
#include "tools/relay/message.h"

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

static void configure(jsStreamConfig *config, const struct relay_settings *s, const char *name)
{
    jsStreamConfig_Init(config);
    config->Name = name;
    config->Storage = js_FileStorage;
    config->Discard = js_DiscardOld;
    config->Replicas = (int64_t)s->replicas;
    config->MaxBytes = s->max_bytes != 0 ? (int64_t)s->max_bytes : -1;
    config->MaxAge = (int64_t)(s->max_age_s * NS_PER_S);
}

bool relay_stream_ensure(struct relay_server *server, char why[RELAY_WHY_BYTES])
{
    jsStreamInfo *info = NULL;
    natsStatus result =
        js_GetStreamInfo(&info, server->js, server->settings->stream, NULL, &server->code);
    if (result == NATS_NOT_FOUND) {
        const char *subjects[] = {RELAY_PREFIX ".*.*"};
        jsStreamConfig config;
        configure(&config, server->settings, server->settings->stream);
        config.Subjects = subjects;
        config.SubjectsLen = ARRAY_SIZE(subjects);
        result = js_AddStream(&info, server->js, &config, NULL, &server->code);
    }
    jsStreamInfo_Destroy(info);
    return result == NATS_OK || fail(server, why, server->settings->stream, result);
}

// --- the hub ------------------------------------------------------------------------------------

/** A leaf's stream as the hub sees it: the API prefix has the leaf's domain. */
struct source {
    jsStreamSource source;
    jsExternalStream external;
    char prefix[LEVEL_BYTES + 20];
};

static bool has_source(const jsStreamConfig *config, const char *prefix)
{
    for (int i = 0; i < config->SourcesLen; i++)
        if (config->Sources[i]->External != NULL &&
            strcmp(config->Sources[i]->External->APIPrefix, prefix) == 0)
            return true;
    return false;
}

/** libnats 3.4.1 wants a delivery prefix of every external stream, if an empty one. */
static void add(struct source *source, const jsStreamSource *from, const jsExternalStream *external)
{
    source->source = *from;
    if (external == NULL)
        return;
    source->external = *external;
    if (source->external.DeliverPrefix == NULL)
        source->external.DeliverPrefix = "";
    source->source.External = &source->external;
}

/** Puts the sources that `config` has, and the new ones, into `sources`. Returns how many. */
static int list_sources(const struct relay_settings *s, const jsStreamConfig *config,
                        struct source *sources)
{
    int count = 0;
    for (; count < config->SourcesLen; count++)
        add(&sources[count], config->Sources[count], config->Sources[count]->External);
    for (unsigned i = 0; i < s->leaves_count; i++) {
        jsStreamSource source;
        jsExternalStream external;
        struct source *place = &sources[count];
        snprintf(place->prefix, sizeof place->prefix, "$JS.%s.API", s->leaves[i]);
        if (has_source(config, place->prefix))
            continue;
        jsExternalStream_Init(&external);
        external.APIPrefix = place->prefix;
        jsStreamSource_Init(&source);
        source.Name = s->stream;
        add(place, &source, &external);
        count++;
    }
    return count;
}

bool relay_stream_gather(struct relay_server *server, char why[RELAY_WHY_BYTES])
{
    const struct relay_settings *s = server->settings;
    jsStreamInfo *info = NULL;
    jsStreamConfig config;
    configure(&config, s, s->hub_stream);
    natsStatus result = js_GetStreamInfo(&info, server->js, s->hub_stream, NULL, &server->code);
    const bool is_new = result == NATS_NOT_FOUND;
    if (result != NATS_OK && !is_new)
        return fail(server, why, s->hub_stream, result);
    if (!is_new)
        config = *info->Config;
    const size_t most = s->leaves_count + (size_t)config.SourcesLen;
    struct source *sources = calloc(most, sizeof *sources);
    jsStreamSource **list = calloc(most, sizeof *list);
    result = NATS_NO_MEMORY;
    if (sources != NULL && list != NULL) {
        config.SourcesLen = list_sources(s, &config, sources);
        for (int i = 0; i < config.SourcesLen; i++)
            list[i] = &sources[i].source;
        config.Sources = list;
        result = is_new ? js_AddStream(NULL, server->js, &config, NULL, &server->code)
                        : js_UpdateStream(NULL, server->js, &config, NULL, &server->code);
    }
    if (result == NATS_OK)
        say("stream %s takes those of %d leaves", s->hub_stream, config.SourcesLen);
    free(sources);
    free(list);
    jsStreamInfo_Destroy(info);
    return result == NATS_OK || fail(server, why, s->hub_stream, result);
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
