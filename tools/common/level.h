// SPDX-License-Identifier: MIT
// Names as levels of topics and tokens of subjects. Pure.
//
// A level keeps letters, digits and '-'. '_' becomes "__", and any other byte '_' and two
// lower-case hexadecimal digits: "line 1.5" is "line_201_2e5". Brokers change or refuse '.', ' ',
// '*' and '+'.
#ifndef PINHOLE_TOOLS_COMMON_LEVEL_H
#define PINHOLE_TOOLS_COMMON_LEVEL_H

#include <stdbool.h>
#include <stddef.h>

/** Room for a level: three bytes for each of a name's 60, and the 0. */
#define LEVEL_BYTES 184

/** Writes the level of a name. False, with *level cut at a whole character: no room. */
bool level_from_name(char *level, size_t bytes, const char *name);
/** Writes the name of a level. False: no room, or no name becomes this level. */
bool level_to_name(char *name, size_t bytes, const char *level);

#endif
