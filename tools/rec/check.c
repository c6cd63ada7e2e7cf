// SPDX-License-Identifier: MIT
#include "tools/rec/check.h"

#include "tools/common/text.h"
#include "tools/rec/crc32c.h"
#include "tools/rec/recover.h"
#include "tools/rec/segment.h"
#include "tools/rec/whole.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "Usage: pinhole-rec check FOLDER...\n"
    "Reads recordings and compares them with their sidecars: each frame is there and has its\n"
    "checksum (CRC-32C), and the lines of a boot cover its records without a hole or an overlap.\n"
    "FOLDER is a camera's folder or the folder of the folders. Of several, those of one camera "
    "are\n"
    "also put together: what is in none of them, or in two, is a fault. A recorder may be "
    "running:\n"
    "what it has not completed is left out. Prints a line per fault, and a sum.\n"
    "Exit codes: 0 no fault; 1 a fault; 2 wrong usage, or nothing to check.\n";

struct sum {
    uint64_t segments, frames, faults;
    uint64_t without_checksum; /**< of an older recorder */
    struct rec_whole *whole;   /**< NULL: one folder */
    struct name *names;        /**< of cameras and folders, for `whole` */
};

/** A text that stays until the end, once. */
struct name {
    struct name *next;
    char text[REC_PATH_SIZE];
};

/** One camera's folder while it is read, segment by segment. */
struct walk {
    struct sum *sum;
    const char *folder;
    const char *segment; /**< file name of the sidecar */
    int folder_fd;
    int media_fd; /**< -1 = there is none */
    struct rec_position position;
    const char *camera; /**< for `whole` */
};

static const char *keep(struct sum *sum, const char *text)
{
    struct name *name = sum->names;
    while (name != NULL && strcmp(name->text, text) != 0)
        name = name->next;
    if (name != NULL)
        return name->text;
    name = calloc(1, sizeof *name);
    if (name == NULL)
        return "";
    snprintf(name->text, sizeof name->text, "%s", text);
    name->next = sum->names;
    sum->names = name;
    return name->text;
}

__attribute__((format(printf, 2, 3))) static void fault(struct walk *walk, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    walk->sum->faults++;
    text_print(stdout, walk->folder);
    printf("/%s: ", walk->segment);
    text_print(stdout, text);
    fputc('\n', stdout);
}

/** The frame's bytes on the heap; NULL after saying what is wrong. */
static uint8_t *read_frame(struct walk *walk, const struct rec_line *line)
{
    const bool is_file = line->file[0] != '\0';
    int fd = walk->media_fd;
    if (is_file && fd >= 0)
        fd = openat(walk->media_fd, line->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fault(walk, "frame %" PRIu64 ": cannot read %s", line->first,
              is_file ? line->file : "the media file");
        return NULL;
    }
    int error;
    uint8_t *jpeg = rec_media_read(fd, is_file ? 0 : line->offset, line->bytes, &error);
    if (is_file)
        close(fd);
    if (jpeg == NULL)
        fault(walk, "frame %" PRIu64 ": its %" PRIu64 " bytes are not in the media", line->first,
              line->bytes);
    return jpeg;
}

static void check_frame(struct walk *walk, const struct rec_line *line)
{
    walk->sum->frames++;
    uint8_t *jpeg = read_frame(walk, line);
    if (jpeg == NULL)
        return;
    if (!line->has_crc) {
        walk->sum->without_checksum++;
        if (line->bytes < 2 || jpeg[0] != 0xFF || jpeg[1] != 0xD8)
            fault(walk, "frame %" PRIu64 ": where it should be is no JPEG", line->first);
    } else if (rec_crc32c(jpeg, (size_t)line->bytes) != line->crc32c) {
        fault(walk, "frame %" PRIu64 ": its checksum is wrong, it was changed or damaged",
              line->first);
    }
    free(jpeg);
}

/** Each record has one line, or is in the range of one. */
static void check_order(struct walk *walk, const struct rec_line *line)
{
    struct rec_position *at = &walk->position;
    if (line->type == REC_LINE_SEGMENT && walk->sum->segments > 0 && at->is_known) {
        // What it says of boots follows from the segments before, unless some were deleted.
        const struct rec_line keep = *line;
        if (keep.position.is_known)
            rec_position_follow(at, &keep);
        return;
    }
    if (line->type == REC_LINE_BOOT && !at->is_known)
        return; // a recording begins anywhere in the first boot's log
    const bool is_record = line->type == REC_LINE_FRAME || line->type == REC_LINE_EVENT ||
                           line->type == REC_LINE_MISSING || line->type == REC_LINE_LEFT_OUT;
    const struct rec_boot *boot = rec_position_find(at, line->boot_id);
    if (is_record && boot != NULL && at->is_known && line->first != boot->last + 1 &&
        line->type != REC_LINE_OTHER)
        fault(walk,
              line->first <= boot->last ? "record %" PRIu64 " comes after %" PRIu64
                                        : "record %" PRIu64 " follows %" PRIu64
                                          ": what is between is not said",
              line->first, boot->last);
    rec_position_follow(at, line);
}

static void open_media(struct walk *walk, const struct rec_line *line)
{
    if (walk->media_fd >= 0)
        close(walk->media_fd);
    walk->media_fd = line->media[0] != '\0' && strchr(line->media, '/') == NULL
                         ? openat(walk->folder_fd, line->media, O_RDONLY | O_CLOEXEC)
                         : -1;
}

static void check_whole(struct walk *walk, const struct rec_line *line)
{
    if (walk->sum->whole == NULL)
        return;
    if (line->type == REC_LINE_SEGMENT)
        walk->camera = keep(walk->sum, line->camera);
    if (walk->camera != NULL &&
        !rec_whole_add(walk->sum->whole, walk->camera, keep(walk->sum, walk->folder), line))
        fault(walk, "out of memory");
}

static void check_segment(struct walk *walk)
{
    struct rec_line line;
    struct rec_reader *reader;
    struct stat status = {0};
    int fd = openat(walk->folder_fd, walk->segment, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || rec_reader_open(&reader, fd) < 0) {
        fault(walk, "cannot be read: %s", strerror(errno));
        return;
    }
    walk->media_fd = -1;
    int result;
    while ((result = rec_reader_next(reader, &line)) > 0) {
        if (line.type == REC_LINE_SEGMENT)
            open_media(walk, &line);
        if (line.type == REC_LINE_FRAME)
            check_frame(walk, &line);
        check_order(walk, &line);
        check_whole(walk, &line);
    }
    if (result < 0)
        fault(walk, "cannot be read: %s", strerror(-result));
    else if (rec_reader_at(reader) != status.st_size)
        fault(walk, "after byte %lld are no whole lines", (long long)rec_reader_at(reader));
    rec_reader_close(reader);
    if (walk->media_fd >= 0)
        close(walk->media_fd);
    walk->sum->segments++;
}

/** Segments of one camera. How many there are, or -errno. */
static int check_camera(const char *folder, struct sum *sum)
{
    struct rec_found *found;
    struct walk walk = {.sum = sum, .folder = folder};
    int count = rec_recover_list(folder, &found);
    if (count < 0)
        return count;
    walk.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < count && walk.folder_fd >= 0; i++) {
        char name[REC_FILE_SIZE];
        walk.segment = rec_segment_name(name, found[i].name, ".jsonl", false);
        check_segment(&walk);
    }
    if (walk.folder_fd >= 0)
        close(walk.folder_fd);
    free(found);
    return count;
}

static int check_folder(const char *path, struct sum *sum)
{
    int count = check_camera(path, sum);
    DIR *folder = count == 0 ? opendir(path) : NULL;
    if (folder == NULL)
        return count;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char camera[REC_PATH_SIZE];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(camera, sizeof camera, "%.*s/%s", REC_PATH_SIZE - 264, path, entry->d_name);
        const int found = check_camera(camera, sum);
        count += found > 0 ? found : 0;
    }
    closedir(folder);
    return count;
}

int rec_check(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    struct sum sum = {0};
    int letter;
    while ((letter = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (letter == 'h')
            fputs(help, stdout);
        return letter == 'h' ? REC_OK : REC_USAGE;
    }
    if (argc - optind > 1)
        sum.whole = rec_whole_new();
    for (int i = optind; i < argc; i++) {
        int count = check_folder(argv[i], &sum);
        // A recorder of a group may have got nothing yet.
        const bool is_empty = count == 0 && (sum.whole == NULL || i + 1 == argc);
        if (count < 0 || (is_empty && sum.segments == 0)) {
            say("%s: %s", argv[i], count < 0 ? strerror(-count) : "no complete segment");
            return REC_USAGE;
        }
    }
    if (optind == argc) {
        say("check what? `pinhole-rec check --help` tells more");
        return REC_USAGE;
    }
    if (sum.whole != NULL)
        sum.faults += rec_whole_print(sum.whole);
    rec_whole_free(sum.whole);
    for (struct name *name = sum.names, *next; name != NULL; name = next) {
        next = name->next;
        free(name);
    }
    printf("%" PRIu64 " segments, %" PRIu64 " frames, %" PRIu64 " faults\n", sum.segments,
           sum.frames, sum.faults);
    if (sum.without_checksum > 0)
        printf("%" PRIu64 " frames have no checksum: an older recorder wrote them\n",
               sum.without_checksum);
    return sum.faults > 0 ? 1 : 0;
}
