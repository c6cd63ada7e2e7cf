// SPDX-License-Identifier: MIT
// What every file of libpinhole needs: the handle's lock, its sentence, structs of other sizes.
#include "net/client/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint64_t client_deadline_ns(int timeout_ms)
{
    return timeout_ms < 0 ? NS_NEVER : clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
}

int client_fail(struct pinhole *p, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(p->error, sizeof p->error, format, arguments);
    va_end(arguments);
    return -error;
}

void client_wake(struct pinhole *p)
{
    const uint64_t one = 1;
    if (p->acquirer.wake_fd >= 0 && write(p->acquirer.wake_fd, &one, sizeof one) < 0)
        return; // the counter is full: it is awake
}

void client_enter(struct pinhole *p)
{
    pthread_mutex_lock(&p->turn);
    if (pthread_mutex_trylock(&p->lock) != 0) {
        client_wake(p);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->turn);
}

int client_leave(struct pinhole *p, int result)
{
    if (result < 0) {
        pthread_mutex_lock(&p->error_lock);
        memcpy(p->shown_error, p->error, sizeof p->shown_error);
        pthread_mutex_unlock(&p->error_lock);
    }
    // What came while a reply was awaited is the thread's to hand out, and it may be asleep.
    if (p->acquirer.is_on && p->queue.first != NULL)
        client_wake(p);
    pthread_mutex_unlock(&p->lock);
    return result;
}

int client_copy_sized(void *out, size_t out_size, const void *in, size_t in_size)
{
    if (in_size < sizeof(size_t))
        return -EINVAL;
    for (size_t i = out_size; i < in_size; i++)
        if (((const uint8_t *)in)[i] != 0)
            return -E2BIG;
    memset(out, 0, out_size);
    memcpy(out, in, in_size < out_size ? in_size : out_size);
    return 0;
}

void client_copy_out(void *out, size_t out_bytes, const void *in, size_t in_bytes)
{
    memset(out, 0, out_bytes);
    memcpy(out, in, out_bytes < in_bytes ? out_bytes : in_bytes);
}

void client_clean(char *text, bool keeps_lines)
{
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0) // C1 in UTF-8
            *at++ = ' ';
        else if (*at >= ' ' && *at != 0x7f)
            continue;
        else if (*at == '\n' && keeps_lines)
            continue;
        *at = ' ';
    }
}
