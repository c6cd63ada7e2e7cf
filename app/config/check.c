// SPDX-License-Identifier: MIT
// What no single key can tell: settings that contradict each other or the machine.
#include "app/config/config.h"

#include "hal/select/gpio.h"
#include "net/address.h"
#include "net/server/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int config_roi(const struct config *config, double roi[4])
{
    static const double whole[4] = {0, 0, 1, 1};
    memcpy(roi, whole, sizeof whole);
    const char *text = config->roi;
    if (text[0] == '\0')
        return 0;
    double parsed[4];
    for (int i = 0; i < 4; i++) {
        // Decimal numbers alone; strtod() would take "nan" and hexadecimal too.
        if (strspn(text, "0123456789.") == 0)
            return -EINVAL;
        char *end;
        parsed[i] = strtod(text, &end);
        if (*end != (i < 3 ? ',' : '\0') || !(parsed[i] >= 0 && parsed[i] <= 1))
            return -EINVAL;
        text = end + 1;
    }
    // A little above 1 is the rounding of decimal fractions such as 0.7 + 0.3.
    if (parsed[2] <= 0 || parsed[3] <= 0 || parsed[0] + parsed[2] > 1 + 1e-9 ||
        parsed[1] + parsed[3] > 1 + 1e-9)
        return -EINVAL;
    memcpy(roi, parsed, sizeof parsed);
    return 0;
}

static int check_camera(const struct config *config, struct config_error *error)
{
    double roi[4];
    if ((config->width == 0) != (config->height == 0))
        return config_fail(error, -EINVAL,
                           "camera.width %u and camera.height %u: give both or neither",
                           config->width, config->height);
    if (config->width % 2 != 0 || config->height % 2 != 0)
        return config_fail(error, -EINVAL,
                           "camera.width %u and camera.height %u must be even numbers",
                           config->width, config->height);
    if (config_roi(config, roi) != 0)
        return config_fail(error, -EINVAL,
                           "camera.roi = %s is not x,y,width,height in fractions of 1 within the "
                           "picture, such as 0.25,0.25,0.5,0.5",
                           config->roi);
    // A sensor that is triggered itself has no frame period that the exposure must fit into.
    if (config->trigger_rule != CONFIG_RULE_EXTERNAL &&
        (double)config->shutter_us * config->framerate > 1e6 + config->framerate)
        return config_fail(error, -EINVAL,
                           "camera.shutter_us %u is longer than a frame at camera.framerate %g "
                           "(%.0f us): lower one of them",
                           config->shutter_us, config->framerate, 1e6 / config->framerate);
    return 0;
}

static int check_memory(const struct config *config, struct config_error *error)
{
    // Every client may pin one frame, triggers may hold some back, one is kept as the newest and
    // one is being written. With these blocks slow clients can never starve capture.
    uint64_t frame_blocks = (config->frame_bytes_max + STORE_BLOCK_BYTES - 1) / STORE_BLOCK_BYTES;
    uint64_t need = (config->clients_max + config->pretrigger_frames + 2) * frame_blocks;
    uint32_t have = store_block_count(config->store_memory);
    if (have < need)
        return config_fail(error, -EINVAL,
                           "store.memory is too small: it has %u blocks of %u KiB, but "
                           "server.clients_max %u + trigger.pretrigger_frames %u + 2 frames of "
                           "jpeg.frame_bytes_max need %llu; raise it or lower one of those",
                           have, STORE_BLOCK_BYTES / 1024, config->clients_max,
                           config->pretrigger_frames, (unsigned long long)need);
    return 0;
}

static int check_jpeg(const struct config *config, struct config_error *error)
{
    if (config->quality_min > config->quality)
        return config_fail(error, -EINVAL, "jpeg.quality_min %u is above jpeg.quality %u",
                           config->quality_min, config->quality);
    if (config->bit_rate != 0 && config->bit_rate < 1000)
        return config_fail(error, -EINVAL, "jpeg.bit_rate %u is below 1000 bits/s; 0 turns it off",
                           config->bit_rate);
    return 0;
}

/** ADDRESS:PORT with a numeric address, or with a name if it `may_be_name`. */
static bool is_address(const char *text, bool may_be_name)
{
    struct net_address address;
    struct sockaddr_storage numeric;
    return net_address_split(text, -1, &address) == NULL &&
           (net_address_numeric(&address, &numeric) != 0 ||
            (may_be_name && net_address_is_name(address.host)));
}

static int check_server(const struct config *config, struct config_error *error)
{
    if (config->listen[0] == '\0' && config->socket[0] == '\0' && config->uplink[0] == '\0')
        return config_fail(error, -EINVAL,
                           "server.listen, server.socket and server.uplink are all empty: nobody "
                           "could connect");
    if (config->listen[0] != '\0' && !is_address(config->listen, false))
        return config_fail(error, -EINVAL,
                           "server.listen = %s is not a numeric ADDRESS:PORT such as "
                           "127.0.0.1:7447, 0.0.0.0:7447 or [::]:7447",
                           config->listen);
    if (config->uplink[0] != '\0' && !is_address(config->uplink, true))
        return config_fail(error, -EINVAL,
                           "server.uplink = %s is not a HOST:PORT such as "
                           "relay.example:7448, 192.168.0.7:7448 or [fd00::7]:7448",
                           config->uplink);
    if (config->uplink_secret_file[0] != '\0' && config->uplink[0] == '\0')
        return config_fail(error, -EINVAL,
                           "server.uplink_secret_file is for server.uplink, which is empty");
    return 0;
}

/** A sensor that follows the wire by itself has made its frame before anybody could choose. */
static int check_trigger(const struct config *config, struct config_error *error)
{
    if (config->trigger_rule != CONFIG_RULE_EXTERNAL)
        return 0;
    if (config->trigger_source != CONFIG_SOURCE_LINE)
        return config_fail(error, -EINVAL, "trigger.rule = external needs trigger.source = Line");
    if (config->trigger_delay_us != 0 || config->trigger_divider != 1 ||
        config->trigger_hold_off_us != 0 || config->burst_frames != 1 ||
        config->pretrigger_frames != 0)
        return config_fail(
            error, -EINVAL,
            "trigger.rule = external pairs each edge with one frame: leave delay_us, "
            "divider, hold_off_us, burst_frames and pretrigger_frames as they are");
    return 0;
}

int config_check_gpio(const struct config *config, bool has_gpiod, struct config_error *error)
{
    bool wants_trigger = config->trigger_source == CONFIG_SOURCE_LINE;
    if (has_gpiod || config->gpio_backend == HAL_GPIO_FAKE ||
        (!wants_trigger && config->strobe_line[0] == '\0'))
        return 0;
    return config_fail(error, -ENOTSUP,
                       "%s = %s needs a real GPIO line, which gpio.backend = %s cannot give: this "
                       "build has no libgpiod. Build with libgpiod-dev installed, or set "
                       "gpio.backend = fake to test without hardware",
                       wants_trigger ? "trigger.line" : "strobe.line",
                       wants_trigger ? config->trigger_line : config->strobe_line,
                       config->gpio_backend == HAL_GPIO_AUTO ? "auto" : "gpiod");
}

static bool is_same_line(const char *a, const char *b)
{
    return a[0] != '\0' && strcmp(a, b) == 0;
}

static int check_lines(const struct config *config, struct config_error *error)
{
    if (config->trigger_source == CONFIG_SOURCE_LINE && config->trigger_line[0] == '\0')
        return config_fail(error, -EINVAL,
                           "trigger.source = Line needs trigger.line, the name of a GPIO line");
    if (config->strobe_readback_line[0] != '\0' && config->strobe_line[0] == '\0')
        return config_fail(error, -EINVAL, "strobe.readback_line needs strobe.line");
    if (is_same_line(config->strobe_line, config->trigger_line) ||
        is_same_line(config->strobe_readback_line, config->trigger_line) ||
        is_same_line(config->strobe_readback_line, config->strobe_line))
        return config_fail(error, -EINVAL,
                           "trigger.line '%s', strobe.line '%s' and strobe.readback_line '%s' must "
                           "differ",
                           config->trigger_line, config->strobe_line, config->strobe_readback_line);
    return 0;
}

int config_check(const struct config *config, struct config_error *error)
{
    int result = check_camera(config, error);
    if (result == 0)
        result = check_jpeg(config, error);
    if (result == 0)
        result = check_memory(config, error);
    if (result == 0)
        result = check_server(config, error);
    if (result == 0)
        result = check_trigger(config, error);
    if (result == 0)
        result = check_lines(config, error);
    if (result == 0)
        result = config_check_gpio(config, hal_gpio_choose(HAL_GPIO_GPIOD) != NULL, error);
    return result;
}

int config_check_memory(const struct config *config, uint64_t machine_bytes,
                        struct config_error *error)
{
    // The rest is for the system, the camera's buffers and the gateway.
    if (config->store_memory <= machine_bytes / 2)
        return 0;
    return config_fail(error, -ENOMEM,
                       "store.memory %lluK is more than half of this machine's %lluK; lower it",
                       (unsigned long long)(config->store_memory / 1024),
                       (unsigned long long)(machine_bytes / 1024));
}
