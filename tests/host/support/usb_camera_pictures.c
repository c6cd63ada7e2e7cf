// SPDX-License-Identifier: MIT
// The pictures of the camera of usb_camera.h: a few scenes, made once for each size, and numbered.
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/host/support/jpeg_file.h"
#include "tests/host/support/picture.h"
#include "tests/host/support/usb_camera.h"
#include "tests/host/support/usb_camera_descriptors.h"

#define COMMENT       "UVC %010u"
#define COMMENT_BYTES 14u

/** The scenes of one size; the last is the big one. */
struct album {
    uint32_t width, height;
    struct jpeg_file scene[USB_CAMERA_PICTURES + 1];
};

static struct album albums[UVC_MODES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct jpeg_file draw(uint32_t number, uint32_t width, uint32_t height, bool is_big)
{
    struct picture picture;
    picture_alloc(&picture, HAL_PIXEL_YUV420, width, height, 0);
    picture_draw(&picture, is_big ? PICTURE_NOISE : PICTURE_LANDSCAPE, number + 1, 0, 100);
    struct jpeg_file jpeg = jpeg_file_of_frame(&picture.frame, is_big ? 90 : 60);
    picture_free(&picture);
    return jpeg;
}

/** NULL when there are more sizes than the camera has. */
static const struct jpeg_file *find(uint32_t number, uint32_t width, uint32_t height, bool is_big)
{
    struct album *album = albums;
    while (album->width != 0 && (album->width != width || album->height != height))
        if (++album == albums + UVC_MODES)
            return NULL;
    album->width = width;
    album->height = height;
    unsigned index = is_big ? USB_CAMERA_PICTURES : number % USB_CAMERA_PICTURES;
    if (album->scene[index].data == NULL)
        album->scene[index] = draw(index, width, height, is_big);
    return &album->scene[index];
}

/** The comment goes behind the JFIF header, which has to be first. */
size_t usb_camera_jpeg(uint32_t number, uint32_t width, uint32_t height, bool is_big, uint8_t *out)
{
    pthread_mutex_lock(&lock);
    const struct jpeg_file *jpeg = find(number, width, height, is_big);
    pthread_mutex_unlock(&lock);
    if (jpeg == NULL || jpeg->bytes + 4 + COMMENT_BYTES > USB_CAMERA_JPEG_MAX) {
        fprintf(stderr, "the USB camera has no picture of %ux%u\n", width, height);
        return 0;
    }
    size_t head = 4u + (size_t)(jpeg->data[4] << 8 | jpeg->data[5]);
    memcpy(out, jpeg->data, head);
    const uint8_t marker[4] = {0xff, 0xfe, 0, COMMENT_BYTES + 2};
    memcpy(out + head, marker, sizeof marker);
    char text[COMMENT_BYTES + 1];
    snprintf(text, sizeof text, COMMENT, number);
    memcpy(out + head + sizeof marker, text, COMMENT_BYTES);
    size_t behind = head + sizeof marker + COMMENT_BYTES;
    memcpy(out + behind, jpeg->data + head, jpeg->bytes - head);
    return behind + jpeg->bytes - head;
}

int64_t usb_camera_number(const uint8_t *jpeg, size_t bytes)
{
    unsigned number;
    size_t head = bytes > 6 ? 4u + (size_t)(jpeg[4] << 8 | jpeg[5]) : bytes;
    if (head + 4 + COMMENT_BYTES > bytes || jpeg[head] != 0xff || jpeg[head + 1] != 0xfe)
        return -1;
    char text[COMMENT_BYTES + 1] = "";
    memcpy(text, jpeg + head + 4, COMMENT_BYTES);
    return sscanf(text, "UVC %u", &number) == 1 ? (int64_t)number : -1;
}

/** A tilted ramp whose direction and phase tell the scenes apart, also after JPEG's losses. */
const uint8_t *usb_camera_luma(uint32_t number)
{
    static uint8_t scenes[USB_CAMERA_PICTURES][320 * 240];
    static bool are_drawn;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < USB_CAMERA_PICTURES && !are_drawn; i++)
        for (unsigned y = 0; y < 240; y++)
            for (unsigned x = 0; x < 320; x++) {
                unsigned at = (i & 1 ? 319 - x : x) + (i & 2 ? 239 - y : y) + 40 * i;
                scenes[i][y * 320 + x] = (uint8_t)(16 + at % 220);
            }
    are_drawn = true;
    pthread_mutex_unlock(&lock);
    return scenes[number % USB_CAMERA_PICTURES];
}
