// SPDX-License-Identifier: MIT
// `pinhole-rec check`: does a recording hold what its sidecars say?
#ifndef PINHOLE_TOOLS_REC_CHECK_H
#define PINHOLE_TOOLS_REC_CHECK_H

/** Checks the recordings named on the command line, argv[0] being "check". Prints each fault.
 * Returns the exit code: 0, 1 for a fault, 2 for wrong usage. */
int rec_check(int argc, char **argv);

#endif
