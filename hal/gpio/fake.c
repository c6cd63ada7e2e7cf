// SPDX-License-Identifier: MIT
#include "hal/gpio/fake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hal/gpio/line.h"

enum use { FREE, INPUT, OUTPUT };

struct line {
    enum use use;
    unsigned number;
    bool is_broken;
    bool active_low;
    int fd; /**< inputs: an eventfd */
    enum hal_gpio_edges edges;
    uint64_t debounce_ns, last_edge_ns;
    uint32_t sequence;
    struct hal_gpio_edge queue[GPIO_FAKE_EDGES_MAX];
    unsigned first, waiting;
    bool is_initially_high; /**< outputs: the voltage to go back to */
};

/** What the outside of the chip shows; outlives the handle. */
struct pin {
    bool is_driven, is_high;
    unsigned changes;
};

static struct line lines[HAL_GPIO_LINES_MAX];
static struct pin pins[GPIO_FAKE_LINES];
static struct gpio_failure failure;

static int parse_line(const char *name)
{
    const char *digits = strncmp(name, "GPIO", 4) == 0    ? name + 4
                         : strncmp(name, "fake:", 5) == 0 ? name + 5
                                                          : "";
    size_t length = strlen(digits);
    if (length < 1 || length > 2 || strspn(digits, "0123456789") != length)
        return -ENOENT;
    int number = length == 1 ? digits[0] - '0' : (digits[0] - '0') * 10 + digits[1] - '0';
    return number < GPIO_FAKE_LINES ? number : -ENOENT;
}

static struct line *find(int number, enum use use)
{
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        if (number >= 0 && lines[i].use != FREE && lines[i].number == (unsigned)number &&
            (use == FREE || lines[i].use == use))
            return &lines[i];
    return NULL;
}

static struct line *of_handle(int handle, enum use use)
{
    bool is_valid = handle >= 0 && handle < HAL_GPIO_LINES_MAX && lines[handle].use == use;
    return is_valid ? &lines[handle] : NULL;
}

static int reserve(const char *name, enum use use)
{
    int number = parse_line(name);
    if (number < 0)
        return gpio_fail(&failure, -ENOENT, "fake GPIO: no line '%s'; there are GPIO0 to GPIO%d",
                         name, GPIO_FAKE_LINES - 1);
    if (find(number, FREE) != NULL)
        return gpio_fail(&failure, -EBUSY, "fake GPIO: line '%s' is in use", name);
    for (int i = 0; i < HAL_GPIO_LINES_MAX; i++)
        if (lines[i].use == FREE) {
            lines[i] = (struct line){.use = use, .number = (unsigned)number, .fd = -1};
            failure.text[0] = '\0';
            return i;
        }
    return gpio_fail(&failure, -ENOSPC, "fake GPIO: no more than %d lines at once",
                     HAL_GPIO_LINES_MAX);
}

static const char *fake_version(void)
{
    return "built in";
}

static int fake_open_input(const struct hal_gpio_input *wish)
{
    int handle = reserve(wish->line, INPUT);
    if (handle < 0)
        return handle;
    struct line *line = &lines[handle];
    line->edges = wish->edges;
    line->active_low = wish->active_low;
    line->debounce_ns = wish->debounce_us * NS_PER_US;
    line->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (line->fd < 0) {
        line->use = FREE;
        return gpio_fail(&failure, -EIO, "fake GPIO: eventfd: %s", strerror(errno));
    }
    return handle;
}

static void drive(const struct line *line, bool is_high)
{
    struct pin *pin = &pins[line->number];
    pin->changes += pin->is_high != is_high;
    pin->is_high = is_high;
}

static int fake_open_output(const struct hal_gpio_output *wish)
{
    int handle = reserve(wish->line, OUTPUT);
    if (handle < 0)
        return handle;
    struct line *line = &lines[handle];
    line->active_low = wish->active_low;
    line->is_initially_high = wish->is_initially_high != wish->active_low;
    pins[line->number] = (struct pin){.is_driven = true, .is_high = line->is_initially_high};
    return handle;
}

static int fake_fd(int handle)
{
    struct line *line = of_handle(handle, INPUT);
    return line != NULL ? line->fd : -1;
}

static int fake_read_edges(int handle, struct hal_gpio_edge *out, int max)
{
    struct line *line = of_handle(handle, INPUT);
    if (line == NULL || line->is_broken)
        return gpio_fail(&failure, -EIO, "fake GPIO: the line is gone");
    int count = 0;
    for (; count < max && line->waiting > 0; count++, line->waiting--) {
        out[count] = line->queue[line->first];
        line->first = (line->first + 1) % GPIO_FAKE_EDGES_MAX;
    }
    uint64_t signals;
    if (line->waiting == 0 && read(line->fd, &signals, sizeof signals) < 0 && errno != EAGAIN)
        return gpio_fail(&failure, -EIO, "fake GPIO: eventfd: %s", strerror(errno));
    return count;
}

static int fake_write(int handle, bool level)
{
    struct line *line = of_handle(handle, OUTPUT);
    if (line == NULL || line->is_broken)
        return gpio_fail(&failure, -EIO, "fake GPIO: the line is gone");
    drive(line, level != line->active_low);
    return 0;
}

static void fake_close(int handle)
{
    if (handle < 0 || handle >= HAL_GPIO_LINES_MAX)
        return;
    struct line *line = &lines[handle];
    if (line->use == OUTPUT && !line->is_broken)
        drive(line, line->is_initially_high);
    if (line->use == INPUT)
        close(line->fd);
    line->use = FREE;
}

static const char *fake_last_error(void)
{
    return failure.text;
}

static int signal_news(const struct line *line)
{
    const uint64_t one = 1;
    return write(line->fd, &one, sizeof one) == (ssize_t)sizeof one ? 0 : -EIO;
}

int gpio_fake_edge(const char *name, bool is_high, uint64_t timestamp_ns)
{
    struct line *line = find(parse_line(name), INPUT);
    if (line == NULL)
        return -ENOENT;
    bool is_rising = is_high != line->active_low;
    bool is_bounce = line->debounce_ns != 0 && line->last_edge_ns != 0 &&
                     timestamp_ns - line->last_edge_ns < line->debounce_ns;
    if (!(line->edges & (is_rising ? HAL_GPIO_RISING : HAL_GPIO_FALLING)) || is_bounce)
        return 0;
    line->last_edge_ns = timestamp_ns;
    line->sequence++;
    if (line->waiting == GPIO_FAKE_EDGES_MAX)
        return 0;
    line->queue[(line->first + line->waiting++) % GPIO_FAKE_EDGES_MAX] = (struct hal_gpio_edge){
        .timestamp_ns = timestamp_ns, .line_sequence = line->sequence, .is_rising = is_rising};
    return signal_news(line);
}

int gpio_fake_lose(const char *name, uint32_t edges)
{
    struct line *line = find(parse_line(name), INPUT);
    if (line == NULL)
        return -ENOENT;
    line->sequence += edges;
    return 0;
}

int gpio_fake_break(const char *name)
{
    struct line *line = find(parse_line(name), FREE);
    if (line == NULL)
        return -ENOENT;
    line->is_broken = true;
    return line->use == INPUT ? signal_news(line) : 0;
}

int gpio_fake_level(const char *name, unsigned *changes)
{
    int number = parse_line(name);
    if (number < 0 || !pins[number].is_driven)
        return -ENOENT;
    if (changes != NULL)
        *changes = pins[number].changes;
    return pins[number].is_high;
}

const struct hal_gpio_ops hal_gpio_fake = {
    .name = "fake",
    .version = fake_version,
    .open_input = fake_open_input,
    .open_output = fake_open_output,
    .fd = fake_fd,
    .read_edges = fake_read_edges,
    .write = fake_write,
    .close = fake_close,
    .last_error = fake_last_error,
};
