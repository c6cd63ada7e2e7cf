// SPDX-License-Identifier: MIT
// What the tests with a USB camera share: the camera of usb_camera.h in the bus, a node that uses
// it, and its records, each of which is compared with what the camera sent.
#ifndef TESTS_SUPPORT_USB_BENCH_H
#define TESTS_SUPPORT_USB_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "hal/camera.h"
#include "net/client/pinhole.h"
#include "net/wire.h"
#include "tests/host/support/trigger_bench.h"
#include "tests/host/support/usb_camera.h"

#define USB_BENCH_BYTES_MAX "131072" /**< the node's frame_bytes_max */

struct usb_bench {
    struct trigger_bench node;
    char id[HAL_CAMERA_ID_BYTES]; /**< libcamera's name of the camera */
    struct pinhole_frame frame;   /**< the last one, its JPEG in `jpeg` */
    uint8_t jpeg[USB_CAMERA_JPEG_MAX];
    uint32_t number;            /**< of its picture */
    uint32_t offset;            /**< number minus sensor_sequence, constant in one stream */
    struct pinhole_event event; /**< the last one, its text in `text` */
    char text[256];
    uint64_t frames; /**< so many came */
};

extern struct usb_bench usb_bench;

/** For cmocka. Of the group: plugs the camera in and waits until libcamera lists it, pulls it out.
 * Of each case: plugs it in if it is not, kills a node that was left behind. */
int usb_bench_find(void **state);
int usb_bench_put_away(void **state);
int usb_bench_plug_in(void **state);
int usb_bench_clean_up(void **state);
#define USB_CASE(name) cmocka_unit_test_setup_teardown(name, usb_bench_plug_in, usb_bench_clean_up)

/** Starts a node with this camera; `more` are lines of its section. */
void usb_bench_start(const char *camera, const char *format, unsigned width, unsigned height,
                     const char *more);
/** Ends it. */
void usb_bench_stop(void);
/** A counter of the node. */
uint64_t usb_bench_counter(const char *name);
/** Sets a feature; fails the case when the node refuses. */
void usb_bench_set(const char *name, const char *value);

// Each of these fails the case when nothing comes, when records are lost, or when a frame is not
// what the camera sent: the bytes, their order, sequences and times.

/** The next record, unchecked. */
enum pinhole_record_kind usb_bench_take(void);
/** Checks the last frame: the camera's own JPEG, in its place after `before` (NULL: a new stream).
 */
void usb_bench_check(const struct pinhole_frame *before);
/** Checks only its place, as a picture of this number. */
void usb_bench_check_order(const struct pinhole_frame *before, uint32_t number);
/** Frames until the camera's control has this value. */
void usb_bench_await_control(enum usb_camera_control which, int32_t value);
/** So many frames, and no event among them but of changed features. */
void usb_bench_take_jpegs(unsigned count);
/** Events until a frame: the first of a stream, whether or not it has the flag of one. */
void usb_bench_take_first(void);
/** The first frame after a restart. */
void usb_bench_take_restarted(void);
/** Frames until such an event. */
void usb_bench_take_event(enum pinhole_event_kind kind);
void usb_bench_take_state(enum wire_camera_state state);

#endif
