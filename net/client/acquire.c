// SPDX-License-Identifier: MIT
// The callback's thread, who may use the handle when, and closing.
//
// The thread lives from the first start to the close. It holds `lock` except while the callback
// runs and between two steps, where it lets those in who wait. So a callback can call anything, and
// what must outlast it (stop and close from elsewhere) waits for `is_calling` to fall.
#include "net/client/client.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static bool is_in_callback(const struct client_acquirer *a)
{
    return a->is_calling && pthread_equal(pthread_self(), a->thread);
}

static void call_back(struct pinhole *p, struct client_record *record)
{
    struct client_acquirer *a = &p->acquirer;
    const pinhole_callback callback = a->callback;
    void *const user = a->user;
    a->is_calling = true;
    a->calls++;
    pthread_mutex_unlock(&p->lock);
    callback(p, &record->shown, user);
    client_enter(p);
    a->is_calling = false;
    client_list_remove(record);
    client_record_give(p, record);
    pthread_cond_broadcast(&a->moved);
}

/** The link is broken and will not be mended: the callback learns why, and that is the last of it.
 */
static void end_flow(struct pinhole *p)
{
    struct client_record *record = NULL;
    p->acquirer.is_on = false;
    if (client_event_add(p, PINHOLE_EVENT_DISCONNECTED, 0, 0, p->error) < 0)
        return;
    record = p->queue.last;
    client_list_remove(record);
    client_list_append(&p->called, record);
    call_back(p, record);
}

static void acquire_step(struct pinhole *p)
{
    struct client_record *record = NULL;
    const int result = client_next(p, 0, &p->called, &record);
    if (result > 0)
        call_back(p, record);
    else if (result < 0)
        end_flow(p);
    else
        client_poll_or_wake(p);
}

static void *run(void *argument)
{
    struct pinhole *p = argument;
    struct client_acquirer *a = &p->acquirer;
    client_enter(p);
    while (!a->is_closing) {
        if (!a->is_on) {
            pthread_cond_wait(&a->moved, &p->lock);
            continue;
        }
        acquire_step(p);
        pthread_mutex_unlock(&p->lock);
        client_enter(p);
    }
    const bool should_free_itself = a->should_free_itself;
    pthread_mutex_unlock(&p->lock);
    if (should_free_itself) {
        pthread_detach(pthread_self());
        client_free(p);
    }
    return NULL;
}

static int start_thread(struct pinhole *p)
{
    struct client_acquirer *a = &p->acquirer;
    sigset_t all, before;
    if (a->has_thread)
        return 0;
    if (a->wake_fd < 0)
        a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->wake_fd < 0)
        return client_fail(p, errno, "cannot make an eventfd: %s", strerror(errno));
    sigfillset(&all); // signals are for the program's own threads
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&a->thread, NULL, run, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return client_fail(p, error, "cannot make a thread: %s", strerror(error));
    a->has_thread = true;
    return 0;
}

static int start(struct pinhole *p, const struct pinhole_subscription *wish,
                 pinhole_callback callback, void *user)
{
    struct client_acquirer *a = &p->acquirer;
    struct pinhole_subscription mine;
    if (callback == NULL)
        return client_fail(p, EINVAL, "pinhole_start() needs a callback");
    if (p->borrowed.count > 0)
        return client_fail(p, EBUSY, "%zu records are borrowed: release them first",
                           p->borrowed.count);
    int result = client_wish_take(p, wish, &mine);
    if (result == 0)
        result = start_thread(p);
    if (result == 0)
        result = client_subscribe(p, &mine);
    if (result < 0)
        return result;
    a->callback = callback;
    a->user = user;
    a->is_on = true;
    pthread_cond_broadcast(&a->moved);
    return 0;
}

int pinhole_start(struct pinhole *p, const struct pinhole_subscription *wish,
                  pinhole_callback callback, void *user)
{
    client_enter(p);
    return client_leave(p, start(p, wish, callback, user));
}

static void await_callback(struct pinhole *p)
{
    struct client_acquirer *a = &p->acquirer;
    const uint64_t calls = a->calls;
    while (a->is_calling && a->calls == calls && !is_in_callback(a))
        pthread_cond_wait(&a->moved, &p->lock);
}

int pinhole_stop(struct pinhole *p)
{
    client_enter(p);
    p->acquirer.is_on = false;
    int result = client_unsubscribe(p);
    await_callback(p);
    return client_leave(p, result);
}

void pinhole_close(struct pinhole *p)
{
    if (p == NULL)
        return;
    client_enter(p);
    struct client_acquirer *a = &p->acquirer;
    const bool is_inside = is_in_callback(a);
    const bool is_late = a->is_closing; // somebody closes already and waits for this callback
    a->is_closing = true;
    a->is_on = false;
    a->should_free_itself |= is_inside && !is_late;
    pthread_cond_broadcast(&a->moved);
    const bool has_thread = a->has_thread;
    const pthread_t thread = a->thread;
    client_leave(p, 0);
    if (is_inside || is_late)
        return;
    if (has_thread) {
        client_wake(p);
        pthread_join(thread, NULL);
    }
    client_free(p);
}
