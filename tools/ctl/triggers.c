// SPDX-License-Identifier: MIT
// How many triggers ended how, and how long after their edges the pictures came: out of the node's
// counters, for people.
#include "tools/ctl/triggers.h"

#include "tools/common/stats.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const outcomes[CTL_OUTCOMES] = {"matched", "missed", "overrun", "failed"};
static const struct {
    const char *metric, *title;
} delays[CTL_DELAYS] = {
    {"pinhole_trigger_exposure_delay_seconds", "edge to exposure"},
    {"pinhole_trigger_publish_delay_seconds", "edge to published"},
};

static void take_count(struct ctl_triggers *t, const char *line)
{
    char source[sizeof t->sources[0].name], outcome[16];
    unsigned i = 0, k = 0;
    int end = 0;
    if (sscanf(line, "pinhole_triggers_total{source=\"%15[^\"]\",outcome=\"%15[^\"]\"} %n", source,
               outcome, &end) != 2 ||
        end == 0)
        return;
    while (i < t->source_count && strcmp(t->sources[i].name, source) != 0)
        i++;
    while (k < CTL_OUTCOMES && strcmp(outcomes[k], outcome) != 0)
        k++;
    if (i == CTL_SOURCES_MAX || k == CTL_OUTCOMES)
        return; // of a later node than this program
    if (i == t->source_count)
        memcpy(t->sources[t->source_count++].name, source, sizeof source);
    t->sources[i].counts[k] = strtoull(line + end, NULL, 10);
}

/** They come with growing bounds, each counting what is in those before it too. */
static void take_bucket(struct ctl_delay *delay, const char *metric, const char *line)
{
    char bound[32];
    int end = 0;
    size_t length = strlen(metric);
    if (strncmp(line, metric, length) != 0 || delay->count == CTL_BUCKETS_MAX ||
        sscanf(line + length, "_bucket{le=\"%31[^\"]\"} %n", bound, &end) != 1 || end == 0)
        return;
    const unsigned long long count = strtoull(line + length + end, NULL, 10);
    delay->buckets[delay->count].up_to_s = strtod(bound, NULL);
    delay->buckets[delay->count++].frames = count - delay->total;
    delay->total = count;
}

static void parse(struct ctl_triggers *out, char *text)
{
    memset(out, 0, sizeof *out);
    for (char *line; (line = strsep(&text, "\n")) != NULL;) {
        take_count(out, line);
        for (unsigned i = 0; i < CTL_DELAYS; i++)
            take_bucket(&out->delays[i], delays[i].metric, line);
    }
}

int ctl_triggers_fetch(struct pinhole *p, struct ctl_triggers *out)
{
    char *text;
    int result = stats_text(p, &text);
    if (result < 0)
        return result;
    parse(out, text);
    out->boot_id = pinhole_info(p)->boot_id;
    free(text);
    return 0;
}

void ctl_triggers_subtract(struct ctl_triggers *t, const struct ctl_triggers *before)
{
    for (unsigned i = 0; i < t->source_count; i++)
        for (unsigned k = 0; k < CTL_OUTCOMES; k++)
            t->sources[i].counts[k] -= before->sources[i].counts[k];
    for (unsigned i = 0; i < CTL_DELAYS; i++) {
        struct ctl_delay *delay = &t->delays[i];
        for (unsigned k = 0; k < delay->count; k++)
            delay->buckets[k].frames -= before->delays[i].buckets[k].frames;
        delay->total -= before->delays[i].total;
    }
}

static void print_time(FILE *out, double seconds)
{
    if (seconds >= 1)
        fprintf(out, "%g s", seconds);
    else if (seconds >= 1e-3)
        fprintf(out, "%g ms", seconds * 1e3);
    else
        fprintf(out, "%g us", seconds * 1e6);
}

static double lower_bound(const struct ctl_delay *delay, unsigned bucket)
{
    return bucket == 0 ? 0 : delay->buckets[bucket - 1].up_to_s;
}

/** The bounds between which the value lies that so many percent do not exceed. */
static void print_percentile(FILE *out, const struct ctl_delay *delay, unsigned percent)
{
    unsigned i = 0;
    unsigned long long below = delay->buckets[0].frames;
    while (i + 1 < delay->count && below * 100 < delay->total * percent)
        below += delay->buckets[++i].frames;
    fprintf(out, "  p%u ", percent);
    if (isinf(delay->buckets[i].up_to_s)) {
        fputs("over ", out);
        print_time(out, lower_bound(delay, i));
    } else if (i == 0) {
        fputs("up to ", out);
        print_time(out, delay->buckets[0].up_to_s);
    } else {
        print_time(out, lower_bound(delay, i));
        fputs(" to ", out);
        print_time(out, delay->buckets[i].up_to_s);
    }
}

/** A bar for each bucket from the first that has something to the last, between their bounds. */
static void print_bars(FILE *out, const struct ctl_delay *delay)
{
    static const char *const bars[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    unsigned first = 0, end = delay->count;
    unsigned long long most = 1;
    while (first < end && delay->buckets[first].frames == 0)
        first++;
    while (end > first && delay->buckets[end - 1].frames == 0)
        end--;
    for (unsigned i = first; i < end; i++)
        if (delay->buckets[i].frames > most)
            most = delay->buckets[i].frames;
    fputs("  ", out);
    print_time(out, lower_bound(delay, first));
    fputs(" |", out);
    for (unsigned i = first; i < end; i++)
        fputs(bars[(8 * delay->buckets[i].frames + most - 1) / most], out);
    fputs("| ", out);
    if (isinf(delay->buckets[end - 1].up_to_s))
        fputs("and over", out);
    else
        print_time(out, delay->buckets[end - 1].up_to_s);
}

static unsigned long long sum(const struct ctl_triggers *t, unsigned source)
{
    unsigned long long all = 0;
    for (unsigned k = 0; k < CTL_OUTCOMES; k++)
        all += t->sources[source].counts[k];
    return all;
}

unsigned long long ctl_triggers_sum(const struct ctl_triggers *t)
{
    unsigned long long all = 0;
    for (unsigned i = 0; i < t->source_count; i++)
        all += sum(t, i);
    return all;
}

void ctl_triggers_print(FILE *out, const struct ctl_triggers *t)
{
    for (unsigned i = 0; i < t->source_count; i++) {
        const unsigned long long *counts = t->sources[i].counts;
        const char *name = t->sources[i].name;
        if (sum(t, i) > 0)
            fprintf(out, "%c%-16s %6llu  MATCHED %llu  MISSED %llu  OVERRUN %llu  FAILED %llu\n",
                    toupper((unsigned char)name[0]), name + 1, sum(t, i), counts[0], counts[1],
                    counts[2], counts[3]);
    }
    for (unsigned i = 0; i < CTL_DELAYS; i++) {
        const struct ctl_delay *delay = &t->delays[i];
        if (delay->total == 0)
            continue;
        fprintf(out, "%-17s %6llu", delays[i].title, delay->total);
        print_percentile(out, delay, 50);
        print_percentile(out, delay, 99);
        print_bars(out, delay);
        fputc('\n', out);
    }
}
