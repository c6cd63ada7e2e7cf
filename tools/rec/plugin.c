// SPDX-License-Identifier: MIT
// Finds libavformat's part of the recorder: beside the program, or in ../lib/pinhole from there.
#include "tools/rec/segment.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN "pinhole-rec-avformat.so"

/** Tests link the plug-in's object. */
extern const struct rec_avformat rec_avformat __attribute__((weak));

static const struct rec_avformat *avformat;

#ifdef HAVE_AVFORMAT
static void *open_plugin(void)
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
        snprintf(name, sizeof path - (size_t)(name - path), "%s" PLUGIN, places[i]);
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
    void *plugin = avformat == NULL ? open_plugin() : NULL; // stays loaded
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
