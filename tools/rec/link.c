// SPDX-License-Identifier: MIT
// One link: subscribing where the recording stands, taking records, and noticing a node that hangs.
// The library ends a link whose node stays silent or sends records that cannot be.
#include "tools/rec/link.h"

#include <errno.h>
#include <string.h>

enum {
    SLICE_MS = 100,
    RETRY_MS = 1000,
    SILENCE_S = 10, /**< then a PING asks whether the node is there */
    AGAIN_S = 2,    /**< and again, when it has not answered */
};

/** Takes the HELLO of the link that has just been made. */
static int greet(struct rec_link *link)
{
    struct pinhole_subscription wish = {.size = sizeof wish, .policy = PINHOLE_EVERY};
    const struct pinhole_info *info = pinhole_info(link->p);
    rec_camera_greet(link->camera, info, &wish);
    link->heard_ns = clock_now_ns();
    link->is_up = true;
    return pinhole_subscribe(link->p, &wish);
}

int rec_link_begin(struct rec_link *link, struct rec_camera *camera, struct pinhole *p)
{
    link->camera = camera;
    link->p = p;
    link->is_stalled = false;
    atomic_store(&link->is_asked, false);
    return greet(link);
}

static void say_stalled(struct rec_link *link, bool is_stalled)
{
    static const char silent[] = "the node does not answer";
    if (link->is_stalled == is_stalled)
        return;
    link->is_stalled = is_stalled;
    say("%s: %s", link->camera->source.camera, is_stalled ? silent : "the node answers again");
    rec_camera_note_link(link->camera, is_stalled ? "stalled" : "up", is_stalled ? silent : "");
}

/** Whatever the library notices of the link itself. */
static int take_link_event(struct rec_link *link, const struct pinhole_event *event)
{
    const char *name = link->camera->source.camera;
    link->is_up = event->kind == PINHOLE_EVENT_RECONNECTED;
    link->is_stalled = false;
    atomic_store(&link->camera->is_linked, link->is_up);
    if (link->is_up)
        say("%s: connected again", name);
    else
        say("%s: link lost: %s", name, event->text);
    rec_camera_note_link(link->camera, link->is_up ? "up" : "down", event->text);
    return link->is_up ? greet(link) : 0;
}

static int take_record(struct rec_link *link, const struct pinhole_record *record)
{
    if (record->kind == PINHOLE_EVENT && record->event.kind >= PINHOLE_EVENT_DISCONNECTED)
        return take_link_event(link, &record->event);
    rec_camera_take(link->camera, record);
    return 0;
}

/** Asks the node. False: no answer. While its records come they are answer enough. */
static bool is_alive(struct rec_link *link)
{
    struct pinhole_record *record;
    bool is_answering = pinhole_ping(link->p) >= 0;
    while (!is_answering && pinhole_next(link->p, 0, &record) > 0) {
        is_answering =
            record->kind == PINHOLE_FRAME || record->event.kind < PINHOLE_EVENT_DISCONNECTED;
        if (take_record(link, record) < 0)
            is_answering = false;
        pinhole_release(link->p, record);
    }
    return is_answering;
}

/** Nothing came for a while, or somebody asks. -ETIMEDOUT: somebody asked, and there is no answer.
 */
static int look_after(struct rec_link *link)
{
    const bool was_asked = atomic_load(&link->is_asked);
    const uint64_t patience_s = link->is_stalled ? AGAIN_S : SILENCE_S;
    const bool is_silent = clock_now_ns() - link->heard_ns >= patience_s * NS_PER_S;
    if (!link->is_up || (!was_asked && !is_silent))
        return 0;
    const bool is_answering = is_alive(link);
    link->heard_ns = clock_now_ns();
    if (link->is_up)
        say_stalled(link, !is_answering);
    if (was_asked && !is_answering)
        return -ETIMEDOUT;
    atomic_store(&link->is_asked, false);
    return 0;
}

int rec_link_run(struct rec_link *link)
{
    struct rec_camera *camera = link->camera;
    atomic_store(&camera->was_reached, true);
    atomic_store(&camera->is_linked, true);
    int result = 0;
    while (!atomic_load(&rec_is_stopping) && result >= 0) {
        struct pinhole_record *record;
        result = pinhole_next(link->p, SLICE_MS, &record);
        if (result > 0) {
            link->heard_ns = clock_now_ns();
            say_stalled(link, false);
            result = take_record(link, record);
            pinhole_release(link->p, record);
        }
        if (result >= 0)
            result = look_after(link);
    }
    atomic_store(&camera->is_linked, false);
    return result < 0 ? result : 0;
}

/** One connection from its making to its end. */
static int dial(struct rec_camera *camera, struct pinhole *p, bool *was_said)
{
    struct rec_link link;
    int error = rec_link_begin(&link, camera, p);
    if (error < 0)
        return error;
    say("%s: connected to %s, %s", camera->source.camera, pinhole_info(p)->name,
        camera->position.is_known ? "going on where the recording stands" : "starting a recording");
    *was_said = false;
    return rec_link_run(&link);
}

void *rec_link_thread(void *user)
{
    struct rec_camera *camera = user;
    const struct pinhole_options options = {.size = sizeof options,
                                            .key_file = camera->options->node_key_file};
    bool was_said = false;
    while (!atomic_load(&rec_is_stopping)) {
        struct pinhole *p = NULL;
        int error = pinhole_open(&p, camera->source.address, &options);
        if (error == 0)
            error = dial(camera, p, &was_said);
        // A node may be switched on later than its recorder: said once, tried for ever.
        if (error < 0 && !was_said && !atomic_load(&rec_is_stopping))
            say("%s: %s; trying on", camera->source.camera, pinhole_error(p));
        was_said = was_said || error < 0;
        pinhole_close(p);
        if (error < 0)
            rec_sleep_ms(RETRY_MS);
    }
    return NULL;
}
