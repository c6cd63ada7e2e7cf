// SPDX-License-Identifier: MIT
#include "tests/host/support/libcamera_bed.h"

#ifdef HAVE_LIBCAMERA

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hal/libcamera/claim.h"
#include "hal/libcamera/load.h"
#include "tests/host/support/libcamera_faults.h"

const struct hal_camera_ops *const bed_ops = &hal_camera_libcamera;

enum bed_cameras bed_begin(void)
{
    struct hal_camera_info info[2] = {0};
    int owner;
    while (camera_claim("the test bed", &owner) == -EBUSY)
        usleep(50000);
    int found = bed_ops->enumerate(info, 2);
    bed_ops->close();
    if (found <= 0)
        return BED_NONE;
    return strcmp(info[0].id, BED_BARS) == 0 ? BED_VIRTUAL : BED_OTHER;
}

unsigned long bed_number(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoul(text, NULL, 10) : otherwise;
}

void bed_check(int result, const char *what)
{
    if (result < 0)
        fail_msg("%s: %d, %s", what, result, bed_ops->last_error());
}

struct hal_camera_config bed_start(const char *id, uint32_t width, uint32_t height,
                                   double framerate)
{
    struct hal_camera_config got, want = {.width = width, .height = height, .framerate = framerate};
    bed_check(bed_ops->open(id), "open");
    bed_check(bed_ops->configure(&want, &got), "configure");
    bed_check(bed_ops->start(), "start");
    return got;
}

struct hal_frame bed_frame(void)
{
    struct hal_frame frame;
    int got = camera_contract_wait(bed_ops, &frame);
    if (got != 1)
        fail_msg("no frame: %d, %s", got, bed_ops->last_error());
    return frame;
}

void bed_take(unsigned count)
{
    while (count-- > 0) {
        struct hal_frame frame = bed_frame();
        bed_ops->release(&frame);
    }
}

unsigned bed_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

int bed_close(void **state)
{
    (void)state;
    bed_ops->close();
    (void)libcamera_faults_script(NULL);
    return 0;
}

#endif
