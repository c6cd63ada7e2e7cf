// SPDX-License-Identifier: MIT
// POST /features and POST /trigger.
#include "tools/web/log.h"
#include "tools/web/request.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 48, VALUE_BYTES = 128, FORM_BUFFER_BYTES = 1024 };

/** The settings that a body asks for, as the node's "Name=value" lines. */
struct settings {
    char lines[WEB_BODY_BYTES_MAX + 1];
    size_t used;
    char why[512];         /**< what is wrong; "" while nothing is */
    char name[NAME_BYTES]; /**< of the form's field being read; "" before the first */
    char value[VALUE_BYTES];
    size_t value_bytes;
};

static int fail(struct settings *settings, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(struct settings *settings, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(settings->why, sizeof settings->why, format, arguments);
    va_end(arguments);
    return -1;
}

static int check_name(struct settings *settings, const char *name)
{
    if (*name == '\0')
        return fail(settings, "a feature's name is missing");
    if (strlen(name) >= NAME_BYTES)
        return fail(settings, "a feature's name is longer than %d bytes", NAME_BYTES - 1);
    for (const char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return fail(settings, "'%s' is not the name of a feature", name);
    return 0;
}

static int add_line(struct settings *settings, const char *name, const char *value)
{
    if (check_name(settings, name) < 0)
        return -1;
    if (strlen(value) >= VALUE_BYTES)
        return fail(settings, "the value of %s is longer than %d bytes", name, VALUE_BYTES - 1);
    for (const char *c = value; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            return fail(settings, "the value of %s has a control character", name);
    size_t room = sizeof settings->lines - settings->used;
    int wanted = snprintf(settings->lines + settings->used, room, "%s=%s\n", name, value);
    if (wanted < 0 || (size_t)wanted >= room)
        return fail(settings, "too many features at once");
    settings->used += (size_t)wanted;
    return 0;
}

// --- forms -----------------------------------------------------------------------------------

static int end_field(struct settings *settings)
{
    return *settings->name == '\0' ? 0 : add_line(settings, settings->name, settings->value);
}

/** Takes a piece of a field. libmicrohttpd gives a value in one piece or several. */
static enum MHD_Result take_field(void *context, enum MHD_ValueKind kind, const char *name,
                                  const char *file_name, const char *type, const char *encoding,
                                  const char *bytes, uint64_t offset, size_t count)
{
    (void)kind, (void)file_name, (void)type, (void)encoding;
    struct settings *settings = context;
    if (offset == 0) {
        if (end_field(settings) < 0 || check_name(settings, name) < 0)
            return MHD_NO;
        snprintf(settings->name, sizeof settings->name, "%s", name);
        settings->value_bytes = 0;
        settings->value[0] = '\0';
    }
    if (count >= VALUE_BYTES - settings->value_bytes)
        fail(settings, "the value of %s is longer than %d bytes", name, VALUE_BYTES - 1);
    else if (memchr(bytes, '\0', count) != NULL)
        fail(settings, "the value of %s has a control character", name);
    if (*settings->why != '\0')
        return MHD_NO;
    memcpy(settings->value + settings->value_bytes, bytes, count);
    settings->value_bytes += count;
    settings->value[settings->value_bytes] = '\0';
    return MHD_YES;
}

static int read_form(struct settings *settings, const struct web_request *request)
{
    struct MHD_PostProcessor *form =
        MHD_create_post_processor(request->connection, FORM_BUFFER_BYTES, take_field, settings);
    if (form == NULL)
        return fail(settings, "the Content-Type is neither application/x-www-form-urlencoded nor "
                              "multipart/form-data, and the body is not a JSON object");
    enum MHD_Result result = MHD_post_process(form, request->body, request->body_bytes);
    // The last field comes at the end.
    if (MHD_destroy_post_processor(form) == MHD_NO)
        result = MHD_NO;
    if (*settings->why == '\0' && result == MHD_NO)
        return fail(settings, "the form is broken: write Name=value&Name=value");
    return *settings->why == '\0' ? end_field(settings) : -1;
}

// --- JSON ------------------------------------------------------------------------------------

static int add_value(struct settings *settings, const char *name, const json_t *value)
{
    char number[32];
    switch (json_typeof(value)) {
    case JSON_STRING: return add_line(settings, name, json_string_value(value));
    case JSON_TRUE: return add_line(settings, name, "1");
    case JSON_FALSE: return add_line(settings, name, "0");
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return add_line(settings, name, number);
    case JSON_REAL:
        snprintf(number, sizeof number, "%.15g", json_real_value(value));
        return add_line(settings, name, number);
    default:
        return fail(settings, "the value of %.60s is not a string, a number or a boolean", name);
    }
}

static int read_json(struct settings *settings, const struct web_request *request)
{
    json_error_t error;
    json_t *object = json_loadb(request->body, request->body_bytes, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL)
        return fail(settings, "the JSON is wrong in line %d, column %d: %s", error.line,
                    error.column, error.text);
    int result = 0;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) if (result == 0) result =
        add_value(settings, name, value);
    json_decref(object);
    return result;
}

static int read_settings(struct settings *settings, const struct web_request *request)
{
    size_t space = 0;
    while (space < request->body_bytes && isspace((unsigned char)request->body[space]))
        space++;
    if (space == request->body_bytes)
        return fail(settings, "the body is empty: write Name=value, or a JSON object");
    int result =
        request->body[space] == '{' ? read_json(settings, request) : read_form(settings, request);
    if (result == 0 && settings->used == 0)
        return fail(settings, "no feature is named: write Name=value");
    return result;
}

// --- answers ---------------------------------------------------------------------------------

/** The values that the node has now for the names in `lines`: it may have rounded them. */
static json_t *values_in_force(struct web *web, const char *lines)
{
    json_t *values = json_object();
    pthread_mutex_lock(&web->lock);
    while (*lines != '\0') {
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(lines, "="), lines);
        const struct pinhole_feature *feature = web_calls_feature(&web->calls, name);
        if (feature != NULL)
            json_put_text(&values, name, feature->value);
        lines += strcspn(lines, "\n");
        lines += *lines == '\n';
    }
    pthread_mutex_unlock(&web->lock);
    return values;
}

enum MHD_Result web_features_answer(struct web_request *request)
{
    struct settings settings;
    settings.used = settings.value_bytes = 0;
    settings.lines[0] = settings.why[0] = settings.name[0] = settings.value[0] = '\0';
    if (request->call == NULL) {
        const char *refusal = web_guard_refuses_change(request, settings.why, sizeof settings.why);
        if (refusal != NULL)
            return web_reply_error(request, MHD_HTTP_FORBIDDEN, "%s", refusal);
        if (read_settings(&settings, request) < 0)
            return web_reply_error(request, MHD_HTTP_BAD_REQUEST, "%s", settings.why);
    }
    if (web_request_calls(request, WEB_CALL_SET, settings.lines))
        return MHD_YES;
    const struct web_call *call = request->call;
    if (call == NULL || !call->is_done || call->result < 0)
        return web_reply_call_error(request, call);
    web_log(WEB_DEBUG, "set %.*s", (int)strcspn(call->lines, "\n"), call->lines);
    json_t *answer = json_object();
    json_put(&answer, "features", values_in_force(request->web, call->lines));
    return web_reply_json(request, MHD_HTTP_OK, answer);
}

enum MHD_Result web_trigger_answer(struct web_request *request)
{
    char why[512];
    if (request->call == NULL) {
        const char *refusal = web_guard_refuses_change(request, why, sizeof why);
        if (refusal != NULL)
            return web_reply_error(request, MHD_HTTP_FORBIDDEN, "%s", refusal);
    }
    if (web_request_calls(request, WEB_CALL_TRIGGER, NULL))
        return MHD_YES;
    const struct web_call *call = request->call;
    if (call == NULL || !call->is_done || call->result < 0)
        return web_reply_call_error(request, call);
    json_t *answer = json_object();
    json_put_u64(&answer, "trigger_id", call->trigger_id);
    return web_reply_json(request, MHD_HTTP_OK, answer);
}
