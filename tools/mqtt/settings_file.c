// SPDX-License-Identifier: MIT
#include "tools/mqtt/settings_file.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

struct source {
    struct mqtt_settings *settings;
    const char *path;
    FILE *file;
    unsigned line;
    bool wants_nodes;
    int result;
    struct mqtt_settings_error *error;
    char node_name[MQTT_TEXT_BYTES]; /**< the section that `node` is of */
    struct mqtt_node_settings *node;
};

/** Counts the lines for inih, and refuses those that it would cut. */
static char *read_line(char *out, int bytes, void *user)
{
    struct source *source = user;
    if (source->result != 0 || fgets(out, bytes, source->file) == NULL)
        return NULL;
    source->line++;
    if (strchr(out, '\n') != NULL || feof(source->file) != 0)
        return out;
    source->result = mqtt_settings_fail(source->error, "%.200s:%u: longer than %d bytes",
                                        source->path, source->line, bytes - 2);
    return NULL;
}

static int set_of_node(struct source *source, const char *name, const char *key, const char *value,
                       const char *where)
{
    if (source->node == NULL || strcmp(source->node_name, name) != 0) {
        source->node = mqtt_settings_node(source->settings, name, where, source->error);
        if (source->node == NULL)
            return -EINVAL;
        snprintf(source->node_name, sizeof source->node_name, "%s", name);
    }
    if (strcmp(key, "address") != 0)
        return mqtt_settings_set_camera(&source->node->camera, key, value, where, source->error);
    if (strlen(value) >= sizeof source->node->address)
        return mqtt_settings_fail(source->error, "%s: longer than %zu bytes", where,
                                  sizeof source->node->address - 1);
    memcpy(source->node->address, value, strlen(value) + 1);
    return 0;
}

/** inih's callback: nonzero = go on. */
static int handle(void *user, const char *section, const char *key, const char *value)
{
    struct source *source = user;
    char where[400];
    if (source->result != 0)
        return 0;
    snprintf(where, sizeof where, "%.200s:%u: %.60s", source->path, source->line, key);
    const bool is_node = strncmp(section, "node ", 5) == 0;
    const bool is_known = is_node || strcmp(section, "broker") == 0 ||
                          strcmp(section, "cameras") == 0 || strcmp(section, "bridge") == 0;
    if (!is_known)
        source->result =
            mqtt_settings_fail(source->error, "%s: there is no section [%.60s]", where, section);
    else if (is_node && source->wants_nodes)
        source->result = set_of_node(source, section + 5, key, value, where);
    else if (!is_node && !source->wants_nodes)
        source->result =
            mqtt_settings_set(source->settings, section, key, value, where, source->error);
    return source->result == 0;
}

int mqtt_settings_read_file(struct mqtt_settings *settings, const char *path, bool wants_nodes,
                            struct mqtt_settings_error *error)
{
    struct source source = {
        .settings = settings, .path = path, .wants_nodes = wants_nodes, .error = error};
    source.file = fopen(path, "re");
    if (source.file == NULL)
        return mqtt_settings_fail(error, "cannot read %.200s: %s", path, strerror(errno));
    const int bad_line = ini_parse_stream(read_line, &source, handle, &source);
    fclose(source.file);
    if (source.result == 0 && bad_line > 0)
        return mqtt_settings_fail(error, "%.200s:%d: neither [section] nor key = value nor comment",
                                  path, bad_line);
    if (source.result != 0)
        return source.result;
    for (unsigned i = 0; i < settings->nodes_count; i++)
        if (settings->nodes[i].address[0] == '\0')
            return mqtt_settings_fail(error, "%.200s: [node %.60s] has no address", path,
                                      settings->nodes[i].name);
    return 0;
}
