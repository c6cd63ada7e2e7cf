// SPDX-License-Identifier: MIT
// The INI file, in and out. It is read with open(2) and read(2) and parsed by inih through a reader
// of ours. The reader refuses what inih would let pass: inih takes the tail of an over-long line
// for a new key, ends a line at a NUL byte, and does not report unknown sections.
#include "app/config/config.h"
#include "app/config/text.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/** More than any sensible file; ends the reading of an endless one. */
#define FILE_BYTES_MAX (1024u * 1024u)

struct source {
    const char *name; /**< for error sentences */
    int fd;           /**< -1: all there is stands in data */
    const char *data;
    size_t bytes, at;
    size_t total;
    unsigned line;                  /**< of the line handed out last, from 1 */
    unsigned set_line[CONFIG_KEYS]; /**< where each key was set, 0 = nowhere */
    int result;                     /**< of the first fault */
    unsigned result_line;
    struct config config;
    struct config_error *error;
    char chunk[4096];
};

#define FAIL(source, code, format, ...)                                                            \
    fail((source), config_fail((source)->error, (code), "%.200s:%u: " format, (source)->name,      \
                               (source)->line, ##__VA_ARGS__))

static void fail(struct source *source, int code)
{
    source->result = code;
    source->result_line = source->line;
}

/** The next byte, or -1 at the end or after a failure of read(2). */
static int next_byte(struct source *source)
{
    if (source->at == source->bytes) {
        if (source->fd < 0)
            return -1;
        ssize_t n;
        do
            n = read(source->fd, source->chunk, sizeof source->chunk);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            fail(source, config_fail(source->error, -errno, "cannot read %.200s: %s", source->name,
                                     strerror(errno)));
        if (n <= 0)
            return -1;
        source->data = source->chunk;
        source->bytes = (size_t)n;
        source->at = 0;
    }
    source->total++;
    return (unsigned char)source->data[source->at++];
}

/** Reads one line without its end. Returns its length, or -1: no more, or a fault. */
static int read_line(struct source *source, char *out)
{
    int length = 0;
    int byte = next_byte(source);
    if (byte < 0)
        return -1;
    source->line++;
    if (source->total > FILE_BYTES_MAX)
        FAIL(source, -EINVAL, "the file is larger than %u bytes", FILE_BYTES_MAX);
    for (; source->result == 0 && byte >= 0 && byte != '\n'; byte = next_byte(source)) {
        if (byte == '\0')
            FAIL(source, -EINVAL, "there is a NUL byte; this is no text file");
        else if (length == CONFIG_LINE_BYTES)
            FAIL(source, -EINVAL, "the line is longer than %d bytes", CONFIG_LINE_BYTES);
        else
            out[length++] = (char)byte;
    }
    out[length] = '\0';
    return source->result == 0 ? length : -1;
}

static bool section_is_known(const char *name, size_t length)
{
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        if (strlen(config_keys[i].section) == length &&
            strncmp(config_keys[i].section, name, length) == 0)
            return true;
    }
    return false;
}

static void check_section(struct source *source, const char *line)
{
    size_t length = strcspn(line + 1, "]");
    if (line[1 + length] == '\0') {
        FAIL(source, -EINVAL, "'%.60s' lacks its ']'", line);
        return;
    }
    const char *rest = line + 2 + length;
    rest += strspn(rest, " \t\r");
    if (*rest != '\0' && *rest != ';' && *rest != '#')
        FAIL(source, -EINVAL, "'%.60s' stands after a section's ']'", rest);
    else if (!section_is_known(line + 1, length))
        FAIL(source, -EINVAL, "there is no section [%.*s]", (int)length, line + 1);
}

/** Hands inih one line, with its newline as fgets(3) would. */
static char *reader(char *out, int bytes, void *stream)
{
    struct source *source = stream;
    char line[CONFIG_LINE_BYTES + 1];
    if (source->result != 0 || read_line(source, line) < 0)
        return NULL;

    const char *start = line;
    if (source->line == 1 && strncmp(start, "\xEF\xBB\xBF", 3) == 0)
        start += 3;
    // Without its indentation no line is taken for the continuation of the one before.
    start += strspn(start, " \t\r\v\f");
    if (*start == '[')
        check_section(source, start);
    if (source->result == 0 && (int)strlen(start) + 2 > bytes)
        FAIL(source, -EINVAL, "the line is longer than inih's %d bytes", bytes - 2);
    if (source->result != 0)
        return NULL;
    snprintf(out, (size_t)bytes, "%s\n", start);
    return out;
}

static void explain_unknown_key(struct source *source, const char *section, const char *key)
{
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        if (strcmp(config_keys[i].key, key) == 0) {
            FAIL(source, -EINVAL, "there is no key '%s' in [%s]; [%s] has one", key, section,
                 config_keys[i].section);
            return;
        }
    }
    FAIL(source, -EINVAL, "there is no key '%.60s' in [%s]", key, section);
}

/** inih's callback: nonzero = go on. */
static int handler(void *user, const char *section, const char *key, const char *value)
{
    struct source *source = user;
    char name[CONFIG_LINE_BYTES * 2], where[256];
    if (source->result != 0)
        return 0;
    if (section[0] == '\0') {
        FAIL(source, -EINVAL, "'%.60s' stands before any [section]", key);
        return 0;
    }
    snprintf(name, sizeof name, "%s.%s", section, key);
    const struct config_key *found = config_find(name);
    if (found == NULL) {
        explain_unknown_key(source, section, key);
        return 0;
    }
    unsigned *set_line = &source->set_line[found - config_keys];
    if (*set_line != 0) {
        FAIL(source, -EINVAL, "%s stands twice; first in line %u", name, *set_line);
        return 0;
    }
    *set_line = source->line;
    snprintf(where, sizeof where, "%.200s:%u", source->name, source->line);
    if (config_set(&source->config, name, value, where, source->error) != 0)
        fail(source, -EINVAL);
    return source->result == 0;
}

static int parse(struct config *config, struct source *source, struct config_error *error)
{
    source->config = *config;
    source->error = error;
    // inih goes on after a line that it does not understand, and then names the first such line.
    // That line may come before the one where the handler or the reader stopped it.
    int bad_line = ini_parse_stream(reader, source, handler, source);
    if (bad_line > 0 && (source->result == 0 || (unsigned)bad_line < source->result_line)) {
        source->line = (unsigned)bad_line;
        FAIL(source, -EINVAL, "neither a [section], nor key = value, nor a comment");
    }
    if (source->result == 0)
        *config = source->config;
    return source->result;
}

int config_read_text(struct config *config, const char *text, size_t bytes, const char *name,
                     struct config_error *error)
{
    struct source source = {.name = name, .fd = -1, .data = text, .bytes = bytes};
    return parse(config, &source, error);
}

int config_read_file(struct config *config, const char *path, struct config_error *error)
{
    struct source source = {.name = path};
    source.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (source.fd < 0)
        return config_fail(error, -errno, "cannot read %.200s: %s", path, strerror(errno));
    int result = parse(config, &source, error);
    close(source.fd);
    return result;
}

static void print_key(struct text *text, const struct config *config, const struct config_key *key)
{
    char range[CONFIG_RANGE_BYTES], line[CONFIG_RANGE_BYTES + 2 * CONFIG_STRING_BYTES];
    config_format_range(key, range, sizeof range);
    text_add(text, "\n# ");
    text_wrap(text, "# ", key->help);
    snprintf(line, sizeof line, "%s; default %s%s%s", range,
             key->standard[0] != '\0' ? key->standard : "empty",
             key->long_option != NULL ? "; option --" : "",
             key->long_option != NULL ? key->long_option : "");
    text_add(text, "# ");
    text_wrap(text, "# ", line);

    char value[CONFIG_STRING_BYTES + 1];
    config_format(config, key, value, sizeof value);
    text_add(text, "%s =%s%s\n", key->key, value[0] != '\0' ? " " : "", value);
}

int config_print(int fd, const struct config *config)
{
    struct text text;
    text_begin(&text, fd);
    text_add(&text, "# Pinhole's settings. Lines that begin with # or ; are comments.\n");
    const char *section = "";
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *key = &config_keys[i];
        if (strcmp(section, key->section) != 0) {
            section = key->section;
            text_add(&text, "\n[%s]", section);
        }
        print_key(&text, config, key);
    }
    return text_end(&text);
}
