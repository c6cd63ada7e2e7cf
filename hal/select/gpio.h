// SPDX-License-Identifier: MIT
// The GPIO backends of this build, and which of them a user means.
#ifndef PINHOLE_HAL_SELECT_GPIO_H
#define PINHOLE_HAL_SELECT_GPIO_H

#include "hal/gpio.h"

/** The choices of the setting gpio.backend, in its order: real lines, best first, then the fake. */
enum hal_gpio_choice { HAL_GPIO_AUTO, HAL_GPIO_GPIOD, HAL_GPIO_FAKE, HAL_GPIO_CHOICES };

/** The index-th backend of this build, best first: gpiod if built, then fake. NULL past the last.
 */
const struct hal_gpio_ops *hal_gpio_backend(unsigned index);

/** The backend of that choice, or NULL when this build lacks it. AUTO is the real lines and never
 * the fake: a wired trigger must not wait for an edge that cannot come. */
const struct hal_gpio_ops *hal_gpio_choose(enum hal_gpio_choice choice);

#endif
