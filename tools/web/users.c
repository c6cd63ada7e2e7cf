// SPDX-License-Identifier: MIT
#include "tools/web/users.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 16384, PATH_BYTES = 512 };

static const char *const role_names[] = {"none", "view", "control"};

bool web_role_read(enum web_role *role, const char *text)
{
    for (enum web_role each = WEB_ROLE_VIEW; each <= WEB_ROLE_CONTROL; each++)
        if (strcmp(text, role_names[each]) == 0) {
            *role = each;
            return true;
        }
    return false;
}

static const char *check_name(const char *name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t length = strlen(name);
    if (length == 0 || length >= WEB_USER_NAME_BYTES || strspn(name, letters) != length)
        return "a name has 1 to 32 letters, digits, dots, hyphens and underscores";
    return NULL;
}

/** Takes a line apart, which it changes. NULL, or what is wrong. */
static const char *take_line(struct web_users *users, char *line)
{
    char *role = strchr(line, ':');
    char *hash = role == NULL ? NULL : strchr(role + 1, ':');
    if (hash == NULL)
        return "a line is NAME:ROLE:HASH";
    *role++ = *hash++ = '\0';
    if (users->count == WEB_USERS_MAX)
        return "there are more than 32 users";
    struct web_user *user = &users->list[users->count];
    const char *wrong = check_name(line);
    if (wrong != NULL)
        return wrong;
    if (web_users_find(users, line) != NULL)
        return "this name has a line already";
    if (!web_role_read(&user->role, role))
        return "a role is view or control";
    if (strlen(hash) >= sizeof user->hash || crypt_checksalt(hash) != CRYPT_SALT_OK)
        return "this is no hash that libcrypt takes; pinhole-web --add-user writes one";
    strcpy(user->name, line);
    strcpy(user->hash, hash);
    users->count++;
    return NULL;
}

static int take_text(struct web_users *users, char *text, const char *path, char *why, size_t size)
{
    char *rest = text;
    for (int number = 1; rest != NULL && *rest != '\0'; number++) {
        char *line = strsep(&rest, "\n");
        line[strcspn(line, "\r")] = '\0';
        const char *wrong = *line == '\0' || *line == '#' ? NULL : take_line(users, line);
        if (wrong != NULL) {
            snprintf(why, size, "--users %s:%d: %s", path, number, wrong);
            return -1;
        }
    }
    return 0;
}

/** Reads the whole file into `text`. NULL, or what is wrong. */
static const char *read_text(int fd, char *text)
{
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode))
        return "it is no file";
    if ((status.st_mode & (S_IWGRP | S_IRWXO)) != 0)
        return "others may read or change it: chmod 600";
    const ssize_t got = read(fd, text, FILE_BYTES_MAX);
    if (got < 0)
        return strerror(errno);
    if (got == FILE_BYTES_MAX)
        return "it is too long";
    text[got] = '\0';
    return strlen(text) == (size_t)got ? NULL : "it is no text";
}

static void find_file(const char *file, char path[PATH_BYTES])
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    if (credentials != NULL && strchr(file, '/') == NULL)
        snprintf(path, PATH_BYTES, "%s/%s", credentials, file);
    else
        snprintf(path, PATH_BYTES, "%s", file);
}

int web_users_read(struct web_users *users, const char *file, char *why, size_t size)
{
    char path[PATH_BYTES], text[FILE_BYTES_MAX + 1];
    users->count = 0;
    text[0] = '\0';
    find_file(file, path);
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const char *wrong = read_text(fd, text);
    if (fd >= 0)
        close(fd);
    if (wrong != NULL) {
        snprintf(why, size, "--users %s: %s", path, wrong);
        return -1;
    }
    if (take_text(users, text, path, why, size) < 0)
        return -1;
    if (users->count == 0)
        snprintf(why, size, "--users %s: there is no user; see pinhole-web --add-user", path);
    return users->count == 0 ? -1 : 0;
}

/** Where a name is, or would be. */
static int find(const struct web_users *users, const char *name)
{
    int at = 0;
    while (at < users->count && strcmp(users->list[at].name, name) != 0)
        at++;
    return at;
}

const struct web_user *web_users_find(const struct web_users *users, const char *name)
{
    const int at = find(users, name);
    return at < users->count ? &users->list[at] : NULL;
}

int web_user_has_password(const struct web_users *users, const struct web_user *user,
                          const char *password)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    if (data == NULL)
        return -ENOMEM;
    const char *hash = user == NULL ? users->list[0].hash : user->hash;
    const char *found = crypt_r(password, hash, data);
    const size_t length = strlen(hash);
    bool is_right = found != NULL && strlen(found) == length && memeql_sec(found, hash, length);
    explicit_bzero(data, sizeof *data);
    free(data);
    return is_right && user != NULL;
}

// --- adding ----------------------------------------------------------------------------------

/** Writes libcrypt's hash of its preferred kind with a salt of the kernel's. NULL, or what is
 * wrong. */
static const char *make_hash(char *out, const char *password)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    const char *found = NULL;
    if (data != NULL && crypt_gensalt_rn(NULL, 0, NULL, 0, salt, sizeof salt) != NULL)
        found = crypt_r(password, salt, data);
    const bool is_good = found != NULL && *found == '$' && strlen(found) < WEB_USER_HASH_BYTES;
    if (is_good)
        strcpy(out, found);
    if (data != NULL)
        explicit_bzero(data, sizeof *data);
    free(data);
    return is_good ? NULL : "libcrypt makes no hash";
}

static const char *write_text(int fd, const struct web_users *users)
{
    for (int i = 0; i < users->count; i++) {
        const struct web_user *user = &users->list[i];
        if (dprintf(fd, "%s:%s:%s\n", user->name, role_names[user->role], user->hash) < 0)
            return strerror(errno);
    }
    return fsync(fd) < 0 ? strerror(errno) : NULL;
}

/** Puts a new file in the place of the old one. NULL, or what is wrong. */
static const char *write_file(const struct web_users *users, const char *file)
{
    char path[PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s.XXXXXX", file);
    const int fd = mkostemp(path, O_CLOEXEC); // mode 0600
    if (fd < 0)
        return strerror(errno);
    const char *wrong = write_text(fd, users);
    if (close(fd) < 0 && wrong == NULL)
        wrong = strerror(errno);
    if (wrong == NULL && rename(path, file) < 0)
        wrong = strerror(errno);
    if (wrong != NULL)
        unlink(path);
    return wrong;
}

static void make_folder(const char *file)
{
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", file);
    char *slash = strrchr(folder, '/');
    if (slash == NULL || slash == folder)
        return;
    *slash = '\0';
    mkdir(folder, 0700); // what is wrong shows when the file is written
}

static const char *add_user(struct web_users *users, const char *name, enum web_role role,
                            const char *password)
{
    const size_t length = strlen(password);
    const char *wrong = check_name(name);
    if (wrong != NULL)
        return wrong;
    if (length < WEB_PASSWORD_BYTES_MIN || length >= WEB_PASSWORD_BYTES)
        return "a password has 8 to 128 bytes";
    const int at = find(users, name);
    if (at == WEB_USERS_MAX)
        return "there are 32 users already";
    struct web_user *user = &users->list[at];
    users->count += at == users->count;
    strcpy(user->name, name);
    user->role = role;
    return make_hash(user->hash, password);
}

int web_users_add(const char *file, const char *name, enum web_role role, const char *password,
                  char *why, size_t size)
{
    struct web_users *users = calloc(1, sizeof *users);
    if (users == NULL) {
        snprintf(why, size, "--add-user %.40s: %s", name, strerror(errno));
        return -1;
    }
    int result = 0;
    if (access(file, F_OK) == 0)
        result = web_users_read(users, file, why, size);
    else
        make_folder(file);
    const char *wrong = result < 0 ? NULL : add_user(users, name, role, password);
    if (result == 0 && wrong == NULL)
        wrong = write_file(users, file);
    if (wrong != NULL)
        snprintf(why, size, "--add-user %.40s, --users %.300s: %s", name, file, wrong);
    free(users);
    return wrong != NULL ? -1 : result;
}

/** Reads a line without its end. False: there is none, or it is too long. */
static bool read_line(char *out, size_t size)
{
    if (fgets(out, (int)size, stdin) == NULL)
        return false;
    const size_t length = strcspn(out, "\r\n");
    const bool is_whole = length < strlen(out) || feof(stdin);
    out[length] = '\0';
    return is_whole;
}

/** The same from a terminal, which does not show it. */
static bool ask(const char *question, char *out, size_t size)
{
    struct termios normal, silent;
    if (tcgetattr(STDIN_FILENO, &normal) < 0)
        return false;
    silent = normal;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    // The question comes second: what is typed before it is thrown away.
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    fputs(question, stderr);
    const bool has_line = read_line(out, size);
    tcsetattr(STDIN_FILENO, TCSANOW, &normal);
    fputc('\n', stderr);
    return has_line;
}

int web_users_add_by_hand(const char *file, const char *name, enum web_role role)
{
    char first[WEB_PASSWORD_BYTES + 2], again[WEB_PASSWORD_BYTES + 2], why[PATH_BYTES + 256] = "";
    const bool is_terminal = isatty(STDIN_FILENO);
    const bool has_line =
        is_terminal ? ask("Password: ", first, sizeof first) && ask("Again: ", again, sizeof again)
                    : read_line(first, sizeof first);
    if (!has_line)
        snprintf(why, sizeof why, "--add-user %.40s: there is no password, or it is too long",
                 name);
    else if (is_terminal && strcmp(first, again) != 0)
        snprintf(why, sizeof why, "--add-user %.40s: the passwords differ", name);
    else
        web_users_add(file, name, role, first, why, sizeof why);
    explicit_bzero(first, sizeof first);
    explicit_bzero(again, sizeof again);
    if (*why != '\0')
        fprintf(stderr, "pinhole-web: %s\n", why);
    return *why == '\0' ? 0 : 2;
}
