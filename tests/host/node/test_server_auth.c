// SPDX-License-Identifier: MIT
// Who may do what: the role that an address gives, the keys that raise it, and what is tried
// against them.
#include "net/server/private.h"
#include "net/server/server.h"
#include "tests/host/support/server_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/host/support/virtual_clock.h"

#define FAR          "192.0.2.7"
#define VIEW_KEY     "see the pictures"
#define CONTROL_KEY  "control the camera"
#define HANDSHAKE_NS (5 * NS_PER_S)

static struct bench b;
static struct bench_client c;
static struct bench_message m;
static const struct server_config closed = {.local = WIRE_ROLE_CONTROL,
                                            .anonymous = WIRE_ROLE_NONE};

static void set_key(struct net_secret *key, const char *text)
{
    key->length = strlen(text);
    memcpy(key->bytes, text, key->length);
}

static void open_closed(void)
{
    bench_open(&b, 8, &closed, NULL);
    snprintf(b.server.identity, sizeof b.server.identity,
             "DeviceUserID=gate 7\nDeviceModelName=x\n");
    set_key(&b.server.view_key, VIEW_KEY);
    set_key(&b.server.control_key, CONTROL_KEY);
}

static void close_all(void)
{
    bench_hang_up(&c);
    bench_settle(&b);
    bench_close(&b);
}

static void advance(uint64_t step_ns)
{
    virtual_now_ns += step_ns;
    bench_settle(&b);
}

/** Connects and takes HELLO, which stays in `m`. Returns the role it tells. */
static unsigned greet_from(const char *address)
{
    bench_connect_from(&b, &c, address);
    bench_expect(&c, WIRE_TYPE_HELLO, &m);
    return m.hello.role;
}

/** What SPEC.md says of the client's proof. The nonce is all `n`. */
static void make_auth(uint8_t out[WIRE_AUTH_BYTES], const char *key, const uint8_t *challenge,
                      const char *text)
{
    struct net_secret secret;
    set_key(&secret, key);
    memset(out, 'n', NET_CHALLENGE_BYTES);
    const struct net_claim claim = {.text = text,
                                    .challenge = challenge,
                                    .another = out,
                                    .boot_id = BENCH_BOOT_ID,
                                    .name = "gate 7",
                                    .name_bytes = 6};
    net_secret_prove(&secret, &claim, out + WIRE_AUTH_PROOF_AT);
}

static void send_auth(const char *key)
{
    uint8_t payload[WIRE_AUTH_BYTES];
    make_auth(payload, key, m.hello.challenge, "PINHOLE AUTH 1\n");
    bench_send(&c, WIRE_TYPE_AUTH, 9, payload, sizeof payload);
}

/** AUTH succeeds: the node's proof is good and says this role. */
static void expect_role(const char *key, unsigned role)
{
    uint8_t expected[WIRE_AUTH_BYTES], challenge[NET_CHALLENGE_BYTES], nonce[NET_CHALLENGE_BYTES];
    struct net_secret secret;
    set_key(&secret, key);
    memset(nonce, 'n', sizeof nonce);
    memcpy(challenge, m.hello.challenge, sizeof challenge);
    const struct net_claim claim = {.text = "PINHOLE NODE 1\n",
                                    .challenge = nonce,
                                    .another = challenge,
                                    .boot_id = BENCH_BOOT_ID,
                                    .name = "gate 7",
                                    .name_bytes = 6};
    net_secret_prove(&secret, &claim, expected);
    bench_expect(&c, WIRE_TYPE_AUTH, &m);
    assert_int_equal(m.text_bytes, WIRE_AUTH_REPLY_BYTES);
    assert_int_equal((uint8_t)m.text[0], role);
    assert_memory_equal(m.text + WIRE_AUTH_REPLY_PROOF_AT, expected, NET_PROOF_BYTES);
}

static void test_the_address_decides_at_first(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        unsigned role;
    } peers[] = {{NULL, WIRE_ROLE_CONTROL}, // the node has dialled it
                 {"127.0.0.1", WIRE_ROLE_VIEW}, {"127.255.0.9", WIRE_ROLE_VIEW},
                 {"::1", WIRE_ROLE_VIEW},       {"::ffff:127.0.0.1", WIRE_ROLE_VIEW},
                 {"192.0.2.7", WIRE_ROLE_NONE}, {"::ffff:192.0.2.7", WIRE_ROLE_NONE},
                 {"fe80::1", WIRE_ROLE_NONE},   {"2001:db8::7f00:1", WIRE_ROLE_NONE},
                 {"128.0.0.1", WIRE_ROLE_NONE}};
    bench_open(&b, 8, &(struct server_config){.local = WIRE_ROLE_VIEW, .anonymous = WIRE_ROLE_NONE},
               "/tmp/pinhole-test-auth.sock");
    for (unsigned i = 0; i < ARRAY_SIZE(peers); i++) {
        assert_int_equal(greet_from(peers[i].from), peers[i].role);
        bench_hang_up(&c);
        bench_settle(&b);
    }
    bench_connect_unix(&b, &c);
    bench_expect(&c, WIRE_TYPE_HELLO, &m);
    assert_int_equal(m.hello.role, WIRE_ROLE_VIEW);
    close_all();
}

/** Sends a request of each type and looks whether it is carried out. */
static void check_each_type(unsigned role)
{
    static const struct {
        uint8_t type;
        unsigned needs;
        const char *name;
    } requests[] = {{WIRE_TYPE_PING, WIRE_ROLE_NONE, "PING"},
                    {WIRE_TYPE_FEATURES, WIRE_ROLE_VIEW, "FEATURES"},
                    {WIRE_TYPE_GET, WIRE_ROLE_VIEW, "GET"},
                    {WIRE_TYPE_STATS, WIRE_ROLE_VIEW, "STATS"},
                    {WIRE_TYPE_SET, WIRE_ROLE_CONTROL, "SET"},
                    {WIRE_TYPE_TRIGGER, WIRE_ROLE_CONTROL, "TRIGGER"},
                    {WIRE_TYPE_SUBSCRIBE, WIRE_ROLE_VIEW, "SUBSCRIBE"}};
    uint8_t wish[WIRE_SUBSCRIBE_FIXED];
    wire_put_subscribe(wish, &(struct wire_subscribe){.policy = WIRE_POLICY_EVERY});
    for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
        const bool is_subscribe = requests[i].type == WIRE_TYPE_SUBSCRIBE;
        const unsigned before = b.triggers + b.asked;
        bench_send(&c, requests[i].type, 100 + i, wish, is_subscribe ? sizeof wish : 0);
        if (role >= requests[i].needs) {
            // The bench's application refuses each SET.
            bench_expect(&c, requests[i].type == WIRE_TYPE_SET ? WIRE_TYPE_ERROR : requests[i].type,
                         &m);
            if (m.header.type == WIRE_TYPE_ERROR)
                assert_int_equal(m.error.code, WIRE_ERROR_BAD_VALUE);
            continue;
        }
        char sentence[128];
        snprintf(sentence, sizeof sentence,
                 "%s needs the role %s, this connection has %s; give a key", requests[i].name,
                 requests[i].needs == WIRE_ROLE_VIEW ? "view" : "control",
                 role == WIRE_ROLE_NONE ? "none" : "view");
        bench_expect(&c, WIRE_TYPE_ERROR, &m);
        assert_int_equal(m.error.code, WIRE_ERROR_DENIED);
        assert_int_equal(m.error.flags, 0);
        assert_int_equal(m.header.tag, 100 + i);
        assert_string_equal(m.text, sentence);
        assert_int_equal(b.triggers + b.asked, before);
    }
}

static void test_no_request_above_the_role(void **state)
{
    (void)state;
    static const char *const keys[] = {NULL, VIEW_KEY, CONTROL_KEY};
    open_closed();
    bench_publish(&b, 100, 0);
    for (unsigned role = WIRE_ROLE_NONE; role <= WIRE_ROLE_CONTROL; role++) {
        assert_int_equal(greet_from(FAR), WIRE_ROLE_NONE);
        if (role > WIRE_ROLE_NONE) {
            send_auth(keys[role - 1]);
            expect_role(keys[role - 1], role);
        }
        check_each_type(role);
        if (role > WIRE_ROLE_NONE)
            bench_expect_frame(&c, 1, 0);
        else
            bench_expect_nothing(&c); // no record without a role
        bench_hang_up(&c);
        bench_settle(&b);
    }
    // What nobody knows needs no role, and a malformed SUBSCRIBE is not even read.
    greet_from(FAR);
    bench_send(&c, 99, 1, NULL, 0);
    bench_expect_error(&c, WIRE_ERROR_UNKNOWN_TYPE, 1, false);
    bench_send(&c, WIRE_TYPE_SUBSCRIBE, 2, "", 1);
    bench_expect_error(&c, WIRE_ERROR_DENIED, 2, false);
    close_all();
}

static void test_auth_never_lowers_a_role(void **state)
{
    (void)state;
    open_closed();
    assert_int_equal(greet_from("127.0.0.1"), WIRE_ROLE_CONTROL);
    send_auth(VIEW_KEY);
    expect_role(VIEW_KEY, WIRE_ROLE_CONTROL);
    close_all();
}

/** Sends these bytes as AUTH: denied, closed, counted. */
static void expect_denied(const void *payload, uint64_t count)
{
    bench_send(&c, WIRE_TYPE_AUTH, 5, payload, WIRE_AUTH_BYTES);
    bench_send(&c, WIRE_TYPE_TRIGGER, 6, NULL, 0);
    bench_expect_error(&c, WIRE_ERROR_DENIED, 5, true);
    bench_expect_end(&c);
    assert_int_equal(b.server.stats.dropped_denied, count);
    assert_int_equal(b.server.stats.dropped_malformed, 0);
    assert_int_equal(b.triggers, 0);
    bench_hang_up(&c);
}

static void test_a_wrong_proof_closes(void **state)
{
    (void)state;
    uint8_t auth[WIRE_AUTH_BYTES];
    open_closed();
    greet_from(FAR);
    make_auth(auth, "another long key", m.hello.challenge, "PINHOLE AUTH 1\n");
    expect_denied(auth, 1);
    // Each bit counts.
    for (unsigned bit = 0; bit < 8 * WIRE_AUTH_BYTES; bit += 73) {
        greet_from(FAR);
        make_auth(auth, CONTROL_KEY, m.hello.challenge, "PINHOLE AUTH 1\n");
        auth[bit / 8] ^= (uint8_t)(1u << bit % 8);
        expect_denied(auth, 2 + bit / 73);
    }
    // A proof of another kind is none.
    const uint64_t before = b.server.stats.dropped_denied;
    greet_from(FAR);
    make_auth(auth, CONTROL_KEY, m.hello.challenge, "PINHOLE NODE 1\n");
    expect_denied(auth, before + 1);
    // A node without keys takes none, the empty one least of all.
    b.server.view_key.length = b.server.control_key.length = 0;
    greet_from(FAR);
    make_auth(auth, "", m.hello.challenge, "PINHOLE AUTH 1\n");
    expect_denied(auth, before + 2);
    close_all();
}

static void test_a_recorded_auth_is_of_no_use(void **state)
{
    (void)state;
    uint8_t auth[WIRE_AUTH_BYTES], challenge[NET_CHALLENGE_BYTES];
    open_closed();
    greet_from(FAR);
    memcpy(challenge, m.hello.challenge, sizeof challenge);
    make_auth(auth, CONTROL_KEY, challenge, "PINHOLE AUTH 1\n");
    bench_send(&c, WIRE_TYPE_AUTH, 9, auth, sizeof auth);
    expect_role(CONTROL_KEY, WIRE_ROLE_CONTROL);
    bench_hang_up(&c);
    bench_settle(&b);

    greet_from(FAR);
    assert_memory_not_equal(m.hello.challenge, challenge, sizeof challenge);
    expect_denied(auth, 1);
    close_all();
}

static void test_auth_of_another_length_is_malformed(void **state)
{
    (void)state;
    static const uint8_t zeros[WIRE_AUTH_BYTES + 1];
    static const size_t lengths[] = {0, WIRE_AUTH_BYTES - 1, WIRE_AUTH_BYTES + 1};
    open_closed();
    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        greet_from(FAR);
        bench_send(&c, WIRE_TYPE_AUTH, 5, zeros, lengths[i]);
        bench_expect_error(&c, WIRE_ERROR_MALFORMED, 5, true);
        bench_expect_end(&c);
        bench_hang_up(&c);
        assert_int_equal(b.server.stats.dropped_malformed, i + 1);
    }
    close_all();
}

static void test_strangers_do_not_keep_a_place(void **state)
{
    (void)state;
    open_closed();
    // PING keeps nobody who has no role ...
    greet_from(FAR);
    for (unsigned i = 0; i < 4; i++) {
        advance(NS_PER_S);
        bench_send(&c, WIRE_TYPE_PING, 1, NULL, 0);
        bench_expect(&c, WIRE_TYPE_PING, &m);
    }
    advance(HANDSHAKE_NS - 4 * NS_PER_S);
    bench_expect(&c, WIRE_TYPE_ERROR, &m);
    assert_int_equal(m.error.code, WIRE_ERROR_TIMEOUT);
    assert_string_equal(m.text, "no key within 5 s");
    bench_expect_end(&c);
    bench_hang_up(&c);
    // ... nor does a refusal to read ...
    greet_from(FAR);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t ping[WIRE_HEADER_BYTES + 64] = {0};
        wire_put_header(ping, &(struct wire_header){
                                  .version = 1, .type = WIRE_TYPE_PING, .length = 64, .tag = 1});
        if (send(c.fd, ping, sizeof ping, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            break;
    }
    for (unsigned i = 0; i < 60; i++)
        advance(100 * NS_PER_MS);
    assert_int_equal(b.server.stats.clients, 0);
    bench_hang_up(&c);
    // ... but a key does.
    greet_from(FAR);
    send_auth(VIEW_KEY);
    expect_role(VIEW_KEY, WIRE_ROLE_VIEW);
    advance(10 * HANDSHAKE_NS);
    assert_int_equal(b.server.stats.clients, 1);
    close_all();
}

static void test_strangers_give_way_first(void **state)
{
    (void)state;
    struct bench_client silent, stranger, key_holder, newcomer;
    bench_open(&b, 8, &(struct server_config){.clients_max = 3, .anonymous = WIRE_ROLE_NONE}, NULL);
    snprintf(b.server.identity, sizeof b.server.identity, "DeviceUserID=gate 7\n");
    set_key(&b.server.view_key, VIEW_KEY);
    bench_greet(&b, &silent, 0); // of this host, and silent for longest
    greet_from(FAR);
    send_auth(VIEW_KEY);
    expect_role(VIEW_KEY, WIRE_ROLE_VIEW);
    key_holder = c;
    advance(3 * NS_PER_S);
    greet_from("192.0.2.8");
    stranger = c;
    bench_send(&stranger, WIRE_TYPE_PING, 1, NULL, 0);
    bench_expect(&stranger, WIRE_TYPE_PING, &m);
    bench_greet(&b, &newcomer, 0);
    bench_expect_error(&stranger, WIRE_ERROR_FULL, 0, true);
    bench_expect_end(&stranger);
    assert_int_equal(b.server.stats.clients, 3);
    bench_hang_up(&silent);
    bench_hang_up(&stranger);
    bench_hang_up(&newcomer);
    c = key_holder;
    close_all();
}

static void test_keys_come_from_good_files(void **state)
{
    (void)state;
    char path[] = "/tmp/pinhole-test-key-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    bench_open(&b, 8, &closed, NULL);
    assert_int_equal(server_read_keys(&b.server, "", ""), 0);
    assert_int_equal(b.server.view_key.length + b.server.control_key.length, 0);
    assert_int_equal(server_read_keys(&b.server, "/nowhere/key", ""), -EINVAL);
    assert_int_equal(pwrite(fd, "fifteen bytes..\n", 16, 0), 16);
    assert_int_equal(server_read_keys(&b.server, "", path), -EINVAL);
    assert_int_equal(pwrite(fd, "sixteen bytes...\n", 17, 0), 17);
    assert_int_equal(server_read_keys(&b.server, "", path), 0);
    assert_int_equal(b.server.control_key.length, 16);
    assert_int_equal(server_read_keys(&b.server, path, ""), 0);
    assert_int_equal(b.server.view_key.length, 16);
    assert_int_equal(fchmod(fd, 0604), 0);
    assert_int_equal(server_read_keys(&b.server, "", path), -EINVAL);
    close(fd);
    unlink(path);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_address_decides_at_first),
        cmocka_unit_test(test_no_request_above_the_role),
        cmocka_unit_test(test_auth_never_lowers_a_role),
        cmocka_unit_test(test_a_wrong_proof_closes),
        cmocka_unit_test(test_a_recorded_auth_is_of_no_use),
        cmocka_unit_test(test_auth_of_another_length_is_malformed),
        cmocka_unit_test(test_strangers_do_not_keep_a_place),
        cmocka_unit_test(test_strangers_give_way_first),
        cmocka_unit_test(test_keys_come_from_good_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
