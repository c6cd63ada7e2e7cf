// SPDX-License-Identifier: MIT
// One HTTP request: what its handler gets, and how it answers.
//
// A handler is called when the request is complete. It replies once, or sleeps and is called again
// when it is woken. Only libmicrohttpd's thread runs handlers.
#ifndef PINHOLE_TOOLS_WEB_REQUEST_H
#define PINHOLE_TOOLS_WEB_REQUEST_H

#include "tools/common/json.h"
#include "tools/web/gateway.h"

enum web_method {
    WEB_GET = 1,
    WEB_HEAD = 2,
    WEB_POST = 4,
    WEB_OPTIONS = 8,
    WEB_OTHER = 16,
    /** Of a route: */
    WEB_VITAL = 32,     /**< it is answered even when all places are taken */
    WEB_OF_NODE = 64,   /**< it is there with one node */
    WEB_OF_FLEET = 128, /**< it is there with a fleet */
};

struct web_request;

struct web_route {
    const char *path;
    unsigned methods;   /**< without HEAD and OPTIONS, which come by themselves */
    enum web_role role; /**< what it takes */
    enum MHD_Result (*answer)(struct web_request *request);
};

struct web_request {
    struct web *web;
    struct MHD_Connection *connection;
    const struct web_route *route; /**< NULL: no such path */
    enum web_method method;
    bool is_complete;
    bool has_place; /**< its connection has; known when it is complete */
    struct web_sleeper sleeper;
    struct web_call *call;       /**< under way, or done and not yet answered */
    struct web_check *check;     /**< of its password, under way or done */
    const struct web_user *user; /**< who asks; NULL: nobody that is known */
    bool is_admitted;
    unsigned retry_after_s; /**< of a refusal for a while; 0: as usual */
    uint64_t started_ns;    /**< when the request was complete */
    uint64_t deadline_ns;
    char *body; /**< POST; 0-terminated */
    size_t body_bytes;
    bool body_is_too_large;
};

/** A query argument, or NULL. */
const char *web_request_query(const struct web_request *request, const char *name);
/** A request header, or NULL. */
const char *web_request_header(const struct web_request *request, const char *name);
/** Whether a grey picture goes out with three components: ?components=3, and by default to readers
 * that need it (colour.h). */
bool web_request_wants_colour(const struct web_request *request);

/** Starts a call of the node and sleeps until it is done; false: it is done, look at
 * request->call. When it could not be started, request->call is NULL. */
bool web_request_calls(struct web_request *request, enum web_call_kind kind, const char *lines);

/** Answers with a prepared response, adding the headers that all answers have; frees it. */
enum MHD_Result web_reply(struct web_request *request, unsigned status,
                          struct MHD_Response *response);
/** Answers with a text on the heap, which it takes over. NULL: memory ran out, and the connection
 * is closed. */
enum MHD_Result web_reply_text(struct web_request *request, unsigned status, const char *type,
                               char *text);
/** Answers with a JSON document, which it takes over, in the same way. */
enum MHD_Result web_reply_json(struct web_request *request, unsigned status, json_t *document);
/** Answers {"error":"..."}: a sentence for people. */
enum MHD_Result web_reply_error(struct web_request *request, unsigned status, const char *format,
                                ...) __attribute__((format(printf, 3, 4)));
/** Answers for a call that did not succeed (or, NULL, did not start). */
enum MHD_Result web_reply_call_error(struct web_request *request, const struct web_call *call);
/** What the gateway says of itself, and of who asks. Without its lock. */
json_t *web_state_gateway(const struct web_request *request, uint64_t now_ns);
/** The methods of a path, as in "GET, HEAD, OPTIONS". */
void web_route_methods(const struct web_route *route, char *out, size_t size);

/** The handlers. */
enum MHD_Result web_asset_answer(struct web_request *request);
enum MHD_Result web_stream_answer(struct web_request *request);
enum MHD_Result web_snapshot_answer(struct web_request *request);
enum MHD_Result web_fleet_answer(struct web_request *request);
enum MHD_Result web_fleet_thumbnail_answer(struct web_request *request);
enum MHD_Result web_fleet_targets_answer(struct web_request *request);
enum MHD_Result web_state_answer(struct web_request *request);
enum MHD_Result web_metrics_answer(struct web_request *request);
enum MHD_Result web_health_answer(struct web_request *request);
enum MHD_Result web_features_answer(struct web_request *request);
enum MHD_Result web_trigger_answer(struct web_request *request);
enum MHD_Result web_login_answer(struct web_request *request);
enum MHD_Result web_logout_answer(struct web_request *request);

/** May the request have what its route gives? False: it has been answered, or sleeps until its
 * password is checked; `result` is for libmicrohttpd then. */
bool web_admit(struct web_request *request, enum MHD_Result *result);
/** Are name and password right? Then `user` is set. False: as above. */
bool web_admit_password(struct web_request *request, const char *name, const char *password,
                        enum MHD_Result *result);
/** The cookie that a browser sent from our own page, or NULL. */
const char *web_cookie_of(const struct web_request *request);
/** What who asks may do. */
enum web_role web_admit_role(const struct web_request *request);

/** Why a request is not answered: it is for another host. NULL: it is answered. */
const char *web_guard_refuses_host(const struct web_request *request, char *why, size_t size);
/** Why a request that comes from a page may not come from this one. NULL: it may. */
const char *web_guard_refuses_foreign(const struct web_request *request, char *why, size_t size);
/** Why a request may not change anything. NULL: it may. */
const char *web_guard_refuses_change(const struct web_request *request, char *why, size_t size);

#endif
