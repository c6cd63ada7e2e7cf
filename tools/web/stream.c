// SPDX-License-Identifier: MIT
// GET /stream: multipart/x-mixed-replace, one JPEG a part.
//
// A part is chosen only when libmicrohttpd has taken the one before, and it is the newest frame
// then. So a slow reader gets fewer frames, never old ones, and nobody waits for it.
//
// A stream that has nothing to write sleeps. The receiver then sends it the next frame itself, from
// the frame's own memory and in one call. Only what the socket does not take is left to
// libmicrohttpd, which copies it in pieces and waits for room. Under TLS the socket is
// libmicrohttpd's alone: the receiver wakes the stream, and all of the frame goes that way.
//
// Readers differ in what they need:
// - Browsers show a picture when they see its end, so the boundary follows each part at once. Those
//   made from Chromium wait for the headers of the next part. They get these at once too, which
//   therefore say nothing but the type (?advance_headers=1).
// - OpenCV's FFmpeg back end shows wrong pictures after their size, components or sampling have
//   changed. The response ends at such a change, and a reader opens again. Browsers take changes
//   rightly, so theirs goes on (?changes=1).
#include "tools/web/stream.h"

#include "tools/web/colour.h"
#include "tools/web/connection.h"
#include "tools/web/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define BOUNDARY    "--boundarydonotcross\r\n"
#define ADVANCE     BOUNDARY "Content-Type: image/jpeg\r\n\r\n"
#define BLOCK_BYTES 65536u
#define REPEAT_NS   UINT64_C(1000000000)

/** What stands before the first part, and with an end of line before it, after each. */
static const char *separator(const struct web_stream *stream)
{
    return stream->has_advance_headers ? "\r\n" ADVANCE : "\r\n" BOUNDARY;
}

const struct web_stream *web_stream_find(const struct web *web, const char *key)
{
    for (const struct web_stream *stream = web->http.streams; stream != NULL; stream = stream->next)
        if (*key != '\0' && strcmp(stream->key, key) == 0)
            return stream;
    return NULL;
}

struct head {
    char *text;
    size_t bytes, room;
};

static void add_head(void *context, const char *name, const char *value)
{
    struct head *head = context;
    const size_t name_bytes = strlen(name), value_bytes = strlen(value);
    // ": " and the end of the line, and two bytes for the empty line that ends them all.
    if (head->bytes + name_bytes + value_bytes + 6 > head->room)
        return;
    char *at = mempcpy(head->text + head->bytes, name, name_bytes);
    at = mempcpy(at, ": ", 2);
    at = mempcpy(at, value, value_bytes);
    memcpy(at, "\r\n", 2);
    head->bytes += name_bytes + value_bytes + 4;
}

/** The head that all streams have of this frame, made once. */
static void share_head(struct web_frame *frame)
{
    struct head head = {.text = frame->head, .room = sizeof frame->head};
    char number[32];
    snprintf(number, sizeof number, "%zu", frame->meta.jpeg_bytes);
    add_head(&head, "Content-Type", "image/jpeg");
    add_head(&head, "Content-Length", number);
    web_frame_headers(frame, add_head, &head);
    frame->head_bytes = head.bytes;
}

static void write_head(struct web_stream *stream, struct web_frame *frame, bool is_repeated)
{
    stream->head_bytes = 0;
    if (stream->has_advance_headers)
        return;
    if (frame->head_bytes == 0)
        share_head(frame);
    struct head head = {
        .text = stream->head, .bytes = frame->head_bytes, .room = sizeof stream->head};
    memcpy(stream->head, frame->head, frame->head_bytes);
    if (is_repeated)
        add_head(&head, "X-Repeated", "1");
    if (!stream->web->view.is_connected)
        add_head(&head, "X-Node-Connected", "0");
    memcpy(stream->head + head.bytes, "\r\n", 2);
    stream->head_bytes = head.bytes + 2;
}

/** False: no memory. */
static bool begin_part(struct web_stream *stream, struct web_frame *newest, bool is_repeated,
                       uint64_t now_ns)
{
    struct web_http *http = &stream->web->http;
    struct web_frame *shown = stream->wants_colour ? web_frame_in_colour(newest) : newest;
    if (shown == NULL)
        return false;
    if (is_repeated) {
        stream->repeated++;
        http->stream_repeated++;
    } else {
        uint64_t skipped = stream->serial == 0 ? 0 : newest->serial - stream->serial - 1;
        stream->skipped += skipped;
        http->stream_skipped += skipped;
        stream->frames++;
        http->stream_frames++;
    }
    if (stream->serial == 0)
        stream->shape = newest->shape;
    stream->frame = web_frame_ref(shown);
    stream->serial = newest->serial;
    stream->frame_id = newest->meta.frame_id;
    stream->part_ns = now_ns;
    stream->at = 0;
    write_head(stream, shown, is_repeated);
    return true;
}

/** Must the response end before this frame? */
static bool is_other(const struct web_stream *stream, const struct web_frame *frame)
{
    return stream->serial != 0 && !stream->takes_changes &&
           !jpeg_shape_equals(&stream->shape, &frame->shape);
}

/** 1: a part has begun. 0: asleep until there is one. MHD_CONTENT_READER_END_OF_STREAM: the end. */
static ssize_t next_part(struct web_stream *stream)
{
    struct web *web = stream->web;
    ssize_t result = 1;
    pthread_mutex_lock(&web->lock);
    uint64_t now_ns = clock_now_ns();
    struct web_frame *newest = web->view.newest;
    bool is_new = newest != NULL && newest->serial != stream->serial;
    bool is_idle = newest != NULL && now_ns - stream->part_ns >= REPEAT_NS;
    if (web->is_stopping || (is_new && is_other(stream, newest))) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (is_new || is_idle) {
        if (!begin_part(stream, newest, !is_new, now_ns))
            result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        // Woken at least each second, when a client that has gone is noticed.
        uint64_t wake_ns = (newest == NULL ? now_ns : stream->part_ns) + REPEAT_NS;
        web_sleep(&web->http.sleepers, &stream->sleeper, false, wake_ns);
        result = 0;
    }
    pthread_mutex_unlock(&web->lock);
    return result;
}

/** Copies what is left of source[from..from+length) at position `at`, as far as it goes. */
static size_t copy_piece(char *out, size_t room, size_t at, size_t from, const void *source,
                         size_t length)
{
    if (at < from || at >= from + length)
        return 0;
    size_t piece = from + length - at;
    if (piece > room)
        piece = room;
    memcpy(out, (const char *)source + (at - from), piece);
    return piece;
}

/** Notes that so many bytes of the part are written. */
static void take_away(struct web_stream *stream, size_t bytes)
{
    stream->at += bytes;
    if (stream->at <
        stream->head_bytes + stream->frame->meta.jpeg_bytes + strlen(separator(stream)))
        return;
    web_frame_unref(stream->frame);
    stream->frame = NULL;
}

static ssize_t copy_part(struct web_stream *stream, char *out, size_t room)
{
    const struct pinhole_frame *meta = &stream->frame->meta;
    const char *end = separator(stream);
    size_t end_bytes = strlen(end);
    size_t body_at = stream->head_bytes, end_at = body_at + meta->jpeg_bytes, filled = 0;
    filled += copy_piece(out, room, stream->at, 0, stream->head, stream->head_bytes);
    filled += copy_piece(out + filled, room - filled, stream->at + filled, body_at, meta->jpeg,
                         meta->jpeg_bytes);
    filled += copy_piece(out + filled, room - filled, stream->at + filled, end_at, end, end_bytes);
    take_away(stream, filled);
    return (ssize_t)filled;
}

/** Sends as much of a part that has begun as the socket takes at once. */
static void send_part(struct web_stream *stream)
{
    const struct pinhole_frame *meta = &stream->frame->meta;
    const char *end = separator(stream);
    struct iovec pieces[] = {
        {.iov_base = stream->head, .iov_len = stream->head_bytes},
        {.iov_base = (void *)(uintptr_t)meta->jpeg, .iov_len = meta->jpeg_bytes},
        {.iov_base = (void *)(uintptr_t)end, .iov_len = strlen(end)},
    };
    const struct msghdr message = {.msg_iov = pieces, .msg_iovlen = sizeof pieces / sizeof *pieces};
    // libmicrohttpd meets the same error when it tries.
    const ssize_t sent = sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0)
        take_away(stream, (size_t)sent);
}

/** Gives the newest frame to a stream that sleeps. The lock is held, except while it is sent. */
static void send_newest(struct web_stream *stream)
{
    struct web *web = stream->web;
    struct web_sleepers *sleepers = &web->http.sleepers;
    web_sleep_hold(sleepers, &stream->sleeper);
    if (!is_other(stream, web->view.newest) &&
        begin_part(stream, web->view.newest, false, clock_now_ns())) {
        pthread_mutex_unlock(&web->lock);
        send_part(stream);
        pthread_mutex_lock(&web->lock);
        if (stream->frame == NULL) {
            web->http.stream_at_once++;
            web_sleep_on(sleepers, &stream->sleeper, stream->part_ns + REPEAT_NS);
            return;
        }
    }
    web_sleep_end(&stream->sleeper);
}

void web_stream_send_newest(struct web *web)
{
    pthread_mutex_lock(&web->lock);
    const bool has_tls = web->options.tls_certificate != NULL;
    for (struct web_stream *stream = web->http.streams; stream != NULL; stream = stream->next) {
        if (!stream->sleeper.is_asleep || stream->serial == web->view.newest->serial)
            continue;
        if (has_tls)
            web_sleep_wake(&web->http.sleepers, &stream->sleeper);
        else
            send_newest(stream);
    }
    pthread_mutex_unlock(&web->lock);
}

static ssize_t read_stream(void *context, uint64_t position, char *out, size_t room)
{
    struct web_stream *stream = context;
    const char *start = separator(stream) + 2; // without the end of line
    if (position < strlen(start))
        return (ssize_t)copy_piece(out, room, (size_t)position, 0, start, strlen(start));
    if (stream->frame == NULL) {
        ssize_t result = next_part(stream);
        if (result <= 0)
            return result;
    }
    return copy_part(stream, out, room);
}

static void end_stream(void *context)
{
    struct web_stream *stream = context;
    struct web_http *http = &stream->web->http;
    pthread_mutex_lock(&stream->web->lock);
    if (stream->previous != NULL)
        stream->previous->next = stream->next;
    else
        http->streams = stream->next;
    if (stream->next != NULL)
        stream->next->previous = stream->previous;
    http->stream_count--;
    pthread_mutex_unlock(&stream->web->lock);
    web_frame_unref(stream->frame);
    free(stream);
}

/** A query argument that is 0 or not; `is_default` when it is absent. */
static bool wants(const struct web_request *request, const char *name, bool is_default)
{
    const char *value = web_request_query(request, name);
    return value == NULL ? is_default : strcmp(value, "0") != 0;
}

static struct web_stream *begin_stream(struct web_request *request)
{
    const struct web_connection *link = web_connection_of(request->connection);
    struct web_stream *stream = link == NULL ? NULL : calloc(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    const char *key = web_request_query(request, "key");
    struct web_http *http = &request->web->http;
    stream->web = request->web;
    stream->sleeper.connection = request->connection;
    stream->fd = link->fd;
    const char *agent = web_request_header(request, "User-Agent");
    bool is_browser = agent != NULL && strstr(agent, "Mozilla/") != NULL;
    bool is_chromium = is_browser && strstr(agent, "Chrome/") != NULL;
    stream->has_advance_headers = wants(request, "advance_headers", is_chromium);
    stream->wants_colour = web_request_wants_colour(request);
    stream->takes_changes = wants(request, "changes", is_browser);
    snprintf(stream->key, sizeof stream->key, "%s", key == NULL ? "" : key);
    pthread_mutex_lock(&request->web->lock);
    stream->next = http->streams;
    if (http->streams != NULL)
        http->streams->previous = stream;
    http->streams = stream;
    http->stream_count++;
    pthread_mutex_unlock(&request->web->lock);
    return stream;
}

static bool is_hopeless(struct web *web, char *why, size_t size)
{
    pthread_mutex_lock(&web->lock);
    bool has_none = web->view.newest == NULL && !web->view.is_connected;
    snprintf(why, size, "%s", web->view.away);
    pthread_mutex_unlock(&web->lock);
    return has_none;
}

enum MHD_Result web_stream_answer(struct web_request *request)
{
    char why[384];
    if (is_hopeless(request->web, why, sizeof why))
        return web_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the node is away: %s", why);
    struct web_stream *stream = begin_stream(request);
    if (stream == NULL)
        return MHD_NO;
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, stream, end_stream);
    if (response == NULL) {
        end_stream(stream);
        return MHD_NO;
    }
    // Not chunked: the readers of such streams often know HTTP/1.0 only, whatever they say.
    MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    MHD_add_response_header(response, "Content-Type",
                            "multipart/x-mixed-replace;boundary=boundarydonotcross");
    MHD_add_response_header(response, "Cache-Control",
                            "no-store, no-cache, must-revalidate, max-age=0");
    MHD_add_response_header(response, "Pragma", "no-cache");
    return web_reply(request, MHD_HTTP_OK, response);
}
