// SPDX-License-Identifier: MIT
#include "tools/rec/find.h"

#ifdef HAVE_SQLITE

#include "tools/common/json.h"
#include "tools/common/text.h"
#include "tools/rec/crc32c.h"
#include "tools/rec/index.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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
    "What a recorder has not completed is left out.\n"
    "Exit codes: 0 found; 1 nothing, or a picture cannot be exported; 2 wrong usage.\n";

struct finder {
    bool is_json;
    const char *export_folder;
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

static void print_time(char *out, size_t bytes, int64_t realtime_ns, const char *format)
{
    char date[32];
    const time_t seconds = (time_t)(realtime_ns / (int64_t)NS_PER_S);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(date, sizeof date, format, &parts);
    snprintf(out, bytes, "%s.%09" PRId64 "Z", date, realtime_ns % (int64_t)NS_PER_S);
}

// --- what is done with a picture -----------------------------------------------------------------

static void print_hit(const struct finder *finder, const struct rec_hit *hit)
{
    char when[64];
    print_time(when, sizeof when, hit->realtime_ns, "%Y-%m-%dT%H:%M:%S");
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

/** The picture's bytes on the heap; NULL: they are not there, or changed. */
static uint8_t *read_picture(const struct rec_hit *hit)
{
    struct stat status;
    int fd = open(hit->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    uint8_t *jpeg = NULL;
    if (fstat(fd, &status) == 0 && hit->bytes > 0 && hit->bytes <= status.st_size)
        jpeg = malloc((size_t)hit->bytes);
    const ssize_t got = jpeg != NULL ? pread(fd, jpeg, (size_t)hit->bytes, (off_t)hit->offset) : -1;
    close(fd);
    if (got == hit->bytes && (!hit->has_crc || rec_crc32c(jpeg, (size_t)got) == hit->crc32c))
        return jpeg;
    free(jpeg);
    return NULL;
}

/** Writes CAMERA_TIME_SEQUENCE.jpg. False after saying what was wrong. */
static bool export_picture(const struct finder *finder, const struct rec_hit *hit)
{
    char name[REC_NAME_SIZE], when[64], path[REC_PATH_SIZE];
    rec_name_to_file(name, hit->camera);
    print_time(when, sizeof when, hit->realtime_ns, "%Y%m%dT%H%M%S");
    snprintf(path, sizeof path, "%.600s/%s_%s_%" PRId64 ".jpg", finder->export_folder, name, when,
             hit->sequence);
    uint8_t *jpeg = read_picture(hit);
    if (jpeg == NULL) {
        say("%s: the picture at %" PRId64 " is not there, or damaged", hit->path, hit->offset);
        return false;
    }
    FILE *file = fopen(path, "wbe");
    bool is_good = file != NULL && fwrite(jpeg, (size_t)hit->bytes, 1, file) == 1;
    if (file != NULL && fclose(file) != 0)
        is_good = false;
    if (!is_good)
        say("%s: %s", path, strerror(errno));
    free(jpeg);
    return is_good;
}

static void visit(void *user, const struct rec_hit *hit)
{
    struct finder *finder = user;
    finder->count++;
    print_hit(finder, hit);
    if (finder->export_folder != NULL && !export_picture(finder, hit))
        finder->faults++;
}

// --- the command line ----------------------------------------------------------------------------

enum { CAMERA = 1, FROM, TO, TRIGGER, JSON, EXPORT };
static const struct option options[] = {{"camera", required_argument, NULL, CAMERA},
                                        {"from", required_argument, NULL, FROM},
                                        {"to", required_argument, NULL, TO},
                                        {"trigger", required_argument, NULL, TRIGGER},
                                        {"json", no_argument, NULL, JSON},
                                        {"export", required_argument, NULL, EXPORT},
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
    default: finder->export_folder = optarg; return true;
    }
}

static bool find_in(struct finder *finder, const struct rec_query *query, const char *folder)
{
    struct rec_index *index = rec_index_open(folder);
    const bool is_good = index != NULL && rec_index_find(index, query, visit, finder);
    rec_index_close(index);
    return is_good;
}

int rec_find(int argc, char **argv)
{
    struct finder finder = {0};
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
    if (finder.export_folder != NULL && mkdir(finder.export_folder, 0777) < 0 && errno != EEXIST) {
        say("cannot make the folder %s: %s", finder.export_folder, strerror(errno));
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
