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
                         const bool *is_wanted)
{
    bool is_first = true;
    for (unsigned i = 0; i < count; i++) {
        char one[256];
        if (is_wanted != NULL && !is_wanted[i])
            continue;
        (void)snprintf(one, sizeof one, "%s%u: %s (%s)", is_first ? "" : ", ", i, names[i].id,
                       names[i].model);
        append(text, bytes, one);
        is_first = false;
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

static unsigned match(const struct camera_name *names, unsigned count, const char *spec,
                      bool is_whole, bool *is_match)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) {
        is_match[i] = is_whole ? strcasecmp(names[i].model, spec) == 0
                               : strcasestr(names[i].model, spec) != NULL ||
                                     strcasestr(names[i].id, spec) != NULL;
        found += is_match[i];
    }
    return found;
}

static int pick_name(const struct camera_name *names, unsigned count, const char *spec, char *why,
                     size_t why_bytes)
{
    bool is_match[64];
    if (count > ARRAY_SIZE(is_match))
        count = ARRAY_SIZE(is_match);
    unsigned found = match(names, count, spec, true, is_match);
    if (found == 0)
        found = match(names, count, spec, false, is_match);
    for (unsigned i = 0; found == 1 && i < count; i++)
        if (is_match[i])
            return (int)i;
    if (found == 0)
        (void)snprintf(why, why_bytes, "no camera is called '%s'; libcamera sees ", spec);
    else
        (void)snprintf(why, why_bytes, "'%s' could be several, say which by id: ", spec);
    append_names(why, why_bytes, names, count, found == 0 ? NULL : is_match);
    return found == 0 ? -ENODEV : -EINVAL;
}

int camera_pick(const struct camera_name *names, unsigned count, const char *spec,
                const struct camera_choice *before, char *why, size_t why_bytes)
{
    bool is_index = spec[0] != '\0' && spec[strspn(spec, "0123456789")] == '\0';
    bool is_again = before->id[0] != '\0' && strcmp(before->spec, spec) == 0;
    for (unsigned i = 0; i < count; i++)
        if (strcmp(names[i].id, spec) == 0)
            return (int)i;
    for (unsigned i = 0; is_again && i < count; i++)
        if (strcmp(names[i].id, before->id) == 0)
            return (int)i;
    if (count == 0) {
        (void)snprintf(why, why_bytes,
                       "libcamera sees no camera: is one connected, and may this user open "
                       "/dev/media* and /dev/video* (group video)?");
        return -ENODEV;
    }
    if (is_index && is_again) {
        (void)snprintf(why, why_bytes, "camera %s (%s) is gone", spec, before->id);
        return -ENODEV;
    }
    if (is_index)
        return pick_index(names, count, spec, why, why_bytes);
    return spec[0] == '\0' ? 0 : pick_name(names, count, spec, why, why_bytes);
}
