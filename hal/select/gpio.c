// SPDX-License-Identifier: MIT
#include "hal/select/gpio.h"

#include "hal/gpio/fake.h"
#include "hal/gpio/line.h"

static const struct hal_gpio_ops *const backends[HAL_GPIO_CHOICES] = {
#ifdef HAVE_GPIOD
    [HAL_GPIO_GPIOD] = &hal_gpio_gpiod,
#endif
    [HAL_GPIO_FAKE] = &hal_gpio_fake,
};

const struct hal_gpio_ops *hal_gpio_backend(unsigned index)
{
    for (unsigned i = 0; i < HAL_GPIO_CHOICES; i++)
        if (backends[i] != NULL && index-- == 0)
            return backends[i];
    return NULL;
}

const struct hal_gpio_ops *hal_gpio_choose(enum hal_gpio_choice choice)
{
    if (choice != HAL_GPIO_AUTO)
        return backends[choice];
    const struct hal_gpio_ops *best = hal_gpio_backend(0);
    return best != &hal_gpio_fake ? best : NULL;
}
