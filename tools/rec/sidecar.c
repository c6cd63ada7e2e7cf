// SPDX-License-Identifier: MIT
// Writing the sidecar's lines.
#include "tools/rec/sidecar.h"

#include "tools/common/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const container_names[] = {"matroska", "mp4", "jpeg"};

/** Ends the line begun with open_memstream(). */
static char *finish(FILE *out, char **line)
{
    fputs("}\n", out);
    if (fclose(out) == 0)
        return *line;
    free(*line);
    return NULL;
}

char *rec_sidecar_segment(const struct rec_camera *camera, const char *media, uint64_t boot_id,
                          uint64_t serial)
{
    char *line = NULL;
    size_t size;
    FILE *out = open_memstream(&line, &size);
    if (out == NULL)
        return NULL;
    fputs("{\"type\":\"segment\",\"format\":1,\"camera\":", out);
    ctl_json(out, camera->name);
    fputs(",\"address\":", out);
    ctl_json(out, camera->address != NULL ? camera->address : "");
    fprintf(out, ",\"serial\":%" PRIu64 ",\"container\":\"%s\",\"media\":", serial,
            container_names[camera->options->container]);
    ctl_json(out, media);
    fprintf(out,
            ",\"boot_id\":\"%016" PRIx64 "\",\"started_realtime_ns\":%" PRIu64
            ",\"recorder\":\"pinhole-rec %s\"",
            boot_id, clock_realtime_ns(), pinhole_version());
    return finish(out, &line);
}

static void put_frame(FILE *out, const struct pinhole_frame *f)
{
    fprintf(out, "{\"type\":\"frame\",");
    ctl_json_frame(out, f);
    fprintf(out,
            ",\"digital_gain_milli\":%" PRIu32 ",\"frame_duration_us\":%" PRIu32
            ",\"colour_temperature_k\":%" PRIu32 ",\"lux_milli\":%" PRIu32
            ",\"lens_position_milli\":%" PRIu32 ",\"encodes\":%u",
            f->digital_gain_milli, f->frame_duration_us, f->colour_temperature_k, f->lux_milli,
            f->lens_position_milli, f->encodes);
}

char *rec_sidecar_frame(const struct pinhole_frame *frame, const struct rec_place *place)
{
    char *line = NULL;
    size_t size;
    FILE *out = open_memstream(&line, &size);
    if (out == NULL)
        return NULL;
    put_frame(out, frame);
    fprintf(out, ",\"pts_ns\":%" PRIu64, place->pts_ns);
    if (place->file[0] != '\0')
        fprintf(out, ",\"file\":\"%s\"", place->file);
    else
        fprintf(out, ",\"offset\":%" PRIu64 ",\"end\":%" PRIu64, place->offset, place->end);
    return finish(out, &line);
}

char *rec_sidecar_event(const struct pinhole_event *e)
{
    char *line = NULL;
    size_t size;
    FILE *out = open_memstream(&line, &size);
    if (out == NULL)
        return NULL;
    fprintf(out,
            "{\"type\":\"event\",\"kind\":\"%s\",\"boot_id\":\"%016" PRIx64
            "\",\"sequence\":%" PRIu64 ",\"monotonic_ns\":%" PRIu64 ",\"realtime_ns\":%" PRIu64,
            pinhole_event_name(e->kind), e->boot_id, e->sequence, e->monotonic_ns, e->realtime_ns);
    if (e->kind == PINHOLE_EVENT_TRIGGER)
        fprintf(out,
                ",\"first_trigger\":%" PRIu64 ",\"last_trigger\":%" PRIu64
                ",\"source\":\"%s\",\"outcome\":\"%s\",\"edge_ns\":%" PRIu64,
                e->first, e->last, pinhole_source_name(e->trigger_source),
                pinhole_outcome_name(e->outcome), e->edge_ns);
    if (e->kind == PINHOLE_EVENT_CAMERA)
        fprintf(out, ",\"camera_state\":\"%s\"", pinhole_camera_state_name(e->camera_state));
    if (e->sensor_sequence != 0)
        fprintf(out, ",\"sensor_sequence\":%" PRIu32, e->sensor_sequence);
    fputs(",\"text\":", out);
    ctl_json(out, e->text);
    return finish(out, &line);
}

char *rec_sidecar_missing(uint64_t boot_id, uint64_t first, uint64_t last, const char *reason)
{
    char end[24] = "null", *line;
    if (last != 0)
        snprintf(end, sizeof end, "%" PRIu64, last);
    int length = asprintf(&line,
                          "{\"type\":\"missing\",\"boot_id\":\"%016" PRIx64 "\",\"first\":%" PRIu64
                          ",\"last\":%s,\"reason\":\"%s\"}\n",
                          boot_id, first, end, reason);
    return length < 0 ? NULL : line;
}

char *rec_sidecar_boot(uint64_t boot_id)
{
    char *line;
    int length = asprintf(&line,
                          "{\"type\":\"boot\",\"boot_id\":\"%016" PRIx64
                          "\",\"noticed_realtime_ns\":%" PRIu64 "}\n",
                          boot_id, clock_realtime_ns());
    return length < 0 ? NULL : line;
}

char *rec_sidecar_link(const char *state, const char *text)
{
    char *line = NULL;
    size_t size;
    FILE *out = open_memstream(&line, &size);
    if (out == NULL)
        return NULL;
    fprintf(out, "{\"type\":\"link\",\"state\":\"%s\",\"realtime_ns\":%" PRIu64 ",\"text\":", state,
            clock_realtime_ns());
    ctl_json(out, text);
    return finish(out, &line);
}

char *rec_sidecar_end(const char *type, uint64_t frames, const char *reason)
{
    char *line;
    int length = asprintf(&line,
                          "{\"type\":\"%s\",\"frames\":%" PRIu64 ",\"realtime_ns\":%" PRIu64
                          ",\"reason\":\"%s\"}\n",
                          type, frames, clock_realtime_ns(), reason);
    return length < 0 ? NULL : line;
}
