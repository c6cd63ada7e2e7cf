// SPDX-License-Identifier: MIT
#include "hal/libcamera/load.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN     "pinhole-libcamera.so"
#define INSTALLED  "../lib/pinhole/"
#define PATH_BYTES 512

static char error[2 * PATH_BYTES];

static const char *missing_version(void)
{
    return "not loaded";
}

static int missing_enumerate(struct hal_camera_info *out, int max)
{
    (void)out;
    (void)max;
    return -ENOENT;
}

static int missing_open(const char *id)
{
    (void)id;
    return -ENOENT;
}

static const char *missing_model(void)
{
    return "";
}

static const struct hal_feature *missing_feature(unsigned index)
{
    (void)index;
    return NULL;
}

static void missing_stop(void)
{
}

static const char *missing_last_error(void)
{
    return error;
}

/** What is legal without an open camera. */
static const struct hal_camera_ops missing = {
    .name = "libcamera",
    .version = missing_version,
    .enumerate = missing_enumerate,
    .open = missing_open,
    .model = missing_model,
    .feature = missing_feature,
    .stop = missing_stop,
    .close = missing_stop,
    .last_error = missing_last_error,
};

/** The folder that this program is in, with its slash. False when that cannot be known. */
static bool find_program(char folder[PATH_BYTES])
{
    ssize_t length = readlink("/proc/self/exe", folder, PATH_BYTES - 1);
    if (length <= 0)
        return false;
    folder[length] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return false;
    slash[1] = '\0';
    return true;
}

static const struct hal_camera_ops *load(void)
{
    char folder[PATH_BYTES], path[PATH_BYTES + sizeof INSTALLED PLUGIN];
    if (!find_program(folder)) {
        snprintf(error, sizeof error, "/proc/self/exe does not tell where " PLUGIN " is");
        return &missing;
    }
    snprintf(path, sizeof path, "%s" PLUGIN, folder);
    if (access(path, F_OK) < 0)
        snprintf(path, sizeof path, "%s" INSTALLED PLUGIN, folder);
    if (access(path, F_OK) < 0) {
        snprintf(error, sizeof error,
                 "%s is missing, and is not beside the program: `make install` puts it there",
                 path);
        return &missing;
    }
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct hal_camera_ops *backend =
        plugin != NULL ? dlsym(plugin, "hal_camera_libcamera") : NULL;
    if (backend != NULL)
        return backend;
    snprintf(error, sizeof error,
             "%s does not load: %s (is libcamera installed, on Debian libcamera-ipa?)", path,
             dlerror());
    return &missing;
}

const struct hal_camera_ops *camera_load_libcamera(void)
{
    static const struct hal_camera_ops *backend;
    if (backend == NULL)
        backend = load();
    return backend;
}
