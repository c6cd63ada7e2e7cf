// SPDX-License-Identifier: MIT
// What each message from the node means to the client.
#include "net/client/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** Makes `message` the place for a payload of this length, and one 0 after it. */
static int into_message(struct pinhole *p)
{
    size_t need = p->receiver.header.length + (size_t)1;
    if (need > p->message_capacity) {
        uint8_t *grown = realloc(p->message, need);
        if (grown == NULL)
            return client_fail(p, ENOMEM, "out of memory for a reply of %zu bytes", need);
        p->message = grown;
        p->message_capacity = need;
    }
    p->receiver.body = p->message;
    return 0;
}

static int into_record(struct pinhole *p)
{
    struct client_receiver *r = &p->receiver;
    // The queue only grows while replies are awaited; a node answers before the next record.
    if (p->queue.bytes + r->header.length > CLIENT_QUEUE_BYTES_MAX)
        return client_fail(p, EPROTO, "%zu bytes of records came while replies were awaited",
                           p->queue.bytes);
    r->record = client_record_take(p, r->header.length);
    if (r->record == NULL)
        return client_fail(p, ENOMEM, "out of memory for a record of %u bytes", r->header.length);
    r->body = r->record->bytes;
    return 0;
}

/** The most payload that a message of this type may have; what is skipped may be of any length. */
static uint64_t length_max(const struct pinhole *p, uint8_t type)
{
    const uint64_t fixed_max = UINT16_MAX;
    if (type == WIRE_TYPE_FRAME)
        return base_min_u64(p->info.frame_bytes_max + fixed_max, CLIENT_RECORD_BYTES_MAX);
    return type == WIRE_TYPE_EVENT ? CLIENT_EVENT_BYTES_MAX : CLIENT_MESSAGE_BYTES_MAX;
}

int client_message_begin(struct pinhole *p)
{
    struct client_receiver *r = &p->receiver;
    const struct wire_header *header = &r->header;
    const bool is_record = header->type == WIRE_TYPE_FRAME || header->type == WIRE_TYPE_EVENT;
    const bool is_reply = (header->flags & WIRE_FLAG_REPLY) != 0 && header->tag != 0 &&
                          header->tag == p->awaited_tag && !p->is_answered;
    const bool is_greeting = p->state == CLIENT_GREETING;
    const bool is_proving = p->state == CLIENT_PROVING;
    r->record = NULL;
    r->body = NULL;
    if (is_greeting && header->type != WIRE_TYPE_HELLO && header->type != WIRE_TYPE_ERROR)
        return client_fail(p, EPROTO, "the node's first message is of type %u, not HELLO",
                           header->type);
    const bool is_kept = is_reply || header->type == WIRE_TYPE_ERROR || is_greeting ||
                         (is_proving ? header->type == WIRE_TYPE_AUTH : is_record);
    if (!is_kept)
        return 0;
    if (header->length > length_max(p, header->type))
        return client_fail(p, EPROTO, "the node announced a message of type %u of %u bytes",
                           header->type, header->length);
    return is_record ? into_record(p) : into_message(p);
}

/** Copies the value of the line `name=...` of `text`; "" when there is none. */
static void copy_line(const char *text, const char *name, char *out, size_t size)
{
    size_t length = strlen(name);
    out[0] = '\0';
    while (*text != '\0') {
        const char *end = strchrnul(text, '\n');
        if (strncmp(text, name, length) == 0 && text[length] == '=') {
            snprintf(out, size, "%.*s", (int)(end - text - (long)length - 1), text + length + 1);
            client_clean(out, false);
            return;
        }
        text = *end == '\n' ? end + 1 : end;
    }
}

static int end_hello(struct pinhole *p)
{
    struct wire_hello hello;
    int at = wire_get_hello(p->message, p->message_length, &hello);
    if (at < 0)
        return client_fail(p, EPROTO, "the node's HELLO is malformed");
    if (hello.version_min > WIRE_VERSION || hello.version_max < WIRE_VERSION)
        return client_fail(p, EPROTONOSUPPORT,
                           "the node speaks protocol versions %u to %u, this library %d",
                           hello.version_min, hello.version_max, WIRE_VERSION);
    const char *text = (const char *)p->message + at;
    copy_line(text, "DeviceUserID", p->name, sizeof p->name);
    copy_line(text, "DeviceModelName", p->model, sizeof p->model);
    copy_line(text, "DeviceFirmwareVersion", p->version, sizeof p->version);
    p->hello = hello;
    p->is_greeted = true;
    return 1;
}

int client_errno_of(unsigned code)
{
    switch (code) {
    case WIRE_ERROR_MALFORMED: return EPROTO;
    case WIRE_ERROR_VERSION: return EPROTONOSUPPORT;
    case WIRE_ERROR_TOO_LARGE: return EMSGSIZE;
    case WIRE_ERROR_FULL: return EBUSY;
    case WIRE_ERROR_TIMEOUT: return ETIMEDOUT;
    case WIRE_ERROR_UNKNOWN_TYPE: return ENOSYS;
    case WIRE_ERROR_UNKNOWN_FEATURE: return ENOENT;
    case WIRE_ERROR_READ_ONLY: return EACCES;
    case WIRE_ERROR_BAD_VALUE: return ERANGE;
    case WIRE_ERROR_UNAVAILABLE: return EAGAIN;
    case WIRE_ERROR_SLOW: return ECONNABORTED;
    case WIRE_ERROR_DENIED: return EPERM;
    default: return EIO;
    }
}

static int end_error(struct pinhole *p)
{
    const uint32_t tag = p->receiver.header.tag;
    struct wire_error error;
    int at = wire_get_error(p->message, p->message_length, &error);
    if (at < 0)
        return client_fail(p, EPROTO, "the node's ERROR is malformed");
    char *text = (char *)p->message + at;
    const char *name = wire_error_name(error.code);
    client_clean(text, false);
    if (error.flags & WIRE_ERROR_CLOSING)
        snprintf(p->close_reason, sizeof p->close_reason, "%s %s", name, text);
    if (tag != 0 && tag == p->awaited_tag && !p->is_answered) {
        p->is_answered = true;
        p->answer_error = error.code != 0 ? error.code : UINT16_MAX;
        client_fail(p, EIO, "%.160s: %s", p->address, *text != '\0' ? text : name);
    } else if (tag != 0 && tag == p->resume_tag) {
        return client_fail(p, client_errno_of(error.code),
                           "the node refused to resume the subscription: %s %s", name, text);
    } else if (p->state == CLIENT_PROVING && error.code == WIRE_ERROR_UNKNOWN_TYPE) {
        return client_auth_too_old(p);
    } else if (p->state == CLIENT_PROVING || (error.flags & WIRE_ERROR_CLOSING)) {
        return client_fail(p, client_errno_of(error.code), "%s", *text != '\0' ? text : name);
    }
    return 1;
}

static int end_record(struct pinhole *p)
{
    struct client_receiver *r = &p->receiver;
    struct client_record *record = r->record;
    if (client_record_decode(p, record, &r->header) < 0)
        return client_fail(p, EPROTO, "the node sent a malformed %s",
                           r->header.type == WIRE_TYPE_FRAME ? "FRAME" : "EVENT");
    r->record = NULL;
    p->attempts = 0; // a link that carries records is worth making again at once
    const int error = client_position_accept(p, record);
    return error < 0 ? error : 1;
}

int client_message_end(struct pinhole *p)
{
    struct client_receiver *r = &p->receiver;
    if (r->record != NULL)
        return end_record(p);
    if (r->body == NULL)
        return 1;
    p->message_length = r->header.length;
    p->message[p->message_length] = '\0';
    if (r->header.type == WIRE_TYPE_ERROR)
        return end_error(p);
    if (p->state == CLIENT_GREETING)
        return end_hello(p);
    if (p->state == CLIENT_PROVING)
        return client_auth_end(p);
    p->is_answered = true;
    p->answer_error = 0;
    return 1;
}
