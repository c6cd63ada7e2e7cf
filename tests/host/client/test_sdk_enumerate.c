// SPDX-License-Identifier: MIT
// Finding nodes: several at a time, silent ones among them, one under two addresses, full ones.
#include "net/client/client.h"
#include "tests/host/support/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 60000 };

static void answer_probe(struct peer *peer, uint64_t boot_id, const char *serial)
{
    char reply[64];
    peer_greet(peer, boot_id, false);
    peer_expect(peer, WIRE_TYPE_GET);
    snprintf(reply, sizeof reply, "DeviceSerialNumber=%s\n", serial);
    peer_reply(peer, WIRE_TYPE_GET, reply, strlen(reply));
    peer_sees_end(peer);
}

static void play_one(struct peer *peer)
{
    answer_probe(peer, 71, "S-71");
}

static void play_two(struct peer *peer)
{
    answer_probe(peer, 72, "S-72");
}

static void play_full(struct peer *peer)
{
    peer_accept(peer);
    peer_error(peer, 0, WIRE_ERROR_FULL, WIRE_ERROR_CLOSING, "8 clients are connected");
    peer_sees_end(peer);
}

/** Takes connections into its backlog and never says a word. */
static int listen_silently(char *address, size_t size)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof to;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &length), 0);
    snprintf(address, size, "127.0.0.1:%u", ntohs(to.sin_port));
    return fd;
}

static void test_all_at_a_time(void **state)
{
    (void)state;
    static struct peer one, two, full;
    char silent[32];
    int fd = listen_silently(silent, sizeof silent);
    peer_start(&one, play_one);
    peer_start(&two, play_two);
    peer_start(&full, play_full);
    const char *addresses[] = {silent,       one.address, "127.0.0.1:1", "[broken", "id:gate",
                               full.address, two.address, one.address,   NULL};
    struct pinhole_node nodes[8];
    unsetenv("PINHOLE_NODES");
    // The silent one takes all of the time; the others are there long before.
    int count = pinhole_enumerate(nodes, 8, addresses, 8000);
    assert_int_equal(count, 3);
    assert_string_equal(nodes[0].address, one.address);
    assert_string_equal(nodes[0].id, "gate 7");
    assert_string_equal(nodes[0].serial, "S-71");
    assert_int_equal(nodes[0].boot_id, 71);
    assert_true(nodes[0].model[0] != '\0' && !nodes[0].is_announced && !nodes[0].is_full);
    assert_string_equal(nodes[1].address, full.address);
    assert_true(nodes[1].is_full);
    assert_string_equal(nodes[1].id, "");
    assert_int_equal(nodes[2].boot_id, 72);
    peer_join(&one);
    peer_join(&two);
    peer_join(&full);
    close(fd);
}

static void test_more_than_fit(void **state)
{
    (void)state;
    static struct peer one, two;
    struct pinhole_node node[2];
    peer_start(&one, play_one);
    peer_start(&two, play_two);
    const char *addresses[] = {one.address, two.address, NULL};
    memset(node, 0xee, sizeof node);
    assert_int_equal(pinhole_enumerate(node, 1, addresses, PATIENCE_MS), 2);
    assert_int_equal(node[0].boot_id, 71);
    assert_int_equal((unsigned char)node[1].address[0], 0xee);
    peer_join(&one);
    peer_join(&two);
}

/** Two addresses of one node: the same boot answers at both. */
static void test_two_addresses_of_one_node(void **state)
{
    (void)state;
    static struct peer one, same, two;
    struct pinhole_node nodes[4];
    peer_start(&one, play_one);
    peer_start(&same, play_one);
    peer_start(&two, play_two);
    const char *addresses[] = {one.address, same.address, two.address, NULL};
    assert_int_equal(pinhole_enumerate(nodes, 4, addresses, PATIENCE_MS), 2);
    assert_string_equal(nodes[0].address, one.address);
    assert_string_equal(nodes[1].address, two.address);
    peer_join(&one);
    peer_join(&same);
    peer_join(&two);
}

static void play_found_and_opened(struct peer *peer)
{
    answer_probe(peer, 71, "S-71");
    peer_hang_up(peer);
    peer_greet(peer, 71, false);
    peer_sees_end(peer);
}

static void test_open_by_serial(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client;
    peer_start(&peer, play_found_and_opened);
    setenv("PINHOLE_NODES", peer.address, 1);
    if (pinhole_open(&client, "id:S-71", NULL) < 0)
        fail_msg("%s", pinhole_error(client));
    assert_string_equal(pinhole_info(client)->name, "gate 7");
    pinhole_close(client);
    peer_join(&peer);
}

static void test_same_name_twice(void **state)
{
    (void)state;
    static struct peer one, two;
    struct pinhole *client;
    char list[80];
    peer_start(&one, play_one);
    peer_start(&two, play_two);
    snprintf(list, sizeof list, " %s, %s\n", one.address, two.address);
    setenv("PINHOLE_NODES", list, 1);
    assert_int_equal(pinhole_open(&client, "id:gate 7", NULL), -ENOTUNIQ);
    assert_non_null(strstr(pinhole_error(client), "2 nodes"));
    pinhole_close(client);
    peer_join(&one);
    peer_join(&two);
    unsetenv("PINHOLE_NODES");
    assert_int_equal(pinhole_open(&client, "id:gate 7", NULL), -ENODEV);
    assert_non_null(strstr(pinhole_error(client), "gate 7"));
    pinhole_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_at_a_time),
        cmocka_unit_test(test_more_than_fit),
        cmocka_unit_test(test_two_addresses_of_one_node),
        cmocka_unit_test(test_open_by_serial),
        cmocka_unit_test(test_same_name_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
