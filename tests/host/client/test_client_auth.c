// SPDX-License-Identifier: MIT
// libpinhole with a key: it proves that it knows it, and refuses every node that cannot do the
// same.
#include "net/client/client.h"
#include "tests/host/support/peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY "a key of two dozen bytes"

enum { BOOT = 77, ROLE_AT = 64, CHALLENGE_AT = 72, PATIENCE_MS = 20000 };

static struct peer peer;
static char key_path[] = "/tmp/pinhole-test-client-key-XXXXXX";

static int open_peer(struct pinhole **client, void (*script)(struct peer *), int reconnect)
{
    const struct pinhole_options options = {
        .size = sizeof options, .reconnect = reconnect, .key_file = key_path};
    peer_start(&peer, script);
    return pinhole_open(client, peer.address, &options);
}

// ---- a node with roles ----

static void say_hello(struct peer *p)
{
    uint8_t hello[PEER_MESSAGE_MAX];
    const size_t bytes = peer_make_hello(hello, BOOT);
    hello[WIRE_HEADER_BYTES + ROLE_AT] = WIRE_ROLE_NONE;
    memset(hello + WIRE_HEADER_BYTES + CHALLENGE_AT, 'c', NET_CHALLENGE_BYTES);
    peer_accept(p);
    peer_send(p, hello, bytes);
}

static void make_proof(const char *key, const char *text, const uint8_t *first,
                       const uint8_t *second, uint8_t *out)
{
    struct net_secret secret = {.length = strlen(key)};
    memcpy(secret.bytes, key, secret.length);
    const struct net_claim claim = {.text = text,
                                    .challenge = first,
                                    .another = second,
                                    .boot_id = BOOT,
                                    .name = "gate 7",
                                    .name_bytes = 6};
    net_secret_prove(&secret, &claim, out);
}

/** AUTH comes, with the client's proof as SPEC.md says it. */
static void take_auth(struct peer *p)
{
    uint8_t challenge[NET_CHALLENGE_BYTES], proof[NET_PROOF_BYTES];
    memset(challenge, 'c', sizeof challenge);
    peer_expect(p, WIRE_TYPE_AUTH);
    make_proof(KEY, "PINHOLE AUTH 1\n", challenge, p->request, proof);
    if (p->request_bytes != WIRE_AUTH_BYTES ||
        memcmp(p->request + WIRE_AUTH_PROOF_AT, proof, sizeof proof) != 0)
        p->wrong = "the client's proof is not that of SPEC.md";
}

static void prove(struct peer *p, const char *key, const char *text)
{
    uint8_t reply[WIRE_AUTH_REPLY_BYTES] = {WIRE_ROLE_VIEW}, challenge[NET_CHALLENGE_BYTES];
    memset(challenge, 'c', sizeof challenge);
    make_proof(key, text, p->request, challenge, reply + WIRE_AUTH_REPLY_PROOF_AT);
    peer_reply(p, WIRE_TYPE_AUTH, reply, sizeof reply);
}

static void play_good(struct peer *p)
{
    say_hello(p);
    take_auth(p);
    prove(p, KEY, "PINHOLE NODE 1\n");
    peer_expect(p, WIRE_TYPE_PING);
    peer_take_subscribe(p);
    peer_frame(p, BOOT, 11);
    peer_sees_end(p);
}

static void test_both_prove_the_key(void **state)
{
    (void)state;
    struct pinhole *client;
    struct pinhole_record *record;
    assert_int_equal(open_peer(&client, play_good, -1), 0);
    assert_int_equal(pinhole_info(client)->role, PINHOLE_ROLE_VIEW);
    assert_int_equal(pinhole_subscribe(client, NULL), 0);
    assert_int_equal(pinhole_next(client, PATIENCE_MS, &record), 1);
    pinhole_release(client, record);
    pinhole_close(client);
    peer_join(&peer);
}

// ---- nodes that cannot ----

/** The client ends the link and has asked for nothing but AUTH. */
static void expect_end(struct peer *p)
{
    if (!peer_sees_end(p))
        p->wrong = "the client uses a node that has proved nothing";
}

static void play_wrong_key(struct peer *p)
{
    say_hello(p);
    take_auth(p);
    prove(p, "another key of the length", "PINHOLE NODE 1\n");
    expect_end(p);
}

/** It sends back what the client has proved. */
static void play_mirror(struct peer *p)
{
    say_hello(p);
    take_auth(p);
    uint8_t reply[WIRE_AUTH_REPLY_BYTES] = {WIRE_ROLE_CONTROL};
    memcpy(reply + WIRE_AUTH_REPLY_PROOF_AT, p->request + WIRE_AUTH_PROOF_AT, NET_PROOF_BYTES);
    peer_reply(p, WIRE_TYPE_AUTH, reply, sizeof reply);
    expect_end(p);
}

static void play_short(struct peer *p)
{
    static const uint8_t reply[WIRE_AUTH_REPLY_PROOF_AT] = {WIRE_ROLE_CONTROL};
    say_hello(p);
    take_auth(p);
    peer_reply(p, WIRE_TYPE_AUTH, reply, sizeof reply);
    expect_end(p);
}

/** It answers as if all were well, and goes on with pictures. */
static void play_pictures(struct peer *p)
{
    say_hello(p);
    take_auth(p);
    peer_frame(p, BOOT, 11);
    peer_reply(p, WIRE_TYPE_PING, NULL, 0);
    peer_reply(p, WIRE_TYPE_AUTH, NULL, 0);
    expect_end(p);
}

static void play_older(struct peer *p)
{
    peer_accept(p);
    peer_say_hello(p, BOOT); // its role is 0
    expect_end(p);
}

static void play_unknown_type(struct peer *p)
{
    say_hello(p);
    take_auth(p);
    peer_error(p, p->tag, WIRE_ERROR_UNKNOWN_TYPE, 0, "message type 13 is not known here");
    expect_end(p);
}

static void play_denied(struct peer *p)
{
    say_hello(p);
    take_auth(p);
    peer_error(p, p->tag, WIRE_ERROR_DENIED, WIRE_ERROR_CLOSING, "AUTH: the proof fits no key");
    expect_end(p);
}

static void test_other_nodes_are_refused(void **state)
{
    (void)state;
    static const struct {
        void (*script)(struct peer *);
        int error;
        const char *sentence;
    } nodes[] = {{play_wrong_key, EPERM, "the node does not know the key"},
                 {play_mirror, EPERM, "the node does not know the key"},
                 {play_short, EPERM, "the node does not know the key"},
                 {play_pictures, EPERM, "the node does not know the key"},
                 {play_older, ENOSYS, "the node's software is older than keys"},
                 {play_unknown_type, ENOSYS, "the node's software is older than keys"},
                 {play_denied, EPERM, "DENIED AUTH: the proof fits no key"}};
    for (unsigned i = 0; i < ARRAY_SIZE(nodes); i++) {
        struct pinhole *client;
        assert_int_equal(open_peer(&client, nodes[i].script, 0), -nodes[i].error);
        if (strstr(pinhole_error(client), nodes[i].sentence) == NULL)
            fail_msg("node %u: '%s' is not in '%s'", i, nodes[i].sentence, pinhole_error(client));
        pinhole_close(client);
        peer_join(&peer);
    }
}

/** The node restarts, and somebody else has its address: the client does not resume there. */
static void play_impostor(struct peer *p)
{
    say_hello(p);
    take_auth(p);
    prove(p, KEY, "PINHOLE NODE 1\n");
    peer_expect(p, WIRE_TYPE_PING);
    peer_take_subscribe(p);
    peer_hang_up(p);
    say_hello(p);
    take_auth(p);
    prove(p, "another key of the length", "PINHOLE NODE 1\n");
    expect_end(p);
    peer_hang_up(p);
    say_hello(p); // and now it is the right one
    take_auth(p);
    prove(p, KEY, "PINHOLE NODE 1\n");
    peer_expect(p, WIRE_TYPE_SUBSCRIBE);
    peer_sees_end(p);
}

static void test_a_node_that_comes_back_proves_itself_again(void **state)
{
    (void)state;
    struct pinhole *client;
    struct pinhole_record *record;
    assert_int_equal(open_peer(&client, play_impostor, 0), 0);
    assert_int_equal(pinhole_subscribe(client, NULL), 0);
    assert_int_equal(pinhole_next(client, PATIENCE_MS, &record), 1);
    assert_int_equal(record->event.kind, PINHOLE_EVENT_DISCONNECTED);
    pinhole_release(client, record);
    assert_int_equal(pinhole_next(client, PATIENCE_MS, &record), 1);
    assert_int_equal(record->event.kind, PINHOLE_EVENT_RECONNECTED);
    pinhole_release(client, record);
    pinhole_close(client);
    peer_join(&peer);
}

static void test_a_bad_key_file_opens_nothing(void **state)
{
    (void)state;
    struct pinhole *client;
    struct pinhole_options options = {.size = sizeof options, .key_file = "/nowhere/key"};
    assert_int_equal(pinhole_open(&client, "127.0.0.1:1", &options), -EINVAL);
    assert_string_equal(pinhole_error(client), "the key, /nowhere/key: No such file or directory");
    pinhole_close(client);
    options.key_file = key_path;
    assert_int_equal(chmod(key_path, 0644), 0);
    assert_int_equal(pinhole_open(&client, "127.0.0.1:1", &options), -EINVAL);
    assert_non_null(strstr(pinhole_error(client), "everybody can read or write it: chmod 600"));
    pinhole_close(client);
    assert_int_equal(chmod(key_path, 0600), 0);
}

static int make_key(void **state)
{
    (void)state;
    const int fd = mkstemp(key_path);
    const bool is_written = fd >= 0 && write(fd, KEY "\n", sizeof KEY) == sizeof KEY;
    return is_written ? close(fd) : -1;
}

static int remove_key(void **state)
{
    (void)state;
    return unlink(key_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_prove_the_key),
        cmocka_unit_test(test_other_nodes_are_refused),
        cmocka_unit_test(test_a_node_that_comes_back_proves_itself_again),
        cmocka_unit_test(test_a_bad_key_file_opens_nothing),
    };
    return cmocka_run_group_tests(tests, make_key, remove_key);
}
