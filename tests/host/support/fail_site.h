// SPDX-License-Identifier: MIT
// Makes one call of a program fail. Linked with --wrap=malloc and the like, each wrapped function
// asks here first. A site is a place in the program that calls one; its name is stable between
// runs.
//   $FAIL_SITES=FILE   the sites that were reached are written there, one a line, as they come
//   $FAIL_SITE=NAME    the first call from this site fails
//   $FAIL_ALWAYS=1     so do all later ones
#ifndef PINHOLE_TESTS_FAIL_SITE_H
#define PINHOLE_TESTS_FAIL_SITE_H

#include <errno.h>
#include <stdbool.h>

/** Whether this call, of that function and from there, is to fail. */
bool fail_site(const char *function, const void *caller);

/** A wrapped function: what it returns, its name, its parameters, the arguments, the failure. */
#define WRAP(type, name, parameters, arguments, error, failure)                                    \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        if (!fail_site(#name, __builtin_return_address(0)))                                        \
            return __real_##name arguments;                                                        \
        errno = error;                                                                             \
        return failure;                                                                            \
    }

#endif
