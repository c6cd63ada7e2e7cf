// SPDX-License-Identifier: MIT
// Reaches: app/config/config.c app/config/text.c app/config/check.c
// Arbitrary bytes as a config file. A refused file leaves the settings alone and has a printable
// sentence; an accepted one survives being printed and read again.
#include "app/config/config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void require(bool is_met)
{
    if (!is_met)
        abort();
}

static void check_sentence(const struct config_error *error)
{
    require(error->text[0] != '\0');
    for (const char *c = error->text; *c != '\0'; c++)
        require((unsigned char)*c >= ' ' && *c != 127);
}

static void check_round_trip(const struct config *config)
{
    static int file = -1;
    static char text[65536];
    if (file < 0)
        file = memfd_create("config", MFD_CLOEXEC);
    require(file >= 0 && ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0);
    require(config_print(file, config) == 0);
    ssize_t length = pread(file, text, sizeof text, 0);
    require(length > 0 && length < (ssize_t)sizeof text);

    struct config again;
    struct config_error error;
    config_defaults(&again);
    require(config_read_text(&again, text, (size_t)length, "printed", &error) == 0);
    require(memcmp(&again, config, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct config before, config;
    struct config_error error = {""};
    config_defaults(&before);
    config_defaults(&config);
    if (config_read_text(&config, (const char *)data, bytes, "fuzz.ini", &error) != 0) {
        check_sentence(&error);
        require(memcmp(&config, &before, sizeof config) == 0);
        return 0;
    }
    check_round_trip(&config);
    if (config_check(&config, &error) != 0)
        check_sentence(&error);
    return 0;
}
