// SPDX-License-Identifier: MIT
// pinhole-rec find: which file has the picture. The index is made from sidecars and can be deleted
// at any time.
#ifndef PINHOLE_TOOLS_REC_FIND_H
#define PINHOLE_TOOLS_REC_FIND_H

/** Runs `find` with its arguments; returns the program's exit code. */
int rec_find(int argc, char **argv);

#endif
