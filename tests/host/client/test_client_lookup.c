// SPDX-License-Identifier: MIT
// A name server that does not answer holds up nobody: getaddrinfo() of this program looks up names
// only while its gate is open, and waits in front of it else, as long as it takes.
#include "net/client/client.h"
#include "tests/host/support/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { BOOT = 77 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool is_open;
    unsigned waiting, waiting_max;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static void set_gate(bool is_open)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_open = is_open;
    pthread_cond_broadcast(&gate.moved);
    while (is_open && gate.waiting > 0)
        pthread_cond_wait(&gate.moved, &gate.lock);
    if (!is_open)
        gate.waiting_max = 0;
    pthread_mutex_unlock(&gate.lock);
}

/** Until somebody waits in front of it. */
static void await_waiter(void)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.waiting == 0)
        pthread_cond_wait(&gate.moved, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

/** How many waited at the same time since it was closed. */
static unsigned most_waiting(void)
{
    pthread_mutex_lock(&gate.lock);
    const unsigned most = gate.waiting_max;
    pthread_mutex_unlock(&gate.lock);
    return most;
}

static void pass_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    if (++gate.waiting > gate.waiting_max)
        gate.waiting_max = gate.waiting;
    pthread_cond_broadcast(&gate.moved);
    while (!gate.is_open)
        pthread_cond_wait(&gate.moved, &gate.lock);
    gate.waiting--;
    pthread_cond_broadcast(&gate.moved);
    pthread_mutex_unlock(&gate.lock);
}

/** Stands in for the C library's: numbers at once, "node.test" is this machine, nothing else is
 * known. Its answers are one block that freeaddrinfo() below frees. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **out)
{
    struct {
        struct addrinfo info;
        struct sockaddr_in address;
    } *answer;
    struct in_addr number = {.s_addr = htonl(INADDR_LOOPBACK)};
    if (hints->ai_flags & AI_NUMERICHOST) {
        if (inet_pton(AF_INET, host, &number) != 1)
            return EAI_NONAME;
    } else {
        pass_gate();
        if (strcmp(host, "node.test") != 0)
            return EAI_NONAME;
    }
    answer = calloc(1, sizeof *answer);
    if (answer == NULL)
        return EAI_MEMORY;
    answer->address.sin_family = AF_INET;
    answer->address.sin_addr = number;
    answer->address.sin_port = htons((uint16_t)atoi(port));
    answer->info.ai_family = AF_INET;
    answer->info.ai_addr = (struct sockaddr *)&answer->address;
    answer->info.ai_addrlen = sizeof answer->address;
    *out = &answer->info;
    return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
    free(info);
}

/** The peer's address by name. */
static const char *name_of(const struct peer *peer)
{
    static char name[64];
    snprintf(name, sizeof name, "node.test%s", strchr(peer->address, ':'));
    return name;
}

static const struct pinhole_options hasty = {
    .size = sizeof hasty, .connect_timeout_ms = 100, .request_timeout_ms = 100};

static void expect_open_times_out(const char *address)
{
    struct pinhole *client;
    struct pinhole_record *record;
    set_gate(false);
    assert_int_equal(pinhole_open(&client, address, &hasty), -ETIMEDOUT);
    if (strstr(pinhole_error(client), address) == NULL ||
        strstr(pinhole_error(client), "look") == NULL)
        fail_msg("%s", pinhole_error(client));
    assert_int_equal(pinhole_next(client, -1, &record), -ETIMEDOUT);
    pinhole_close(client); // while it is still being looked up
    await_waiter();
    set_gate(true);
}

static void test_open_has_its_time(void **state)
{
    (void)state;
    expect_open_times_out("node.test:7447");
    // By its id, which has nodes asked that are named themselves.
    setenv("PINHOLE_NODES", "node.test:1", 1);
    expect_open_times_out("id:gate 7");
    unsetenv("PINHOLE_NODES");
}

static void test_unknown_name(void **state)
{
    (void)state;
    struct pinhole *client;
    set_gate(true);
    assert_int_equal(pinhole_open(&client, "other.test", NULL), -EHOSTUNREACH);
    assert_non_null(strstr(pinhole_error(client), "cannot find host 'other.test'"));
    pinhole_close(client);
}

/** Greets, and hangs up when told; then greets again. */
static sem_t hang_up;

static void play_break(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_frame(peer, BOOT, 20);
    while (sem_wait(&hang_up) < 0)
        ;
    peer_hang_up(peer);
    peer_greet(peer, BOOT, true);
    peer_frame(peer, BOOT, 21);
    peer_sees_end(peer);
}

static struct pinhole_record *next(struct pinhole *client)
{
    struct pinhole_record *record;
    int result = pinhole_next(client, 20000, &record);
    if (result != 1)
        fail_msg("pinhole_next: %d %s", result, pinhole_error(client));
    return record;
}

static void expect_frame(struct pinhole *client, uint64_t sequence)
{
    struct pinhole_record *record = next(client);
    assert_int_equal(record->kind, PINHOLE_FRAME);
    assert_int_equal(record->frame.sequence, sequence);
    pinhole_release(client, record);
}

static void expect_event(struct pinhole *client, enum pinhole_event_kind kind)
{
    struct pinhole_record *record = next(client);
    assert_int_equal(record->kind, PINHOLE_EVENT);
    assert_int_equal(record->event.kind, kind);
    pinhole_release(client, record);
}

static struct pinhole *open_by_name(struct peer *peer)
{
    struct pinhole *client;
    set_gate(true);
    sem_init(&hang_up, 0, 0);
    peer_start(peer, play_break);
    if (pinhole_open(&client, name_of(peer), NULL) < 0)
        fail_msg("%s", pinhole_error(client));
    return client;
}

static void test_calls_have_their_time_while_reconnecting(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client = open_by_name(&peer);
    struct pinhole_record *record;
    const struct pinhole_subscription every = {.size = sizeof every, .policy = PINHOLE_EVERY};
    assert_return_code(pinhole_subscribe(client, &every), 0);
    expect_frame(client, 20);
    client->options.connect_timeout_ms = client->options.request_timeout_ms = 100;
    set_gate(false);
    sem_post(&hang_up);
    expect_event(client, PINHOLE_EVENT_DISCONNECTED);
    while (client->attempts < 4) { // one try after the other, and no thread more for it
        assert_int_equal(pinhole_next(client, 10, &record), 0);
        assert_int_equal(pinhole_ping(client), -ENOTCONN);
        assert_int_equal(pinhole_fd(client), -1);
    }
    assert_int_equal(most_waiting(), 1);
    client->options.connect_timeout_ms = 20000;
    set_gate(true);
    expect_event(client, PINHOLE_EVENT_RECONNECTED);
    expect_frame(client, 21);
    pinhole_close(client);
    peer_join(&peer);
}

static void on_record(struct pinhole *client, const struct pinhole_record *record, void *user)
{
    (void)client;
    if (record->kind == PINHOLE_EVENT && record->event.kind == PINHOLE_EVENT_DISCONNECTED)
        sem_post(user);
}

static void play_break_for_good(struct peer *peer)
{
    peer_greet(peer, BOOT, false);
    peer_take_subscribe(peer);
    peer_hang_up(peer);
}

static void test_close_has_its_time_while_reconnecting(void **state)
{
    (void)state;
    static struct peer peer;
    struct pinhole *client;
    sem_t broken;
    sem_init(&broken, 0, 0);
    set_gate(true);
    peer_start(&peer, play_break_for_good);
    if (pinhole_open(&client, name_of(&peer), NULL) < 0)
        fail_msg("%s", pinhole_error(client));
    set_gate(false);
    assert_return_code(pinhole_start(client, NULL, on_record, &broken), 0);
    while (sem_wait(&broken) < 0)
        ;
    await_waiter();
    pinhole_close(client);
    set_gate(true);
    peer_join(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_has_its_time),
        cmocka_unit_test(test_unknown_name),
        cmocka_unit_test(test_calls_have_their_time_while_reconnecting),
        cmocka_unit_test(test_close_has_its_time_while_reconnecting),
    };
    alarm(120); // a call that waits for the name server would wait for ever
    return cmocka_run_group_tests(tests, NULL, NULL);
}
