// SPDX-License-Identifier: MIT
// What the tests of the libcamera backend share: the cameras of tests/host/kernel/virtual.yaml,
// waiting for frames, and a turn each, because one camera serves one program.
#ifndef PINHOLE_TEST_SUPPORT_LIBCAMERA_BED_H
#define PINHOLE_TEST_SUPPORT_LIBCAMERA_BED_H

#include "tests/host/support/camera_contract.h"

#define BED_BARS         "Bars0" /**< test pattern; 1080p, 720p, 360p, 480x272 */
#define BED_BARS_MODEL   "Pinhole test bars"
#define BED_PHOTOS       "Photos1" /**< a folder of photographs; 720p */
#define BED_PHOTOS_MODEL "Pinhole photographs"

#if defined(__SANITIZE_ADDRESS__)
#define BED_SANITIZED 1
#else
#define BED_SANITIZED 0
#endif

enum bed_cameras { BED_NONE, BED_VIRTUAL, BED_OTHER };

/** The backend under test. */
extern const struct hal_camera_ops *const bed_ops;

/** Waits until no other test program uses the cameras, then says which there are. */
enum bed_cameras bed_begin(void);

/** A number from the environment, e.g. PINHOLE_TEST_FRAMES, or `otherwise`. */
unsigned long bed_number(const char *name, unsigned long otherwise);

/** Fails the case with the backend's sentence when `result` is negative. */
void bed_check(int result, const char *what);

/** Opens, configures, starts. */
struct hal_camera_config bed_start(const char *id, uint32_t width, uint32_t height,
                                   double framerate);

/** The next frame, or the case fails. */
struct hal_frame bed_frame(void);

/** Takes and releases so many. */
void bed_take(unsigned count);

unsigned bed_descriptors(void);

/** Closes the camera and ends all faults: the teardown of each case. */
int bed_close(void **state);

#define BED_CASE(name) cmocka_unit_test_teardown(name, bed_close)

#endif
