// SPDX-License-Identifier: MIT
// pinhole-relay: puts each record of a node into a stream of NATS JetStream. This file: start and
// end.
#include "hal/base.h"
#include "tools/common/say.h"
#include "tools/common/stop.h"
#include "tools/relay/nats_config.h"
#include "tools/relay/relay.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    ARENAS_MAX = 2, /**< of malloc(): the library has threads of its own */
    KEPT_BYTES =
        4 << 20, /**< malloc() keeps this: else each picture's pages come from the kernel */
};

static bool run(const struct relay_settings *settings, char why[RELAY_WHY_BYTES])
{
    static struct relay relay;
    sigset_t signals;
    stop_signals_block(&signals);
    signal(SIGPIPE, SIG_IGN);
    const int stop_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (stop_fd < 0) {
        snprintf(why, RELAY_WHY_BYTES, "cannot make a signalfd");
        return false;
    }
    const bool is_started = relay_init(&relay, settings, why) == 0;
    if (is_started) {
        relay_run(&relay, stop_fd);
        relay_end(&relay);
    }
    close(stop_fd);
    return is_started;
}

static bool gather(const struct relay_settings *settings, char why[RELAY_WHY_BYTES])
{
    static struct relay_server server;
    if (relay_server_init(&server, settings, why) < 0)
        return false;
    const bool is_done = relay_server_connect(&server, why) && relay_stream_gather(&server, why);
    relay_server_close(&server);
    return is_done;
}

int main(int argc, char **argv)
{
    static struct relay_settings settings;
    char why[RELAY_WHY_BYTES] = "";
    const int result = relay_settings_read(&settings, argc, argv, why);
    if (result != 0) {
        if (result < 0)
            say("%s", why);
        return result < 0 ? EXIT_USAGE : EXIT_SUCCESS;
    }
    mallopt(M_ARENA_MAX, ARENAS_MAX);
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    if (settings.mode == RELAY_PRINT_LEAF || settings.mode == RELAY_PRINT_HUB) {
        if (relay_nats_config_print(stdout, &settings, why) == 0)
            return EXIT_SUCCESS;
        say("%s", why);
        return EXIT_FAILURE;
    }
    const bool is_done =
        settings.mode == RELAY_GATHER ? gather(&settings, why) : run(&settings, why);
    nats_Close();
    if (!is_done)
        say("%s", why);
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
