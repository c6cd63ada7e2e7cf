// SPDX-License-Identifier: MIT
#include "tools/common/plugin.h"

#include "tools/common/say.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const void *plugin_load(const char *file, const char *symbol)
{
    static const char *const places[] = {"", "../lib/pinhole/", "../"};
    char path[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 64);
    if (length <= 0)
        return NULL;
    path[length] = '\0';
    char *name = strrchr(path, '/') + 1;
    void *plugin = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places && plugin == NULL; i++) {
        snprintf(name, sizeof path - (size_t)(name - path), "%s%s", places[i], file);
        if (access(path, F_OK) < 0)
            continue;
        plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (plugin == NULL)
            say("%s", dlerror());
    }
    return plugin != NULL ? dlsym(plugin, symbol) : NULL;
}
