// SPDX-License-Identifier: MIT
// The node's settings: one static struct, made from config.def, filled from defaults, the INI file
// and the command line in this order. Pure functions of their arguments apart from the one that
// reads a file and the one that prints; no heap, no state of their own.
#ifndef PINHOLE_APP_CONFIG_CONFIG_H
#define PINHOLE_APP_CONFIG_CONFIG_H

#include "hal/base.h"
#include "hal/camera.h"
#include "hal/gpio.h"
#include "net/server/server.h"

/** Frames from before a trigger for which the node has static room. */
#define CONFIG_PRETRIGGER_LIMIT 8

/** Read when it exists and --config names no other. */
#define CONFIG_DEFAULT_PATH "/etc/pinhole/pinhole.ini"
/** Longest line of a config file without its line end (inih cuts lines at 200 with end and NUL). */
#define CONFIG_LINE_BYTES 197
/** Longest value of a STRING, so that every printed line can be read back. */
#define CONFIG_STRING_BYTES 160

/** Values of the ENUM members, in the order of their choices. `format` is enum hal_pixel_format,
 * `trigger_bias` is enum hal_gpio_bias, `gpio_backend` enum hal_gpio_choice. `local_role` and
 * `anonymous_role` are one less than enum wire_role. */
enum config_log_level { CONFIG_LOG_ERROR, CONFIG_LOG_WARNING, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };
enum config_chroma { CONFIG_CHROMA_420, CONFIG_CHROMA_422 };
enum config_trigger_mode { CONFIG_TRIGGER_OFF, CONFIG_TRIGGER_ON };
/** One less than enum wire_trigger_source. */
enum config_trigger_source { CONFIG_SOURCE_SOFTWARE, CONFIG_SOURCE_TIMER, CONFIG_SOURCE_LINE };
/** One less than enum hal_gpio_edges. */
enum config_activation { CONFIG_RISING_EDGE, CONFIG_FALLING_EDGE, CONFIG_ANY_EDGE };
enum config_trigger_rule { CONFIG_RULE_START_AFTER, CONFIG_RULE_CONTAINS, CONFIG_RULE_EXTERNAL };
enum config_strobe_reference { CONFIG_STROBE_TRIGGER, CONFIG_STROBE_EXPOSURE };

#define CONFIG_MEMBER_INTEGER(member, max) uint32_t member;
#define CONFIG_MEMBER_SIZE(member, max)    uint64_t member;
#define CONFIG_MEMBER_FLOAT(member, max)   double member;
#define CONFIG_MEMBER_BOOLEAN(member, max) bool member;
#define CONFIG_MEMBER_ENUM(member, max)    unsigned member;
#define CONFIG_MEMBER_STRING(member, max)  char member[(max) + 1];

/** All settings; config.def has the meaning, unit and range of each member. */
struct config {
#define CONFIG(section, key, type, member, standard, min, max, unit, option, letter, help)         \
    CONFIG_MEMBER_##type(member, max)
#include "app/config/config.def"
#undef CONFIG
};

enum config_type {
    CONFIG_INTEGER,
    CONFIG_SIZE,
    CONFIG_FLOAT,
    CONFIG_BOOLEAN,
    CONFIG_ENUM,
    CONFIG_STRING,
};

/** One key of config.def. */
struct config_key {
    const char *section, *key;
    enum config_type type;
    size_t offset;        /**< of the member in struct config */
    const char *standard; /**< the default, as text */
    double min, max;      /**< of a STRING: its length */
    const char *unit;     /**< of an ENUM: its choices, "Off|On" */
    const char *long_option;
    char short_option;
    const char *help;
};

/** All keys in the order of config.def. */
enum {
    CONFIG_KEYS = 0
#define CONFIG(...) +1
#include "app/config/config.def"
#undef CONFIG
};
extern const struct config_key config_keys[CONFIG_KEYS];

/** Why a setting was refused: a sentence for the user, naming file and line, option or key. Free of
 * control characters whatever the input was. */
struct config_error {
    char text[400];
};
/** Writes the sentence, cut to fit, control characters replaced. Returns `code`. */
int config_fail(struct config_error *error, int code, const char *format, ...) BASE_PRINTF(3, 4);

/** Sets every member to its default. */
void config_defaults(struct config *config);

/** The key "section.key", or NULL. Its place in config_keys is found by subtraction. */
const struct config_key *config_find(const char *name);

/** Sets "section.key" from text, blanks around it ignored. `where` ("pinhole.ini:12", "--quality")
 * begins the error sentence. 0; -ENOENT no such section or key; -EINVAL malformed; -ERANGE. On
 * failure *config is unchanged. */
int config_set(struct config *config, const char *name, const char *text, const char *where,
               struct config_error *error);

/** Reads an INI file over what *config holds. The first fault stops. Faults are an unknown section
 * or key, a key set twice, a bad value, a line that is no INI or too long, a NUL byte. 0; -EINVAL
 * for what the file says, with a sentence naming file and line; else the errno of open(2) or
 * read(2). On failure *config is unchanged. */
int config_read_file(struct config *config, const char *path, struct config_error *error);
/** The same from text in memory; `name` stands for the file in error sentences. */
int config_read_text(struct config *config, const char *text, size_t bytes, const char *name,
                     struct config_error *error);

/** Checks what depends on more than one key, once all is set. 0 or -EINVAL with a sentence;
 * -ENOTSUP from config_check_gpio(), which is part of it. */
int config_check(const struct config *config, struct config_error *error);
/** Refuses a trigger or strobe line in a build without libgpiod, unless the fake lines are asked
 * for by name. A wired trigger must never wait for an edge that cannot come. 0 or -ENOTSUP with a
 * sentence. */
int config_check_gpio(const struct config *config, bool has_gpiod, struct config_error *error);
/** Checks the memory asked for against the machine's. 0 or -ENOMEM with a sentence. */
int config_check_memory(const struct config *config, uint64_t machine_bytes,
                        struct config_error *error);

/** Reads camera.roi: x, y, width, height in fractions of 1; 0,0,1,1 when it is empty.
 * 0 or -EINVAL. */
int config_roi(const struct config *config, double roi[4]);

/** Writes a commented INI file with the values of *config, which config_read_file() reads back to
 * an equal struct. The same struct gives the same bytes. 0 or negative errno of write(2). */
int config_print(int fd, const struct config *config);

/** Writes a value as the file has it (sizes as "64M", floats exactly). Returns its length; `bytes`
 * of CONFIG_STRING_BYTES + 1 are always enough. */
int config_format(const struct config *config, const struct config_key *key, char *out,
                  size_t bytes);

/** Room for any range as text. */
#define CONFIG_RANGE_BYTES 96
/** Writes what a key takes: "1 to 100", "Off, On", "yes or no". Returns the length. */
int config_format_range(const struct config_key *key, char *out, size_t bytes);

#endif
