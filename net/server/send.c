// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "hal/os/clock.h"
#include "net/server/private.h"

#define IOVECS_MAX       65 /**< the head and 1 MiB of blocks */
#define RECORDS_PER_TURN 8
#define LINGER_NS        (1 * NS_PER_S)

bool server_conn_has_output(const struct server_conn *conn)
{
    return conn->reply_bytes > 0 || conn->head_bytes > 0 || conn->position.must_announce_boot ||
           (conn->policy != WIRE_POLICY_NONE &&
            conn->position.cursor < conn->server->store->next_sequence);
}

/** Whether this subscriber wants that record at all, whatever its policy. */
static bool is_wanted(const struct server_conn *conn, const struct store_record *record)
{
    if (!record->is_frame)
        return !(conn->filter & WIRE_FILTER_NO_EVENTS);
    if ((conn->filter & WIRE_FILTER_TRIGGERED_ONLY) && !record->is_triggered)
        return false;
    return conn->position.last_timestamp_ns == 0 || conn->interval_ns == 0 ||
           record->timestamp_ns >= conn->position.last_timestamp_ns + conn->interval_ns;
}

/** The newest frame, when events have pushed it out of the log and it is still to be sent. */
static struct store_record *find_outlasting(const struct server_conn *conn)
{
    struct store_record *newest = conn->server->store->newest;
    bool is_due = conn->policy == WIRE_POLICY_LATEST && newest != NULL &&
                  newest->sequence < conn->server->store->oldest &&
                  newest->sequence >= conn->position.cursor && is_wanted(conn, newest);
    return is_due ? newest : NULL;
}

/** Policy `latest`: the newest frame that this subscriber wants, or NULL. */
static struct store_record *find_newest_wanted(const struct server_conn *conn)
{
    const struct store *store = conn->server->store;
    uint64_t from = base_max_u64(conn->position.cursor, store->oldest);
    for (uint64_t s = store->next_sequence; s > from; s--) {
        struct store_record *record = store_at(store, s - 1);
        if (record->is_frame && is_wanted(conn, record))
            return record;
    }
    return find_outlasting(conn);
}

/** Moves the cursor past what policy and filter leave out. Returns the record to send, or NULL. */
static struct store_record *next_record(struct server_conn *conn)
{
    const struct store *store = conn->server->store;
    struct store_record *newest = NULL;
    if (conn->policy == WIRE_POLICY_LATEST) {
        newest = find_newest_wanted(conn);
        if (newest != NULL && newest->sequence < store->oldest)
            return newest;
        conn->position.cursor = base_max_u64(conn->position.cursor, store->oldest);
    }
    for (; conn->position.cursor < store->next_sequence; conn->position.cursor++) {
        struct store_record *record = store_at(store, conn->position.cursor);
        if (!is_wanted(conn, record))
            continue;
        if (conn->policy == WIRE_POLICY_LATEST && record->is_frame && record != newest)
            continue;
        return record;
    }
    conn->position.frames = store->next_frame_id - 1;
    return NULL;
}

/** Makes a notice that is in no log (GAP, BOOT) the message to send. */
static void begin_notice(struct server_conn *conn, struct wire_event *event, const char *text,
                         uint64_t now_ns)
{
    uint8_t *payload = conn->head + WIRE_HEADER_BYTES;
    event->boot_id = conn->server->config.boot_id;
    event->monotonic_ns = now_ns;
    event->realtime_ns = clock_realtime_ns();
    size_t bytes = wire_put_event(payload, event);
    size_t text_bytes = strlen(text);
    memcpy(payload + bytes, text, text_bytes);
    bytes += text_bytes;
    struct wire_header header = {
        .version = WIRE_VERSION, .type = WIRE_TYPE_EVENT, .length = (uint32_t)bytes};
    wire_put_header(conn->head, &header);
    conn->head_bytes = (uint32_t)(WIRE_HEADER_BYTES + bytes);
    conn->sent_bytes = 0;
}

/** The last of the evicted records that have to be announced before anything else is sent, 0 when
 * there are none. Under `latest` frames that went are merely skipped, but events are not. */
static uint64_t find_gap_end(const struct server_conn *conn)
{
    const struct store *store = conn->server->store;
    uint64_t cursor = conn->position.cursor;
    if (cursor >= store->oldest)
        return 0;
    if (conn->policy == WIRE_POLICY_LATEST &&
        ((conn->filter & WIRE_FILTER_NO_EVENTS) || store->evicted_event < cursor))
        return 0;
    const struct store_record *frame = find_outlasting(conn);
    if (frame == NULL)
        return store->oldest - 1;
    return frame->sequence > cursor ? frame->sequence - 1 : 0;
}

/** How many frames the log had up to the record before this one. */
static uint64_t frames_before(const struct store *store, const struct store_record *record)
{
    if (record == NULL)
        return store->next_frame_id - 1;
    return record->is_frame ? record->frame_id - 1 : record->frame_id;
}

static void begin_gap(struct server_conn *conn, uint64_t last, uint64_t now_ns)
{
    const struct store *store = conn->server->store;
    const struct store_record *next = find_outlasting(conn);
    struct wire_event gap = {
        .kind = WIRE_EVENT_GAP, .sequence = last, .first = conn->position.cursor, .last = last};
    begin_notice(conn, &gap, "", now_ns);
    // Frames covered by the gap are not counted in `skipped`. Counting resumes after it.
    struct server_position *position = &conn->position;
    uint64_t frames = frames_before(store, next != NULL ? next : store_at(store, last + 1));
    position->last_frame_id =
        position->has_baseline ? position->last_frame_id + frames - position->frames : frames;
    position->frames = frames;
    position->has_baseline = true;
    position->cursor = last + 1;
    conn->begun_gaps = 1;
}

static void begin_record(struct server_conn *conn, struct store_record *record)
{
    store_ref(record);
    conn->record = record;
    conn->position.cursor = record->sequence + 1;
    conn->position.frames = record->frame_id;
    conn->head_bytes = record->head_bytes;
    conn->sent_bytes = 0;
    conn->block = record->first_block;
    conn->block_index = 0;
    memcpy(conn->head, record->head, record->head_bytes);
    if (!record->is_frame)
        return;
    uint64_t skipped =
        conn->position.has_baseline ? record->frame_id - conn->position.last_frame_id - 1 : 0;
    // Later than the turn's own time, which is from before the encoder ran.
    uint64_t now_ns = clock_now_ns();
    uint64_t age_ns = now_ns > record->timestamp_ns ? now_ns - record->timestamp_ns : 0;
    uint8_t *payload = conn->head + WIRE_HEADER_BYTES;
    wire_store_u32(payload + WIRE_FRAME_SKIPPED_AT, (uint32_t)base_min_u64(skipped, UINT32_MAX));
    wire_store_u32(payload + WIRE_FRAME_QUEUED_US_AT,
                   (uint32_t)base_min_u64(age_ns / NS_PER_US, UINT32_MAX));
    conn->begun_skipped = (uint32_t)base_min_u64(skipped, UINT32_MAX);
    conn->position.last_frame_id = record->frame_id;
    conn->position.last_timestamp_ns = record->timestamp_ns;
    conn->position.has_baseline = true;
}

/** Chooses what to send next. False: nothing. */
static bool begin_next(struct server_conn *conn, uint64_t now_ns)
{
    if (conn->policy == WIRE_POLICY_NONE)
        return false;
    conn->position_before = conn->position;
    conn->begun_skipped = conn->begun_gaps = 0;
    if (conn->position.must_announce_boot) {
        struct wire_event boot = {.kind = WIRE_EVENT_BOOT};
        begin_notice(conn, &boot, "the node has restarted; its log starts from the beginning",
                     now_ns);
        conn->position.must_announce_boot = false;
        return true;
    }
    uint64_t gap_end = find_gap_end(conn);
    if (gap_end != 0) {
        begin_gap(conn, gap_end, now_ns);
        return true;
    }
    struct store_record *record = next_record(conn);
    if (record == NULL)
        return false;
    if (!conn->position.has_baseline && !record->is_frame) {
        conn->position.last_frame_id = record->frame_id; // of the last frame before this event
        conn->position.has_baseline = true;
    }
    begin_record(conn, record);
    return true;
}

/** The rest of the message as iovecs: what is left of the head, then of the blocks. */
static int gather(const struct server_conn *conn, struct iovec *iov)
{
    const struct store *store = conn->server->store;
    int count = 0;
    if (conn->sent_bytes < conn->head_bytes) {
        iov[count].iov_base = (void *)(uintptr_t)(conn->head + conn->sent_bytes);
        iov[count++].iov_len = conn->head_bytes - conn->sent_bytes;
    }
    if (conn->record == NULL)
        return count;
    uint32_t at = conn->sent_bytes > conn->head_bytes ? conn->sent_bytes - conn->head_bytes : 0;
    uint32_t block = conn->block;
    while (at < conn->record->jpeg_bytes && count < IOVECS_MAX) {
        uint32_t in_block = at % STORE_BLOCK_BYTES;
        uint32_t bytes = base_min_u32(STORE_BLOCK_BYTES - in_block, conn->record->jpeg_bytes - at);
        iov[count].iov_base = store_block(store, block) + in_block;
        iov[count++].iov_len = bytes;
        at += bytes;
        block = store_next_block(store, block);
    }
    return count;
}

/** Follows the chain to the block in which sending goes on. */
static void advance(struct server_conn *conn, uint32_t bytes)
{
    conn->sent_bytes += bytes;
    if (conn->record == NULL || conn->sent_bytes <= conn->head_bytes)
        return;
    uint32_t index = (conn->sent_bytes - conn->head_bytes) / STORE_BLOCK_BYTES;
    while (conn->block_index < index) {
        conn->block = store_next_block(conn->server->store, conn->block);
        conn->block_index++;
    }
}

/** One sendmsg. 1 sent something, 0 the socket is full, -1 the connection is gone (and dropped). */
static int push(struct server_conn *conn, struct iovec *iov, int count, uint64_t now_ns,
                uint32_t *sent)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    ssize_t bytes = sendmsg(conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) {
        conn->wants_output = true;
        return 0;
    }
    if (bytes < 0) {
        server_conn_drop(conn, now_ns, strerror(errno));
        return -1;
    }
    conn->progress_ns = now_ns;
    conn->server->stats.bytes_sent += (uint64_t)bytes;
    *sent = (uint32_t)bytes;
    return 1;
}

/** Sends the waiting reply. 1 done, else as push(). */
static int send_reply(struct server_conn *conn, uint64_t now_ns)
{
    while (conn->reply_sent < conn->reply_bytes) {
        struct iovec iov = {conn->reply + conn->reply_sent, conn->reply_bytes - conn->reply_sent};
        uint32_t sent = 0;
        int status = push(conn, &iov, 1, now_ns, &sent);
        if (status <= 0)
            return status;
        conn->reply_sent += sent;
    }
    conn->reply_bytes = conn->reply_sent = 0;
    if (conn->state == SERVER_CONN_CLOSING) {
        shutdown(conn->fd, SHUT_WR);
        conn->state = SERVER_CONN_LINGERING;
        conn->linger_until_ns = now_ns + LINGER_NS;
        server_conn_release_record(conn);
        conn->policy = WIRE_POLICY_NONE;
    }
    return 1;
}

/** Takes back the choice of a record or notice of which no byte was sent: when the socket takes the
 * next byte there will be a newer one, or another subscription. */
static void withdraw(struct server_conn *conn)
{
    server_conn_release_record(conn);
    conn->position = conn->position_before;
}

static void count_begun(struct server_conn *conn)
{
    conn->server->stats.frames_skipped += conn->begun_skipped;
    conn->server->stats.gaps += conn->begun_gaps;
}

/** Sends the rest of the record or notice. 1 done, else as push(). */
static int send_record(struct server_conn *conn, uint64_t now_ns)
{
    uint32_t total = conn->head_bytes + (conn->record != NULL ? conn->record->jpeg_bytes : 0);
    while (conn->sent_bytes < total) {
        struct iovec iov[IOVECS_MAX];
        int count = gather(conn, iov);
        uint32_t sent = 0;
        int status = push(conn, iov, count, now_ns, &sent);
        if (status == 0 && conn->sent_bytes == 0)
            withdraw(conn);
        if (status <= 0)
            return status;
        if (conn->sent_bytes == 0)
            count_begun(conn);
        advance(conn, sent);
    }
    if (conn->record != NULL && conn->record->is_frame) {
        conn->frames_sent++;
        conn->server->stats.frames_sent++;
    }
    conn->server->stats.records_sent++;
    server_conn_release_record(conn);
    return 1;
}

bool server_conn_send(struct server_conn *conn, uint64_t now_ns)
{
    // Dropped by the caller's last step, or the socket was full and has not said otherwise.
    if (conn->state == SERVER_CONN_FREE || conn->wants_output)
        return false;
    for (int i = 0; i < RECORDS_PER_TURN;) {
        // A record that has begun is finished first; then replies go before the next record.
        int status;
        if (conn->head_bytes > 0 && conn->state != SERVER_CONN_LINGERING) {
            status = send_record(conn, now_ns);
            i++;
        } else if (conn->reply_bytes > 0) {
            status = send_reply(conn, now_ns);
        } else if (conn->state == SERVER_CONN_OPEN && begin_next(conn, now_ns)) {
            status = 1;
        } else {
            return false;
        }
        if (status <= 0)
            return false;
    }
    return true;
}
