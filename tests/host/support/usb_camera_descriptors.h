// SPDX-License-Identifier: MIT
// What the camera of usb_camera.h tells the host of itself: descriptors and modes, as USB 2.0
// (chapter 9) and the USB Video Class 1.1 have them.
#ifndef TESTS_SUPPORT_USB_CAMERA_DESCRIPTORS_H
#define TESTS_SUPPORT_USB_CAMERA_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>

#include <linux/usb/ch9.h>
#include <linux/usb/video.h>

#include "hal/camera.h"

#define UVC_INTERFACE_CONTROL   0
#define UVC_INTERFACE_STREAMING 1
#define UVC_CAMERA_TERMINAL     1
#define UVC_PROCESSING_UNIT     2
#define UVC_OUTPUT_TERMINAL     3
#define UVC_PACKET_BYTES        1024 /**< isochronous, per packet, its header included */

/** What can be chosen, by the indices of the descriptors (from 1). */
struct uvc_mode {
    uint8_t format_index, frame_index;
    enum hal_pixel_format format;
    uint16_t width, height;
    uint32_t interval; /**< 100 ns */
    uint32_t bytes_max;
};
#define UVC_MODES 3
extern const struct uvc_mode uvc_modes[UVC_MODES];

/** Makes a wish of the host into what it gets, and tells the mode. */
void uvc_settle(struct uvc_streaming_control *wish, const struct uvc_mode **mode);

/** A standard descriptor: wValue of GET_DESCRIPTOR. NULL when there is none. The memory is static,
 * and valid until the next call. */
const uint8_t *uvc_descriptor(uint16_t value, size_t *bytes);

#endif
