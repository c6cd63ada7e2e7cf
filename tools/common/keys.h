// SPDX-License-Identifier: MIT
// Settings as a table of keys: values from text, options of the command line, --help. A program
// makes its struct and its table from one list (settings.def).
#ifndef PINHOLE_TOOLS_COMMON_KEYS_H
#define PINHOLE_TOOLS_COMMON_KEYS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Most keys of a table, and most options of a program's own beside them. */
#define KEYS_MAX     64
#define KEYS_OWN_MAX 8
/** Code of the option for the first key; that of key i is this + i. */
#define KEYS_FIRST_CODE 100

enum key_kind {
    KEY_TEXT,   /**< char[] */
    KEY_NUMBER, /**< uint32_t or uint64_t */
    KEY_FLAG,   /**< bool */
    KEY_CHOICE, /**< unsigned: the index of the choice */
};

/** A setting: one line of a list. */
struct key {
    const char *group, *name;
    enum key_kind kind;
    size_t offset, bytes; /**< of the member in its group's struct */
    const char *standard; /**< its value as text where nothing else is said */
    uint64_t min, max;    /**< of a NUMBER */
    const char *choices;  /**< of a CHOICE, separated by '|' */
    const char *help;
};
/** The first members of a struct key. */
#define KEY(group, type, member, kind)                                                             \
    group, #member, KEY_##kind, offsetof(type, member), sizeof(((type *)0)->member)

/** Puts a value into the group's struct. `where` begins the sentence in `why`. 0 or -EINVAL. */
int key_set(void *group, const struct key *key, const char *text, const char *where, char *why,
            size_t why_bytes);

/** Options for getopt_long(): a program's own, then one for each key, with '-' for '_'. */
struct key_options {
    char names[KEYS_MAX][40];
    struct option list[KEYS_OWN_MAX + KEYS_MAX + 1];
};
void key_options_make(struct key_options *out, const struct option *own, size_t own_count,
                      const struct key *keys, size_t count);
/** The next option's code, its value in optarg; 0: there is none; -EINVAL with a sentence. Set
 * optind to 0 before the first call. */
int key_options_next(const struct key_options *options, int argc, char **argv, char *why,
                     size_t why_bytes);
/** Prints what --help says of the keys, by groups; in brackets where they are sections of a file.
 */
void key_options_help(const struct key_options *options, const struct key *keys, size_t count,
                      bool has_sections);

#endif
