// SPDX-License-Identifier: MIT
// The other end of the fake GPIO lines: a test moves inputs and looks at outputs through these.
// The fake chip has lines 0..27, named "GPIO0".."GPIO27" or "fake:0".."fake:27". All calls from the
// loop's thread.
#ifndef PINHOLE_HAL_GPIO_FAKE_H
#define PINHOLE_HAL_GPIO_FAKE_H

#include "hal/gpio.h"

extern const struct hal_gpio_ops hal_gpio_fake; /**< the backend "fake" */

#define GPIO_FAKE_LINES     28
#define GPIO_FAKE_EDGES_MAX 64 /**< that wait unread; the kernel's default is 16 per line */

/** The level on an input's pin changes at `timestamp_ns`; `high` is the voltage, so active-low
 * lines see it reversed. Edges of another kind, and edges within debounce_us of the last one that
 * counted, are ignored. An edge that finds the queue full is lost and leaves a gap in
 * line_sequence. 0, or -ENOENT when no such input is open. */
int gpio_fake_edge(const char *line, bool is_high, uint64_t timestamp_ns);

/** So many edges happen that the kernel loses. 0 or -ENOENT. */
int gpio_fake_lose(const char *line, uint32_t edges);

/** The line's chip goes away: read_edges() and write() return -EIO until close(). 0 or -ENOENT. */
int gpio_fake_break(const char *line);

/** The voltage that an output drives. 0 low, 1 high, -ENOENT when it was never opened. A closed
 * output keeps its last level. `changes`, unless NULL, gets how often the level has changed since
 * the line was opened. */
int gpio_fake_level(const char *line, unsigned *changes);

#endif
