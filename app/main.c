// SPDX-License-Identifier: MIT
// The node's program: command line, choice of the camera, then the loop.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/config/config.h"
#include "app/config/options.h"
#include "app/jpeg/jpeg.h"
#include "app/node.h"
#include "app/trigger/external_trigger.h"
#include "hal/os/log.h"
#include "hal/select/camera.h"
#include "hal/select/gpio.h"
#include "net/secret.h"

#define EXIT_USAGE  2
#define CAMERAS_MAX 8

static void print_camera(const struct hal_camera_ops *ops, const struct hal_camera_info *info)
{
    printf("%s%s%s: %s", ops->name, info->id[0] != '\0' ? ":" : "", info->id, info->model);
    if (info->location[0] != '\0')
        printf(", %s", info->location);
    if (info->rotation != 0)
        printf(", mounted at %u degrees", info->rotation);
    printf("\n");
    for (unsigned i = 0; i < info->mode_count && i < HAL_CAMERA_MODES_MAX; i++) {
        const struct hal_camera_mode *mode = &info->mode[i];
        printf("    %-7s %ux%u", hal_pixel_format_name(mode->format), mode->width, mode->height);
        if (mode->framerate_max > 0)
            printf(" up to %g frames/s", mode->framerate_max);
        printf("\n");
    }
}

static int list_cameras(void)
{
    static struct hal_camera_info found[CAMERAS_MAX];
    const struct hal_camera_ops *ops;
    int status = 0;
    for (unsigned i = 0; (ops = hal_camera_backend(i)) != NULL; i++) {
        int count = ops->enumerate(found, CAMERAS_MAX);
        if (count < 0) {
            fprintf(stderr, "%s: %s\n", ops->name, ops->last_error());
            status = 1;
        } else if (count == 0) {
            printf("%s: no camera\n", ops->name);
        }
        for (int k = 0; k < count && k < CAMERAS_MAX; k++)
            print_camera(ops, &found[k]);
    }
    return status;
}

static int print_version(void)
{
    const struct hal_camera_ops *ops;
    const struct hal_gpio_ops *gpio;
    const char *argument;
    printf("pinhole %s\n", PINHOLE_VERSION);
    for (unsigned i = 0; (ops = hal_camera_backend(i)) != NULL; i++)
        printf("camera %s: %s\n", ops->name, ops->version());
    if (hal_camera_find("libcamera", &argument) == NULL)
        printf("camera libcamera: not in this build\n");
    for (unsigned i = 0; (gpio = hal_gpio_backend(i)) != NULL; i++)
        printf("gpio %s: %s\n", gpio->name, gpio->version());
    if (hal_gpio_choose(HAL_GPIO_GPIOD) == NULL)
        printf("gpio gpiod: not in this build\n");
    printf("encoder: baseline JPEG, %s\n", jpeg_encoder_variant());
    return 0;
}

/** "auto" is the first real camera when there is one, else the fake; says which and why. */
static const struct hal_camera_ops *choose_automatically(const char **id)
{
    static struct hal_camera_info found[CAMERAS_MAX];
    static char chosen[HAL_CAMERA_ID_BYTES];
    const struct hal_camera_ops *real = hal_camera_find("libcamera", id);
    if (real == NULL) {
        log_warning("camera fake, because this build has no libcamera: the pictures are drawn, not "
                    "taken");
        return hal_camera_find("fake", id);
    }
    int count = real->enumerate(found, CAMERAS_MAX);
    if (count > 0) {
        snprintf(chosen, sizeof chosen, "%s", found[0].id);
        *id = chosen;
        log_info("camera libcamera:%s (%s), the first of %d real ones", chosen, found[0].model,
                 count);
        return real;
    }
    if (count < 0)
        log_warning("camera fake, because libcamera (%s) fails: %s", real->version(),
                    real->last_error());
    else
        log_warning("camera fake, because libcamera (%s) finds no real one", real->version());
    log_warning("the pictures are drawn, not taken; --camera libcamera (camera = libcamera in the "
                "settings) insists on a real camera and waits for it");
    return hal_camera_find("fake", id);
}

#define NO_BACKEND "camera.camera = %s: there is no such backend in this build (see --version)"

static const struct hal_camera_ops *choose_camera(const struct config *config, const char **id)
{
    if (strcmp(config->camera, "auto") == 0)
        return choose_automatically(id);
    const struct hal_camera_ops *camera = hal_camera_find(config->camera, id);
    if (camera == NULL)
        log_error(NO_BACKEND, config->camera);
    return camera;
}

/** The loop reads the node's signals from a descriptor. They are blocked early, so that threads of
 * libraries inherit that. */
static void block_signals(void)
{
    sigset_t set;
    node_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/** A node started with stderr closed must not write log lines into what it opens next. */
static void open_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static bool has_good_secrets(const struct config *config)
{
    const struct {
        const char *key, *path;
    } files[] = {{"uplink_secret_file", config->uplink_secret_file},
                 {"view_key_file", config->view_key_file},
                 {"control_key_file", config->control_key_file}};
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        struct net_secret secret;
        const char *path = files[i].path;
        const char *why = path[0] != '\0' ? net_secret_read(path, &secret) : NULL;
        if (why == NULL)
            continue;
        fprintf(stderr, "pinhole: server.%s = %s: %s\n", files[i].key, path, why);
        return false;
    }
    return true;
}

/** What options_parse() cannot know: the backend, files. The camera itself may come later. */
static int check_config(const struct config *config, const struct options *options)
{
    const char *id;
    if (strcmp(config->camera, "auto") != 0 && hal_camera_find(config->camera, &id) == NULL) {
        fprintf(stderr, "pinhole: " NO_BACKEND "\n", config->camera);
        return EXIT_USAGE;
    }
    if (!has_good_secrets(config))
        return EXIT_USAGE;
    printf("pinhole: the settings of %s are good\n",
           options->config_path != NULL ? options->config_path : "the defaults");
    return 0;
}

static int run(struct config *config, const struct options *options)
{
    static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO,
                                            LOG_LEVEL_DEBUG};
    const char *id;
    open_standard_descriptors();
    log_set_level(levels[config->log_level]);
    log_info("pinhole %s, settings from %s", PINHOLE_VERSION,
             options->config_path != NULL ? options->config_path : "the defaults");
    block_signals();
    if (!has_good_secrets(config))
        return EXIT_USAGE;
    external_trigger_prepare(config, "");
    const struct hal_camera_ops *camera = choose_camera(config, &id);
    return camera == NULL ? EXIT_USAGE : node_run(config, camera, id);
}

int main(int argc, char *argv[])
{
    static struct config config;
    struct options options;
    struct config_error error;
    if (options_parse(argc, argv, &config, &options, &error) < 0) {
        fprintf(stderr, "pinhole: %s\n", error.text);
        return EXIT_USAGE;
    }
    switch (options.action) {
    case OPTIONS_PRINT_CONFIG: return config_print(STDOUT_FILENO, &config) < 0;
    case OPTIONS_CHECK_CONFIG: return check_config(&config, &options);
    case OPTIONS_LIST_CAMERAS: return list_cameras();
    case OPTIONS_MEMORY: return node_print_memory(STDOUT_FILENO, &config) < 0;
    case OPTIONS_VERSION: return print_version();
    case OPTIONS_HELP: return options_print_help(STDOUT_FILENO) < 0;
    case OPTIONS_RUN: break;
    }
    return run(&config, &options);
}
