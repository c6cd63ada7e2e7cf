// SPDX-License-Identifier: MIT
// Requests with an answer: features, software trigger, counters, ping.
#include "net/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/** Copies the field up to `stop` or the end of the line, cut to size; returns where it ended. */
static const char *copy_field(const char *text, char stop, char *out, size_t size)
{
    const char stops[] = {stop, '\n', '\0'};
    size_t length = strcspn(text, stops);
    size_t kept = length < size ? length : size - 1;
    memcpy(out, text, kept);
    out[kept] = '\0';
    return text[length] == stop && stop != '\n' ? text + length + 1 : text + length;
}

static void parse_feature(const char *line, struct pinhole_feature *out)
{
    char access[4];
    memset(out, 0, sizeof *out);
#define FIELD(to) line = copy_field(line, '\t', to, sizeof to)
    FIELD(out->name);
    FIELD(out->value);
    FIELD(out->type);
    FIELD(out->unit);
    FIELD(out->min);
    FIELD(out->max);
    FIELD(out->increment);
    FIELD(access);
    FIELD(out->choices);
    (void)copy_field(line, '\t', out->help, sizeof out->help);
#undef FIELD
    out->writable = strchr(access, 'w') != NULL;
}

int client_features_parse(const char *text, struct pinhole_feature *out, int max)
{
    int count = 0;
    for (const char *line = text; *line != '\0';) {
        if (*line != '\n') {
            if (count < max)
                parse_feature(line, &out[count]);
            count++;
        }
        line = strchrnul(line, '\n');
        if (*line == '\n')
            line++;
    }
    return count;
}

int pinhole_features(struct pinhole *p, struct pinhole_feature *out, int max)
{
    int error = client_request(p, WIRE_TYPE_FEATURES, NULL, 0);
    return error < 0 ? error : client_features_parse((const char *)p->message, out, max);
}

/** A name or value that would break the line format must not reach the node. */
static bool has_control(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == '\x7f')
            return true;
    return false;
}

static int check_name(struct pinhole *p, const char *name)
{
    if (*name == '\0' || has_control(name) || strchr(name, '=') != NULL)
        return client_fail(p, EINVAL, "'%.64s' is not a feature's name", name);
    return 0;
}

int pinhole_get(struct pinhole *p, const char *name, char *value, size_t value_size)
{
    int error = check_name(p, name);
    if (error == 0)
        error = client_request(p, WIRE_TYPE_GET, name, strlen(name));
    if (error < 0)
        return error;
    const char *reply = (const char *)p->message;
    size_t length = strlen(name);
    if (strncmp(reply, name, length) != 0 || reply[length] != '=')
        return client_fail(p, EPROTO, "%.160s: the node answered GET %.64s with something else",
                           p->address, name);
    reply += length + 1;
    if (strcspn(reply, "\n") >= value_size)
        return client_fail(p, ENOSPC, "the value of %.64s has %zu characters, room is for %zu",
                           name, strcspn(reply, "\n"), value_size > 0 ? value_size - 1 : 0);
    copy_field(reply, '\n', value, value_size);
    return 0;
}

int pinhole_set(struct pinhole *p, const char *name, const char *value)
{
    char line[WIRE_REQUEST_BYTES_MAX];
    int error = check_name(p, name);
    if (error < 0)
        return error;
    if (has_control(value))
        return client_fail(p, EINVAL, "the value for %.64s has control characters", name);
    int length = snprintf(line, sizeof line, "%s=%s", name, value);
    if (length >= (int)sizeof line)
        return client_fail(p, EMSGSIZE, "the value for %.64s is too long", name);
    return client_request(p, WIRE_TYPE_SET, line, (size_t)length);
}

int pinhole_set_lines(struct pinhole *p, const char *lines)
{
    size_t length = strlen(lines);
    if (length > WIRE_REQUEST_BYTES_MAX)
        return client_fail(p, EMSGSIZE, "%zu bytes of settings are more than the %d a node takes",
                           length, WIRE_REQUEST_BYTES_MAX);
    return client_request(p, WIRE_TYPE_SET, lines, length);
}

int pinhole_trigger(struct pinhole *p, uint64_t *id)
{
    int error = client_request(p, WIRE_TYPE_TRIGGER, NULL, 0);
    if (error < 0)
        return error;
    if (p->message_length < sizeof(uint64_t))
        return client_fail(p, EPROTO, "%.160s: the reply to TRIGGER has %zu bytes", p->address,
                           p->message_length);
    if (id != NULL)
        *id = wire_load_u64(p->message);
    return 0;
}

int pinhole_stats(struct pinhole *p, char *text, size_t size)
{
    int error = client_request(p, WIRE_TYPE_STATS, NULL, 0);
    if (error < 0)
        return error;
    if (size > 0) {
        size_t kept = p->message_length < size ? p->message_length : size - 1;
        memcpy(text, p->message, kept);
        text[kept] = '\0';
    }
    return (int)p->message_length;
}

int64_t pinhole_ping(struct pinhole *p)
{
    uint8_t payload[8];
    uint64_t start_ns = client_now_ns();
    wire_store_u64(payload, start_ns);
    int error = client_request(p, WIRE_TYPE_PING, payload, sizeof payload);
    if (error < 0)
        return error;
    if (p->message_length != sizeof payload || memcmp(p->message, payload, sizeof payload) != 0)
        return client_fail(p, EPROTO, "%.160s: the reply to PING is not what was sent", p->address);
    return (int64_t)(client_now_ns() - start_ns);
}
