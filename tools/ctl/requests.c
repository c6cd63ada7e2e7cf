// SPDX-License-Identifier: MIT
// pinholectl's small commands: trigger, stats, ping, and list, which asks several nodes.
#include "tools/ctl/ctl.h"

#include "tools/common/stats.h"
#include "tools/common/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/** Sleeps; false when a signal wants us to end. */
static bool pause_ms(int ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    if (!ctl_interrupted)
        nanosleep(&time, NULL);
    return !ctl_interrupted;
}

/** What --count and --interval of a command say: how often it asks the node, and how fast. */
struct repeat {
    unsigned long long count;
    int interval_ms;
};

/** Reads the options over the defaults in *out and opens the node. NULL: *exit_code ends it. */
static struct pinhole *repeat_open(struct ctl *ctl, int argc, char **argv, struct repeat *out,
                                   int *exit_code)
{
    static const struct option options[] = {{"count", required_argument, NULL, 'c'},
                                            {"interval", required_argument, NULL, 'i'},
                                            CTL_LONG};
    struct pinhole *p;
    int letter;
    *exit_code = CTL_USAGE;
    while ((letter = ctl_option(ctl, argc, argv, "c:i:" CTL_SHORT, options)) > 0) {
        if (letter == 'c' && !ctl_number("--count", optarg, 1, UINT32_MAX, &out->count))
            return NULL;
        if (letter == 'i' && !ctl_seconds("--interval", optarg, &out->interval_ms))
            return NULL;
    }
    if (letter < 0) {
        *exit_code = ctl_option_exit(letter);
        return NULL;
    }
    if (ctl_no_argument(ctl, argc, argv) != CTL_OK)
        return NULL;
    *exit_code = ctl_open(ctl, &p, -1);
    return *exit_code == CTL_OK ? p : NULL;
}

static int run_trigger(struct ctl *ctl, int argc, char **argv)
{
    struct repeat repeat = {.count = 1};
    int code;
    struct pinhole *p = repeat_open(ctl, argc, argv, &repeat, &code);
    if (p == NULL)
        return code;
    for (unsigned long long i = 0; i < repeat.count && !ctl_interrupted; i++) {
        uint64_t id;
        if (i > 0 && repeat.interval_ms > 0 && !pause_ms(repeat.interval_ms))
            break;
        int error = pinhole_trigger(p, &id);
        if (error < 0)
            return ctl_failed(p, error);
        printf(ctl->wants_json ? "{\"trigger_id\":%" PRIu64 "}\n" : "%" PRIu64 "\n", id);
        fflush(stdout);
    }
    pinhole_close(p);
    return CTL_OK;
}

const struct ctl_command ctl_trigger = {
    "trigger", run_trigger, "[-c COUNT] [-i SECONDS]",
    "Triggers by software and prints each trigger's id",
    "  -c, --count N          so many triggers (default 1)\n"
    "  -i, --interval SECONDS between them (default: at once)\n\n"
    "The node must have TriggerMode=On and TriggerSource=Software. Which frame answered is in the\n"
    "frame's header: `pinholectl watch --triggers` shows it.\n"};

/** One Prometheus sample `name{labels} value` as a JSON object. */
static void json_sample(char *line)
{
    char *value = strrchr(line, ' ');
    if (value == NULL || *line == '#')
        return;
    *value++ = '\0';
    char *labels = strchr(line, '{'), *end = strrchr(line, '}');
    if (labels != NULL && end != NULL && end > labels)
        *labels++ = *end = '\0';
    json_t *sample = json_object();
    json_put_text(&sample, "name", line);
    if (labels != NULL)
        json_put_text(&sample, "labels", labels);
    json_put_number(&sample, "value", value); // +Inf and NaN stay text
    ctl_print_json(sample);
}

static int run_stats(struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {CTL_LONG};
    int letter = ctl_option(ctl, argc, argv, CTL_SHORT, options);
    if (letter < 0)
        return ctl_option_exit(letter);
    struct pinhole *p;
    char *text;
    int code = ctl_no_argument(ctl, argc, argv);
    if (code == CTL_OK)
        code = ctl_open(ctl, &p, -1);
    if (code != CTL_OK)
        return code;
    int length = stats_text(p, &text);
    if (length < 0)
        return ctl_failed(p, length);
    if (!ctl->wants_json)
        text_print_lines(stdout, text);
    else
        for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;)
            json_sample(line);
    free(text);
    pinhole_close(p);
    return CTL_OK;
}

const struct ctl_command ctl_stats = {
    "stats", run_stats, "[--json]", "Prints the node's counters",
    "Prometheus text exposition format; with --json one object a sample: name, labels, value.\n"};

static int run_ping(struct ctl *ctl, int argc, char **argv)
{
    struct repeat repeat = {.count = 4, .interval_ms = 1000};
    int code;
    struct pinhole *p = repeat_open(ctl, argc, argv, &repeat, &code);
    if (p == NULL)
        return code;
    for (unsigned long long i = 0; i < repeat.count && !ctl_interrupted; i++) {
        if (i > 0 && !pause_ms(repeat.interval_ms))
            break;
        int64_t ns = pinhole_ping(p);
        if (ns < 0)
            return ctl_failed(p, (int)ns);
        if (ctl->wants_json)
            printf("{\"round_trip_ns\":%" PRId64 "}\n", ns);
        else
            printf("%s: %.3f ms\n", pinhole_info(p)->address, (double)ns / 1e6);
        fflush(stdout);
    }
    pinhole_close(p);
    return CTL_OK;
}

const struct ctl_command ctl_ping = {"ping", run_ping, "[-c COUNT] [-i SECONDS]",
                                     "Measures the round trip to the node",
                                     "  -c, --count N          so many pings (default 4)\n"
                                     "  -i, --interval SECONDS between them (default 1)\n"};

struct overview {
    const struct pinhole_info *info;
    char width[16], height[16], rate[32];
    const char *state;
};

static int look(struct pinhole *p, struct overview *out)
{
    char *stats = NULL;
    out->info = pinhole_info(p);
    int error = pinhole_get(p, "Width", out->width, sizeof out->width);
    if (error == 0)
        error = pinhole_get(p, "Height", out->height, sizeof out->height);
    if (error == 0)
        error = pinhole_get(p, "AcquisitionFrameRate", out->rate, sizeof out->rate);
    if (error == 0)
        error = stats_text(p, &stats);
    if (error < 0 || stats == NULL)
        return error;
    const char *zero = strstr(stats, "\npinhole_camera_streaming 0\n");
    out->state = zero != NULL ? "not streaming" : "streaming";
    free(stats);
    return 0;
}

static void print_overview(const struct overview *o, bool wants_json)
{
    if (!wants_json) {
        printf("%-22s ", o->info->address);
        text_print(stdout, o->info->name);
        fputs("  ", stdout);
        text_print(stdout, o->info->model);
        printf("  pinhole ");
        text_print(stdout, o->info->version);
        fputs("  ", stdout);
        text_print(stdout, o->width);
        putchar('x');
        text_print(stdout, o->height);
        putchar('@');
        text_print(stdout, o->rate);
        printf("  %s\n", o->state);
        return;
    }
    json_t *line = json_object();
    json_put_text(&line, "address", o->info->address);
    json_put_text(&line, "name", o->info->name);
    json_put_text(&line, "model", o->info->model);
    json_put_text(&line, "version", o->info->version);
    json_put_text(&line, "width", o->width);
    json_put_text(&line, "height", o->height);
    json_put_text(&line, "rate", o->rate);
    json_put_text(&line, "state", o->state);
    json_put_id(&line, "boot_id", o->info->boot_id);
    ctl_print_json(line);
}

static int list_one(struct ctl *ctl)
{
    struct pinhole *p;
    struct overview overview;
    int code = ctl_open(ctl, &p, -1);
    if (code != CTL_OK)
        return code;
    int error = look(p, &overview);
    if (error < 0)
        return ctl_failed(p, error);
    print_overview(&overview, ctl->wants_json);
    pinhole_close(p);
    return CTL_OK;
}

static int run_list(struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {CTL_LONG};
    int letter = ctl_option(ctl, argc, argv, CTL_SHORT, options);
    if (letter < 0)
        return ctl_option_exit(letter);
    if (optind == argc)
        return list_one(ctl);
    int worst = CTL_OK;
    for (int i = optind; i < argc && !ctl_interrupted; i++) {
        ctl->node = argv[i];
        int code = list_one(ctl);
        worst = code > worst ? code : worst;
    }
    return worst;
}

const struct ctl_command ctl_list = {
    "list", run_list, "[ADDRESS]...",
    "Shows one line for each node: address, name, camera, version, size, state",
    "Without an ADDRESS it is the default node. A node that cannot be reached is named on stderr,\n"
    "the others are listed all the same, and the exit code is the worst of all.\n"};
