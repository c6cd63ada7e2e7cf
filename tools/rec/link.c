// SPDX-License-Identifier: MIT
// From the link to the recording: subscribing where it stands, taking records until the end.
#include "tools/rec/rec.h"

#include <errno.h>
#include <string.h>

enum { SLICE_MS = 100, RETRY_MS = 1000 };

int rec_link_subscribe(struct rec_camera *camera, struct pinhole *p)
{
    struct pinhole_subscription wish = {.size = sizeof wish, .policy = PINHOLE_EVERY};
    pthread_mutex_lock(&camera->lock);
    if (camera->position.is_known) {
        wish.boot_id = camera->position.boot_id;
        wish.from_sequence = camera->position.last + 1;
    }
    pthread_mutex_unlock(&camera->lock);
    return pinhole_subscribe(p, &wish);
}

int rec_link_run(struct rec_camera *camera, struct pinhole *p, const atomic_bool *is_over)
{
    atomic_store(&camera->was_reached, true);
    atomic_store(&camera->is_linked, true);
    int result = 0;
    while (!atomic_load(&rec_is_stopping) && (is_over == NULL || !atomic_load(is_over))) {
        struct pinhole_record *record;
        result = pinhole_next(p, SLICE_MS, &record);
        if (result < 0)
            break;
        if (result == 0)
            continue;
        rec_camera_take(camera, record);
        pinhole_release(p, record);
    }
    atomic_store(&camera->is_linked, false);
    return result < 0 ? result : 0;
}

void *rec_link_thread(void *user)
{
    struct rec_camera *camera = user;
    bool is_said = false;
    while (!atomic_load(&rec_is_stopping)) {
        struct pinhole *p = NULL;
        int error = pinhole_open(&p, camera->address, NULL);
        if (error == 0)
            error = rec_link_subscribe(camera, p);
        if (error == 0) {
            rec_say("%s: connected to %s, %s", camera->name, pinhole_info(p)->name,
                    camera->position.is_known ? "going on where the recording stands"
                                              : "starting a recording");
            is_said = false;
            error = rec_link_run(camera, p, NULL);
        }
        // A node may be switched on later than its recorder: said once, tried for ever.
        if (error < 0 && !is_said && !atomic_load(&rec_is_stopping))
            rec_say("%s: %s; trying on", camera->name, pinhole_error(p));
        is_said = is_said || error < 0;
        pinhole_close(p);
        if (error < 0)
            rec_sleep_ms(RETRY_MS);
    }
    return NULL;
}
