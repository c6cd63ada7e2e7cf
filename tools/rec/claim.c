// SPDX-License-Identifier: MIT
#include "tools/rec/claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t number(const json_t *object, const char *name)
{
    uint64_t value = 0;
    return json_get_u64(object, name, &value) ? value : 0;
}

static void parse(struct rec_claim *claim, const char *text)
{
    size_t index;
    const json_t *mark;
    json_t *entry = json_loads(text, 0, NULL);
    snprintf(claim->owner, sizeof claim->owner, "%s", json_get_text(entry, "owner"));
    snprintf(claim->host, sizeof claim->host, "%s", json_get_text(entry, "host"));
    claim->owner_lease_ns = number(entry, "lease_ms") * 1000000;
    claim->stream_sequence = number(entry, "stream_sequence");
    rec_position_take(&claim->position, json_object_get(entry, "boots"));
    claim->marks_count = 0;
    json_array_foreach(json_object_get(entry, "recorders"), index, mark)
    {
        if (claim->marks_count == REC_MARKS_MAX)
            break;
        snprintf(claim->marks[claim->marks_count].id, REC_ID_BYTES, "%s",
                 json_get_text(mark, "id"));
        claim->marks[claim->marks_count++].mark = (struct rec_mark){
            .serial = number(mark, "serial"), .sidecar_bytes = number(mark, "bytes")};
    }
    json_decref(entry);
}

/** The entry as text on the heap; NULL: out of memory. */
static char *print(const struct rec_claim *claim)
{
    json_t *entry = json_object(), *recorders = json_array();
    json_put_text(&entry, "owner", claim->owner);
    json_put_text(&entry, "host", claim->host);
    json_put_u64(&entry, "lease_ms", claim->owner_lease_ns / 1000000);
    json_put_u64(&entry, "stream_sequence", claim->stream_sequence);
    json_put(&entry, "boots", rec_position_list(&claim->position));
    for (unsigned i = 0; i < claim->marks_count; i++) {
        json_t *mark = json_object();
        json_put_text(&mark, "id", claim->marks[i].id);
        json_put_u64(&mark, "serial", claim->marks[i].mark.serial);
        json_put_u64(&mark, "bytes", claim->marks[i].mark.sidecar_bytes);
        json_put_item(&recorders, mark);
    }
    json_put(&entry, "recorders", recorders);
    return json_line(entry);
}

int rec_claim_read(struct rec_claim *claim, struct rec_stream *stream, char why[REC_WHY_BYTES])
{
    char text[REC_ENTRY_BYTES];
    const int result = claim->ops->get(stream, claim->level, text, &claim->revision, why);
    if (result < 0)
        return result;
    parse(claim, text);
    if (claim->revision != claim->watched_revision) {
        claim->watched_revision = claim->revision;
        claim->watched_ns = clock_now_ns();
    }
    return 0;
}

bool rec_claim_is_free(const struct rec_claim *claim)
{
    return claim->owner[0] == '\0' || strcmp(claim->owner, claim->id) == 0 ||
           clock_now_ns() - claim->watched_ns > claim->owner_lease_ns;
}

const struct rec_mark *rec_claim_mark(const struct rec_claim *claim)
{
    for (unsigned i = 0; i < claim->marks_count; i++)
        if (strcmp(claim->marks[i].id, claim->id) == 0)
            return &claim->marks[i].mark;
    return NULL;
}

bool rec_claim_set_mark(struct rec_claim *claim, const struct rec_mark *mark)
{
    unsigned i = 0;
    while (i < claim->marks_count && strcmp(claim->marks[i].id, claim->id) != 0)
        i++;
    if (i == REC_MARKS_MAX)
        return false;
    if (i == claim->marks_count)
        claim->marks_count++;
    snprintf(claim->marks[i].id, sizeof claim->marks[i].id, "%s", claim->id);
    claim->marks[i].mark = *mark;
    return true;
}

static int put(struct rec_claim *claim, struct rec_stream *stream, char why[REC_WHY_BYTES])
{
    char *text = print(claim);
    int result = REC_STREAM_GONE;
    snprintf(why, REC_WHY_BYTES, "out of memory");
    if (text != NULL && strlen(text) < REC_ENTRY_BYTES)
        result = claim->ops->put(stream, claim->level, text, &claim->revision, why);
    free(text);
    return result;
}

int rec_claim_take(struct rec_claim *claim, struct rec_stream *stream, char why[REC_WHY_BYTES])
{
    snprintf(claim->owner, sizeof claim->owner, "%s", claim->id);
    claim->host[0] = '\0';
    (void)gethostname(claim->host, sizeof claim->host - 1);
    claim->owner_lease_ns = claim->lease_ns;
    return put(claim, stream, why);
}

int rec_claim_write(struct rec_claim *claim, struct rec_stream *stream, char why[REC_WHY_BYTES])
{
    char text[REC_ENTRY_BYTES];
    struct rec_claim seen = {0};
    int result = put(claim, stream, why);
    if (result != REC_STREAM_CHANGED)
        return result;
    // Perhaps by a write of this recorder whose answer was lost.
    result = claim->ops->get(stream, claim->level, text, &seen.revision, why);
    if (result < 0)
        return result;
    parse(&seen, text);
    if (strcmp(seen.owner, claim->id) != 0) {
        snprintf(why, REC_WHY_BYTES, "another recorder%s%s has taken over",
                 seen.host[0] != '\0' ? " on " : "", seen.host);
        return REC_STREAM_CHANGED;
    }
    claim->revision = seen.revision;
    return put(claim, stream, why) == 0 ? 0 : REC_STREAM_GONE;
}

int rec_claim_release(struct rec_claim *claim, struct rec_stream *stream, bool is_clean,
                      char why[REC_WHY_BYTES])
{
    claim->owner[0] = claim->host[0] = '\0';
    for (unsigned i = 0; is_clean && i < claim->marks_count; i++)
        if (strcmp(claim->marks[i].id, claim->id) == 0)
            claim->marks[i] = claim->marks[--claim->marks_count];
    return put(claim, stream, why);
}
