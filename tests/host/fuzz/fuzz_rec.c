// SPDX-License-Identifier: MIT
// Reaches: tools/rec/recover.c tools/rec/sidecar.c tools/rec/reader.c
// What a recorder finds after a crash: a folder whose unfinished sidecar is the input, beside media
// of one of three kinds. The first byte chooses the media. Recovery leaves a folder that it accepts
// the next time, and nothing unfinished.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/rec/recover.h"
#include "tools/rec/segment.h"

#define MEDIA_BYTES 4096

enum { NO_MEDIA, PART, FINAL, PICTURES, PICTURES_FINAL, MEDIA_KINDS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char folder[] = "/dev/shm/pinhole-fuzz-XXXXXX";

static void require(bool is_right)
{
    if (!is_right)
        abort();
}

static void remove_folder(void)
{
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    require(mkdtemp(folder) != NULL);
    atexit(remove_folder);
    return 0;
}

static void write_file(const char *name, const void *bytes, size_t count)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, bytes, count) == (ssize_t)count);
    close(fd);
}

static void make_folder(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    require(mkdir(path, 0700) == 0);
}

static void make_media(unsigned kind)
{
    static uint8_t media[MEDIA_BYTES];
    for (size_t i = 0; i < sizeof media; i += 2) {
        media[i] = 0xff;
        media[i + 1] = 0xd8; // a picture begins at each even offset
    }
    if (kind == PART)
        write_file("000002_x.mkv.part", media, sizeof media);
    if (kind == FINAL)
        write_file("000002_x.mp4", media, sizeof media);
    if (kind == PICTURES || kind == PICTURES_FINAL) {
        make_folder(kind == PICTURES ? "000002_x.part" : "000002_x");
        write_file(kind == PICTURES ? "000002_x.part/000000000001.jpg"
                                    : "000002_x/000000000001.jpg",
                   media, 100);
        write_file(kind == PICTURES ? "000002_x.part/000000000002.jpg"
                                    : "000002_x/000000000002.jpg",
                   media, 200);
    }
}

/** Empties a folder. Returns how many unfinished things were in it. */
static unsigned empty(const char *path)
{
    unsigned unfinished = 0;
    DIR *handle = opendir(path);
    require(handle != NULL);
    for (struct dirent *entry; (entry = readdir(handle)) != NULL;) {
        char child[512];
        if (entry->d_name[0] == '.')
            continue;
        unfinished += strstr(entry->d_name, ".part") != NULL;
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (unlink(child) < 0) {
            empty(child);
            require(rmdir(child) == 0);
        }
    }
    closedir(handle);
    return unfinished;
}

static bool is_same(const struct rec_position *a, const struct rec_position *b)
{
    bool is_equal = a->is_known == b->is_known && a->count == b->count;
    for (unsigned i = 0; is_equal && i < a->count; i++)
        is_equal = a->boots[i].boot_id == b->boots[i].boot_id &&
                   a->boots[i].last == b->boots[i].last &&
                   a->boots[i].is_closed == b->boots[i].is_closed;
    return is_equal;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct rec_position first, second;
    struct rec_found *found;
    char serial[64] = "";
    if (bytes < 1)
        return 0;
    make_media(*data % MEDIA_KINDS);
    write_file("000002_x.jsonl.part", data + 1, bytes - 1);
    // A complete one before it: where the newest says nothing, this one is asked.
    write_file("000001_x.jsonl", data + 1, bytes - 1);
    write_file("000003_y.jsonl.gone", "", 0);
    rec_media_load();
    rec_recover_folder(folder, NULL);
    int count = rec_recover_list(folder, &found);
    require(count >= 1 && count <= 2);
    free(found);
    require(rec_recover_position(folder, &first, serial, sizeof serial) == 0);
    require(first.count <= REC_BOOTS_MAX && strlen(serial) < sizeof serial);
    uint64_t next_serial = 0;
    require(rec_recover_next_serial(folder, &next_serial) == 0 && next_serial >= 1);

    // What was recovered is complete, and says the same again.
    rec_recover_folder(folder, NULL);
    require(rec_recover_list(folder, &found) == count);
    free(found);
    require(rec_recover_position(folder, &second, serial, sizeof serial) == 0);
    require(is_same(&first, &second));
    require(empty(folder) == 0);
    return 0;
}
