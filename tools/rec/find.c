// SPDX-License-Identifier: MIT
#include "tools/rec/find.h"

#ifdef HAVE_SQLITE

#include "tools/common/json.h"
#include "tools/common/text.h"
#include "tools/rec/export.h"
#include "tools/rec/segment.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char help[] =
    "Usage: pinhole-rec find [OPTION]... FOLDER...\n"
    "Finds pictures in recordings. FOLDER is a camera's folder or the folder of the folders. An\n"
    "index in FOLDER (.pinhole-rec.index) is made and refreshed first; it may be deleted.\n"
    "  --camera NAME   of this camera\n"
    "  --from TIME     not before; TIME is UTC: 2026-11-20T14:30:00.5Z, or less of it from the "
    "end\n"
    "  --to TIME       not after\n"
    "  --trigger N     which answer this trigger; numbers begin again when a node restarts\n"
    "  --json          a JSON object a line; else file, offset, bytes, time and trigger, with "
    "tabs\n"
    "  --export DIR    also writes each as a JPEG file\n"
    "  --container C   --export: matroska or mp4: those of a camera in one file; jpeg\n"
    "What a recorder has not completed is left out.\n"
    "Exit codes: 0 found; 1 nothing, a sidecar cannot be read or has damaged lines, or a picture\n"
    "cannot be exported; 2 wrong usage.\n";

struct finder {
    bool is_json;
    struct rec_export export; /**< its folder NULL: none is wanted */
    uint64_t count, faults;
};

// --- times ---------------------------------------------------------------------------------------

static bool read_time(const char *text, int64_t *out_ns)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    struct tm parts;
    const char *rest = NULL;
    for (int i = 0; i < 3 && rest == NULL; i++) {
        memset(&parts, 0, sizeof parts);
        rest = strptime(text, formats[i], &parts);
    }
    int64_t fraction_ns = 0;
    if (rest != NULL && *rest == '.') {
        int64_t unit = NS_PER_S / 10;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
            fraction_ns += unit * (*rest - '0');
    }
    if (rest == NULL || strcmp(*rest == 'Z' ? rest + 1 : rest, "") != 0)
        return false;
    *out_ns = (int64_t)timegm(&parts) * (int64_t)NS_PER_S + fraction_ns;
    return true;
}

// --- what is done with a picture -----------------------------------------------------------------

static void print_hit(const struct finder *finder, const struct rec_hit *hit)
{
    char when[REC_TIME_SIZE];
    rec_time_print(when, (uint64_t)hit->realtime_ns, REC_DATE);
    if (!finder->is_json) {
        text_print(stdout, hit->path);
        printf("\t%" PRId64 "\t%" PRId64 "\t%s\t%" PRId64 "\n", hit->offset, hit->bytes, when,
               hit->trigger);
        return;
    }
    json_t *line = json_object();
    json_put_text(&line, "camera", hit->camera);
    json_put_text(&line, "path", hit->path);
    json_put_i64(&line, "offset", hit->offset);
    json_put_i64(&line, "bytes", hit->bytes);
    json_put_text(&line, "realtime", when);
    if (hit->trigger != 0)
        json_put_i64(&line, "trigger_id", hit->trigger);
    json_put_text(&line, "boot_id", hit->boot_id);
    json_put_i64(&line, "sequence", hit->sequence);
    char *text = json_line(line);
    if (text != NULL)
        fputs(text, stdout);
    free(text);
}

static void visit(void *user, const struct rec_hit *hit)
{
    struct finder *finder = user;
    finder->count++;
    print_hit(finder, hit);
    if (finder->export.folder != NULL && !rec_export_put(&finder->export, hit))
        finder->faults++;
}

// --- the command line ----------------------------------------------------------------------------

enum { CAMERA = 1, FROM, TO, TRIGGER, JSON, EXPORT, CONTAINER };
static const struct option options[] = {{"camera", required_argument, NULL, CAMERA},
                                        {"from", required_argument, NULL, FROM},
                                        {"to", required_argument, NULL, TO},
                                        {"trigger", required_argument, NULL, TRIGGER},
                                        {"json", no_argument, NULL, JSON},
                                        {"export", required_argument, NULL, EXPORT},
                                        {"container", required_argument, NULL, CONTAINER},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};

static bool read_number(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return *text != '\0' && *end == '\0' && errno == 0 && *out > 0;
}

/** False: the value is not what the option wants. */
static bool take_option(struct finder *finder, struct rec_query *query, int letter)
{
    switch (letter) {
    case CAMERA: query->camera = optarg; return true;
    case FROM: return read_time(optarg, &query->from_ns);
    case TO: return read_time(optarg, &query->until_ns);
    case TRIGGER: return read_number(optarg, &query->trigger);
    case JSON: finder->is_json = true; return true;
    case CONTAINER: return rec_container_read(optarg, &finder->export.container);
    default: finder->export.folder = optarg; return true;
    }
}

static bool find_in(struct finder *finder, const struct rec_query *query, const char *folder)
{
    struct rec_index *index = rec_index_open(folder);
    const bool is_found = index != NULL && rec_index_find(index, query, visit, finder);
    rec_index_close(index);
    return rec_export_end(&finder->export) && is_found;
}

int rec_find(int argc, char **argv)
{
    struct finder finder = {.export = {.container = REC_JPEG}};
    struct rec_query query = {.until_ns = INT64_MAX};
    int letter;
    while ((letter = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (letter == 'h')
            fputs(help, stdout);
        if (letter == 'h' || letter == '?')
            return letter == 'h' ? REC_OK : REC_USAGE;
        if (!take_option(&finder, &query, letter)) {
            say("the value '%s' does not fit its option; `pinhole-rec find --help` tells more",
                optarg);
            return REC_USAGE;
        }
    }
    if (optind == argc) {
        say("find where? `pinhole-rec find --help` tells more");
        return REC_USAGE;
    }
    rec_media_load();
    if (rec_media_of(finder.export.container) == NULL) {
        say("there is no libavformat: only --container jpeg");
        return REC_USAGE;
    }
    const char *folder = finder.export.folder;
    if (folder != NULL && mkdir(folder, 0777) < 0 && errno != EEXIST) {
        say("cannot make the folder %s: %s", folder, strerror(errno));
        return 1;
    }
    for (; optind < argc; optind++)
        if (!find_in(&finder, &query, argv[optind]))
            finder.faults++;
    return finder.count == 0 || finder.faults > 0;
}

#else

#include "tools/rec/rec.h"

int rec_find(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    say("there is no SQLite in this build: find is not possible");
    return REC_USAGE;
}

#endif
