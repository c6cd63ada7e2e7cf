// SPDX-License-Identifier: MIT
// The recorder's plug-ins, which need large libraries.
#include "tools/common/plugin.h"
#include "tools/rec/segment.h"
#include "tools/rec/stream.h"

/** Tests link the plug-in's object. */
extern const struct rec_avformat rec_avformat __attribute__((weak));
extern const struct rec_stream_ops rec_stream_ops __attribute__((weak));

static const struct rec_avformat *avformat;

void rec_media_load(void)
{
    avformat = &rec_avformat;
#ifdef HAVE_AVFORMAT
    if (avformat == NULL)
        avformat = plugin_load("pinhole-rec-avformat.so", "rec_avformat");
#endif
}

const struct rec_media_ops *rec_media_of(enum rec_container container)
{
    if (container == REC_JPEG)
        return &rec_media_jpeg;
    if (avformat == NULL)
        return NULL;
    return container == REC_MATROSKA ? avformat->matroska : avformat->mp4;
}

const char *rec_media_library(void)
{
    return avformat != NULL ? avformat->version() : "";
}

const struct rec_stream_ops *rec_stream_load(void)
{
    const struct rec_stream_ops *ops = &rec_stream_ops;
#ifdef HAVE_NATS
    if (ops == NULL)
        ops = plugin_load("pinhole-rec-nats.so", "rec_stream_ops");
#endif
    return ops;
}
