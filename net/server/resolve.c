// SPDX-License-Identifier: MIT
#include "net/server/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/** Each address is on a line "ADDRESS STREAM NAME", and on others with DGRAM and RAW. */
#define MARK " STREAM"

void server_resolve_init(struct server_resolver *resolver, struct loop *loop)
{
    *resolver = (struct server_resolver){.loop = loop, .fd = -1};
}

bool server_resolve_is_on(const struct server_resolver *resolver)
{
    return resolver->fd >= 0;
}

/** Frees the helper's process entry if it has ended. */
static void reap(struct server_resolver *resolver)
{
    if (resolver->pid > 0 && waitpid(resolver->pid, NULL, WNOHANG) != 0)
        resolver->pid = 0;
}

static void close_pipe(struct server_resolver *resolver)
{
    loop_fd_remove(resolver->loop, resolver->token);
    close(resolver->fd);
    resolver->fd = -1;
}

void server_resolve_stop(struct server_resolver *resolver)
{
    if (resolver->fd >= 0)
        close_pipe(resolver);
    if (resolver->pid > 0)
        kill(resolver->pid, SIGKILL);
    reap(resolver);
}

static void on_output(void *user, uint32_t events, uint64_t now_ns)
{
    struct server_resolver *resolver = user;
    (void)events;
    const size_t room = sizeof resolver->text - 1 - resolver->used;
    const ssize_t got = read(resolver->fd, resolver->text + resolver->used, room);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0) {
        resolver->used += (size_t)got;
        resolver->text[resolver->used] = '\0';
        if (resolver->used < sizeof resolver->text - 1)
            return;
    }
    server_resolve_stop(resolver); // a name with more addresses than fit has enough
    resolver->done(resolver->user, now_ns);
}

/** In the child of vfork(), which shares our memory: only system calls. */
static void run_helper(const char *host, int out)
{
    char *const arguments[] = {(char *)(uintptr_t)"getent", (char *)(uintptr_t)"ahosts",
                               (char *)(uintptr_t)"--", (char *)(uintptr_t)host, NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(out, STDOUT_FILENO) >= 0)
        execvp(arguments[0], arguments);
    _exit(127);
}

int server_resolve_start(struct server_resolver *resolver, const char *host, loop_timer_fn *done,
                         void *user)
{
    int ends[2];
    reap(resolver);
    if (resolver->pid > 0)
        return -EBUSY;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK); // our end only
    resolver->used = 0;
    resolver->text[0] = '\0';
    resolver->done = done;
    resolver->user = user;
    // fork() would copy the page tables of the store, and posix_spawn() needs heap to redirect
    // output. NOLINTBEGIN(bugprone-unsafe-functions,cert-msc24-c,cert-msc33-c)
    // NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork)
    const pid_t pid = vfork();
    if (pid == 0)
        run_helper(host, ends[1]);
    // NOLINTEND(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork)
    // NOLINTEND(bugprone-unsafe-functions,cert-msc24-c,cert-msc33-c)
    int status = pid < 0 ? -errno : 0;
    close(ends[1]);
    if (status == 0) {
        resolver->pid = pid;
        resolver->fd = ends[0];
        resolver->token = loop_fd_add(resolver->loop, ends[0], EPOLLIN, on_output, resolver);
        if (resolver->token != 0)
            return 0;
        status = -errno;
        resolver->fd = -1;
        server_resolve_stop(resolver);
    }
    close(ends[0]);
    return status;
}

/** The next line with an address, from `at` on; NULL: there is none. *length is the address's. */
static const char *next_address(const char *at, size_t *length)
{
    while (*at != '\0') {
        const size_t line = strcspn(at, "\n");
        *length = strcspn(at, " \t\n");
        const size_t gap = strspn(at + *length, " \t");
        // A line that was cut off counts for nothing.
        if (at[line] == '\n' && *length > 0 && gap > 0 &&
            strncmp(at + *length + gap - 1, MARK, strlen(MARK)) == 0)
            return at;
        at += line + (at[line] == '\n');
    }
    return NULL;
}

unsigned server_resolve_count(const struct server_resolver *resolver)
{
    unsigned count = 0;
    size_t length = 0;
    for (const char *at = resolver->text; (at = next_address(at, &length)) != NULL; count++)
        at = strchr(at, '\n');
    return count;
}

void server_resolve_get(const struct server_resolver *resolver, unsigned index, char *out,
                        size_t size)
{
    size_t length = 0;
    const char *at = next_address(resolver->text, &length);
    for (; at != NULL && index > 0; index--)
        at = next_address(strchr(at, '\n'), &length);
    snprintf(out, size, "%.*s", at != NULL ? (int)length : 0, at != NULL ? at : "");
}
