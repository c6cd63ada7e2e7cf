// SPDX-License-Identifier: MIT
// Is called back for each frame, in a thread of the library's own, and closes from in there.
//
//   cc callback.c $(pkg-config --cflags --libs pinhole) -o callback && ./callback [ADDRESS
//   [FRAMES]]
#include <pinhole.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct job {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int left, is_done;
};

static void on_record(struct pinhole *camera, const struct pinhole_record *record, void *user)
{
    struct job *job = user;
    if (record->kind == PINHOLE_EVENT) {
        printf("event %s: %" PRIu64 " to %" PRIu64 " %s\n", pinhole_event_name(record->event.kind),
               record->event.first, record->event.last, record->event.text);
        return;
    }
    printf("frame %" PRIu64 ", %zu bytes\n", record->frame.sequence, record->frame.jpeg_bytes);
    if (--job->left > 0)
        return;
    pinhole_stop(camera);
    pinhole_close(camera); // takes effect when this function returns
    pthread_mutex_lock(&job->lock);
    job->is_done = 1;
    pthread_cond_signal(&job->changed);
    pthread_mutex_unlock(&job->lock);
}

int main(int argc, char **argv)
{
    static struct job job = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 10, 0};
    const struct pinhole_subscription wish = {
        .size = sizeof wish, .strategy = PINHOLE_LATEST_N, .queue_max = 4};
    struct pinhole *camera;
    if (argc > 2)
        job.left = atoi(argv[2]);
    if (pinhole_open(&camera, argc > 1 ? argv[1] : NULL, NULL) < 0 ||
        pinhole_start(camera, &wish, on_record, &job) < 0) {
        fprintf(stderr, "%s\n", pinhole_error(camera));
        return 1;
    }
    pthread_mutex_lock(&job.lock);
    while (!job.is_done)
        pthread_cond_wait(&job.changed, &job.lock);
    pthread_mutex_unlock(&job.lock);
    return 0;
}
