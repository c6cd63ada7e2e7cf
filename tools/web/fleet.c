// SPDX-License-Identifier: MIT
#include "tools/web/fleet.h"

#include "hal/base.h"
#include "net/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void web_fleet_init(struct web_fleet *fleet, const struct web_fleet_ops *ops, unsigned page_port)
{
    fleet->ops = ops;
    fleet->page_port = page_port;
    snprintf(fleet->why, sizeof fleet->why, "not connected yet");
    pthread_mutex_init(&fleet->lock, NULL);
}

static void drop_thumbnails(struct web_fleet *fleet)
{
    for (unsigned i = 0; i < fleet->count; i++) {
        free(fleet->nodes[i].thumbnail.jpeg);
        memset(&fleet->nodes[i].thumbnail, 0, sizeof fleet->nodes[i].thumbnail);
    }
    fleet->thumbnail_bytes = 0;
}

void web_fleet_free(struct web_fleet *fleet)
{
    drop_thumbnails(fleet);
    pthread_mutex_destroy(&fleet->lock);
}

// --- nodes --------------------------------------------------------------------------------------

/** FNV-1a: comparing texts is for the one that it finds. */
static uint32_t hash_of(const char *level)
{
    uint32_t hash = 2166136261u;
    for (; *level != '\0'; level++)
        hash = (hash ^ (unsigned char)*level) * 16777619u;
    return hash;
}

struct web_fleet_node *web_fleet_find(struct web_fleet *fleet, const char *level)
{
    const uint32_t hash = hash_of(level);
    for (unsigned i = 0; i < fleet->count; i++)
        if (fleet->hashes[i] == hash && strcmp(fleet->nodes[i].level, level) == 0)
            return &fleet->nodes[i];
    return NULL;
}

/** NULL: there is no place, or it is somebody else's subject. */
static struct web_fleet_node *add(struct web_fleet *fleet, const char *level)
{
    char name[LEVEL_BYTES];
    const size_t bytes = strlen(level) + 1;
    if (bytes > LEVEL_BYTES || !level_to_name(name, sizeof name, level))
        return NULL;
    if (fleet->count == WEB_FLEET_NODES_MAX) {
        fleet->left_out++;
        return NULL;
    }
    struct web_fleet_node *node = &fleet->nodes[fleet->count];
    fleet->hashes[fleet->count++] = hash_of(level);
    memset(node, 0, sizeof *node);
    memcpy(node->level, level, bytes);
    memcpy(node->name, name, sizeof name);
    return node;
}

// --- records ------------------------------------------------------------------------------------

static void note_time(struct web_fleet_node *node, uint64_t time_ns)
{
    const unsigned newest = node->times_count - 1;
    if (node->times_count > 0 && time_ns <= node->times[newest % WEB_FLEET_TIMES])
        node->times_count = 0; // the node's clock was set
    node->times[node->times_count++ % WEB_FLEET_TIMES] = time_ns;
}

double web_fleet_rate(const struct web_fleet_node *node)
{
    if (node->times_count < 2)
        return 0;
    const unsigned kept = (unsigned)base_min_u64(node->times_count, WEB_FLEET_TIMES);
    const uint64_t newest = node->times[(node->times_count - 1) % WEB_FLEET_TIMES];
    const uint64_t oldest = node->times[(node->times_count - kept) % WEB_FLEET_TIMES];
    return (kept - 1) * 1e9 / (double)(newest - oldest);
}

static void take_frame(struct web_fleet_node *node, const struct web_fleet_record *record,
                       bool is_counted)
{
    node->frame = record->place;
    note_time(node, record->time_ns);
    // The frames of a burst share their trigger. Behind a relay that died, some come late.
    const bool is_answer = record->trigger != 0 && record->trigger != node->trigger;
    node->trigger = is_answer ? record->trigger : node->trigger;
    node->frames += is_counted;
    node->outcomes[WEB_FLEET_MATCHED] += is_counted && is_answer;
}

static void count_triggers(struct web_fleet_node *node, const struct web_fleet_record *record)
{
    static const char *const names[WEB_FLEET_OUTCOMES] = {"MATCHED", "MISSED", "OVERRUN", "FAILED"};
    const uint64_t last = record->trigger_last;
    for (unsigned i = 0; i < WEB_FLEET_OUTCOMES; i++)
        if (strcmp(record->outcome, names[i]) == 0)
            node->outcomes[i] += last > record->trigger ? last - record->trigger + 1 : 1;
}

static void count_gap(struct web_fleet_node *node, const struct web_fleet_record *record)
{
    node->gap_first = record->first != 0 ? record->first : record->sequence;
    node->gap_last = record->sequence;
    node->gaps++;
    if (node->gap_first <= node->gap_last)
        node->lost += node->gap_last - node->gap_first + 1;
}

static void set_page(const struct web_fleet *fleet, struct web_fleet_node *node)
{
    for (unsigned i = 0; i < fleet->found_count && node->boot_id != 0; i++)
        if (fleet->found[i].boot_id == node->boot_id && fleet->found[i].host[0] != '\0')
            snprintf(node->page, sizeof node->page, "http://%s:%u/", fleet->found[i].host,
                     fleet->page_port);
}

void web_fleet_take(struct web_fleet *fleet, const struct web_fleet_record *record)
{
    const bool is_counted = record->place > fleet->history;
    struct web_fleet_node *node = web_fleet_find(fleet, record->level);
    fleet->place = record->place > fleet->place ? record->place : fleet->place;
    fleet->records++;
    if (node == NULL)
        node = add(fleet, record->level);
    if (node == NULL)
        return;
    if (record->boot_id != node->boot_id) {
        node->restarts += is_counted && node->boot_id != 0;
        node->boot_id = record->boot_id;
        node->trigger = 0;
        set_page(fleet, node);
    }
    node->seen_ns = record->stored_ns;
    node->changed = ++fleet->version;
    if (record->is_frame)
        take_frame(node, record, is_counted);
    else if (is_counted && strcmp(record->event, "TRIGGER") == 0)
        count_triggers(node, record);
    else if (is_counted &&
             (strcmp(record->event, "GAP") == 0 || strcmp(record->event, "FRAME_LOST") == 0))
        count_gap(node, record);
}

// --- health -------------------------------------------------------------------------------------

static void take_finding(struct web_fleet_node *node, const char *line, size_t bytes)
{
    json_t *finding = json_loadb(line, bytes, 0, NULL);
    const char *state = json_get_text(finding, "state"), *advice = json_get_text(finding, "advice");
    for (enum finding_state each = FINDING_WARNING; each <= FINDING_FAULT; each++) {
        if (strcmp(state, finding_state_name(each)) != 0)
            continue;
        node->health.count++;
        if (each <= node->health.state)
            continue;
        node->health.state = each;
        snprintf(node->health.text, sizeof node->health.text, "%s%s%s",
                 json_get_text(finding, "text"), *advice != '\0' ? ": " : "", advice);
    }
    json_decref(finding);
}

void web_fleet_take_health(struct web_fleet *fleet, const struct web_fleet_health *health,
                           uint64_t now_ns)
{
    struct web_fleet_node *node = web_fleet_find(fleet, health->level);
    if (node == NULL)
        node = add(fleet, health->level);
    if (node == NULL)
        return;
    memset(&node->health, 0, sizeof node->health);
    for (const char *line = health->text; *line != '\0';) {
        const size_t bytes = strcspn(line, "\n");
        take_finding(node, line, bytes);
        line += bytes + (line[bytes] == '\n');
    }
    node->health.told_ns = now_ns;
    node->changed = ++fleet->version;
}

void web_fleet_take_source(struct web_fleet *fleet, const struct web_fleet_source *source)
{
    struct web_fleet_node *node = web_fleet_find(fleet, source->level);
    if (node == NULL || node->spool == source->behind)
        return;
    node->spool = source->behind;
    node->changed = ++fleet->version;
}

// --- the stream ---------------------------------------------------------------------------------

void web_fleet_look(struct web_fleet *fleet, const struct web_fleet_extent *extent, uint64_t now_ns)
{
    if (extent->created_ns != fleet->extent.created_ns) {
        drop_thumbnails(fleet);
        fleet->count = 0;
        fleet->run = fleet->since_ns = now_ns;
        fleet->place = fleet->version = fleet->left_out = 0;
        fleet->history = extent->last;
    }
    fleet->extent = *extent;
}

bool web_fleet_set_state(struct web_fleet *fleet, enum web_fleet_state state, const char *why)
{
    const bool is_news = state != fleet->state || strcmp(why, fleet->why) != 0;
    fleet->state = state;
    snprintf(fleet->why, sizeof fleet->why, "%s", why);
    return is_news;
}

// --- discovery ----------------------------------------------------------------------------------

/** What a URL can have: no zone of a link-local address, no Unix socket. */
static void write_host(char *out, size_t bytes, const char *address)
{
    struct net_address at;
    out[0] = '\0';
    if (strncmp(address, "unix:", 5) == 0 || net_address_split(address, 7447, &at) != NULL)
        return;
    if (at.host[strspn(
            at.host, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-_:")] != '\0')
        return;
    snprintf(out, bytes, at.is_ipv6 ? "[%s]" : "%s", at.host);
}

void web_fleet_set_found(struct web_fleet *fleet, const struct pinhole_node *found, unsigned count)
{
    fleet->found_count = (unsigned)base_min_u64(count, WEB_FLEET_NODES_MAX);
    for (unsigned i = 0; i < fleet->found_count; i++) {
        struct web_fleet_found *place = &fleet->found[i];
        place->boot_id = found[i].boot_id;
        write_host(place->host, sizeof place->host, found[i].address);
    }
    for (unsigned i = 0; i < fleet->count; i++) {
        struct web_fleet_node *node = &fleet->nodes[i];
        char former[sizeof node->page];
        memcpy(former, node->page, sizeof former);
        set_page(fleet, node);
        if (strcmp(former, node->page) != 0)
            node->changed = ++fleet->version;
    }
}

// --- thumbnails ---------------------------------------------------------------------------------

void web_fleet_keep_thumbnail(struct web_fleet *fleet, struct web_fleet_node *node, uint64_t frame,
                              const uint8_t *jpeg, size_t bytes)
{
    fleet->thumbnail_bytes -= node->thumbnail.bytes;
    free(node->thumbnail.jpeg);
    memset(&node->thumbnail, 0, sizeof node->thumbnail);
    if (jpeg != NULL && fleet->thumbnail_bytes + bytes > WEB_FLEET_THUMBNAIL_BYTES_MAX)
        drop_thumbnails(fleet);
    if (bytes > WEB_FLEET_THUMBNAIL_BYTES_MAX)
        return;
    uint8_t *copy = jpeg != NULL ? malloc(bytes) : NULL;
    if (jpeg != NULL && copy == NULL)
        return;
    if (copy != NULL)
        memcpy(copy, jpeg, bytes);
    node->thumbnail.frame = frame;
    node->thumbnail.jpeg = copy;
    node->thumbnail.bytes = copy != NULL ? bytes : 0;
    fleet->thumbnail_bytes += node->thumbnail.bytes;
}
