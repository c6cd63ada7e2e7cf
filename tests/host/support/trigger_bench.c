// SPDX-License-Identifier: MIT
#include "tests/host/support/trigger_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/** A port of its own: the tests that use this have a machine to themselves. */
#define ADDRESS "127.0.0.1:7447"

static void write_file(const struct trigger_bench *bench, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", bench->folder, name);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fail_msg("%s: %s", path, strerror(errno));
        return;
    }
    fputs(text, file);
    fclose(file);
}

static void subscribe(struct trigger_bench *bench, uint64_t from, uint64_t boot_id)
{
    const struct pinhole_subscription wish = {
        .size = sizeof wish, .policy = PINHOLE_EVERY, .from_sequence = from, .boot_id = boot_id};
    assert_int_equal(pinhole_subscribe(bench->client, &wish), 0);
}

static void connect_client(struct trigger_bench *bench)
{
    for (int waited_ms = 0; pinhole_open(&bench->client, ADDRESS, NULL) < 0; waited_ms += 100) {
        if (waited_ms > TRIGGER_BENCH_PATIENCE_MS || kill(bench->pid, 0) < 0)
            fail_msg("no node: %s", pinhole_error(bench->client));
        pinhole_close(bench->client);
        usleep(100000);
    }
}

void trigger_bench_start(struct trigger_bench *bench, const char *config, const char *script)
{
    *bench = (struct trigger_bench){.folder = "/tmp/pinhole-trigger-XXXXXX"};
    assert_non_null(mkdtemp(bench->folder));
    char program[128], text[2048], path[128];
    const char *build = getenv("BUILD");
    snprintf(program, sizeof program, "%s/pinhole", build != NULL ? build : "build/release");
    snprintf(path, sizeof path, "%s/config", bench->folder);
    snprintf(text, sizeof text, "%s\n[server]\nlisten = " ADDRESS "\nsocket =\n", config);
    write_file(bench, "config", text);
    char camera[160] = "--log-level=info";
    if (script != NULL) {
        write_file(bench, "script", script);
        snprintf(camera, sizeof camera, "--camera=fake:%s/script", bench->folder);
    }
    bench->pid = fork();
    if (bench->pid == 0) {
        execl(program, program, "--config", path, camera, (char *)NULL);
        perror(program);
        _exit(127);
    }
    assert_true(bench->pid > 0);
    connect_client(bench);
    subscribe(bench, UINT64_MAX, 0);
}

void trigger_bench_stop(struct trigger_bench *bench)
{
    pinhole_close(bench->client);
    int status = 0;
    assert_int_equal(kill(bench->pid, SIGTERM), 0);
    assert_int_equal(waitpid(bench->pid, &status, 0), bench->pid);
    bench->pid = 0;
    assert_int_equal(status, 0);
    static const char *const names[] = {"config", "script"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", bench->folder, names[i]);
        unlink(path);
    }
    rmdir(bench->folder);
}

void trigger_bench_kill(struct trigger_bench *bench)
{
    if (bench->pid <= 0)
        return;
    kill(bench->pid, SIGKILL);
    waitpid(bench->pid, NULL, 0);
    bench->pid = 0;
}

void trigger_bench_leave_and_resume(struct trigger_bench *bench)
{
    uint64_t boot_id = pinhole_info(bench->client)->boot_id;
    pinhole_close(bench->client);
    connect_client(bench);
    subscribe(bench, bench->sequence + 1, boot_id);
}

static void account(struct trigger_bench *bench, uint64_t first, uint64_t last, unsigned outcome)
{
    if (first != bench->last_id + 1 || last < first || outcome >= 5)
        fail_msg("triggers %llu..%llu (%s) follow trigger %llu", (unsigned long long)first,
                 (unsigned long long)last, pinhole_outcome_name(outcome),
                 (unsigned long long)bench->last_id);
    bench->outcomes[outcome] += last - first + 1;
    bench->last_id = last;
}

static void take_frame(struct trigger_bench *bench, const struct pinhole_frame *frame)
{
    if (frame->trigger_id == 0)
        return;
    if (frame->burst_index == 0) {
        account(bench, frame->trigger_id, frame->trigger_id, 1);
        bench->frames++;
    }
    if (bench->on_frame != NULL)
        bench->on_frame(bench, frame);
    bench->frame = *frame;
    bench->frame.jpeg = NULL;
}

bool trigger_bench_take(struct trigger_bench *bench, int timeout_ms)
{
    struct pinhole_record *record;
    int status = pinhole_next(bench->client, timeout_ms, &record);
    if (status < 0)
        fail_msg("%s", pinhole_error(bench->client));
    if (status == 0)
        return false;
    if (record->kind == PINHOLE_FRAME) {
        take_frame(bench, &record->frame);
        bench->sequence = record->frame.sequence;
    } else {
        const struct pinhole_event *event = &record->event;
        if (event->kind == PINHOLE_EVENT_GAP || event->kind == PINHOLE_EVENT_DISCONNECTED)
            fail_msg("%s: %s", pinhole_event_name(event->kind), event->text);
        if (event->kind == PINHOLE_EVENT_TRIGGER) {
            account(bench, event->first, event->last, event->outcome);
            bench->events++;
        }
        bench->sequence = event->sequence;
    }
    pinhole_release(bench->client, record);
    return true;
}

static const char *statistics(struct trigger_bench *bench)
{
    static char text[65536];
    int bytes = pinhole_stats(bench->client, text, sizeof text);
    assert_true(bytes > 0 && (size_t)bytes < sizeof text);
    return text;
}

void trigger_bench_take_until(struct trigger_bench *bench, uint64_t id)
{
    while (bench->last_id < id)
        if (!trigger_bench_take(bench, TRIGGER_BENCH_PATIENCE_MS)) {
            print_message("%s", statistics(bench));
            fail_msg("trigger %llu had no outcome in time (last: %llu)", (unsigned long long)id,
                     (unsigned long long)bench->last_id);
        }
}

uint64_t trigger_bench_counter(struct trigger_bench *bench, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = statistics(bench); line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtoull(line + length, NULL, 10);
    }
    fail_msg("the node has no counter %s", name);
    return 0;
}

unsigned long trigger_bench_memory_kib(const struct trigger_bench *bench)
{
    char path[64], line[128];
    snprintf(path, sizeof path, "/proc/%d/status", (int)bench->pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("%s: %s", path, strerror(errno));
        return 0;
    }
    unsigned long kib = 0;
    while (kib == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtoul(line + 6, NULL, 10);
    fclose(file);
    assert_true(kib > 0);
    return kib;
}
