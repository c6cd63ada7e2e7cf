// SPDX-License-Identifier: MIT
// Parts of a program that need large libraries, in files of their own.
#ifndef PINHOLE_TOOLS_COMMON_PLUGIN_H
#define PINHOLE_TOOLS_COMMON_PLUGIN_H

/** Loads the file from beside the program, or from ../lib/pinhole there, for good. Returns its
 * symbol, or NULL: it is not there, or does not load, which has been said. */
const void *plugin_load(const char *file, const char *symbol);

#endif
