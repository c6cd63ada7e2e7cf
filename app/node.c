// SPDX-License-Identifier: MIT
// The superloop: one thread, one wait. Each turn dispatches what came, encodes for a while, sends
// what can be sent.
#include "app/node.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/node_request.h"
#include "app/node_state.h"
#include "app/node_stats.h"
#include "hal/os/clock.h"
#include "hal/os/log.h"
#include "hal/os/watchdog.h"

#define EXIT_START_FAILED  1
#define EXIT_CAMERA_FAILED 3
#define DRAIN_NS           (1 * NS_PER_S)
#define PAGE_BYTES         4096u           /**< the smallest page that Linux has */
#define PAGE_STEP_BYTES    (256u * 1024u)  /**< of the store, taken in one turn of the loop */
#define PAGE_PAUSE_NS      (2 * NS_PER_MS) /**< between two steps: 64 MiB take half a second */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static_assert(SERVER_CLIENTS_LIMIT + CONFIG_PRETRIGGER_LIMIT + 4 <= STORE_PINNED_MAX,
              "STORE_PINNED_MAX must cover every client, held frame and the writer: raise it");
static_assert(SERVER_CLIENTS_LIMIT + SERVER_LISTENERS_MAX + HAL_GPIO_LINES_MAX + 4 <= LOOP_FDS_MAX,
              "LOOP_FDS_MAX must cover every client, listener, GPIO line and the camera: raise it");

/** The whole state of the node; its pools are listed in pools.def. */
static struct node the_node;

static void on_camera_timer(void *user, uint64_t now_ns)
{
    struct node *node = user;
    node_camera_supervise(&node->camera, now_ns);
}

static void on_trigger_timer(void *user, uint64_t now_ns)
{
    struct node *node = user;
    trigger_tick(&node->trigger.engine, now_ns);
}

/** A kernel that does not answer is another matter than a clock that is not synchronised. */
static void note_clock(struct node *node)
{
    int state = clock_sync_state();
    node->server.clock_flags = state > 0 ? WIRE_FRAME_CLOCK_SYNCHRONIZED : 0;
    if (state >= 0 || node->process.said_clock)
        return;
    node->process.said_clock = true;
    log_warning("adjtimex(2) fails: %s. Whether the clock is synchronised is not known, and no "
                "frame says that it is; a sandbox must allow this call",
                strerror(-state));
}

static void on_second(void *user, uint64_t now_ns)
{
    struct node *node = user;
    note_clock(node);
    if (node->config.trigger_mode == CONFIG_TRIGGER_ON &&
        node->config.trigger_rule == CONFIG_RULE_EXTERNAL)
        supervisor_expect_silence(&node->camera.supervisor, now_ns);
    loop_timer_set(&node->loop, node->process.second_timer, now_ns + NS_PER_S);
}

static void on_watchdog_timer(void *user, uint64_t now_ns)
{
    struct node *node = user;
    watchdog_kick();
    loop_timer_set(&node->loop, node->process.watchdog_timer, now_ns + node->process.watchdog_ns);
}

/** Closes the camera, sends what subscribers have not got yet for a while, and ends. */
static void drain(struct node *node, unsigned signal_number, uint64_t now_ns)
{
    log_info("signal %u, draining", signal_number);
    node_camera_close(&node->camera, now_ns);
    loop_timer_set(&node->loop, node->camera.timer, NS_NEVER);
    node->process.drain_until_ns = now_ns + DRAIN_NS;
    loop_timer_set(&node->loop, node->process.second_timer, node->process.drain_until_ns);
}

static void on_signal(void *user, uint32_t events, uint64_t now_ns)
{
    (void)events;
    struct node *node = user;
    struct signalfd_siginfo info;
    if (read(node->process.signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    switch (info.ssi_signo) {
    case SIGCONT:
        log_warning("the process was stopped and goes on");
        supervisor_expect_silence(&node->camera.supervisor, now_ns);
        break;
    case SIGUSR1:
    case SIGUSR2: log_info("signal %u does nothing", info.ssi_signo); break;
    default: drain(node, info.ssi_signo, now_ns); break;
    }
}

void node_signals(sigset_t *set)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT};
    sigemptyset(set);
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        sigaddset(set, signals[i]);
}

static int watch_signals(struct node *node)
{
    sigset_t set;
    node_signals(&set);
    node->process.signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (node->process.signal_fd < 0 ||
        loop_fd_add(&node->loop, node->process.signal_fd, EPOLLIN, on_signal, node) == 0)
        return -errno;
    return 0;
}

/** Reserves the store's memory. The pages come in small steps from then on: all at once they would
 * hold up the first frame by tens of milliseconds. */
static int map_store(struct node *node)
{
    uint64_t bytes = node->config.store_memory;
    // 4 GiB, the most that can be configured, is more than a 32-bit machine can name.
    size_t mapped = (size_t)base_min_u64(bytes, SIZE_MAX);
    void *memory = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        log_error("cannot map store.memory = %llu MiB: %s", (unsigned long long)(bytes >> 20),
                  strerror(errno));
        return -errno;
    }
    node->process.store = memory;
    node->process.store_bytes = mapped;
    loop_timer_set(&node->loop, node->process.page_timer, 0);
    return store_init(&node->store, memory, bytes);
}

/** Takes the next pages of the store. A machine without the memory says so in the first seconds,
 * not in the field. */
static void on_page_timer(void *user, uint64_t now_ns)
{
    struct node *node = user;
    struct node_process *process = &node->process;
    size_t left = process->store_bytes - process->paged_bytes;
    size_t step = left < PAGE_STEP_BYTES ? left : PAGE_STEP_BYTES;
    uint8_t *at = process->store + process->paged_bytes;
    if (madvise(at, step, MADV_POPULATE_WRITE) < 0 && errno == ENOMEM) {
        log_error("this machine has no memory for store.memory = %llu MiB: lower it",
                  (unsigned long long)(node->config.store_memory >> 20));
        process->exit_status = EXIT_START_FAILED;
        return;
    }
    // Kernels before 5.14 do not know the advice: writing what stands there takes the page, too.
    for (size_t i = 0; i < step; i += PAGE_BYTES) {
        volatile uint8_t *byte = at + i;
        uint8_t value = *byte;
        *byte = value;
    }
    process->paged_bytes += step;
    if (step < left)
        loop_timer_set(&node->loop, process->page_timer, now_ns + PAGE_PAUSE_NS);
}

static int add_timers(struct node *node)
{
    node->camera.timer = loop_timer_add(&node->loop, on_camera_timer, node);
    node->trigger.timer = loop_timer_add(&node->loop, on_trigger_timer, node);
    node->process.second_timer = loop_timer_add(&node->loop, on_second, node);
    node->process.watchdog_timer = loop_timer_add(&node->loop, on_watchdog_timer, node);
    node->process.page_timer = loop_timer_add(&node->loop, on_page_timer, node);
    return node->process.page_timer < 0 ? node->process.page_timer : 0;
}

static int listen_all(struct node *node)
{
    int status =
        server_read_keys(&node->server, node->config.view_key_file, node->config.control_key_file);
    if (status == 0 && node->config.listen[0] != '\0')
        status = server_listen_tcp(&node->server, node->config.listen);
    if (status == 0 && node->config.socket[0] != '\0')
        status = server_listen_unix(&node->server, node->config.socket);
    if (status == 0 && node->config.uplink_secret_file[0] != '\0')
        status = server_uplink_secret(&node->server, node->config.uplink_secret_file);
    if (status == 0 && node->config.uplink[0] != '\0')
        status = server_dial(&node->server, node->config.uplink);
    return status;
}

static int init_server(struct node *node)
{
    struct server_config wish = {
        .clients_max = node->config.clients_max,
        .frame_bytes_max = (uint32_t)node->config.frame_bytes_max,
        .send_deadline_ns = node->config.send_deadline_ms * NS_PER_MS,
        .command_rate = node->config.command_rate,
        .boot_id = node->log.boot_id,
        .local = (enum wire_role)(WIRE_ROLE_NONE + node->config.local_role),
        .anonymous = (enum wire_role)(WIRE_ROLE_NONE + node->config.anonymous_role),
        .request = node_request,
        .user = node,
    };
    return server_init(&node->server, &node->loop, &node->store, &wish);
}

/** Names the node and its serial number: the configured camera's id, else the machine's. */
static void name_node(struct node *node)
{
    struct config *config = &node->config;
    if (config->node_name[0] == '\0')
        gethostname(config->node_name, sizeof config->node_name - 1);
    serial_find("", config->node_name, node->process.serial);
    bool has_own_id = node->camera.id[0] != '\0' && strcmp(config->camera, "auto") != 0;
    node->camera.serial = has_own_id ? node->camera.id : node->process.serial;
}

void node_connect(struct node *node, const struct hal_camera_ops *camera, const char *camera_id)
{
    const struct rate_config unlimited = {.quality_min = 1, .quality_max = 100};
    const struct supervisor_config none = {0};
    node->log.store = &node->store;
    node->trigger.loop = &node->loop;
    node->trigger.log = &node->log;
    node->trigger.line.handle = -1;
    trigger_init(&node->trigger.engine);

    struct node_encode *encode = &node->encode;
    encode->config = &node->config;
    encode->camera = camera;
    encode->got = &node->camera.got;
    encode->clock_flags = &node->server.clock_flags;
    encode->store = &node->store;
    encode->log = &node->log;
    encode->trigger = &node->trigger;
    encode->metrics = &node->metrics;
    jpeg_encoder_init(&encode->encoder, NULL);
    rate_init(&encode->rate, &unlimited);
    node_encode_apply_rate(encode);

    node->camera.ops = camera;
    node->camera.id = camera_id;
    node->camera.state = WIRE_CAMERA_ABSENT;
    node->camera.config = &node->config;
    node->camera.loop = &node->loop;
    node->camera.server = &node->server;
    node->camera.log = &node->log;
    node->camera.trigger = &node->trigger;
    node->camera.encode = encode;
    node->camera.metrics = &node->metrics;
    snprintf(node->camera.model, sizeof node->camera.model, "%s", camera->name); // until it is open
    supervisor_init(&node->camera.supervisor, &none, node->process.started_ns);
    node_camera_apply_supervisor(&node->camera);
}

static int init_node(struct node *node, const struct config *config,
                     const struct hal_camera_ops *camera, const char *camera_id)
{
    node->config = *config;
    node->process.exit_status = -1;
    node->process.started_ns = clock_now_ns();
    node_connect(node, camera, camera_id);
    name_node(node);
    int status = loop_init(&node->loop);
    if (status == 0)
        status = add_timers(node);
    if (status == 0)
        status = watch_signals(node);
    if (status == 0 && getrandom(&node->log.boot_id, sizeof node->log.boot_id, 0) < 0)
        status = -errno;
    if (status < 0) {
        log_error("cannot start: %s", strerror(-status));
        return status;
    }
    status = map_store(node);
    if (status == 0)
        status = init_server(node);
    if (status < 0)
        return status;
    node_camera_introduce(&node->camera);
    on_second(node, clock_now_ns());
    return listen_all(node);
}

/** Opening and starting the camera aside, which may take seconds. */
static void measure_turn(struct node *node)
{
    uint64_t now_ns = clock_now_ns();
    if (node->camera.has_blocked)
        turn_skip(&node->turn, now_ns, clock_thread_cpu_ns());
    else if (turn_end(&node->turn, now_ns))
        turn_judge(&node->turn, clock_thread_cpu_ns());
    node->camera.has_blocked = false;
}

/** The camera has asked for the end of the program: by then there is no way back. */
static void obey_camera(struct node *node)
{
    if (node->camera.exit == NODE_CAMERA_BAD_SETTING)
        node->process.exit_status = EXIT_START_FAILED;
    if (node->camera.exit == NODE_CAMERA_GIVEN_UP)
        node->process.exit_status = EXIT_CAMERA_FAILED;
}

static bool is_drained(struct node *node, uint64_t now_ns)
{
    return node->process.drain_until_ns != 0 &&
           (now_ns >= node->process.drain_until_ns || !server_has_output(&node->server));
}

static void run_loop(struct node *node)
{
    bool has_more = false;
    obey_camera(node);
    while (node->process.exit_status < 0) {
        node_trigger_arm(&node->trigger);
        bool is_busy = has_more || node_encode_has_work(&node->encode);
        if (!is_busy && turn_wait(&node->turn))
            turn_read(&node->turn, clock_thread_cpu_ns());
        uint64_t now_ns = loop_turn(&node->loop, is_busy);
        turn_start(&node->turn, now_ns);
        node_trigger_turn(&node->trigger, now_ns);
        node_encode_turn(&node->encode, now_ns);
        node_trigger_report(&node->trigger, now_ns);
        has_more = server_flush(&node->server, now_ns);
        measure_turn(node);
        obey_camera(node);
        if (is_drained(node, now_ns))
            node->process.exit_status = 0;
    }
}

int node_run(const struct config *config, const struct hal_camera_ops *camera,
             const char *camera_id)
{
    struct node *node = &the_node;
    if (init_node(node, config, camera, camera_id) < 0)
        return EXIT_START_FAILED;
    int64_t watchdog = watchdog_open();
    if (watchdog < 0)
        log_warning("NOTIFY_SOCKET is unusable: %s", strerror((int)-watchdog));
    node->process.watchdog_ns = watchdog > 0 ? (uint64_t)watchdog : 0;
    if (node->process.watchdog_ns > 0)
        loop_timer_set(&node->loop, node->process.watchdog_timer, 0);
    node_camera_supervise(&node->camera, clock_now_ns());
    watchdog_ready(node->camera.is_open ? "streaming" : "waiting for the camera");
    run_loop(node);
    watchdog_close();
    node_camera_close(&node->camera, clock_now_ns());
    node_trigger_close(&node->trigger, clock_now_ns());
    server_close(&node->server);
    log_info("ended");
    return node->process.exit_status;
}

int node_print_memory(int fd, const struct config *config)
{
    the_node.store.block_count = store_block_count(config->store_memory);
    node_stats_print_pools(&the_node, fd);
    return 0;
}
