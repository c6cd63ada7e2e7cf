// SPDX-License-Identifier: MIT
#include "tests/host/support/usb_bench.h"

#ifdef HAVE_LIBCAMERA

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hal/libcamera/load.h"
#include "hal/os/clock.h"

#define PATIENCE_MS 60000
#define RECORDS_MAX 500 /**< until something that is waited for */

/** An emulated machine may take a second for a few frames; that is no stall. */
#define SETTINGS                                                                                   \
    "stall_timeout_ms = 8000\nreopen_interval_ms = 200\n"                                          \
    "[jpeg]\nframe_bytes_max = " USB_BENCH_BYTES_MAX                                               \
    "\n[store]\nmemory = 32M\n[gpio]\nbackend = fake\n"

struct usb_bench usb_bench;
static struct usb_bench *const b = &usb_bench;

void usb_bench_start(const char *camera, const char *format, unsigned width, unsigned height,
                     const char *more)
{
    char config[1024];
    snprintf(config, sizeof config,
             "[camera]\ncamera = libcamera:%s\nformat = %s\nwidth = %u\nheight = %u\n%s" SETTINGS,
             camera, format, width, height, more);
    b->frame = (struct pinhole_frame){0};
    b->frames = 0;
    trigger_bench_start(&b->node, config, NULL);
}

enum pinhole_record_kind usb_bench_take(void)
{
    struct pinhole_record *record;
    int status = pinhole_next(b->node.client, PATIENCE_MS, &record);
    if (status != 1)
        fail_msg("no record: %d, %s", status, pinhole_error(b->node.client));
    enum pinhole_record_kind kind = record->kind;
    if (kind == PINHOLE_FRAME) {
        b->frame = record->frame;
        b->frame.jpeg = b->jpeg;
        memcpy(b->jpeg, record->frame.jpeg, record->frame.jpeg_bytes);
        b->frames++;
    } else {
        b->event = record->event;
        snprintf(b->text, sizeof b->text, "%s", record->event.text);
        if (b->event.kind == PINHOLE_EVENT_GAP || b->event.kind == PINHOLE_EVENT_DISCONNECTED)
            fail_msg("%s: %s", pinhole_event_name(b->event.kind), b->text);
    }
    pinhole_release(b->node.client, record);
    return kind;
}

/** The camera's picture, byte for byte. */
static void check_jpeg(void)
{
    static uint8_t sent[USB_CAMERA_JPEG_MAX];
    const struct pinhole_frame *frame = &b->frame;
    int64_t number = usb_camera_number(b->jpeg, frame->jpeg_bytes);
    assert_true(number >= 0);
    size_t bytes = usb_camera_jpeg((uint32_t)number, frame->width, frame->height, false, sent);
    assert_int_equal(frame->jpeg_bytes, bytes);
    assert_memory_equal(b->jpeg, sent, bytes);
    assert_int_equal(frame->quality, 0); // the camera's own JPEG
    assert_int_equal(frame->encodes, 0);
    b->number = (uint32_t)number;
}

void usb_bench_check_order(const struct pinhole_frame *before, uint32_t number)
{
    const struct pinhole_frame *frame = &b->frame;
    assert_int_equal(frame->flags & (PINHOLE_FRAME_TORN | PINHOLE_FRAME_NO_SENSOR_CLOCK), 0);
    assert_true(frame->timestamp_ns < frame->received_ns);
    assert_true(frame->received_ns - frame->timestamp_ns < PATIENCE_MS * NS_PER_MS);
    if (before == NULL) {
        b->offset = number - frame->sensor_sequence;
        return;
    }
    assert_int_equal(frame->frame_id, before->frame_id + 1);
    assert_true(frame->sequence > before->sequence);
    assert_true(frame->timestamp_ns > before->timestamp_ns);
    assert_true((int32_t)(frame->sensor_sequence - before->sensor_sequence) > 0);
    assert_int_equal(number - frame->sensor_sequence, b->offset);
}

void usb_bench_check(const struct pinhole_frame *before)
{
    check_jpeg();
    usb_bench_check_order(before, b->number);
}

void usb_bench_take_jpegs(unsigned count)
{
    while (count > 0) {
        struct pinhole_frame before = b->frame;
        if (usb_bench_take() == PINHOLE_FRAME) {
            usb_bench_check(&before);
            count--;
        } else if (b->event.kind != PINHOLE_EVENT_FEATURES) {
            fail_msg("%s: %s", pinhole_event_name(b->event.kind), b->text);
        }
    }
}

void usb_bench_take_first(void)
{
    while (usb_bench_take() != PINHOLE_FRAME)
        ;
    usb_bench_check(NULL);
}

void usb_bench_take_restarted(void)
{
    usb_bench_take_first();
    assert_true(b->frame.flags & PINHOLE_FRAME_RESTARTED);
}

void usb_bench_take_event(enum pinhole_event_kind kind)
{
    for (unsigned i = 0; i < RECORDS_MAX; i++) {
        struct pinhole_frame before = b->frame;
        if (usb_bench_take() == PINHOLE_FRAME) {
            usb_bench_check(before.width == 0 ? NULL : &before);
        } else if (b->event.kind == kind) {
            return;
        }
    }
    fail_msg("%d records, and no %s", RECORDS_MAX, pinhole_event_name(kind));
}

void usb_bench_take_state(enum wire_camera_state state)
{
    do
        usb_bench_take_event(PINHOLE_EVENT_CAMERA);
    while (b->event.camera_state != state);
}

int usb_bench_plug_in(void **state)
{
    (void)state;
    int result = usb_camera_plug();
    return result == -EBUSY ? 0 : result;
}

int usb_bench_clean_up(void **state)
{
    (void)state;
    trigger_bench_kill(&b->node);
    usb_camera_hush(false);
    return 0;
}

/** Whether the camera is there now. Fills b->id: a machine may have others. */
static bool look_for_camera(void)
{
    static struct hal_camera_info info[8];
    int found = hal_camera_libcamera.enumerate(info, ARRAY_SIZE(info));
    for (int i = 0; i < found && i < (int)ARRAY_SIZE(info); i++)
        if (strstr(info[i].id, USB_CAMERA_ID_END) != NULL) {
            memcpy(b->id, info[i].id, sizeof b->id);
            return true;
        }
    return false;
}

int usb_bench_find(void **state)
{
    int result = usb_bench_plug_in(state);
    bool was_found = false;
    for (int waited_ms = 0; result == 0 && !was_found && waited_ms < PATIENCE_MS;
         waited_ms += 200) {
        usleep(200000);
        was_found = look_for_camera();
    }
    hal_camera_libcamera.close();
    if (!was_found)
        print_error("no USB camera: %d, %s\n", result, hal_camera_libcamera.last_error());
    return was_found ? 0 : -1;
}

int usb_bench_put_away(void **state)
{
    (void)state;
    usb_camera_unplug();
    return 0;
}

void usb_bench_set(const char *name, const char *value)
{
    if (pinhole_set(b->node.client, name, value) < 0)
        fail_msg("%s=%s: %s", name, value, pinhole_error(b->node.client));
}

void usb_bench_await_control(enum usb_camera_control which, int32_t value)
{
    for (unsigned taken = 0; usb_camera_control(which) != value; taken++) {
        if (taken > 50)
            fail_msg("control %d is %d, not %d", which, usb_camera_control(which), value);
        struct pinhole_frame before = b->frame;
        if (usb_bench_take() == PINHOLE_FRAME) // a control goes along with a request
            usb_bench_check(&before);
    }
}

void usb_bench_stop(void)
{
    trigger_bench_stop(&b->node);
}

uint64_t usb_bench_counter(const char *name)
{
    return trigger_bench_counter(&b->node, name);
}

#endif
