// SPDX-License-Identifier: MIT
// The stream by libnats.
#include "tools/rec/stream.h"

#ifdef HAVE_NATS

#include "hal/base.h"
#include "tools/nats/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MS = 3000,
    REPLICAS_MAX = 5,
    PENDING_MAX = 1 << 20, /**< not acknowledged; the recorder bounds it by time */
    SUBJECT_BYTES = 512,
};

struct rec_stream {
    const struct rec_stream_options *options;
    natsConnection *nc;
    jsCtx *js;
    kvStore *entries;
    bool has_entries;
    natsSubscription *subscription;
    int replicas; /**< of the stream */
};

static int fail(char why[REC_WHY_BYTES], const char *what, natsStatus status, int code)
{
    nats_login_why(why, REC_WHY_BYTES, what, status, code, "");
    return REC_STREAM_GONE;
}

static void make_bucket(const struct rec_stream *stream, char out[SUBJECT_BYTES])
{
    snprintf(out, SUBJECT_BYTES, "pinhole-rec-%s", stream->options->group);
}

/** Is the stream there? As many servers keep the entries as keep the records. */
static natsStatus look_at_stream(struct rec_stream *stream, jsErrCode *code)
{
    jsStreamInfo *info = NULL;
    natsStatus result =
        js_GetStreamInfo(&info, stream->js, stream->options->access.stream, NULL, code);
    if (result != NATS_OK)
        return result;
    stream->replicas = (int)base_min_u64((uint64_t)info->Config->Replicas, REPLICAS_MAX);
    jsStreamInfo_Destroy(info);
    return NATS_OK;
}

static natsStatus open_entries(struct rec_stream *stream)
{
    char bucket[SUBJECT_BYTES];
    kvConfig config;
    make_bucket(stream, bucket);
    natsStatus result = js_KeyValue(&stream->entries, stream->js, bucket);
    if (result != NATS_NOT_FOUND)
        return result;
    kvConfig_Init(&config);
    config.Bucket = bucket;
    config.StorageType = js_FileStorage;
    config.Replicas = stream->replicas;
    return js_CreateKeyValue(&stream->entries, stream->js, &config);
}

static void close_stream(struct rec_stream *stream)
{
    if (stream == NULL)
        return;
    natsSubscription_Destroy(stream->subscription);
    kvStore_Destroy(stream->entries);
    jsCtx_Destroy(stream->js);
    natsConnection_Destroy(stream->nc);
    free(stream);
}

static int open_stream(struct rec_stream **out, const struct rec_stream_options *options,
                       char why[REC_WHY_BYTES])
{
    char what[SUBJECT_BYTES];
    jsOptions js_options;
    jsErrCode code;
    struct rec_stream *stream = calloc(1, sizeof *stream);
    *out = NULL;
    memset(&code, 0, sizeof code);
    if (stream == NULL) {
        snprintf(why, REC_WHY_BYTES, "out of memory");
        return REC_STREAM_GONE;
    }
    stream->options = options;
    snprintf(what, sizeof what, "%.300s", options->access.servers);
    natsStatus result = nats_login_connect(&stream->nc, &options->access, "pinhole-rec");
    jsOptions_Init(&js_options);
    js_options.Wait = ANSWER_MS;
    if (result == NATS_OK)
        result = natsConnection_JetStream(&stream->js, stream->nc, &js_options);
    if (result == NATS_OK) {
        snprintf(what, sizeof what, "stream %s", options->access.stream);
        result = look_at_stream(stream, &code);
    }
    if (result == NATS_OK) {
        snprintf(what, sizeof what, "the entries of group %s", options->group);
        result = open_entries(stream);
    }
    if (result != NATS_OK) {
        fail(why, what, result, (int)code);
        close_stream(stream);
        return REC_STREAM_GONE;
    }
    *out = stream;
    return 0;
}

static int list(struct rec_stream *stream, void (*visit)(void *user, const char *level), void *user,
                char why[REC_WHY_BYTES])
{
    jsStreamInfo *info = NULL;
    jsErrCode code;
    jsOptions options;
    memset(&code, 0, sizeof code);
    jsOptions_Init(&options);
    options.Wait = ANSWER_MS;
    options.Stream.Info.SubjectsFilter = NATS_SUBJECT_PREFIX ".*.*";
    const natsStatus result =
        js_GetStreamInfo(&info, stream->js, stream->options->access.stream, &options, &code);
    if (result != NATS_OK)
        return fail(why, "the stream's subjects", result, (int)code);
    const jsStreamStateSubjects *subjects = info->State.Subjects;
    for (int i = 0; subjects != NULL && i < subjects->Count; i++) {
        char level[SUBJECT_BYTES];
        snprintf(level, sizeof level, "%s",
                 subjects->List[i].Subject + strlen(NATS_SUBJECT_PREFIX "."));
        level[strcspn(level, ".")] = '\0';
        visit(user, level);
    }
    jsStreamInfo_Destroy(info);
    return 0;
}

/** A bucket without entries is not asked for one. nats-server 2.9.10 has ended there. */
static natsStatus look_for_entries(struct rec_stream *stream)
{
    kvStatus *status = NULL;
    if (stream->has_entries)
        return NATS_OK;
    const natsStatus result = kvStore_Status(&status, stream->entries);
    if (result == NATS_OK)
        stream->has_entries = kvStatus_Values(status) > 0;
    kvStatus_Destroy(status);
    return result != NATS_OK ? result : stream->has_entries ? NATS_OK : NATS_NOT_FOUND;
}

static int get(struct rec_stream *stream, const char *level, char text[REC_ENTRY_BYTES],
               uint64_t *revision, char why[REC_WHY_BYTES])
{
    kvEntry *entry = NULL;
    text[0] = '\0';
    *revision = 0;
    natsStatus result = look_for_entries(stream);
    if (result == NATS_OK)
        result = kvStore_Get(&entry, stream->entries, level);
    if (result == NATS_NOT_FOUND)
        return 0;
    if (result != NATS_OK)
        return fail(why, "the camera's entry", result, 0);
    snprintf(text, REC_ENTRY_BYTES, "%.*s", kvEntry_ValueLen(entry),
             (const char *)kvEntry_Value(entry));
    *revision = kvEntry_Revision(entry);
    kvEntry_Destroy(entry);
    return 0;
}

static int put(struct rec_stream *stream, const char *level, const char *text, uint64_t *revision,
               char why[REC_WHY_BYTES])
{
    uint64_t written = 0, present;
    char former[REC_ENTRY_BYTES];
    const natsStatus result =
        *revision == 0 ? kvStore_CreateString(&written, stream->entries, level, text)
                       : kvStore_UpdateString(&written, stream->entries, level, text, *revision);
    if (result == NATS_OK) {
        *revision = written;
        return 0;
    }
    // The library does not say whether it was the revision.
    fail(why, "the camera's entry", result, 0);
    if (get(stream, level, former, &present, why) < 0 || present == *revision)
        return REC_STREAM_GONE;
    return REC_STREAM_CHANGED;
}

static int subscribe(struct rec_stream *stream, const char *level, uint64_t from,
                     uint64_t ack_wait_ns, char why[REC_WHY_BYTES])
{
    const char *name = stream->options->access.stream;
    char durable[SUBJECT_BYTES], subject[SUBJECT_BYTES];
    jsConsumerConfig config;
    jsSubOptions options;
    jsErrCode code;
    memset(&code, 0, sizeof code);
    natsSubscription_Destroy(stream->subscription);
    stream->subscription = NULL;
    snprintf(durable, sizeof durable, "%s_%s", stream->options->group, level);
    snprintf(subject, sizeof subject, NATS_SUBJECT_PREFIX ".%s.*", level);
    natsStatus result = js_DeleteConsumer(stream->js, name, durable, NULL, &code);
    jsConsumerConfig_Init(&config);
    config.Durable = durable;
    config.FilterSubject = subject;
    config.DeliverPolicy = js_DeliverByStartSequence;
    config.OptStartSeq = from;
    config.AckPolicy = js_AckAll;
    config.AckWait = (int64_t)ack_wait_ns;
    config.MaxAckPending = PENDING_MAX;
    if (result == NATS_OK || result == NATS_NOT_FOUND)
        result = js_AddConsumer(NULL, stream->js, name, &config, NULL, &code);
    jsSubOptions_Init(&options);
    options.Stream = name;
    options.Consumer = durable;
    if (result == NATS_OK)
        result = js_PullSubscribe(&stream->subscription, stream->js, subject, durable, NULL,
                                  &options, &code);
    return result == NATS_OK ? 0 : fail(why, "the camera's consumer", result, (int)code);
}

static bool take(struct rec_message *out, natsMsg *message)
{
    jsMsgMetaData *meta = NULL;
    const char *settled = NULL;
    if (natsMsg_GetMetaData(&meta, message) != NATS_OK)
        return false;
    *out = (struct rec_message){.data = (const uint8_t *)natsMsg_GetData(message),
                                .bytes = (size_t)natsMsg_GetDataLength(message),
                                .stream_sequence = meta->Sequence.Stream,
                                .delivery_sequence = meta->Sequence.Consumer,
                                .reply = natsMsg_GetReply(message),
                                .handle = message};
    if (natsMsgHeader_Get(message, "Pinhole-Settled", &settled) == NATS_OK) {
        out->is_of_relay = true;
        out->settled = strtoull(settled, NULL, 10); // 0 while a BOOT is on its way
    }
    jsMsgMetaData_Destroy(meta);
    return true;
}

static int fetch(struct rec_stream *stream, int wait_ms, struct rec_message out[REC_FETCH_MAX],
                 char why[REC_WHY_BYTES])
{
    natsMsgList messages = {0};
    jsErrCode code;
    int count = 0;
    memset(&code, 0, sizeof code);
    const natsStatus result =
        natsSubscription_Fetch(&messages, stream->subscription, REC_FETCH_MAX, wait_ms, &code);
    if (result != NATS_OK && result != NATS_TIMEOUT)
        return fail(why, "the stream", result, (int)code);
    for (int i = 0; i < messages.Count; i++)
        if (count < REC_FETCH_MAX && take(&out[count], messages.Msgs[i])) {
            messages.Msgs[i] = NULL;
            count++;
        }
    natsMsgList_Destroy(&messages);
    // A connection that has ended need not say so here.
    if (count == 0 && natsConnection_IsClosed(stream->nc))
        return fail(why, "the connection has ended", NATS_CONNECTION_CLOSED, 0);
    return count;
}

static void acknowledge(struct rec_stream *stream, const char *reply)
{
    // If it is lost, the next one says the same.
    (void)natsConnection_PublishString(stream->nc, reply, "+ACK");
}

static void release(struct rec_message *message)
{
    natsMsg_Destroy(message->handle);
    message->handle = NULL;
}

/** The plug-in's one symbol. */
extern const struct rec_stream_ops rec_stream_ops;
__attribute__((visibility("default"))) const struct rec_stream_ops rec_stream_ops = {
    open_stream, close_stream, list, get, put, subscribe, fetch, acknowledge, release};

#endif
