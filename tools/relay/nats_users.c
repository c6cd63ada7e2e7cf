// SPDX-License-Identifier: MIT
#include "tools/relay/nats_users.h"

#include "tools/common/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(char why[RELAY_WHY_BYTES], const char *path, const char *what)
{
    snprintf(why, RELAY_WHY_BYTES, "%.600s: %s", path, what);
    return -EINVAL;
}

/** Makes a file that only its owner can read. An existing one stays. */
static int make_file(const char *path, char why[RELAY_WHY_BYTES])
{
    char seed[NKEY_SEED_BYTES];
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : fail(why, path, strerror(errno));
    FILE *file = fdopen(fd, "w");
    bool is_good = file != NULL && nkey_make(seed) && fprintf(file, "nkey: %s\n", seed) > 0 &&
                   fflush(file) == 0 && fsync(fd) == 0;
    const int error = errno;
    if (file != NULL)
        fclose(file);
    else
        close(fd);
    if (is_good)
        return 0;
    unlink(path);
    return fail(why, path, strerror(error));
}

static int take_user(char out[NKEY_PUBLIC_BYTES], const char *folder, const char *name,
                     char why[RELAY_WHY_BYTES])
{
    char path[RELAY_TEXT_BYTES + LEVEL_BYTES + 10], line[1024];
    snprintf(path, sizeof path, "%s/%s.nkey", folder, name);
    if (make_file(path, why) < 0 || secret_read(path, "", line, sizeof line, why, RELAY_WHY_BYTES))
        return -EINVAL;
    const char *seed = nkey_in_line(line);
    if (seed == NULL || !nkey_public(out, seed))
        return fail(why, path, "its first line has no seed of a user (nkey: SU...)");
    return 0;
}

int relay_users_make(struct relay_users *out, const struct relay_settings *settings,
                     char why[RELAY_WHY_BYTES])
{
    const char *folder = settings->keys_folder;
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return fail(why, folder, strerror(errno));
    out->keys = calloc(settings->leaves_count + 1, sizeof *out->keys);
    if (out->keys == NULL)
        return fail(why, folder, strerror(ENOMEM));
    int result = take_user(out->keys[0], folder, RELAY_FLEET_USER, why);
    for (unsigned i = 0; i < settings->leaves_count && result == 0; i++) {
        if (strcmp(settings->leaves[i], RELAY_FLEET_USER) == 0)
            return fail(why, RELAY_FLEET_USER, "this name is the hub's own user");
        result = take_user(out->keys[i + 1], folder, settings->leaves[i], why);
    }
    return result;
}

/** The hub asks the leaf's JetStream, which answers the question ($JSC.R), delivers by the subject
 * that --gather names, and waits for flow control ($JS.FC). */
static void print_leaf(FILE *out, const char *key, const char *name, const char *stream)
{
    fprintf(out,
            "      { # %s\n"
            "        nkey: %s\n"
            "        permissions: {\n"
            "          publish: { allow: [\"pinhole.%s.>\", \"$JSC.R.*\"] }\n"
            "          subscribe: { allow: [\"$JS.%s.API.>\", \"$JS.FC.%s.>\"] }\n"
            "        }\n"
            "      }\n",
            name, key, name, name, stream);
}

void relay_users_print(FILE *out, const struct relay_users *users,
                       const struct relay_settings *settings)
{
    // nats-server takes a leaf without credentials, into the account that nobody has: $G.
    fputs("# A leaf that names no user gets into an account of its own, where nothing is.\n"
          "accounts {\n"
          "  PINHOLE {\n"
          "    jetstream: enabled\n"
          "    users: [\n",
          out);
    fprintf(out, "      { nkey: %s } # " RELAY_FLEET_USER ": recorders and --gather\n",
            users->keys[0]);
    for (unsigned i = 0; i < settings->leaves_count; i++)
        print_leaf(out, users->keys[i + 1], settings->leaves[i], settings->stream);
    fputs("    ]\n  }\n}\n", out);
}
