// SPDX-License-Identifier: MIT
#include "hal/fake/script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 5
#define WORD_MAX  24

struct line {
    const char *name;
    unsigned number;
    char word[WORDS_MAX][WORD_MAX];
    unsigned words;
    char *error;
};

static BASE_PRINTF(2, 3) int refuse(const struct line *line, const char *format, ...)
{
    int used = snprintf(line->error, FAKE_SCRIPT_ERROR_BYTES, "%s:%u: ", line->name, line->number);
    if (used > 0 && used < FAKE_SCRIPT_ERROR_BYTES) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(line->error + used, (size_t)(FAKE_SCRIPT_ERROR_BYTES - used), format, arguments);
        va_end(arguments);
    }
    return -EINVAL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static int split(struct line *line, const char *text, size_t bytes)
{
    line->words = 0;
    for (size_t i = 0; i < bytes && text[i] != '#';) {
        if (is_blank(text[i])) {
            i++;
            continue;
        }
        size_t start = i;
        while (i < bytes && !is_blank(text[i]) && text[i] != '#') {
            unsigned char c = (unsigned char)text[i++];
            if (c < ' ' || c > '~')
                return refuse(line, "byte 0x%02x is not text", c);
        }
        size_t length = i - start;
        if (length >= WORD_MAX)
            return refuse(line, "'%.*s...' is too long a word", WORD_MAX - 1, text + start);
        if (line->words == WORDS_MAX)
            return refuse(line, "'%.*s' is one word too many", (int)length, text + start);
        memcpy(line->word[line->words], text + start, length);
        line->word[line->words++][length] = '\0';
    }
    return 0;
}

/** Digits only; *rest is what follows them. False without digits or past `max`. */
static bool parse_digits(const char *word, uint64_t max, uint64_t *value, const char **rest)
{
    *value = 0;
    const char *at = word;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (*value > (max - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    *rest = at;
    return at != word;
}

static int parse_count(const struct line *line, unsigned index, const char *what, uint64_t min,
                       uint64_t max, uint64_t *value)
{
    const char *rest;
    if (index >= line->words)
        return refuse(line, "'%s' needs a %s", line->word[index - 1], what);
    if (!parse_digits(line->word[index], max, value, &rest) || *rest != '\0' || *value < min)
        return refuse(line, "'%s' is no %s of %llu to %llu", line->word[index], what,
                      (unsigned long long)min, (unsigned long long)max);
    return 0;
}

static int parse_duration(const struct line *line, unsigned index, uint64_t *ns)
{
    const char *unit;
    if (index >= line->words)
        return refuse(line, "'%s' needs a duration such as 1500ms", line->word[index - 1]);
    uint64_t value, factor = 0;
    if (parse_digits(line->word[index], 1000000000, &value, &unit)) {
        if (strcmp(unit, "us") == 0)
            factor = NS_PER_US;
        else if (strcmp(unit, "ms") == 0)
            factor = NS_PER_MS;
        else if (strcmp(unit, "s") == 0)
            factor = NS_PER_S;
    }
    if (factor == 0)
        return refuse(line, "'%s' is no duration such as 20us, 1500ms or 3s", line->word[index]);
    *ns = value * factor;
    return 0;
}

static const struct {
    const char *word;
    enum fake_fault_kind kind;
    enum { NOTHING, COUNT, DURATION, MAYBE_DURATION } argument;
} faults[] = {
    {"stall", FAKE_FAULT_STALL, DURATION},
    {"freeze", FAKE_FAULT_FREEZE, NOTHING},
    {"drop", FAKE_FAULT_DROP, COUNT},
    {"torn", FAKE_FAULT_TORN, NOTHING},
    {"torn-unseen", FAKE_FAULT_TORN_UNSEEN, NOTHING},
    {"stream-error", FAKE_FAULT_STREAM_ERROR, NOTHING},
    {"unplug", FAKE_FAULT_UNPLUG, MAYBE_DURATION},
};

static int expect_end(const struct line *line, unsigned words)
{
    return line->words > words ? refuse(line, "'%s' is not understood here", line->word[words]) : 0;
}

/** "at 100 stall 2000ms": word[0] is at or every. */
static int parse_fault(struct fake_script *script, const struct line *line)
{
    bool is_repeated = strcmp(line->word[0], "every") == 0;
    struct fake_fault fault = {.duration_ns = NS_NEVER};
    int error = parse_count(line, 1, "frame number", is_repeated ? 1 : 0, FAKE_SCRIPT_FRAMES_MAX,
                            &fault.frame);
    if (error)
        return error;
    fault.every = is_repeated ? fault.frame : 0;
    if (line->words < 3)
        return refuse(line, "what happens at frame %s?", line->word[1]);
    size_t i = 0;
    while (i < ARRAY_SIZE(faults) && strcmp(faults[i].word, line->word[2]) != 0)
        i++;
    if (i == ARRAY_SIZE(faults))
        return refuse(line,
                      "'%s' is no fault; there are stall, freeze, drop, torn, torn-unseen, "
                      "stream-error and unplug",
                      line->word[2]);
    fault.kind = faults[i].kind;
    unsigned used = 3;
    if (faults[i].argument == COUNT)
        error = parse_count(line, used++, "count", 1, FAKE_SCRIPT_FRAMES_MAX, &fault.count);
    else if (faults[i].argument == DURATION ||
             (faults[i].argument == MAYBE_DURATION && line->words > used))
        error = parse_duration(line, used++, &fault.duration_ns);
    if (!error)
        error = expect_end(line, used);
    if (error)
        return error;
    if (script->fault_count == FAKE_SCRIPT_FAULTS_MAX)
        return refuse(line, "more than %d faults", FAKE_SCRIPT_FAULTS_MAX);
    script->fault[script->fault_count++] = fault;
    return 0;
}

static int parse_setting(struct fake_script *script, const struct line *line)
{
    const struct {
        const char *word;
        uint32_t *value;
        uint64_t min, max;
    } settings[] = {
        {"open-fail", &script->open_fails, 1, 1000000},
        {"configure-fail", &script->configure_fails, 1, 1000000},
        {"start-fail", &script->start_fails, 1, 1000000},
        {"stride", &script->stride, 1, FAKE_SCRIPT_STRIDE_MAX},
        {"padding", &script->padding, 0, FAKE_SCRIPT_STRIDE_MAX},
    };
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        if (strcmp(line->word[0], settings[i].word) != 0)
            continue;
        uint64_t value = 0;
        int error = parse_count(line, 1, "number", settings[i].min, settings[i].max, &value);
        if (error)
            return error;
        *settings[i].value = (uint32_t)value;
        script->has_padding |= settings[i].value == &script->padding;
        return expect_end(line, 2);
    }
    return refuse(line,
                  "'%s' is no instruction; a line starts with at, every, open-fail, "
                  "configure-fail, start-fail, stride or padding",
                  line->word[0]);
}

int fake_script_parse(struct fake_script *script, const char *name, const char *text, size_t bytes,
                      char error[FAKE_SCRIPT_ERROR_BYTES])
{
    struct line line = {.name = name, .number = 1, .error = error};
    *script = (struct fake_script){0};
    error[0] = '\0';
    if (bytes > FAKE_SCRIPT_BYTES_MAX)
        return refuse(&line, "the script is longer than %d bytes", FAKE_SCRIPT_BYTES_MAX);
    for (size_t at = 0; at < bytes; line.number++) {
        const char *end = memchr(text + at, '\n', bytes - at);
        size_t length = end != NULL ? (size_t)(end - text) - at : bytes - at;
        int result = split(&line, text + at, length);
        if (result == 0 && line.words > 0) {
            bool is_timed = strcmp(line.word[0], "at") == 0 || strcmp(line.word[0], "every") == 0;
            result = is_timed ? parse_fault(script, &line) : parse_setting(script, &line);
        }
        if (result)
            return result;
        at += length + 1;
    }
    return 0;
}

bool fake_script_due(struct fake_script *script, uint64_t frame, struct fake_fault *out)
{
    struct fake_fault *first = NULL;
    for (unsigned i = 0; i < script->fault_count; i++) {
        struct fake_fault *fault = &script->fault[i];
        if (fault->frame <= frame && (first == NULL || fault->frame < first->frame))
            first = fault;
    }
    if (first == NULL)
        return false;
    *out = *first;
    if (first->every == 0)
        first->frame = UINT64_MAX;
    else
        first->frame = (frame / first->every + 1) * first->every;
    return true;
}

bool fake_script_fails(uint32_t *left)
{
    if (*left == 0)
        return false;
    --*left;
    return true;
}
