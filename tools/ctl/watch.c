// SPDX-License-Identifier: MIT
// pinholectl watch: rates, sizes and latency, live; or one line for each trigger.
#include "tools/ctl/ctl.h"

#include "tools/common/stats.h"
#include "tools/ctl/triggers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLICE_MS = 100, TERMINAL_REFRESH_NS = 250000000, LINE_NS = 1000000000 };

/** What one displayed line sums up. */
struct window {
    unsigned long long start_ns;
    unsigned frames;
    uint64_t bytes;
    unsigned quality;
    uint64_t latency_sum_ns, latency_max_ns;
    bool has_hole; /**< frames of the sensor were not used */
};

struct watch {
    struct ctl *ctl;
    struct pinhole *p;
    bool wants_triggers_only, is_terminal, is_local;
    const char *resume_path;
    int resume_fd;              /**< -1 without --resume */
    unsigned long long count;   /**< end after so many frames or triggers; 0 = no end */
    unsigned long long end_ns;  /**< end then; 0 = no end */
    unsigned long long counted; /**< frames, or triggers with --triggers */
    unsigned long long skipped, triggers, last_trigger;
    uint32_t sensor_sequence; /**< of the last frame */
    uint64_t left_out; /**< frames that the node has left out for its bit rate since the begin */
    uint64_t left_out_before; /**< what it had counted then */
    struct window window;
    unsigned long long drawn_ns; /**< the live line, last */
    unsigned lines;              /**< printed */
    bool has_line;               /**< a live line stands on the terminal */
    bool has_before;             /**< the node's counts when this began are known: */
    struct ctl_triggers before;
};

static void begin_window(struct watch *w)
{
    memset(&w->window, 0, sizeof w->window);
    w->window.start_ns = clock_now_ns();
}

/** Ends the live line, so that something else can be printed. */
static void end_line(struct watch *w)
{
    if (w->has_line)
        fputs("\r\033[K", stdout);
    w->has_line = false;
}

/** The node's count of frames that it left out for its bit rate; 0 when it is not known. */
static uint64_t fetch_left_out(struct watch *w)
{
    char *stats;
    if (stats_text(w->p, &stats) < 0)
        return 0;
    double count = stats_sample(stats, "pinhole_frames_dropped_total{reason=\"bit_rate\"}");
    free(stats);
    return (uint64_t)count;
}

/** Asks the node only where frames are missing. A node that has restarted counts anew. */
static void note_left_out(struct watch *w)
{
    if (!w->window.has_hole)
        return;
    const uint64_t count = fetch_left_out(w);
    if (count < w->left_out_before)
        w->left_out_before = 0;
    w->left_out = count - w->left_out_before;
}

static void print_window(struct watch *w)
{
    const struct window *x = &w->window;
    double seconds = (double)(clock_now_ns() - x->start_ns + 1) / 1e9;
    double fps = x->frames / seconds, mbits = (double)x->bytes * 8 / 1e6 / seconds;
    double frames = x->frames > 0 ? x->frames : 1;
    double kbytes = (double)x->bytes / 1000 / frames;
    double mean_ms = (double)x->latency_sum_ns / 1e6 / frames;
    double max_ms = (double)x->latency_max_ns / 1e6;
    const char *kind = w->is_local ? "capture to here" : "capture to sent";
    if (w->ctl->wants_json) {
        json_t *line = json_object();
        json_put_real(&line, "fps", fps);
        json_put_real(&line, "frame_kbytes", kbytes);
        json_put_real(&line, "mbits_per_second", mbits);
        json_put_u64(&line, "quality", x->quality);
        json_put_real(&line, "latency_ms", mean_ms);
        json_put_real(&line, "latency_max_ms", max_ms);
        json_put_text(&line, "latency_until", w->is_local ? "received" : "sent");
        json_put_u64(&line, "frames", w->counted);
        json_put_u64(&line, "skipped", w->skipped);
        json_put_u64(&line, "left_out_for_bit_rate", w->left_out);
        json_put_u64(&line, "triggers", w->triggers);
        ctl_print_json(line);
    } else {
        if (w->is_terminal)
            end_line(w);
        printf("%6.2f fps  %7.1f kB/frame  %7.2f Mbit/s  q %3u  %s %.1f ms (max %.1f)"
               "  skipped %llu  triggers %llu",
               fps, kbytes, mbits, x->quality, kind, mean_ms, max_ms, w->skipped, w->triggers);
        if (w->left_out > 0)
            printf("  left out for the bit rate %" PRIu64, w->left_out);
        if (!w->is_terminal)
            putchar('\n');
        w->has_line = w->is_terminal;
    }
    w->lines++;
    fflush(stdout);
}

/** A rate over less says nothing. */
static bool is_long_enough(const struct watch *w)
{
    return clock_now_ns() - w->window.start_ns >= TERMINAL_REFRESH_NS;
}

static void print_trigger(struct watch *w, const struct pinhole_frame *f)
{
    if (w->ctl->wants_json) {
        json_t *line = json_object();
        json_put_text(&line, "outcome", "MATCHED");
        json_put_frame(&line, f);
        ctl_print_json(line);
    } else {
        printf("trigger %" PRIu64 "  MATCHED  %s  exposure %+.3f ms  frame %" PRIu64 "  %zu bytes",
               f->trigger_id, pinhole_source_name(f->trigger_source),
               (double)f->exposure_delta_ns / 1e6, f->frame_id, f->jpeg_bytes);
        if (f->burst_index != 0)
            printf("  burst %+d", f->burst_index);
        putchar('\n');
    }
    fflush(stdout);
}

static void take_frame(struct watch *w, const struct pinhole_frame *f)
{
    struct window *x = &w->window;
    const bool is_new_trigger = f->trigger_id != 0 && f->trigger_id != w->last_trigger;
    w->skipped += f->skipped;
    w->triggers += is_new_trigger;
    w->last_trigger = f->trigger_id != 0 ? f->trigger_id : w->last_trigger;
    if (w->wants_triggers_only) {
        w->counted += is_new_trigger;
        print_trigger(w, f);
        return;
    }
    w->counted++;
    uint64_t latency_ns = w->is_local && f->received_ns > f->timestamp_ns
                              ? f->received_ns - f->timestamp_ns
                              : (uint64_t)f->queued_us * 1000;
    if (w->counted > 1)
        x->has_hole = x->has_hole || f->sensor_sequence - w->sensor_sequence > 1 + f->skipped;
    w->sensor_sequence = f->sensor_sequence;
    x->frames++;
    x->bytes += f->jpeg_bytes;
    x->quality = f->quality;
    x->latency_sum_ns += latency_ns;
    if (latency_ns > x->latency_max_ns)
        x->latency_max_ns = latency_ns;
}

static void take_event(struct watch *w, const struct pinhole_event *e)
{
    if (e->kind == PINHOLE_EVENT_TRIGGER && e->last >= e->first) {
        uint64_t triggers = e->last - e->first + 1;
        w->triggers += triggers;
        w->counted += w->wants_triggers_only ? triggers : 0;
    }
    end_line(w);
    ctl_print_event(stdout, e, w->ctl->wants_json);
    fflush(stdout);
}

/** What is printed is done: a watcher that is killed goes on after it. */
static int remember(const struct watch *w, const struct pinhole_record *record)
{
    bool is_frame = record->kind == PINHOLE_FRAME;
    uint64_t boot_id = is_frame ? record->frame.boot_id : record->event.boot_id;
    uint64_t sequence = is_frame ? record->frame.sequence : record->event.sequence;
    if (w->resume_fd < 0 || sequence == 0)
        return 0;
    return ctl_resume_write(w->resume_fd, boot_id, sequence) ? 0 : -EIO;
}

static bool is_over(const struct watch *w)
{
    return ctl_interrupted || (w->count != 0 && w->counted >= w->count) ||
           (w->end_ns != 0 && clock_now_ns() >= w->end_ns);
}

static int watch_loop(struct watch *w)
{
    begin_window(w);
    while (!is_over(w)) {
        struct pinhole_record *record;
        int result = pinhole_next(w->p, SLICE_MS, &record);
        if (result < 0)
            return result;
        if (result == 1) {
            if (record->kind == PINHOLE_FRAME)
                take_frame(w, &record->frame);
            else
                take_event(w, &record->event);
            result = remember(w, record);
            pinhole_release(w->p, record);
            if (result < 0)
                return result;
        }
        // On a terminal the line is redrawn often, over a window that starts anew each second.
        unsigned long long age_ns = clock_now_ns() - w->window.start_ns;
        if (w->wants_triggers_only)
            continue;
        if (w->is_terminal && age_ns < LINE_NS &&
            clock_now_ns() - w->drawn_ns > TERMINAL_REFRESH_NS && age_ns > TERMINAL_REFRESH_NS) {
            print_window(w);
            w->drawn_ns = clock_now_ns();
        }
        if (age_ns >= LINE_NS) {
            note_left_out(w);
            print_window(w);
            begin_window(w);
        }
    }
    return 0;
}

/** For people, and not among the lines that a script reads: the node's counts of triggers since the
 * beginning. A node that has gone away or does not answer is not waited for. */
static void sum_up(struct watch *w)
{
    struct ctl_triggers now;
    if (w->ctl->wants_json || pinhole_fd(w->p) < 0 || ctl_triggers_fetch(w->p, &now) < 0)
        return;
    const bool is_same = w->has_before && now.boot_id == w->before.boot_id;
    if (is_same)
        ctl_triggers_subtract(&now, &w->before);
    if (ctl_triggers_sum(&now) == 0)
        return;
    fprintf(stderr, "\nTriggers %s:\n", is_same ? "while watching" : "since the node started");
    ctl_triggers_print(stderr, &now);
}

/** From where the last watcher stopped; the first one remembers at once from where it began. */
static bool prepare_resume(struct watch *w, struct pinhole_subscription *wish)
{
    w->resume_fd = ctl_resume_open(w->resume_path, wish);
    if (w->resume_fd < 0 || wish->boot_id != 0)
        return w->resume_fd >= 0;
    const struct pinhole_info *info = pinhole_info(w->p);
    wish->boot_id = info->boot_id;
    wish->from_sequence = info->sequence_next;
    return ctl_resume_write(w->resume_fd, info->boot_id, info->sequence_next - 1);
}

static int watch(struct watch *w)
{
    struct pinhole_subscription wish = {.size = sizeof wish, .policy = PINHOLE_LATEST};
    int code = ctl_open(w->ctl, &w->p, 0);
    if (code != CTL_OK)
        return code;
    w->is_local = ctl_is_local(pinhole_info(w->p)->address);
    w->is_terminal = isatty(STDOUT_FILENO) && !w->ctl->wants_json;
    if (w->wants_triggers_only) {
        wish.policy = PINHOLE_EVERY;
        wish.triggered_only = 1;
        wish.from_sequence = UINT64_MAX;
    }
    if (w->resume_path != NULL && !prepare_resume(w, &wish)) {
        pinhole_close(w->p);
        return CTL_REFUSED;
    }
    w->has_before = !w->ctl->wants_json && ctl_triggers_fetch(w->p, &w->before) == 0;
    if (!w->wants_triggers_only)
        w->left_out_before = fetch_left_out(w);
    int result = pinhole_subscribe(w->p, &wish);
    if (result == 0)
        result = watch_loop(w);
    if (w->resume_fd >= 0)
        close(w->resume_fd);
    if (w->has_line)
        putchar('\n');
    else if (result == 0 && !w->wants_triggers_only && (w->lines == 0 || is_long_enough(w)))
        print_window(w); // what a bound or a signal cut short
    if (result < 0)
        return ctl_failed(w->p, result);
    sum_up(w);
    pinhole_close(w->p);
    return CTL_OK;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {{"triggers", no_argument, NULL, 't'},
                                            {"count", required_argument, NULL, 'c'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"resume", required_argument, NULL, 'r'},
                                            CTL_LONG};
    struct watch w = {.ctl = ctl, .resume_fd = -1};
    int letter, ms;
    while ((letter = ctl_option(ctl, argc, argv, "tc:s:r:" CTL_SHORT, options)) > 0) {
        switch (letter) {
        case 't': w.wants_triggers_only = true; break;
        case 'r': w.resume_path = optarg; break;
        case 'c':
            if (!ctl_number("--count", optarg, 1, UINT32_MAX, &w.count))
                return CTL_USAGE;
            break;
        case 's':
            if (!ctl_seconds("--seconds", optarg, &ms))
                return CTL_USAGE;
            w.end_ns = clock_now_ns() + (unsigned long long)ms * 1000000;
            break;
        }
    }
    if (letter < 0)
        return ctl_option_exit(letter);
    if (ctl_no_argument(ctl, argc, argv) != CTL_OK)
        return CTL_USAGE;
    if (w.resume_path != NULL && !w.wants_triggers_only)
        return ctl_usage_error("--resume goes with --triggers");
    return watch(&w);
}

const struct ctl_command ctl_watch = {
    "watch", run, "[--triggers [--resume FILE]] [-c COUNT] [-s SECONDS]",
    "Shows rates, sizes and latency, live",
    "  -t, --triggers         instead one line for each trigger: its id, outcome, source, and the\n"
    "                         start of the exposure relative to the trigger\n"
    "  -r, --resume FILE      with --triggers: remembers in FILE how far it has got, and goes on\n"
    "                         there the next time, so that none is left out in between\n"
    "  -c, --count N          ends after N frames (with --triggers: N triggers)\n"
    "  -s, --seconds S        ends after S seconds; without bounds Ctrl-C ends it\n\n"
    "Frames that the node leaves out to keep within ImageCompressionBitrate are counted in the "
    "line.\n"
    "On a terminal one line is refreshed in place, else a line a second is printed. Events (lost\n"
    "records, triggers without an image, the camera's state, the link) are lines of their own.\n"
    "A broken link is made again. The latency runs from the capture to the receipt here when the\n"
    "node is on this machine; clocks of two machines do not compare, so else up to the moment\n"
    "the node handed the frame to the network.\n\n"
    "Triggers that came while watching are summed up at the end on stderr, unless with --json: "
    "how\n"
    "many ended how by source, and how long after the edge exposure began and the frame was\n"
    "published, with the bounds between which the median (p50) and the 99th percentile lie and a\n"
    "bar for each of the node's ranges. These are the node's own counts (`pinholectl stats`).\n"};
