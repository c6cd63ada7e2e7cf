// SPDX-License-Identifier: MIT
// Finds the recorder's plug-ins, which need large libraries: beside the program, or in
// ../lib/pinhole from there.
#include "tools/rec/segment.h"
#include "tools/rec/stream.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/** Tests link the plug-in's object. */
extern const struct rec_avformat rec_avformat __attribute__((weak));
extern const struct rec_stream_ops rec_stream_ops __attribute__((weak));

static const struct rec_avformat *avformat;

#if defined HAVE_AVFORMAT || defined HAVE_NATS
static void *open_plugin(const char *file)
{
    static const char *const places[] = {"", "../lib/pinhole/", "../"};
    char path[REC_PATH_SIZE];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 64);
    if (length <= 0)
        return NULL;
    path[length] = '\0';
    char *name = strrchr(path, '/') + 1;
    void *plugin = NULL;
    for (size_t i = 0; i < sizeof places / sizeof places[0] && plugin == NULL; i++) {
        snprintf(name, sizeof path - (size_t)(name - path), "%s%s", places[i], file);
        if (access(path, F_OK) < 0)
            continue;
        plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (plugin == NULL)
            say("%s", dlerror());
    }
    return plugin;
}
#endif

void rec_media_load(void)
{
    avformat = &rec_avformat;
#ifdef HAVE_AVFORMAT
    void *plugin = avformat == NULL ? open_plugin("pinhole-rec-avformat.so") : NULL; // stays loaded
    if (plugin != NULL)
        avformat = dlsym(plugin, "rec_avformat");
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
    void *plugin = ops == NULL ? open_plugin("pinhole-rec-nats.so") : NULL; // stays loaded
    if (plugin != NULL)
        ops = dlsym(plugin, "rec_stream_ops");
#endif
    return ops;
}
