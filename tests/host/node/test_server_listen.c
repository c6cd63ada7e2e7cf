// SPDX-License-Identifier: MIT
// What the server listens at: addresses and Unix sockets, and connections that it cannot take.
#include "tests/host/support/server_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/host/support/virtual_clock.h"

static struct bench b;
static struct bench_message m;
static const struct server_config usual;
static const struct wire_subscribe every = {.policy = WIRE_POLICY_EVERY};

static void advance(uint64_t step_ns)
{
    virtual_now_ns += step_ns;
    bench_settle(&b);
}

static void test_addresses_in_use_and_wrong_ones_are_refused(void **state)
{
    (void)state;
    struct server other = {0};
    struct loop loop;
    char text[64];
    log_set_level(LOG_LEVEL_ERROR);
    bench_open(&b, 8, &usual, NULL);
    assert_int_equal(loop_init(&loop), 0);
    struct server_config config = b.server.config;
    assert_int_equal(server_init(&other, &loop, &b.store, &config), 0);
    snprintf(text, sizeof text, "127.0.0.1:%u", b.port);
    assert_int_equal(server_listen_tcp(&other, text), -EADDRINUSE);
    const char *const wrong[] = {"",
                                 ":",
                                 ":80",
                                 "127.0.0.1",
                                 "127.0.0.1:",
                                 "127.0.0.1:-1",
                                 "127.0.0.1:65536",
                                 "127.0.0.1:8x",
                                 "example.org:80",
                                 "[::1:80",
                                 "256.0.0.1:80"};
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(server_listen_tcp(&other, wrong[i]), -EINVAL);
    assert_int_equal(other.listener_count, 0);
    loop_close(&loop);
    bench_close(&b);
}

static void make_folder(char folder[32])
{
    strcpy(folder, "/tmp/pinhole-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void test_unix_socket_of_a_live_node_stays(void **state)
{
    (void)state;
    struct server other = {0};
    struct bench_client c;
    char folder[32], path[64];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/socket", folder);
    bench_open(&b, 8, &usual, path);
    other.loop = &b.loop;
    assert_int_equal(server_listen_unix(&other, path), -EADDRINUSE);
    bench_connect_unix(&b, &c);
    bench_expect(&c, WIRE_TYPE_HELLO, &m);
    bench_hang_up(&c);
    bench_close(&b);
    assert_int_equal(access(path, F_OK), -1); // removed at the end
    assert_int_equal(rmdir(folder), 0);
}

static void test_unix_socket_of_a_dead_node_is_replaced(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct bench_client c;
    char folder[32];
    make_folder(folder);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof address), 0);
    close(dead);
    bench_open(&b, 8, &usual, address.sun_path);
    bench_connect_unix(&b, &c);
    bench_expect(&c, WIRE_TYPE_HELLO, &m);
    bench_hang_up(&c);
    bench_close(&b);
    assert_int_equal(rmdir(folder), 0);
}

static void test_a_removed_unix_socket_is_made_again(void **state)
{
    (void)state;
    struct bench_client before, after;
    char folder[32], path[64], moved[48];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/socket", folder);
    snprintf(moved, sizeof moved, "%s-away", folder);
    bench_open(&b, 8, &usual, path);
    bench_connect_unix(&b, &before);
    bench_expect(&before, WIRE_TYPE_HELLO, &m);
    bench_subscribe(&before, &every);
    unsigned watched = bench_watched_fds(&b);

    assert_int_equal(unlink(path), 0);
    advance(SERVER_SOCKET_LOOK_NS + SERVER_TICK_NS);
    bench_connect_unix(&b, &after);
    bench_expect(&after, WIRE_TYPE_HELLO, &m);
    bench_hang_up(&after);

    // The whole folder goes, and comes back later.
    assert_int_equal(rename(folder, moved), 0);
    advance(3 * SERVER_SOCKET_LOOK_NS);
    assert_int_equal(mkdir(folder, 0700), 0);
    advance(SERVER_SOCKET_LOOK_NS + SERVER_TICK_NS);
    bench_connect_unix(&b, &after);
    bench_expect(&after, WIRE_TYPE_HELLO, &m);
    bench_hang_up(&after);
    bench_settle(&b);
    assert_int_equal(bench_watched_fds(&b), watched);
    bench_publish(&b, 100, 0);
    bench_expect_frame(&before, 1, 0); // connections are not affected

    // A file that another program put there since is not removed at the end.
    assert_int_equal(unlink(path), 0);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    bench_hang_up(&before);
    bench_close(&b);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    snprintf(path, sizeof path, "%s/socket", moved);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(moved), 0);
}

/** The lowest descriptor that is free. */
static int next_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

static void test_without_descriptors_it_says_so_and_tries_again(void **state)
{
    (void)state;
    struct rlimit usual_limit, none;
    struct bench_client c;
    char line[512] = "";
    int pipe_fds[2], stderr_fd;
    const char *preload = getenv("LD_PRELOAD");
    if (preload != NULL && strstr(preload, "vgpreload") != NULL) {
        print_message("skip: valgrind takes the connection before it says EMFILE\n");
        skip();
    }
    stderr_fd = dup(STDERR_FILENO);
    bench_open(&b, 8, &usual, NULL);
    assert_int_equal(pipe(pipe_fds), 0);
    bench_connect(&b, &c, 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual_limit), 0);
    none = usual_limit;
    none.rlim_cur = (rlim_t)next_descriptor();
    dup2(pipe_fds[1], STDERR_FILENO);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 10; i++)
        advance(SERVER_TICK_NS);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual_limit), 0);
    dup2(stderr_fd, STDERR_FILENO);
    const uint64_t failed = b.server.stats.accept_failed;
    assert_in_range(failed, 5, 11);
    assert_true(read(pipe_fds[0], line, sizeof line - 1) > 0);
    assert_non_null(strstr(line, "cannot accept connections: Too many open files"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1); // one line, not ten

    advance(SERVER_TICK_NS);
    bench_expect(&c, WIRE_TYPE_HELLO, &m);
    assert_int_equal(b.server.stats.accept_failed, failed);
    bench_hang_up(&c);
    bench_close(&b);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(stderr_fd);
}

static void test_a_file_that_is_no_socket_is_not_removed(void **state)
{
    (void)state;
    struct server other = {0};
    char folder[32], path[200];
    make_folder(folder);
    bench_open(&b, 8, &usual, NULL);
    other.loop = &b.loop;
    snprintf(path, sizeof path, "%s/notes.txt", folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(server_listen_unix(&other, path), -ENOTSOCK);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(server_listen_unix(&other, folder), -ENOTSOCK);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/none/socket", folder);
    assert_int_equal(server_listen_unix(&other, path), -ENOENT);
    memset(path, 'a', 108);
    path[108] = '\0';
    assert_int_equal(server_listen_unix(&other, path), -ENAMETOOLONG);
    bench_close(&b);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_in_use_and_wrong_ones_are_refused),
        cmocka_unit_test(test_unix_socket_of_a_live_node_stays),
        cmocka_unit_test(test_unix_socket_of_a_dead_node_is_replaced),
        cmocka_unit_test(test_a_removed_unix_socket_is_made_again),
        cmocka_unit_test(test_without_descriptors_it_says_so_and_tries_again),
        cmocka_unit_test(test_a_file_that_is_no_socket_is_not_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
