// SPDX-License-Identifier: MIT
#include "app/trigger/external_trigger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hal/os/log.h"
#include "hal/os/root_file.h"

#define PARAMETER       "/sys/module/imx296/parameters/trigger_mode"
#define ENVIRONMENT_MAX 256
#define PIPELINE        "LIBCAMERA_RPI_CONFIG_FILE"

static int write_file(const char *path, int flags, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0644);
    if (fd < 0)
        return -errno;
    ssize_t length = (ssize_t)strlen(text);
    int status = write(fd, text, (size_t)length) == length ? 0 : -EIO;
    close(fd);
    return status;
}

static void set_module_parameter(const char *root)
{
    static const char advice[] = "for an IMX296, put `options imx296 trigger_mode=1` into "
                                 "/etc/modprobe.d/imx296.conf and reboot";
    char now = 0, path[ROOT_FILE_PATH_BYTES];
    ssize_t bytes = root_file_read(root, PARAMETER, &now, 1);
    if (bytes == 1 && now == '1') {
        log_info("external trigger: the imx296 module is in trigger mode");
        return;
    }
    snprintf(path, sizeof path, "%s" PARAMETER, root);
    int status = bytes < 0 ? (int)bytes : write_file(path, 0, "1");
    if (status < 0)
        log_warning("external trigger: " PARAMETER ": %s; %s", strerror(-status), advice);
    else
        log_info("external trigger: the imx296 module is set to trigger mode");
}

/** The processor decides which pipeline handler reads the file. */
static bool is_pi5(const char *root)
{
    char names[256];
    ssize_t bytes = root_file_read(root, "/proc/device-tree/compatible", names, sizeof names);
    return bytes > 0 && memmem(names, (size_t)bytes, "bcm2712", strlen("bcm2712")) != NULL;
}

/** putenv() allocates; a table of our own with one entry more does not. False when it has no
 * room. */
static bool add_to_environment(char *variable)
{
    static char *table[ENVIRONMENT_MAX];
    size_t count = 0;
    for (; environ[count] != NULL; count++)
        if (count + 2 >= ENVIRONMENT_MAX)
            return false;
    memcpy(table, environ, count * sizeof table[0]);
    table[count] = variable;
    environ = table;
    return true;
}

static void set_pipeline_timeout(const char *root)
{
    static char variable[sizeof PIPELINE + ROOT_FILE_PATH_BYTES];
    if (getenv(PIPELINE) != NULL) {
        log_info("external trigger: " PIPELINE "=%s is left as it is; it should set "
                 "camera_timeout_value_ms",
                 getenv(PIPELINE));
        return;
    }
    char text[256], path[ROOT_FILE_PATH_BYTES];
    snprintf(text, sizeof text,
             "{\n  \"version\": 1.0,\n  \"target\": \"%s\",\n  \"pipeline_handler\": {\n"
             "    \"camera_timeout_value_ms\": " EXTERNAL_TRIGGER_TIMEOUT_MS "\n  }\n}\n",
             is_pi5(root) ? "pisp" : "bcm2835");
    const char *const folders[] = {getenv("RUNTIME_DIRECTORY"), getenv("XDG_RUNTIME_DIR"), "/run"};
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        if (folders[i] == NULL)
            continue;
        snprintf(path, sizeof path, "%s%s/pinhole-libcamera.json", root, folders[i]);
        snprintf(variable, sizeof variable, PIPELINE "=%s", path);
        if (write_file(path, O_CREAT | O_TRUNC, text) < 0 || !add_to_environment(variable))
            continue;
        log_info("external trigger: %s", variable);
        return;
    }
    log_warning(
        "external trigger: no folder to write libcamera's pipeline configuration to; a pause "
        "between triggers will look like a broken camera. Set " PIPELINE
        " to a file with camera_timeout_value_ms");
}

void external_trigger_prepare(struct config *config, const char *root)
{
    if (config->trigger_mode != CONFIG_TRIGGER_ON || config->trigger_rule != CONFIG_RULE_EXTERNAL)
        return;
    log_warning("external trigger: XTR of the sensor is a 1.8 V input, 3.3 V destroys it; exposure "
                "is the length of the pulse. Wiring: board/EXTERNAL-TRIGGER.md");
    set_module_parameter(root);
    set_pipeline_timeout(root);
    if (config->shutter_us == 0)
        config->shutter_us = EXTERNAL_TRIGGER_SHUTTER_US;
    if (!(config->gain > 0))
        config->gain = EXTERNAL_TRIGGER_GAIN;
}
