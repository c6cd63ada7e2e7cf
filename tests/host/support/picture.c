// SPDX-License-Identifier: MIT
#include "tests/host/support/picture.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jpeglib.h>

struct photo {
    uint32_t width, height;
    uint8_t *yuv; /**< interleaved, 3 bytes per sample */
};

static void add_plane(struct picture *p, unsigned i, uint32_t bytes, uint32_t rows, uint32_t slack)
{
    uint32_t stride = bytes + slack;
    // Exactly to the end of the last row's own bytes: a reader that goes further is found by ASan.
    size_t size = (size_t)stride * (rows - 1) + bytes;
    p->memory[i] = malloc(size);
    assert_non_null(p->memory[i]);
    memset(p->memory[i], 0xa5, size);
    p->frame.plane[i] = (struct hal_plane){.data = p->memory[i], .stride = stride, .rows = rows};
}

void picture_alloc(struct picture *p, enum hal_pixel_format format, uint32_t width, uint32_t height,
                   uint32_t slack)
{
    memset(p, 0, sizeof *p);
    p->frame.format = format;
    p->frame.width = width;
    p->frame.height = height;
    add_plane(p, 0, format == HAL_PIXEL_YUYV ? 2 * width : width, height, slack);
    if (format == HAL_PIXEL_NV12)
        add_plane(p, 1, width, height / 2, slack);
    if (format == HAL_PIXEL_YUV420) {
        add_plane(p, 1, width / 2, height / 2, slack);
        add_plane(p, 2, width / 2, height / 2, slack);
    }
}

void picture_free(struct picture *p)
{
    for (unsigned i = 0; i < HAL_CAMERA_PLANES_MAX; i++)
        free(p->memory[i]);
    memset(p, 0, sizeof *p);
}

struct jpeg_picture picture_planes(const struct hal_frame *frame)
{
    static const enum hal_pixel_format formats[JPEG_FORMATS] = {
        [JPEG_FORMAT_YUV420] = HAL_PIXEL_YUV420,
        [JPEG_FORMAT_NV12] = HAL_PIXEL_NV12,
        [JPEG_FORMAT_YUYV] = HAL_PIXEL_YUYV,
        [JPEG_FORMAT_GREY] = HAL_PIXEL_GREY,
    };
    struct jpeg_picture p = {.width = frame->width, .height = frame->height};
    while (p.format < JPEG_FORMATS && formats[p.format] != frame->format)
        p.format++;
    for (unsigned i = 0; i < HAL_CAMERA_PLANES_MAX; i++)
        p.plane[i] = (struct jpeg_plane){
            .data = frame->plane[i].data,
            .stride = frame->plane[i].stride,
            .rows = frame->plane[i].rows,
        };
    return p;
}

struct yuv {
    uint8_t y, u, v;
};

static uint32_t hash(uint32_t x, uint32_t y, uint32_t seed)
{
    uint32_t h = x * 0x85ebca6bu ^ y * 0xc2b2ae35u ^ seed * 0x27d4eb2fu;
    h ^= h >> 15;
    h *= 0x2c1b3c6du;
    h ^= h >> 12;
    h *= 0x297a2d39u;
    return h ^ h >> 15;
}

/** Noise on a grid of 2^shift samples, linear in between: 0..255. */
static int32_t soft(uint32_t x, uint32_t y, uint32_t shift, uint32_t seed)
{
    uint32_t gx = x >> shift, gy = y >> shift, mask = (1u << shift) - 1;
    int32_t fx = (int32_t)(x & mask), fy = (int32_t)(y & mask), one = 1 << shift;
    int32_t a = hash(gx, gy, seed) & 255, b = hash(gx + 1, gy, seed) & 255;
    int32_t c = hash(gx, gy + 1, seed) & 255, d = hash(gx + 1, gy + 1, seed) & 255;
    int32_t top = a * (one - fx) + b * fx, bottom = c * (one - fx) + d * fx;
    return (top * (one - fy) + bottom * fy) / (one * one);
}

static int32_t structure(uint32_t x, uint32_t y, uint32_t seed)
{
    return (soft(x, y, 6, seed) * 8 + soft(x, y, 4, seed + 1) * 4 + soft(x, y, 2, seed + 2) * 2 +
            (int32_t)(hash(x, y, seed + 3) & 15)) /
           14;
}

static uint8_t clamp(int32_t value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static struct yuv sample_text(uint32_t x, uint32_t y, uint32_t seed)
{
    bool is_gap = x % 7 == 6 || y % 12 >= 8;
    bool is_ink = !is_gap && (hash(x / 2, y / 2, seed) & 1) && hash(x / 7, y / 12, seed) % 5;
    return (struct yuv){is_ink ? 20 : 235, 128, 128};
}

static struct yuv sample_of(enum picture_scene scene, uint32_t x, uint32_t y, uint32_t seed)
{
    uint32_t h;
    switch (scene) {
    case PICTURE_BLACK: return (struct yuv){0, 128, 128};
    case PICTURE_WHITE: return (struct yuv){255, 128, 128};
    case PICTURE_NOISE:
        h = hash(x, y, seed);
        return (struct yuv){(uint8_t)h, (uint8_t)(h >> 8), (uint8_t)(h >> 16)};
    case PICTURE_TEXT: return sample_text(x, y, seed);
    case PICTURE_GRADIENT:
        return (struct yuv){(uint8_t)((x + y + seed) / 4), (uint8_t)(x / 3), (uint8_t)(y / 3)};
    default:
        return (struct yuv){clamp(structure(x, y, seed) * 3 / 2 - 40),
                            clamp(soft(x, y, 5, seed + 7) / 2 + 64),
                            clamp(soft(x, y, 5, seed + 8) / 2 + 64)};
    }
}

static void put(struct picture *p, uint32_t x, uint32_t y, struct yuv s)
{
    const struct hal_plane *plane = p->frame.plane;
    uint8_t *luma = p->memory[0] + (size_t)y * plane[0].stride;
    if (p->frame.format == HAL_PIXEL_YUYV) {
        luma[2 * x] = s.y;
        luma[2 * x + 1] = x % 2 ? s.v : s.u;
        return;
    }
    luma[x] = s.y;
    if (p->frame.format == HAL_PIXEL_GREY || x % 2 || y % 2)
        return;
    uint8_t *chroma = p->memory[1] + (size_t)(y / 2) * plane[1].stride;
    if (p->frame.format == HAL_PIXEL_NV12) {
        chroma[x] = s.u;
        chroma[x + 1] = s.v;
    } else {
        chroma[x / 2] = s.u;
        p->memory[2][(size_t)(y / 2) * plane[2].stride + x / 2] = s.v;
    }
}

void picture_draw(struct picture *p, enum picture_scene scene, uint32_t seed, uint32_t shift,
                  uint32_t contrast)
{
    for (uint32_t y = 0; y < p->frame.height; y++)
        for (uint32_t x = 0; x < p->frame.width; x++) {
            struct yuv s = sample_of(scene, x + shift, y + shift, seed);
            s.y = clamp((int32_t)s.y * (int32_t)contrast / 100);
            put(p, x, y, s);
        }
}

struct escape {
    struct jpeg_error_mgr errors;
    jmp_buf jump;
};

static void on_error(j_common_ptr cinfo)
{
    longjmp(((struct escape *)(void *)cinfo->err)->jump, 1);
}

static int decode(FILE *file, struct photo *photo)
{
    struct jpeg_decompress_struct cinfo;
    struct escape escape;
    cinfo.err = jpeg_std_error(&escape.errors);
    escape.errors.error_exit = on_error;
    if (setjmp(escape.jump)) {
        jpeg_destroy_decompress(&cinfo);
        return -1;
    }
    jpeg_create_decompress(&cinfo);
    jpeg_stdio_src(&cinfo, file);
    jpeg_read_header(&cinfo, TRUE);
    cinfo.out_color_space = JCS_YCbCr;
    jpeg_start_decompress(&cinfo);
    photo->width = cinfo.output_width;
    photo->height = cinfo.output_height;
    photo->yuv = malloc((size_t)photo->width * photo->height * 3);
    if (photo->yuv == NULL) {
        jpeg_destroy_decompress(&cinfo);
        return -1;
    }
    while (cinfo.output_scanline < photo->height) {
        JSAMPROW row = photo->yuv + (size_t)cinfo.output_scanline * photo->width * 3;
        jpeg_read_scanlines(&cinfo, &row, 1);
    }
    jpeg_finish_decompress(&cinfo);
    jpeg_destroy_decompress(&cinfo);
    return 0;
}

struct photo *photo_load(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct photo *photo = calloc(1, sizeof *photo);
    if (file == NULL || photo == NULL || decode(file, photo)) {
        photo_free(photo);
        photo = NULL;
    }
    if (file != NULL)
        fclose(file);
    return photo;
}

struct photo *photo_draw(enum picture_scene scene, uint32_t seed, uint32_t width, uint32_t height)
{
    struct photo *photo = calloc(1, sizeof *photo);
    assert_non_null(photo);
    *photo = (struct photo){width, height, malloc((size_t)width * height * 3)};
    assert_non_null(photo->yuv);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            struct yuv s = sample_of(scene, x, y, seed);
            memcpy(photo->yuv + 3 * ((size_t)y * width + x), (uint8_t[3]){s.y, s.u, s.v}, 3);
        }
    return photo;
}

void photo_free(struct photo *photo)
{
    if (photo != NULL)
        free(photo->yuv);
    free(photo);
}

void picture_crop(struct picture *p, const struct photo *photo, uint32_t x0, uint32_t y0)
{
    for (uint32_t y = 0; y < p->frame.height; y++) {
        const uint8_t *row = photo->yuv + (size_t)((y0 + y) % photo->height) * photo->width * 3;
        for (uint32_t x = 0; x < p->frame.width; x++) {
            const uint8_t *s = row + (size_t)((x0 + x) % photo->width) * 3;
            put(p, x, y, (struct yuv){s[0], s[1], s[2]});
        }
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

unsigned photo_list(char (*paths)[512], unsigned max)
{
    const char *folder = getenv("PINHOLE_PHOTOS");
    DIR *dir = folder != NULL ? opendir(folder) : NULL;
    unsigned count = 0;
    for (struct dirent *entry; dir != NULL && count < max && (entry = readdir(dir)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot != NULL && !strcmp(dot, ".jpg"))
            snprintf(paths[count++], 512, "%s/%s", folder, entry->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    qsort(paths, count, sizeof *paths, by_name);
    return count;
}
