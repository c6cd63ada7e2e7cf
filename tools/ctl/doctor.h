// SPDX-License-Identifier: MIT
// What `pinholectl doctor` finds: sentences about the node and about the machine that it runs on.
#ifndef PINHOLE_TOOLS_CTL_DOCTOR_H
#define PINHOLE_TOOLS_CTL_DOCTOR_H

#include "tools/common/diagnosis.h"
#include "tools/ctl/ctl.h"

struct doctor {
    struct ctl *ctl;
    const char *root;         /**< the machine's folder: "" but in tests */
    unsigned free_percent;    /**< a file system with less room than this is nearly full */
    enum finding_state worst; /**< of all findings so far */
    const char *stats;        /**< the node's counters; NULL: it was not reached */
};

/** Prints one finding. `advice` says what to do; NULL or "" when there is nothing to do. */
void doctor_say(struct doctor *doctor, enum finding_state state, const char *check,
                const char *advice, const char *format, ...) __attribute__((format(printf, 5, 6)));

/** Reads a text file below the root into `text`, cut to fit and without the newline at its end. The
 * length, or -1. */
int doctor_read(const struct doctor *doctor, const char *path, char *text, size_t bytes);

/** Cameras that the kernel knows and who holds them: says why there is no picture. */
void doctor_check_devices(struct doctor *doctor);
/** Clock, power, temperature, room on the card. */
void doctor_check_machine(struct doctor *doctor);
/** GPIO lines of the node's settings that someone else has taken. */
void doctor_check_lines(struct doctor *doctor);
/** The addresses that the node's and the page's processes listen on. */
void doctor_check_listening(struct doctor *doctor);
/** The longest turn of the node's loop beside the time that systemd's watchdog grants. */
void doctor_check_watchdog(struct doctor *doctor, double turn_seconds);

#endif
