// SPDX-License-Identifier: MIT
// pinholectl grab: pictures into files.
#include "tools/ctl/ctl.h"
#include "tools/ctl/file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLICE_MS = 100, WAIT_MS = 10000 };

struct grab {
    struct ctl *ctl;
    struct pinhole *p;
    struct pinhole_subscription wish;
    char pattern[CTL_PATH_MAX];
    bool may_replace;             /**< --replace */
    bool has_fixed_name;          /**< the pattern gives all pictures the same name */
    bool has_time, said_unsynced; /**< the pattern has %T; its clock was complained of */
    uint64_t realtime_ns;         /**< of the last picture */
    bool is_to_stdout, waits_for_ever;
    unsigned long long count; /**< 0 = no end */
    unsigned long long saved;
    int wait_ms, interval_ms; /**< longest silence, beyond the interval */
};

/** Names by a clock that is wrong are wrong, too. */
static void check_clock(struct grab *g, const struct pinhole_frame *frame)
{
    if (!g->has_time)
        return;
    if (!(frame->flags & PINHOLE_FRAME_CLOCK_SYNCHRONIZED) && !g->said_unsynced) {
        fputs("pinholectl: the node's clock is not synchronised: %T may be wrong\n", stderr);
        g->said_unsynced = true;
    }
    if (frame->realtime_ns < g->realtime_ns)
        fprintf(stderr,
                "pinholectl: the node's clock was set back by %.3f s before frame %" PRIu64 "\n",
                (double)(g->realtime_ns - frame->realtime_ns) / 1e9, frame->frame_id);
    g->realtime_ns = frame->realtime_ns;
}

/** What this run has not written stays. */
static enum ctl_file_clash clash(const struct grab *g)
{
    if (g->may_replace || (g->has_fixed_name && g->saved > 0))
        return CTL_FILE_REPLACE;
    return g->has_fixed_name ? CTL_FILE_REFUSE : CTL_FILE_TAKE_OTHER;
}

static int save_file(struct grab *g, const struct pinhole_frame *frame, char *path)
{
    char wanted[CTL_PATH_MAX];
    int error = ctl_file_name(g->pattern, frame, path, CTL_PATH_MAX);
    if (error < 0) {
        fprintf(stderr, "pinholectl: the name is too long: '%s'\n", g->pattern);
        return CTL_REFUSED;
    }
    memcpy(wanted, path, sizeof wanted);
    check_clock(g, frame);
    error = ctl_file_save(path, clash(g), frame->jpeg, frame->jpeg_bytes);
    if (error < 0) {
        fprintf(stderr, "pinholectl: cannot write '%s': %s\n", wanted,
                error == -EEXIST ? "it exists; --replace permits that" : strerror(-error));
        return CTL_REFUSED;
    }
    if (strcmp(path, wanted) != 0)
        fprintf(stderr, "pinholectl: '%s' exists; the picture is in '%s'\n", wanted, path);
    return CTL_OK;
}

static int save(struct grab *g, const struct pinhole_frame *frame)
{
    char path[CTL_PATH_MAX];
    if (g->is_to_stdout) {
        int error = ctl_file_write(STDOUT_FILENO, frame->jpeg, frame->jpeg_bytes);
        if (error < 0)
            fprintf(stderr, "pinholectl: cannot write to standard output: %s\n", strerror(-error));
        return error < 0 ? CTL_REFUSED : CTL_OK;
    }
    int code = save_file(g, frame, path);
    if (code != CTL_OK)
        return code;
    if (g->ctl->wants_json) {
        json_t *line = json_object();
        json_put_text(&line, "file", path);
        json_put_frame(&line, frame);
        ctl_print_json(line);
    } else {
        puts(path);
    }
    fflush(stdout);
    return CTL_OK;
}

static int grab_loop(struct grab *g)
{
    unsigned long long last_ns = clock_now_ns();
    while (!ctl_interrupted && (g->count == 0 || g->saved < g->count)) {
        struct pinhole_record *record;
        int result = pinhole_next(g->p, SLICE_MS, &record);
        if (result < 0)
            return ctl_failed(g->p, result);
        if (result == 0) {
            uint64_t patience_ms = (uint64_t)g->wait_ms + (uint64_t)g->interval_ms;
            if (g->waits_for_ever || clock_now_ns() - last_ns < 1000000 * patience_ms)
                continue;
            fprintf(stderr, "pinholectl: %s: no frame within %.3g s\n", pinhole_info(g->p)->address,
                    (double)patience_ms / 1000);
            pinhole_close(g->p);
            return CTL_TIMEOUT;
        }
        int code = CTL_OK;
        if (record->kind == PINHOLE_FRAME) {
            code = save(g, &record->frame);
            g->saved++;
            last_ns = clock_now_ns();
        } else {
            fputs("pinholectl: ", stderr);
            ctl_print_event(stderr, &record->event, false);
        }
        pinhole_release(g->p, record);
        if (code != CTL_OK) {
            pinhole_close(g->p);
            return code;
        }
    }
    pinhole_close(g->p);
    return CTL_OK;
}

static int grab(struct grab *g, const char *output)
{
    int code = ctl_open(g->ctl, &g->p, 0);
    if (code != CTL_OK)
        return code;
    int error = ctl_file_folder(output);
    if (error < 0) {
        fprintf(stderr, "pinholectl: cannot make the folder '%s': %s\n", output, strerror(-error));
        pinhole_close(g->p);
        return CTL_REFUSED;
    }
    struct stat status;
    if (g->has_fixed_name && !g->may_replace && !g->is_to_stdout &&
        stat(g->pattern, &status) == 0 && S_ISREG(status.st_mode)) {
        fprintf(stderr, "pinholectl: '%s' exists; --replace permits to replace it\n", g->pattern);
        pinhole_close(g->p);
        return CTL_REFUSED;
    }
    error = pinhole_subscribe(g->p, &g->wish);
    return error < 0 ? ctl_failed(g->p, error) : grab_loop(g);
}

/** Looks at what the pattern makes of two frames that differ, first in their times alone. */
static void study_pattern(struct grab *g)
{
    char one[CTL_PATH_MAX], other[CTL_PATH_MAX];
    const struct pinhole_frame frame = {0}, later = {.realtime_ns = 1000000000};
    const struct pinhole_frame another = {
        .frame_id = 1, .sequence = 1, .trigger_id = 1, .boot_id = 1, .realtime_ns = 1000000000};
    (void)ctl_file_name(g->pattern, &frame, one, sizeof one);
    (void)ctl_file_name(g->pattern, &later, other, sizeof other);
    g->has_time = strcmp(one, other) != 0;
    (void)ctl_file_name(g->pattern, &another, other, sizeof other);
    g->has_fixed_name = strcmp(one, other) == 0;
}

static bool take_interval(struct grab *g, const char *seconds)
{
    if (!ctl_seconds("--interval", seconds, &g->interval_ms))
        return false;
    if ((uint64_t)g->interval_ms * 1000 > UINT32_MAX) {
        ctl_usage_error("--interval takes at most %u seconds, not '%s'", UINT32_MAX / 1000000,
                        seconds);
        return false;
    }
    g->wish.interval_us = (uint32_t)g->interval_ms * 1000;
    return true;
}

/** One option of grab's own. */
static bool take_option(struct grab *g, int letter, const char **output)
{
    unsigned long long number;
    switch (letter) {
    case 'o': *output = optarg; return true;
    case 'c': return ctl_number("--count", optarg, 0, UINT32_MAX, &g->count);
    case 't': g->wish.triggered_only = 1; return true;
    case 'R': g->may_replace = true; return true;
    case 'i': return take_interval(g, optarg);
    case 'N': g->wish.from_sequence = UINT64_MAX; return true;
    case 'f':
        if (!ctl_number("--from", optarg, 1, UINT64_MAX - 1, &number))
            return false;
        g->wish.from_sequence = number;
        g->wish.policy = PINHOLE_EVERY;
        return true;
    case 'w':
        g->waits_for_ever = strcmp(optarg, "0") == 0;
        return g->waits_for_ever || ctl_seconds("--wait", optarg, &g->wait_ms);
    default: // 'p'
        g->wish.policy = strcmp(optarg, "every") == 0 ? PINHOLE_EVERY : PINHOLE_LATEST;
        if (strcmp(optarg, "every") == 0 || strcmp(optarg, "latest") == 0)
            return true;
        ctl_usage_error("--policy is 'latest' or 'every', not '%s'", optarg);
        return false;
    }
}

static int run(struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'}, {"count", required_argument, NULL, 'c'},
        {"policy", required_argument, NULL, 'p'}, {"triggered", no_argument, NULL, 't'},
        {"new", no_argument, NULL, 'N'},          {"from", required_argument, NULL, 'f'},
        {"wait", required_argument, NULL, 'w'},   {"interval", required_argument, NULL, 'i'},
        {"replace", no_argument, NULL, 'R'},      CTL_LONG};
    struct grab g = {.ctl = ctl, .count = 1, .wait_ms = WAIT_MS};
    const char *output = NULL;
    int letter;
    g.wish.size = sizeof g.wish;
    while ((letter = ctl_option(ctl, argc, argv, "o:c:p:tf:w:i:" CTL_SHORT, options)) > 0)
        if (!take_option(&g, letter, &output))
            return CTL_USAGE;
    if (letter < 0)
        return ctl_option_exit(letter);
    if (optind < argc)
        return ctl_usage_error("grab takes no argument '%s'; files are named by -o", argv[optind]);
    g.is_to_stdout = output != NULL && strcmp(output, "-") == 0;
    int error = ctl_file_pattern(output, g.pattern, sizeof g.pattern);
    if (error == -EINVAL)
        return ctl_usage_error("-o '%s': after %% come d, q, t (with a width: %%06d), b, T or %%",
                               output);
    if (error < 0)
        return ctl_usage_error("-o: the name is too long");
    study_pattern(&g);
    return grab(&g, output);
}

const struct ctl_command ctl_grab = {
    "grab", run, "[-o NAME] [-c COUNT] [OPTION]...",
    "Saves pictures as JPEG files and prints their names",
    "  -o, --output NAME      file, or folder, or - for standard output (default\n"
    "                         pinhole-%b-%06d.jpg). FOLDER/ is made if it is not there. In NAME:\n"
    "                         %d frame number, %q sequence in the node's log, %t trigger id,\n"
    "                         each with a width if wanted (%06d); %b boot id of the node;\n"
    "                         %T capture time in UTC; %% a percent sign\n"
    "      --replace          replace files that exist\n"
    "  -c, --count N          number of pictures (default 1; 0 = until Ctrl-C)\n"
    "  -p, --policy POLICY    latest: fresh pictures, skipping what comes too fast (default);\n"
    "                         every: each one in order, also over a broken link\n"
    "  -i, --interval SECONDS least time between the captures of two pictures (time-lapse)\n"
    "  -t, --triggered        only pictures that answer a trigger\n"
    "      --new              only pictures taken from now on, not the newest one there is\n"
    "  -f, --from SEQUENCE    from this place in the node's log on; implies --policy every\n"
    "  -w, --wait SECONDS     longest time without a picture, beyond the interval (default 10,\n"
    "                         then exit code 4; 0 = for ever)\n\n"
    "A file appears under its name when it is complete. A file that was there before stays: if\n"
    "NAME has a % field, the picture goes to NAME~2, NAME~3 and so on; otherwise grab ends with\n"
    "exit code 1. The default name has the node's boot id, so it does not repeat after a restart\n"
    "or with a second node. Events, such as lost records, are reported on stderr. With --json one\n"
    "object a file, with the frame's header.\n"};
