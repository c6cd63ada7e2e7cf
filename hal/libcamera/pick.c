// SPDX-License-Identifier: MIT
#include "hal/libcamera/pick.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void append(char *text, size_t bytes, const char *more)
{
    size_t used = strlen(text);
    (void)snprintf(text + used, bytes - used, "%s", more);
}

/** "0: id (model), 1: ..." of those whose bit is set. */
static void append_names(char *text, size_t bytes, const struct camera_name *names, unsigned count,
                         const bool *wanted)
{
    bool first = true;
    for (unsigned i = 0; i < count; i++) {
        char one[256];
        if (wanted != NULL && !wanted[i])
            continue;
        (void)snprintf(one, sizeof one, "%s%u: %s (%s)", first ? "" : ", ", i, names[i].id,
                       names[i].model);
        append(text, bytes, one);
        first = false;
    }
}

static int pick_index(const struct camera_name *names, unsigned count, const char *spec, char *why,
                      size_t why_bytes)
{
    unsigned long index = strlen(spec) < 6 ? strtoul(spec, NULL, 10) : count;
    if (index < count)
        return (int)index;
    (void)snprintf(why, why_bytes, "there is no camera %s; libcamera sees ", spec);
    append_names(why, why_bytes, names, count, NULL);
    return -ENODEV;
}

static unsigned match(const struct camera_name *names, unsigned count, const char *spec, bool whole,
                      bool *matches)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) {
        matches[i] = whole ? strcasecmp(names[i].model, spec) == 0
                           : strcasestr(names[i].model, spec) != NULL ||
                                 strcasestr(names[i].id, spec) != NULL;
        found += matches[i];
    }
    return found;
}

static int pick_name(const struct camera_name *names, unsigned count, const char *spec, char *why,
                     size_t why_bytes)
{
    bool matches[64];
    if (count > ARRAY_SIZE(matches))
        count = ARRAY_SIZE(matches);
    unsigned found = match(names, count, spec, true, matches);
    if (found == 0)
        found = match(names, count, spec, false, matches);
    for (unsigned i = 0; found == 1 && i < count; i++)
        if (matches[i])
            return (int)i;
    if (found == 0)
        (void)snprintf(why, why_bytes, "no camera is called '%s'; libcamera sees ", spec);
    else
        (void)snprintf(why, why_bytes, "'%s' could be several, say which by id: ", spec);
    append_names(why, why_bytes, names, count, found == 0 ? NULL : matches);
    return found == 0 ? -ENODEV : -EINVAL;
}

int camera_pick(const struct camera_name *names, unsigned count, const char *spec,
                const struct camera_choice *before, char *why, size_t why_bytes)
{
    bool is_index = spec[0] != '\0' && spec[strspn(spec, "0123456789")] == '\0';
    bool again = before->id[0] != '\0' && strcmp(before->spec, spec) == 0;
    for (unsigned i = 0; i < count; i++)
        if (strcmp(names[i].id, spec) == 0)
            return (int)i;
    for (unsigned i = 0; again && i < count; i++)
        if (strcmp(names[i].id, before->id) == 0)
            return (int)i;
    if (count == 0) {
        (void)snprintf(why, why_bytes,
                       "libcamera sees no camera: is one connected, and may this user open "
                       "/dev/media* and /dev/video* (group video)?");
        return -ENODEV;
    }
    if (is_index && again) {
        (void)snprintf(why, why_bytes, "camera %s (%s) is gone", spec, before->id);
        return -ENODEV;
    }
    if (is_index)
        return pick_index(names, count, spec, why, why_bytes);
    return spec[0] == '\0' ? 0 : pick_name(names, count, spec, why, why_bytes);
}
