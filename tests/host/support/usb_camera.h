// SPDX-License-Identifier: MIT
// A USB camera (UVC 1.1, isochronous) that needs no hardware: this program plays the device, and
// the kernel's own drivers (vhci_hcd, usbcore, uvcvideo) find, configure and stream it as they do a
// real one. It speaks the USB/IP protocol to vhci_hcd over a socket; the simulated device
// controllers of the kernel (dummy_hcd, usbip-vudc) transfer nothing isochronously, so they cannot
// carry a camera.
//
// One camera at a time. It is played by a thread of its own from usb_camera_plug() until
// usb_camera_unplug(); everything here is called from one other thread. Needs root and vhci_hcd.
#ifndef TESTS_SUPPORT_USB_CAMERA_H
#define TESTS_SUPPORT_USB_CAMERA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/camera.h"

#define USB_CAMERA_MODEL    "Pinhole UVC test camera"
#define USB_CAMERA_ID_END   "-1:1.0-1d6b:0102" /**< how libcamera's id of it ends: port, ids */
#define USB_CAMERA_PAYLOAD  1022               /**< bytes of a picture in one packet */
#define USB_CAMERA_PICTURES 8                  /**< different scenes, shown in turn */

/** What the next picture is instead of a good one. */
enum usb_camera_oddity {
    USB_CAMERA_FINE,
    USB_CAMERA_BIG,     /**< MJPEG: a whole JPEG of several times the size */
    USB_CAMERA_ERROR,   /**< marked by the device as faulty */
    USB_CAMERA_LOSS,    /**< its third packet is lost on the bus */
    USB_CAMERA_GARBAGE, /**< MJPEG: bytes that are no JPEG */
};

/** Controls that the camera has, in the device's own units. */
enum usb_camera_control {
    USB_CAMERA_AE_MODE,    /**< 1 manual, 8 aperture priority */
    USB_CAMERA_EXPOSURE,   /**< 100 us */
    USB_CAMERA_BRIGHTNESS, /**< -64..64, default 0 */
    USB_CAMERA_CONTRAST,   /**< 0..95, default 32 */
    USB_CAMERA_SATURATION, /**< 0..100, default 55 */
    USB_CAMERA_GAIN,       /**< 0..255, default 64 */
    USB_CAMERA_CONTROLS
};

/** Is there a vhci_hcd to plug into? */
bool usb_camera_is_possible(void);

/** Plugs the camera in; numbers of pictures go on where they were. Waits until the kernel has
 * forgotten what was in the port. 0, -EBUSY when it is plugged in, -ENODEV, -ETIMEDOUT after 60 s,
 * -errno. The kernel takes a moment to find the camera. */
int usb_camera_plug(void);
/** Pulls it out. Harmless when it is not plugged in. */
void usb_camera_unplug(void);

/** The next picture is an odd one. Returns once it has begun, or with -ETIMEDOUT after 60 s. */
int usb_camera_send(enum usb_camera_oddity oddity);
/** Stops making pictures and goes on; the device answers everything else. */
void usb_camera_hush(bool is_silent);

/** Whether the host streams, and what it has chosen: format, size, rate. */
bool usb_camera_streams(struct hal_camera_config *chosen);
/** The number of the last odd picture that was sent. */
uint32_t usb_camera_odd_number(void);
int32_t usb_camera_control(enum usb_camera_control which);

/** The JPEG with this number as the camera sends it (a scene of those shown in turn, the number in
 * a comment). `out` must hold USB_CAMERA_JPEG_MAX bytes. Returns its length; 0, and says so, when
 * there is no such picture. Any thread. */
size_t usb_camera_jpeg(uint32_t number, uint32_t width, uint32_t height, bool is_big, uint8_t *out);
#define USB_CAMERA_JPEG_MAX (4u << 20)
/** The number in a JPEG of this camera, -1 when it has none. */
int64_t usb_camera_number(const uint8_t *jpeg, size_t bytes);

/** The luma of the scene that pictures of this number show at 320x240, 320 x 240 bytes. */
const uint8_t *usb_camera_luma(uint32_t number);

#endif
