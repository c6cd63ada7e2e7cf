// SPDX-License-Identifier: MIT
// The whole node in a simulated machine, under faults that one seed decides:
// - sim SEED: runs it and prints its trace
// - sim FIRST COUNT [JOBS]: runs COUNT seeds, each in a process of its own, says how fast that was;
//   last line "N passed, N failed"
// - sim --hash SEED: prints the hash of its trace; the same seed gives the same
// Exit status 0 when all invariants held.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/node.h"
#include "hal/gpio/fake.h"
#include "hal/os/log.h"
#include "tests/host/sim/camera.h"
#include "tests/host/sim/client.h"
#include "tests/host/sim/collector.h"
#include "tests/host/sim/machine.h"
#include "tests/host/sim/truth.h"

#define CALM_NS        (6 * NS_PER_S) /**< without faults at the end */
#define RECOVERY_NS    (4 * NS_PER_S) /**< by then frames flow again */
#define OUTCOME_MAX_NS (4 * NS_PER_S)
#define STOP_MAX_MS    2000
#define SOCKET_BACK_NS (1500 * NS_PER_MS)
#define LONG_ONE_IN    12u
#define LINE           "GPIO17"

static struct config config;
static struct client_limits limits;
static uint64_t begin_ns, crowd_until_ns, calm_at_ns, end_at_ns;

static struct chance *chance(void)
{
    return machine_chance();
}

static void set(const char *name, uint64_t value)
{
    char text[32];
    struct config_error error;
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    CHECK(config_set(&config, name, text, "sim", &error) == 0, "%s", error.text);
}

static void choose(const char *name, const char *const *values, unsigned count)
{
    struct config_error error;
    const char *value = values[chance_in(chance(), 0, count - 1)];
    CHECK(config_set(&config, name, value, "sim", &error) == 0, "%s", error.text);
}
#define CHOOSE(name, ...)                                                                          \
    do {                                                                                           \
        static const char *const values[] = {__VA_ARGS__};                                         \
        choose(name, values, ARRAY_SIZE(values));                                                  \
    } while (0)

/** A file in memory that only this process can open. */
static void make_key(const char *text, char *path, size_t bytes)
{
    const int fd = memfd_create("key", MFD_CLOEXEC);
    CHECK(fd >= 0 && fchmod(fd, 0600) == 0 &&
              pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text),
          "no file for a key");
    snprintf(path, bytes, "/proc/self/fd/%d", fd);
}

static void make_roles(void)
{
    struct chance *roles = machine_second_chance();
    config.local_role = (unsigned)chance_in(roles, 0, 2);
    config.anonymous_role = (unsigned)chance_in(roles, 0, 2);
    make_key(CLIENT_VIEW_KEY, config.view_key_file, sizeof config.view_key_file);
    make_key(CLIENT_CONTROL_KEY, config.control_key_file, sizeof config.control_key_file);
}

/** In one machine of four: a Unix socket, and an uplink. */
static void make_network(void)
{
    struct chance *network = machine_second_chance();
    struct config_error error;
    limits.has_network = true;
    limits.has_secret = chance_one_in(network, 2);
    CHECK(config_set(&config, "server.socket", SOCKET_FILE, "sim", &error) == 0 &&
              config_set(&config, "server.uplink", COLLECTOR_ADDRESS, "sim", &error) == 0,
          "%s", error.text);
    if (limits.has_secret)
        make_key(COLLECTOR_SECRET, config.uplink_secret_file, sizeof config.uplink_secret_file);
}

static void make_config(bool has_network)
{
    struct config_error error;
    config_defaults(&config);
    CHOOSE("node.log_level", "debug", "info");
    CHOOSE("gpio.backend", "fake");
    CHOOSE("trigger.line", LINE);
    CHOOSE("strobe.line", "", "GPIO27");
    CHOOSE("store.memory", "4M");
    CHOOSE("camera.framerate", "15", "30", "60", "100");
    CHOOSE("trigger.mode", "Off", "On");
    CHOOSE("trigger.source", "Software", "Timer", "Line");
    CHOOSE("trigger.activation", "RisingEdge", "FallingEdge", "AnyEdge");
    CHOOSE("trigger.rule", "start-after", "contains");
    CHOOSE("jpeg.exif", "yes", "no");
    bool is_large = chance_one_in(chance(), 8);
    set("camera.width", is_large ? CAMERA_WIDTH_MAX : 64);
    set("camera.height", is_large ? CAMERA_HEIGHT_MAX : 48);
    set("camera.stall_timeout_ms", chance_one_in(chance(), 4) ? 5000 : 400);
    set("camera.reopen_interval_ms", 200);
    set("camera.give_up_s", 0);
    set("camera.restart_attempts", chance_in(chance(), 0, 3));
    set("camera.buffers", chance_in(chance(), 2, 6));
    set("jpeg.frame_bytes_max", 65536);
    set("server.clients_max", chance_in(chance(), 4, 16));
    set("server.send_deadline_ms", 2000);
    set("trigger.burst_frames", chance_in(chance(), 1, 3));
    set("trigger.pretrigger_frames", chance_in(chance(), 0, 4));
    set("trigger.delay_us", chance_one_in(chance(), 3) ? chance_in(chance(), 0, 200000) : 0);
    set("trigger.divider", chance_in(chance(), 1, 3));
    set("trigger.hold_off_us", chance_one_in(chance(), 3) ? chance_in(chance(), 0, 50000) : 0);
    set("trigger.timer_period_ms", chance_in(chance(), 20, 400));
    make_roles();
    if (has_network)
        make_network();
    CHECK(config_check(&config, &error) == 0, "%s", error.text);
    limits.frame_bytes_max = config.frame_bytes_max;
    limits.local_role = WIRE_ROLE_NONE + config.local_role;
    limits.anonymous_role = WIRE_ROLE_NONE + config.anonymous_role;
    limits.send_deadline_ns = config.send_deadline_ms * NS_PER_MS;
}

// ---- faults ----

static void edges(void *arg, uint64_t count)
{
    (void)arg;
    if (machine_now() >= calm_at_ns)
        return;
    for (uint64_t i = 0; i < count; i++)
        gpio_fake_edge(LINE, i % 2 == 0, machine_now());
    if (chance_one_in(chance(), 40))
        gpio_fake_lose(LINE, (uint32_t)chance_in(chance(), 1, 5));
    if (chance_one_in(chance(), 200))
        gpio_fake_break(LINE);
    uint64_t next_ns = machine_now() + chance_in(chance(), 1, 300) * NS_PER_MS;
    machine_at(next_ns, edges, NULL, chance_one_in(chance(), 20) ? 90 : 2);
}

static void starve(bool is_starved)
{
    (void)socket_file_missing_ns(); // it counts from the end of a want of descriptors
    machine_starve_descriptors(is_starved);
}

static void trouble(void *arg, uint64_t value)
{
    struct camera_faults faults = {.is_gone = false};
    (void)arg;
    (void)value;
    if (machine_now() >= calm_at_ns)
        return;
    switch (chance_in(chance(), 0, 11)) {
    case 0: faults.is_gone = true; break;
    case 1: faults.is_silent = true; break;
    case 2:
        faults.is_stuck = true;
        faults.break_one_in = 5;
        break;
    case 3: faults.drop_one_in = (unsigned)chance_in(chance(), 2, 20); break;
    case 4: faults.tear_one_in = 3; break;
    case 5: faults.break_one_in = 20; break;
    case 6:
        machine_step_realtime((int64_t)chance_in(chance(), 0, 80 * 86400 * NS_PER_S) -
                              (int64_t)(40 * 86400 * NS_PER_S));
        break;
    case 7: machine_block_stderr(chance_one_in(chance(), 2)); break;
    case 8: starve(chance_one_in(chance(), 2)); break;
    case 9: machine_signal(chance_one_in(chance(), 2) ? SIGCONT : SIGUSR1); break;
    default: break;
    }
    camera_set_faults(&faults);
    machine_at(machine_now() + chance_in(chance(), 50, 2500) * NS_PER_MS, trouble, NULL, 0);
}

/** In one machine of four: SIGSTOP, or a processor that others have. */
static void stops(void *arg, uint64_t value)
{
    (void)arg;
    (void)value;
    // The last stop ends before the faults do, wherever the one before it still holds the process.
    if (machine_now() + 2 * STOP_MAX_MS * NS_PER_MS >= calm_at_ns)
        return;
    machine_stop(chance_in(chance(), 1, STOP_MAX_MS) * NS_PER_MS);
    machine_at(machine_now() + chance_in(chance(), 1, 2000) * NS_PER_MS, stops, NULL, 0);
}

/** The Unix socket's file is removed or replaced at times. Each second the node looks for it. */
static void lose_socket(void *arg, uint64_t was_blocked)
{
    struct chance *network = machine_second_chance();
    (void)arg;
    if (was_blocked)
        socket_file_break(SOCKET_FILE_REMOVED);
    if (machine_now() >= calm_at_ns)
        return;
    const uint64_t fault = chance_in(network, 0, 2);
    const uint64_t next_ns = machine_now() + chance_in(network, 100, 6000) * NS_PER_MS;
    if (!was_blocked)
        socket_file_break((enum socket_file_fault)fault);
    machine_at(next_ns, lose_socket, NULL, !was_blocked && fault == SOCKET_FILE_BLOCKED);
}

static void check_socket(void *arg, uint64_t value)
{
    const uint64_t missing_ns = socket_file_missing_ns();
    (void)arg;
    (void)value;
    CHECK(missing_ns == 0 || machine_now() < missing_ns + SOCKET_BACK_NS,
          "the socket's file has been lost for long");
    machine_at(machine_now() + 100 * NS_PER_MS, check_socket, NULL, 0);
}

static void newcomer(void *arg, uint64_t value)
{
    (void)arg;
    (void)value;
    if (machine_now() >= crowd_until_ns)
        return;
    client_start((enum client_kind)chance_in(chance(), 0, CLIENT_KINDS - 1), &limits);
    machine_at(machine_now() + chance_in(chance(), 50, 3000) * NS_PER_MS, newcomer, NULL, 0);
}

static void calm_down(void *arg, uint64_t value)
{
    const struct camera_faults none = {.is_gone = false};
    (void)arg;
    (void)value;
    machine_trace("calm");
    machine_block_stderr(false);
    starve(false);
    camera_set_faults(&none);
    client_calm_down();
    if (limits.has_network)
        collector_calm_down();
}

// ---- the end ----

static void check_flow(void *arg, uint64_t value)
{
    (void)arg;
    (void)value;
    CHECK(machine_now() - truth_last_frame_ns() < NS_PER_S,
          "%llu ns after all faults no frame has come for a second",
          (unsigned long long)(machine_now() - calm_at_ns));
    client_ask_stats();
}

static uint64_t metric(const char *name)
{
    char line[160];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(client_stats()->text, line);
    CHECK(at != NULL, "STATS has no %s", name);
    return strtoull(at + strlen(line), NULL, 10);
}

static uint64_t metrics_sum(const char *prefix)
{
    uint64_t sum = 0;
    for (const char *at = strstr(client_stats()->text, prefix); at != NULL;
         at = strstr(at + 1, prefix))
        sum += at[-1] == '\n' ? strtoull(strchr(at, ' '), NULL, 10) : 0;
    return sum;
}

/** What STATS said shortly before the end, against what had been published when it was asked and
 * when it was there. */
static void check_metrics(void)
{
    const struct client_stats *stats = client_stats();
    CHECK(stats->text[0] != '\0', "the steward got no STATS");
    uint64_t frames = metric("pinhole_frames_captured_total");
    CHECK(frames >= stats->frames_before && frames <= stats->frames_after,
          "STATS counts %llu frames, %llu to %llu were published", (unsigned long long)frames,
          (unsigned long long)stats->frames_before, (unsigned long long)stats->frames_after);
    // No trigger waits any more: TriggerMode has been Off for seconds.
    uint64_t triggers = metrics_sum("pinhole_triggers_total{");
    CHECK(triggers == truth_triggers(), "STATS counts %llu outcomes, there were %llu triggers",
          (unsigned long long)triggers, (unsigned long long)truth_triggers());
    uint64_t acquired = metric("pinhole_frames_acquired_total");
    uint64_t dropped = metrics_sum("pinhole_frames_dropped_total{") -
                       metric("pinhole_frames_dropped_total{reason=\"sensor\"}");
    CHECK(frames + dropped <= acquired, "%llu frames were acquired, %llu published, %llu dropped",
          (unsigned long long)acquired, (unsigned long long)frames, (unsigned long long)dropped);
}

/** A trigger never waits for longer than its delay, its deadline and a burst take. */
static void check_outcomes(void *arg, uint64_t value)
{
    (void)arg;
    (void)value;
    CHECK(!machine_is_awake_for(NS_PER_S) || truth_oldest_open_ns() == 0 ||
              machine_now() - truth_oldest_open_ns() < OUTCOME_MAX_NS,
          "a trigger has waited for its outcome for %llu ns",
          (unsigned long long)(machine_now() - truth_oldest_open_ns()));
    machine_at(machine_now() + 250 * NS_PER_MS, check_outcomes, NULL, 0);
}

static void end(void *arg, uint64_t value)
{
    (void)arg;
    (void)value;
    if (limits.has_network)
        collector_check_flow();
    machine_signal(SIGTERM);
}

/** Some of these machines have a peer that refuses the node for minutes. */
static void start_network(void)
{
    struct chance *network = machine_second_chance();
    const bool is_long = chance_one_in(network, LONG_ONE_IN);
    if (is_long)
        calm_at_ns += chance_in(network, 60, 120) * NS_PER_S;
    end_at_ns = calm_at_ns + CALM_NS;
    socket_file_init(chance_one_in(network, 2));
    collector_start(&limits, is_long ? (unsigned)chance_in(network, 0, 8) : 0, end_at_ns);
    machine_at(machine_now() + chance_in(network, 0, 4000) * NS_PER_MS, lose_socket, NULL, 0);
    machine_at(machine_now() + 50 * NS_PER_MS, check_socket, NULL, 0);
}

static uint64_t run_seed(uint64_t seed, bool is_verbose)
{
    machine_init(seed, is_verbose);
    begin_ns = machine_now();
    make_config(seed % 4 == 2);
    camera_init(config.width, config.height);
    truth_init(config.frame_bytes_max);
    log_set_level(config.log_level == CONFIG_LOG_DEBUG ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    calm_at_ns = machine_now() + chance_in(chance(), 1000, 12000) * NS_PER_MS;
    crowd_until_ns = calm_at_ns;
    end_at_ns = calm_at_ns + CALM_NS;
    if (limits.has_network)
        start_network();
    machine_at(machine_now() + 5 * NS_PER_MS, newcomer, NULL, 0);
    machine_at(machine_now() + chance_in(chance(), 0, 1000) * NS_PER_MS, trouble, NULL, 0);
    machine_at(machine_now() + 100 * NS_PER_MS, edges, NULL, 2);
    if (seed % 4 == 3)
        machine_at(machine_now() + 200 * NS_PER_MS, stops, NULL, 0);
    machine_at(machine_now(), check_outcomes, NULL, 0);
    machine_at(calm_at_ns, calm_down, NULL, 0);
    machine_at(calm_at_ns + RECOVERY_NS, check_flow, NULL, 0);
    machine_at(end_at_ns, end, NULL, 0);
    int status = node_run(&config, &sim_camera, "0");
    CHECK(status == 0, "the node ended with status %d after SIGTERM", status);
    truth_check_end();
    check_metrics();
    client_check_end();
    if (limits.has_network)
        socket_file_check_end();
    return machine_trace_hash();
}

/** How much faster than the clock the children were, counting each processor. */
static void say_speed(uint64_t simulated_ns)
{
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    const double cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    const double simulated_s = (double)simulated_ns / 1e9;
    printf("%.0f simulated seconds, %.0f in each CPU second\n", simulated_s, simulated_s / cpu_s);
}

/** Runs seeds in children, `jobs` at a time. Returns how many failed. */
static unsigned run_many(uint64_t first, uint64_t count, unsigned jobs)
{
    unsigned failed = 0, running = 0;
    int status;
    _Atomic uint64_t *simulated_ns =
        mmap(NULL, sizeof *simulated_ns, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(simulated_ns != MAP_FAILED, "no memory");
    for (uint64_t i = 0; i < count; i++) {
        if (running == jobs && wait(&status) > 0) {
            running--;
            failed += status != 0;
        }
        pid_t child = fork();
        if (child == 0) {
            run_seed(first + i, false);
            *simulated_ns += machine_now() - begin_ns;
            _exit(0);
        }
        running += child > 0;
        failed += child < 0;
    }
    while (wait(&status) > 0)
        failed += status != 0;
    say_speed(*simulated_ns);
    return failed;
}

/** Leaves as the children of run_many() do: a world is released with its process. */
static _Noreturn void leave(void)
{
    fflush(stdout);
    _exit(0);
}

int main(int argc, char *argv[])
{
    if (argc == 3 && strcmp(argv[1], "--hash") == 0) {
        printf("%016llx\n", (unsigned long long)run_seed(strtoull(argv[2], NULL, 10), false));
        leave();
    }
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: sim SEED | sim FIRST COUNT [JOBS] | sim --hash SEED\n");
        return 2;
    }
    uint64_t first = strtoull(argv[1], NULL, 10);
    if (argc == 2) {
        run_seed(first, true);
        leave();
    }
    uint64_t count = strtoull(argv[2], NULL, 10);
    unsigned failed = run_many(first, count, argc > 3 ? (unsigned)atoi(argv[3]) : 2);
    printf("%llu passed, %u failed\n", (unsigned long long)(count - failed), failed);
    return failed != 0;
}
