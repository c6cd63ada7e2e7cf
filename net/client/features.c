// SPDX-License-Identifier: MIT
// Requests with an answer: features, software trigger, counters, ping.
#include "net/client/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

int client_features_parse(const char *text, void *out, size_t each_bytes, int max)
{
    struct pinhole_feature feature;
    int count = 0;
    for (const char *line = text; *line != '\0';) {
        if (*line != '\n') {
            if (count < max) {
                parse_feature(line, &feature);
                client_copy_out((char *)out + (size_t)count * each_bytes, each_bytes, &feature,
                                sizeof feature);
            }
            count++;
        }
        line = strchrnul(line, '\n');
        if (*line == '\n')
            line++;
    }
    return count;
}

/** Asks for the list and keeps it. */
static int list(struct pinhole *p)
{
    int error = client_request(p, WIRE_TYPE_FEATURES, NULL, 0);
    if (error < 0)
        return error;
    char *text = strdup((const char *)p->message);
    if (text == NULL)
        return client_fail(p, ENOMEM, "out of memory for the features");
    free(p->features);
    p->features = text;
    // Only who hears the events knows when it changes.
    p->are_features_fresh = p->wish.policy != 0 && !p->wish.no_events && !p->is_paused;
    return 0;
}

int pinhole_features_sized(struct pinhole *p, void *out, size_t each_bytes, int max)
{
    client_enter(p);
    int result = list(p);
    if (result == 0)
        result = client_features_parse(p->features, out, each_bytes, max);
    return client_leave(p, result);
}

static int find_feature(struct pinhole *p, const char *name, struct pinhole_feature *out)
{
    const size_t length = strlen(name);
    client_drain(p); // an event that it has changed may have come
    if (p->state != CLIENT_UP || !p->are_features_fresh) {
        int error = list(p);
        if (error < 0)
            return error;
    }
    for (const char *line = p->features; line != NULL && *line != '\0';) {
        if (strncmp(line, name, length) == 0 && line[length] == '\t') {
            parse_feature(line, out);
            return 0;
        }
        line = strchr(line, '\n');
        if (line != NULL)
            line++;
    }
    return client_fail(p, ENOENT, "%.160s: %.64s: no such feature", p->address, name);
}

int client_feature(struct pinhole *p, const char *name, struct pinhole_feature *out)
{
    client_enter(p);
    return client_leave(p, find_feature(p, name, out));
}

int pinhole_find_feature_sized(struct pinhole *p, const char *name, void *out, size_t out_bytes)
{
    struct pinhole_feature feature;
    int error = client_feature(p, name, &feature);
    if (error == 0)
        client_copy_out(out, out_bytes, &feature, sizeof feature);
    return error;
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

int client_get(struct pinhole *p, const char *name, char *value, size_t value_size)
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

int client_set(struct pinhole *p, const char *name, const char *value)
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
    p->are_features_fresh = false;
    return client_request(p, WIRE_TYPE_SET, line, (size_t)length);
}

int pinhole_get(struct pinhole *p, const char *name, char *value, size_t value_size)
{
    client_enter(p);
    return client_leave(p, client_get(p, name, value, value_size));
}

int pinhole_set(struct pinhole *p, const char *name, const char *value)
{
    client_enter(p);
    return client_leave(p, client_set(p, name, value));
}

static int set_lines(struct pinhole *p, const char *lines)
{
    size_t length = strlen(lines);
    if (length > WIRE_REQUEST_BYTES_MAX)
        return client_fail(p, EMSGSIZE, "%zu bytes of settings are more than the %d a node takes",
                           length, WIRE_REQUEST_BYTES_MAX);
    p->are_features_fresh = false;
    return client_request(p, WIRE_TYPE_SET, lines, length);
}

int pinhole_set_lines(struct pinhole *p, const char *lines)
{
    client_enter(p);
    return client_leave(p, set_lines(p, lines));
}
