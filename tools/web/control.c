// SPDX-License-Identifier: MIT
// POST /features and POST /trigger.
#include "tools/web/form.h"
#include "tools/web/log.h"
#include "tools/web/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/** Values as the node has them now, for the names in `lines`: it may have rounded them. */
static void add_values(struct web_text *text, struct web *web, const char *lines)
{
    web_text_add_name(text, "features");
    web_text_add(text, "{");
    pthread_mutex_lock(&web->lock);
    while (*lines != '\0') {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(lines, "="), lines);
        const struct pinhole_feature *feature = web_calls_feature(&web->calls, name);
        if (feature != NULL)
            web_text_add_member(text, name, feature->value);
        lines += strcspn(lines, "\n");
        lines += *lines == '\n';
    }
    pthread_mutex_unlock(&web->lock);
    web_text_add(text, "}");
}

enum MHD_Result web_features_answer(struct web_request *request)
{
    char lines[WEB_BODY_BYTES_MAX + 1], why[512];
    if (request->call == NULL) {
        const char *refusal = web_guard_refuses(request, why, sizeof why);
        if (refusal != NULL)
            return web_reply_error(request, MHD_HTTP_FORBIDDEN, "%s", refusal);
        if (request->body == NULL || strlen(request->body) != request->body_bytes)
            return web_reply_error(request, MHD_HTTP_BAD_REQUEST,
                                   "the body must name features: Name=value, or JSON");
        if (web_form_read(request->body, lines, sizeof lines, why, sizeof why) < 0)
            return web_reply_error(request, MHD_HTTP_BAD_REQUEST, "%s", why);
    }
    if (web_request_calls(request, WEB_CALL_SET, lines))
        return MHD_YES;
    const struct web_call *call = request->call;
    if (call == NULL || !call->done || call->result < 0)
        return web_reply_call_error(request, call);
    web_log(WEB_DEBUG, "set %.*s", (int)strcspn(call->lines, "\n"), call->lines);
    struct web_text text = {0};
    web_text_add(&text, "{");
    add_values(&text, request->web, call->lines);
    web_text_add(&text, "}\n");
    return web_reply_text(request, MHD_HTTP_OK, "application/json", &text);
}

enum MHD_Result web_trigger_answer(struct web_request *request)
{
    char why[512];
    if (request->call == NULL) {
        const char *refusal = web_guard_refuses(request, why, sizeof why);
        if (refusal != NULL)
            return web_reply_error(request, MHD_HTTP_FORBIDDEN, "%s", refusal);
    }
    if (web_request_calls(request, WEB_CALL_TRIGGER, NULL))
        return MHD_YES;
    const struct web_call *call = request->call;
    if (call == NULL || !call->done || call->result < 0)
        return web_reply_call_error(request, call);
    struct web_text text = {0};
    web_text_add(&text, "{\"trigger_id\":%" PRIu64 "}\n", call->trigger_id);
    return web_reply_text(request, MHD_HTTP_OK, "application/json", &text);
}
