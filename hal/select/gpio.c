// SPDX-License-Identifier: MIT
#include "hal/select/gpio.h"

#include "hal/gpio/fake.h"
#include "hal/gpio/line.h"

static const struct hal_gpio_ops *const backends[] = {
#ifdef HAVE_GPIOD
    &hal_gpio_gpiod,
#endif
    &hal_gpio_fake,
};

const struct hal_gpio_ops *hal_gpio_backend(unsigned index)
{
    return index < ARRAY_SIZE(backends) ? backends[index] : NULL;
}

const struct hal_gpio_ops *hal_gpio_choose(enum hal_gpio_choice choice)
{
    if (choice == HAL_GPIO_FAKE)
        return &hal_gpio_fake;
    return backends[0] != &hal_gpio_fake ? backends[0] : NULL;
}
