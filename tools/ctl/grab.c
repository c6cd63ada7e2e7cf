// SPDX-License-Identifier: MIT
// pinholectl grab: pictures into files.
#include "tools/ctl/ctl.h"
#include "tools/ctl/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { SLICE_MS = 100, WAIT_MS = 10000 };

struct grab {
    struct ctl *ctl;
    struct pinhole *p;
    struct pinhole_subscription wish;
    char pattern[CTL_PATH_MAX];
    bool is_to_stdout, waits_for_ever;
    unsigned long long count; /**< 0 = no end */
    unsigned long long saved;
    int wait_ms; /**< longest silence */
};

static int save(struct grab *g, const struct pinhole_frame *frame)
{
    char path[CTL_PATH_MAX];
    if (g->is_to_stdout) {
        int error = ctl_file_write(STDOUT_FILENO, frame->jpeg, frame->jpeg_bytes);
        if (error < 0)
            fprintf(stderr, "pinholectl: cannot write to standard output: %s\n", strerror(-error));
        return error < 0 ? CTL_REFUSED : CTL_OK;
    }
    int error = ctl_file_name(g->pattern, frame, path, sizeof path);
    if (error == 0)
        error = ctl_file_save(path, frame->jpeg, frame->jpeg_bytes);
    if (error < 0) {
        fprintf(stderr, "pinholectl: cannot write '%s': %s\n", path, strerror(-error));
        return CTL_REFUSED;
    }
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
            if (g->waits_for_ever || clock_now_ns() - last_ns < 1000000ULL * (unsigned)g->wait_ms)
                continue;
            fprintf(stderr, "pinholectl: %s: no frame within %.3g s\n", pinhole_info(g->p)->address,
                    g->wait_ms / 1000.0);
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
    error = pinhole_subscribe(g->p, &g->wish);
    return error < 0 ? ctl_failed(g->p, error) : grab_loop(g);
}

/** One option of grab's own. */
static bool take_option(struct grab *g, int letter, const char **output)
{
    unsigned long long number;
    switch (letter) {
    case 'o': *output = optarg; return true;
    case 'c': return ctl_number("--count", optarg, 0, UINT32_MAX, &g->count);
    case 't': g->wish.triggered_only = 1; return true;
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
        {"wait", required_argument, NULL, 'w'},   CTL_LONG};
    struct grab g = {.ctl = ctl, .count = 1, .wait_ms = WAIT_MS};
    const char *output = NULL;
    int letter;
    g.wish.size = sizeof g.wish;
    while ((letter = ctl_option(ctl, argc, argv, "o:c:p:tf:w:" CTL_SHORT, options)) > 0)
        if (!take_option(&g, letter, &output))
            return CTL_USAGE;
    if (letter < 0)
        return ctl_option_exit(letter);
    if (optind < argc)
        return ctl_usage_error("grab takes no argument '%s'; files are named by -o", argv[optind]);
    g.is_to_stdout = output != NULL && strcmp(output, "-") == 0;
    int error = ctl_file_pattern(output, g.pattern, sizeof g.pattern);
    if (error == -EINVAL)
        return ctl_usage_error("-o '%s': after %% come d, q, t (with a width: %%06d), T or %%",
                               output);
    if (error < 0)
        return ctl_usage_error("-o: the name is too long");
    return grab(&g, output);
}

const struct ctl_command ctl_grab = {
    "grab", run, "[-o NAME] [-c COUNT] [OPTION]...",
    "Saves pictures as JPEG files and prints their names",
    "  -o, --output NAME      file, or folder, or - for standard output (default\n"
    "                         pinhole-%06d.jpg); FOLDER/ is made when it is not there. In NAME: %d "
    "frame number, %q sequence in the\n"
    "                         node's log, %t trigger id, each with a width if wanted (%06d);\n"
    "                         %T capture time in UTC; %% a percent sign\n"
    "  -c, --count N          so many pictures (default 1; 0 = until Ctrl-C)\n"
    "  -p, --policy POLICY    latest: fresh pictures, skipping what comes too fast (default);\n"
    "                         every: each one in order, also over a broken link\n"
    "  -t, --triggered        only pictures that answer a trigger\n"
    "      --new              only pictures taken from now on, not the newest one there is\n"
    "  -f, --from SEQUENCE    from this place in the node's log on; implies --policy every\n"
    "  -w, --wait SECONDS     longest time without a picture (default 10, then exit code 4;\n"
    "                         0 = for ever)\n\n"
    "A file appears under its name when it is complete; one that exists is replaced. Events, such\n"
    "as records lost, are told on stderr. With --json one object a file, with the frame's "
    "header.\n"};
