// SPDX-License-Identifier: MIT
// Reaches: tools/web/http.c tools/web/control.c tools/web/guard.c tools/web/reply.c
// Reaches: tools/web/admit.c tools/web/cookie.c tools/web/login.c
// Reaches: tools/web/snapshot.c tools/web/state.c tools/web/call.c tools/web/metrics.c
// The gateway's routes and forms over a real connection. The first byte chooses what the rest is: a
// whole request, or the body, query, header or path of a good one. The node behind it answers with
// the same bytes.
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/host/support/text_node.h"
#include "tools/web/gateway.h"

#define INPUT_MAX   6000
#define PATIENCE_MS 2
#define IDLE_MAX    8 /**< times PATIENCE_MS, for the first byte of an answer */
#define ANSWER_MAX  (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct web web;
static struct sockaddr_in address;
static char folder[] = "/tmp/pinhole-fuzz-XXXXXX";
static const char *node;

static void remove_folder(void)
{
    unlink(node + strlen("unix:"));
    rmdir(folder);
}

/** Where the input goes: %s. A body has its length. */
static const struct {
    const char *before, *behind;
    bool is_body;
} requests[] = {
    {"", "", false},
    {"POST /features HTTP/1.1\r\nHost: localhost\r\nX-Pinhole: 1\r\n"
     "Content-Type: application/x-www-form-urlencoded\r\n",
     "", true},
    {"POST /features HTTP/1.1\r\nHost: localhost\r\nX-Pinhole: 1\r\n"
     "Content-Type: application/json\r\n",
     "", true},
    {"POST /features HTTP/1.1\r\nHost: localhost\r\nX-Pinhole: 1\r\n"
     "Content-Type: multipart/form-data; boundary=b\r\n",
     "", true},
    {"POST /trigger HTTP/1.1\r\nHost: localhost\r\nX-Pinhole: 1\r\nContent-Length: 0\r\nOrigin: ",
     "\r\n\r\n", false},
    {"GET /snapshot?", " HTTP/1.1\r\nHost: localhost\r\n\r\n", false},
    {"GET /stream?", " HTTP/1.1\r\nHost: localhost\r\n\r\n", false},
    {"GET /state?", " HTTP/1.1\r\nHost: localhost\r\n\r\n", false},
    {"GET /metrics HTTP/1.1\r\nHost: ", "\r\n\r\n", false},
    {"GET /", " HTTP/1.1\r\nHost: localhost\r\n\r\n", false},
    {"POST /features HTTP/1.1\r\nX-Pinhole: 1\r\nHost: ", "\r\nContent-Length: 3\r\n\r\na=b",
     false},
    {"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", "\r\n\r\n", false},
};

static void require_at(bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    abort();
}
#define require(is_right) require_at(is_right, #is_right)

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    char url[128], why[512];
    pthread_t caller;
    socklen_t length = sizeof address;
    require(mkdtemp(folder) != NULL);
    char *words[] = {"pinhole-web", "--listen", "127.0.0.1:0", "--node", NULL, NULL};
    text_node_say("", 0);
    node = text_node_start(folder);
    require(node != NULL);
    atexit(remove_folder);
    words[4] = (char *)(intptr_t)node;
    require(web_options_read(&web.options, 5, words) < 0);
    int listener = web_listen(web.options.listen, "http", url, sizeof url, why, sizeof why);
    require(listener >= 0 && getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    web.started_ns = clock_now_ns();
    web.view.camera_state = -1;
    web.login.anonymous = WEB_ROLE_CONTROL;
    // Nobody knows her password: libcrypt refuses the hash, and does so at once.
    web.login.users =
        (struct web_users){.list = {{.name = "anna", .role = WEB_ROLE_VIEW}}, .count = 1};
    snprintf(web.login.cookie, sizeof web.login.cookie, "pinhole_1");
    snprintf(web.view.away, sizeof web.view.away, "not connected yet");
    pthread_mutex_init(&web.lock, NULL);
    pthread_cond_init(&web.calls.wanted, NULL);
    web_frame_pool_init(&web.frames);
    require(web_calls_start(&web, &caller) == 0 && web_login_start(&web) == 0 &&
            web_http_start(&web, listener) == 0);
    return 0;
}

/** The fuzzer's own timer interrupts a connect() that waits for its turn. */
static bool is_connected(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return true;
    if (errno != EINTR)
        return false;
    while (poll(&wait, 1, -1) < 0 && errno == EINTR)
        continue;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

/** Streams and snapshots without a picture sleep: they are woken, and see that their time is over.
 */
static void wake(void)
{
    pthread_mutex_lock(&web.lock);
    web_sleep_wake_due(&web.http.sleepers, UINT64_MAX);
    pthread_mutex_unlock(&web.lock);
}

/** Takes the answer until nothing more comes. Every answer begins as HTTP does. */
static void take_answer(int fd)
{
    char bytes[4096];
    size_t total = 0;
    for (int idle = 0; idle < (total == 0 ? IDLE_MAX : 1) && total < ANSWER_MAX;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, PATIENCE_MS) == 0) {
            wake();
            idle++;
            continue;
        }
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0)
            return;
        if (total == 0 && got >= 5)
            require(memcmp(bytes, "HTTP/", 5) == 0);
        total += (size_t)got;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static char message[INPUT_MAX + 512];
    if (bytes < 1 || bytes > INPUT_MAX)
        return 0;
    const size_t choice = *data++ % (sizeof requests / sizeof requests[0]);
    bytes--;
    size_t used = (size_t)snprintf(message, sizeof message, "%s", requests[choice].before);
    if (requests[choice].is_body)
        used += (size_t)snprintf(message + used, sizeof message - used,
                                 "Content-Length: %zu\r\n\r\n", bytes);
    memcpy(message + used, data, bytes);
    used += bytes;
    used += (size_t)snprintf(message + used, sizeof message - used, "%s", requests[choice].behind);
    text_node_say(data, bytes);

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct linger at_once = {.l_onoff = 1}; // no port stays in TIME_WAIT
    require(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    require(is_connected(fd));
    if (send(fd, message, used, MSG_NOSIGNAL) == (ssize_t)used)
        take_answer(fd);
    close(fd);
    return 0;
}
