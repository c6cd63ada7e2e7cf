// SPDX-License-Identifier: MIT
// An uplink to a name: it is looked up by a helper process, here a script in place of getent(1).
#include "net/server/resolve.h"
#include "tests/host/support/server_bench.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/host/support/virtual_clock.h"

enum { PATIENCE_S = 60 };

static struct bench b;
static const struct server_config usual;
static char folder[32], path_before[4096];

/** Puts a script where getent is looked for. `arguments` in the folder notes what it was called
 * with. */
static void write_getent(const char *body)
{
    char path[64];
    snprintf(path, sizeof path, "%s/getent.new", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\necho \"$@\" >> '%s/arguments'\n%s\n", folder, body);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0700), 0);
    char final[64];
    snprintf(final, sizeof final, "%s/getent", folder);
    assert_int_equal(rename(path, final), 0);
}

static int set_up(void **state)
{
    (void)state;
    char path[sizeof folder + sizeof path_before];
    strcpy(folder, "/tmp/pinhole-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path_before, sizeof path_before, "%s", getenv("PATH"));
    snprintf(path, sizeof path, "%s:%s", folder, path_before);
    return setenv("PATH", path, 1);
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"getent", "arguments"};
    char path[64];
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    return setenv("PATH", path_before, 1);
}

static int listen_at(const char *host, unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t size = sizeof address;
    inet_pton(AF_INET, host, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/** Turns the loop until the node has dialled this listener. Time passes for the node in small
 * steps, so that a helper which is slow on a busy machine is still waited for. */
static int accept_uplink(int listener)
{
    const time_t start = time(NULL);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0)
            return fd;
        assert_true(time(NULL) - start < PATIENCE_S);
        if (!server_resolve_is_on(&b.server.uplink.resolver))
            virtual_now_ns += 50 * NS_PER_MS;
        bench_turn(&b);
        usleep(1000);
    }
}

static void say_something(int fd)
{
    struct wire_header header = {.version = 1, .type = WIRE_TYPE_PING, .tag = 1};
    uint8_t ping[WIRE_HEADER_BYTES];
    wire_put_header(ping, &header);
    assert_int_equal(send(fd, ping, sizeof ping, 0), sizeof ping);
    bench_settle(&b);
}

static void test_a_name_is_looked_up_again_when_the_link_breaks(void **state)
{
    (void)state;
    unsigned port = 0;
    char text[64], line[128] = "", path[64];
    int first = listen_at("127.0.0.1", &port), second = listen_at("127.0.0.2", &port);
    bench_open(&b, 8, &usual, NULL);
    write_getent("echo '127.0.0.1       STREAM relay.example'\n"
                 "echo '127.0.0.1       DGRAM'\necho '127.0.0.1       RAW'");
    snprintf(text, sizeof text, "relay.example:%u", port);
    assert_int_equal(server_dial(&b.server, text), 0);
    int fd = accept_uplink(first);
    say_something(fd);
    write_getent("echo '127.0.0.2       STREAM relay.example'");
    close(fd);
    fd = accept_uplink(second); // the name has another address now
    say_something(fd);
    close(fd);
    bench_close(&b);
    close(first);
    close(second);

    snprintf(path, sizeof path, "%s/arguments", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    assert_string_equal(line, "ahosts -- relay.example\n");
}

static void test_each_attempt_takes_the_next_address(void **state)
{
    (void)state;
    unsigned port = 0;
    char text[64];
    int listener = listen_at("127.0.0.3", &port);
    bench_open(&b, 8, &usual, NULL);
    write_getent("echo '127.0.0.1 STREAM relay'; echo '127.0.0.2 STREAM'; echo '127.0.0.3 STREAM'");
    snprintf(text, sizeof text, "relay:%u", port);
    assert_int_equal(server_dial(&b.server, text), 0);
    close(accept_uplink(listener));
    bench_close(&b);
    close(listener);
}

/** What a resolver may do wrong delays the uplink and nothing else. */
static void test_a_resolver_that_fails_is_asked_again(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "exit 2",
        "echo 'garbage'; echo; echo ' STREAM'; echo 'x STREAM y'",
        "head -c 100000 /dev/zero | tr '\\0' 'a'",
        "printf '127.0.0.1 STREAM cut'",
        "kill -9 $$",
    };
    unsigned port = 0;
    char text[64];
    int listener = listen_at("127.0.0.1", &port);
    snprintf(text, sizeof text, "relay:%u", port);
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        bench_open(&b, 8, &usual, NULL);
        write_getent(bodies[i]);
        assert_int_equal(server_dial(&b.server, text), 0);
        const time_t start = time(NULL);
        while (!b.server.uplink.said_unreachable) {
            assert_true(time(NULL) - start < PATIENCE_S);
            bench_turn(&b);
            usleep(1000);
        }
        assert_int_equal(b.server.uplink.fd, -1);
        write_getent("echo '127.0.0.1 STREAM relay'");
        close(accept_uplink(listener));
        bench_close(&b);
    }
    close(listener);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *folder_of = opendir("/proc/self/fd");
    while (readdir(folder_of) != NULL)
        count++;
    closedir(folder_of);
    return count;
}

static void test_a_resolver_that_hangs_holds_nothing_up(void **state)
{
    (void)state;
    struct bench_client client;
    unsigned port = 0;
    char text[64];
    int listener = listen_at("127.0.0.1", &port);
    snprintf(text, sizeof text, "relay:%u", port);
    bench_open(&b, 8, &usual, NULL);
    write_getent("exec sleep 1000");
    const unsigned before = open_descriptors();
    assert_int_equal(server_dial(&b.server, text), 0);
    bench_settle(&b);
    const pid_t helper = b.server.uplink.resolver.pid;
    assert_true(helper > 0);
    bench_greet(&b, &client, 0); // others are served meanwhile
    bench_hang_up(&client);
    virtual_now_ns += 11 * NS_PER_S;
    bench_settle(&b);
    assert_true(b.server.uplink.said_unreachable);
    write_getent("echo '127.0.0.1 STREAM relay'");
    int fd = accept_uplink(listener);
    assert_int_not_equal(b.server.uplink.resolver.pid, helper); // ended and reaped
    close(fd);
    bench_settle(&b);
    assert_int_equal(open_descriptors(), before);
    bench_close(&b);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_is_looked_up_again_when_the_link_breaks),
        cmocka_unit_test(test_each_attempt_takes_the_next_address),
        cmocka_unit_test(test_a_resolver_that_fails_is_asked_again),
        cmocka_unit_test(test_a_resolver_that_hangs_holds_nothing_up),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
