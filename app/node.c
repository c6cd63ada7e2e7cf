// SPDX-License-Identifier: MIT
// The superloop: one thread, one wait. Each turn dispatches what came, encodes one slice, sends
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

#include "app/node_private.h"
#include "hal/os/clock.h"
#include "hal/os/watchdog.h"

#define DRAIN_NS (1 * NS_PER_S)

static_assert(SERVER_CLIENTS_LIMIT + CONFIG_PRETRIGGER_LIMIT + 4 <= STORE_PINNED_MAX,
              "STORE_PINNED_MAX must cover every client, held frame and the writer: raise it");
static_assert(SERVER_CLIENTS_LIMIT + SERVER_LISTENERS_MAX + HAL_GPIO_LINES_MAX + 4 <= LOOP_FDS_MAX,
              "LOOP_FDS_MAX must cover every client, listener, GPIO line and the camera: raise it");

/** The whole state of the node; its pools are listed in pools.def. */
static struct node the_node;

uint64_t node_realtime_at(uint64_t monotonic_ns)
{
    return clock_realtime_ns() - clock_now_ns() + monotonic_ns;
}

void node_publish_event(struct node *node, struct wire_event *event, const char *text,
                        uint64_t now_ns)
{
    event->boot_id = node->boot_id;
    event->monotonic_ns = now_ns;
    event->realtime_ns = node_realtime_at(now_ns);
    store_publish_event(&node->store, event, text);
    if (event->kind == WIRE_EVENT_CAMERA)
        log_info("camera %s: %s", wire_camera_state_name(event->camera_state), text);
    else
        log_debug("%s %s", wire_event_name(event->kind), text);
}

static void on_camera_timer(void *user, uint64_t now_ns)
{
    node_camera_supervise(user, now_ns);
}

static void on_trigger_timer(void *user, uint64_t now_ns)
{
    struct node *node = user;
    trigger_tick(&node->trigger, now_ns);
}

static void on_second(void *user, uint64_t now_ns)
{
    struct node *node = user;
    node->server.clock_flags = clock_is_synchronized() ? WIRE_FRAME_CLOCK_SYNCHRONIZED : 0;
    if (node->config.trigger_mode == CONFIG_TRIGGER_ON &&
        node->config.trigger_rule == CONFIG_RULE_EXTERNAL)
        supervisor_expect_silence(&node->supervisor, now_ns);
    loop_timer_set(&node->loop, node->second_timer, now_ns + NS_PER_S);
}

static void on_watchdog_timer(void *user, uint64_t now_ns)
{
    struct node *node = user;
    watchdog_kick();
    loop_timer_set(&node->loop, node->watchdog_timer, now_ns + node->watchdog_ns);
}

static void on_signal(void *user, uint32_t events, uint64_t now_ns)
{
    (void)events;
    struct node *node = user;
    struct signalfd_siginfo info;
    if (read(node->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    log_info("signal %u, draining", info.ssi_signo);
    node_camera_close(node, now_ns);
    loop_timer_set(&node->loop, node->camera_timer, NS_NEVER);
    node->drain_until_ns = now_ns + DRAIN_NS;
    loop_timer_set(&node->loop, node->second_timer, node->drain_until_ns);
}

static int watch_signals(struct node *node)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    node->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (node->signal_fd < 0 ||
        loop_fd_add(&node->loop, node->signal_fd, EPOLLIN, on_signal, node) == 0)
        return -errno;
    return 0;
}

/** Maps the store, all of it now: a machine without the memory says so at start, not in the field.
 */
static int map_store(struct node *node)
{
    uint64_t bytes = node->config.store_memory;
    // 4 GiB, the most that can be configured, is more than a 32-bit machine can name.
    size_t mapped = (size_t)base_min_u64(bytes, SIZE_MAX);
    void *memory = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
        log_error("cannot map store.memory = %llu MiB: %s", (unsigned long long)(bytes >> 20),
                  strerror(errno));
        return -errno;
    }
    return store_init(&node->store, memory, bytes);
}

static int add_timers(struct node *node)
{
    node->camera_timer = loop_timer_add(&node->loop, on_camera_timer, node);
    node->trigger_timer = loop_timer_add(&node->loop, on_trigger_timer, node);
    node->second_timer = loop_timer_add(&node->loop, on_second, node);
    node->watchdog_timer = loop_timer_add(&node->loop, on_watchdog_timer, node);
    return node->watchdog_timer < 0 ? node->watchdog_timer : 0;
}

static int listen_all(struct node *node)
{
    int status = 0;
    if (node->config.listen[0] != '\0')
        status = server_listen_tcp(&node->server, node->config.listen);
    if (status == 0 && node->config.socket[0] != '\0')
        status = server_listen_unix(&node->server, node->config.socket);
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
        .boot_id = node->boot_id,
        .request = node_request,
        .user = node,
    };
    return server_init(&node->server, &node->loop, &node->store, &wish);
}

static int init_node(struct node *node, const struct config *config,
                     const struct hal_camera_ops *camera, const char *camera_id)
{
    node->config = *config;
    node->camera = camera;
    node->camera_id = camera_id;
    node->exit_status = -1;
    node->line.handle = -1;
    node->camera_state = WIRE_CAMERA_ABSENT;
    if (node->config.node_name[0] == '\0')
        gethostname(node->config.node_name, sizeof node->config.node_name - 1);
    serial_find("", node->config.node_name, node->serial_storage);
    bool has_own_id = camera_id[0] != '\0' && strcmp(config->camera, "auto") != 0;
    node->serial = has_own_id ? camera_id : node->serial_storage;
    jpeg_encoder_init(&node->encoder, NULL);
    int status = loop_init(&node->loop);
    if (status == 0)
        status = add_timers(node);
    if (status == 0)
        status = watch_signals(node);
    if (status == 0 && getrandom(&node->boot_id, sizeof node->boot_id, 0) < 0)
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
    snprintf(node->camera_model, sizeof node->camera_model, "%s", camera->name); // until it is open
    node_camera_introduce(node);
    node->started_ns = clock_now_ns();
    trigger_init(&node->trigger);
    struct rate_config unlimited = {.quality_min = 1, .quality_max = 100};
    rate_init(&node->rate, &unlimited);
    node_apply_rate(node);
    struct supervisor_config none = {0};
    supervisor_init(&node->supervisor, &none, node->started_ns);
    node_apply_supervisor(node);
    on_second(node, node->started_ns);
    return listen_all(node);
}

/** Remembers the longest turn, opening and starting the camera aside. CPU time is counted from turn
 * to turn, so that of the wait in between belongs to it; what others did meanwhile does not. */
static void measure_turn(struct node *node, uint64_t start_ns)
{
    uint64_t turn_ns = clock_now_ns() - start_ns, cpu_ns = clock_thread_cpu_ns();
    uint64_t turn_cpu_ns = cpu_ns - node->cpu_ns;
    node->cpu_ns = cpu_ns;
    if (!node->is_turn_blocked) {
        node->turn_worst_ns = base_max_u64(node->turn_worst_ns, turn_ns);
        node->turn_worst_cpu_ns = base_max_u64(node->turn_worst_cpu_ns, turn_cpu_ns);
    }
    node->is_turn_blocked = false;
}

static void note_use(struct node *node)
{
    node->waiting_used_max = base_max_u32(node->waiting_used_max, node->waiting_count);
    node->held_used_max = base_max_u32(node->held_used_max, node->held_count);
    node->triggers_used_max = base_max_u32(node->triggers_used_max, node->trigger.used);
}

static bool is_drained(struct node *node, uint64_t now_ns)
{
    return node->drain_until_ns != 0 &&
           (now_ns >= node->drain_until_ns || !server_has_output(&node->server));
}

static void run_loop(struct node *node)
{
    bool more = false;
    node->cpu_ns = clock_thread_cpu_ns();
    while (node->exit_status < 0) {
        loop_timer_set(&node->loop, node->trigger_timer, trigger_next_deadline(&node->trigger));
        uint64_t now_ns = loop_turn(&node->loop, more || node_has_work(node));
        note_use(node);
        strobe_line_turn(&node->strobe, &node->trigger, now_ns);
        node_encode_slice(node, now_ns);
        node_report_outcomes(node, now_ns);
        more = server_flush(&node->server, now_ns);
        measure_turn(node, now_ns);
        if (is_drained(node, now_ns))
            node->exit_status = 0;
    }
}

int node_run(const struct config *config, const struct hal_camera_ops *camera,
             const char *camera_id)
{
    struct node *node = &the_node;
    if (init_node(node, config, camera, camera_id) < 0)
        return NODE_EXIT_START_FAILED;
    int64_t watchdog = watchdog_open();
    if (watchdog < 0)
        log_warning("NOTIFY_SOCKET is unusable: %s", strerror((int)-watchdog));
    node->watchdog_ns = watchdog > 0 ? (uint64_t)watchdog : 0;
    if (node->watchdog_ns > 0)
        loop_timer_set(&node->loop, node->watchdog_timer, 0);
    node_camera_supervise(node, clock_now_ns());
    watchdog_ready(node->is_camera_open ? "streaming" : "waiting for the camera");
    run_loop(node);
    watchdog_close();
    node_camera_close(node, clock_now_ns());
    trigger_line_close(&node->line);
    strobe_line_close(&node->strobe, clock_now_ns());
    server_close(&node->server);
    log_info("ended");
    return node->exit_status;
}

int node_print_memory(int fd, const struct config *config)
{
    struct node *n = &the_node;
    n->store.block_count = store_block_count(config->store_memory);
    dprintf(fd, "%-32s %12s %8s %14s\n", "pool", "bytes each", "count", "bytes");
    size_t total = 0;
#define POOL(name, bytes, count, used)                                                             \
    dprintf(fd, "%-32s %12zu %8zu %14zu\n", name, (size_t)(bytes), (size_t)(count),                \
            (size_t)(bytes) * (size_t)(count));                                                    \
    total += (size_t)(bytes) * (size_t)(count);
#include "app/pools.def"
#undef POOL
    dprintf(fd, "%-32s %12s %8s %14zu\n", "total", "", "", total);
    return 0;
}
