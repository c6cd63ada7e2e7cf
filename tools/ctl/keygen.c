// SPDX-License-Identifier: MIT
// pinholectl keygen: a key for a node and its clients.
#include "tools/ctl/ctl.h"
#include "tools/ctl/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_BYTES = 32 };

/** Makes the folders of the user's own key, for this user alone. */
static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700); // what fails here fails again when the file is made
        *slash = '/';
    }
}

/** 0, or -errno. A file that is there stays as it is. */
static int write_key(const char *path)
{
    uint8_t key[KEY_BYTES];
    char text[2 * KEY_BYTES + 2];
    if (getrandom(key, sizeof key, 0) != sizeof key)
        return -errno;
    for (size_t i = 0; i < sizeof key; i++)
        snprintf(text + 2 * i, sizeof text - 2 * i, "%02x", key[i]);
    text[2 * KEY_BYTES] = '\n';
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int result = ctl_file_write(fd, text, 2 * KEY_BYTES + 1);
    if (close(fd) < 0 && result == 0)
        result = -errno;
    if (result < 0)
        unlink(path);
    return result;
}

static int run_keygen(struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {CTL_LONG};
    char path[CTL_PATH_MAX];
    const int letter = ctl_option(ctl, argc, argv, CTL_SHORT, options);
    if (letter < 0)
        return ctl_option_exit(letter);
    if (argc - optind > 1)
        return ctl_usage_error("keygen takes one file, not also '%s'", argv[optind + 1]);
    if (optind < argc) {
        if (snprintf(path, sizeof path, "%s", argv[optind]) >= (int)sizeof path)
            return ctl_usage_error("the name of the file is too long");
    } else if (ctl_key_path(path, sizeof path)) {
        make_folders(path);
    } else {
        return ctl_usage_error("where to? There is no HOME; name a file");
    }
    const int result = write_key(path);
    if (result < 0) {
        fprintf(stderr, "pinholectl: cannot make %s: %s\n", path, strerror(-result));
        return CTL_REFUSED;
    }
    if (ctl->wants_json)
        ctl_print_json(json_pack("{s:s}", "file", path));
    else
        puts(path);
    return CTL_OK;
}

const struct ctl_command ctl_keygen = {
    "keygen", run_keygen, "[FILE]", "Makes a key for a node and its clients",
    "Writes 32 random bytes in hexadecimal to FILE, which only this user can read, and prints its\n"
    "name. Without FILE it is ~/.config/pinhole/key, which pinholectl uses for nodes on other\n"
    "machines. A file that is there is never overwritten. The node reads its copy by\n"
    "server.control_key_file or server.view_key_file.\n"};
