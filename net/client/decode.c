// SPDX-License-Identifier: MIT
// From a frame's JPEG to pixels, through TurboJPEG when the library was built with it.
#include "net/client/client.h"

#include <errno.h>
#include <string.h>

#ifdef HAVE_TURBOJPEG
#include <turbojpeg.h>

static const struct {
    int format, bytes;
} orders[] = {
    [PINHOLE_GREY] = {TJPF_GRAY, 1}, [PINHOLE_RGB] = {TJPF_RGB, 3},   [PINHOLE_BGR] = {TJPF_BGR, 3},
    [PINHOLE_RGBA] = {TJPF_RGBA, 4}, [PINHOLE_BGRA] = {TJPF_BGRA, 4},
};

static bool is_offered(const struct pinhole_picture *picture)
{
    int count = 0;
    const tjscalingfactor *factors = tjGetScalingFactors(&count);
    for (int i = 0; i < count; i++)
        if ((uint64_t)factors[i].num * picture->scale_denom ==
            (uint64_t)factors[i].denom * picture->scale_num)
            return true;
    return false;
}

/** Puts defaults in and says what the decoder will write: bytes, or -errno. */
static int64_t plan(tjhandle decoder, const void *jpeg, size_t jpeg_bytes,
                    struct pinhole_picture *picture)
{
    int width, height, subsampling, colours;
    if (picture->pixels == 0)
        picture->pixels = PINHOLE_RGB;
    if (picture->scale_num == 0 && picture->scale_denom == 0)
        picture->scale_num = picture->scale_denom = 1;
    if (picture->pixels >= ARRAY_SIZE(orders) || picture->scale_denom == 0 || !is_offered(picture))
        return -EINVAL;
    if (tjDecompressHeader3(decoder, jpeg, jpeg_bytes, &width, &height, &subsampling, &colours) < 0)
        return -EBADMSG;
    const uint64_t num = picture->scale_num, denom = picture->scale_denom;
    picture->width = (unsigned)(((uint64_t)width * num + denom - 1) / denom);
    picture->height = (unsigned)(((uint64_t)height * num + denom - 1) / denom);
    const size_t row = picture->width * (size_t)orders[picture->pixels].bytes;
    if (picture->row_bytes == 0)
        picture->row_bytes = row;
    if (picture->row_bytes < row || picture->row_bytes > INT32_MAX)
        return -EINVAL;
    return (int64_t)(picture->row_bytes * (picture->height - 1) + row);
}

static int64_t decode(tjhandle decoder, const void *jpeg, size_t jpeg_bytes,
                      struct pinhole_picture *picture, void *pixels, size_t pixels_bytes)
{
    int64_t need = plan(decoder, jpeg, jpeg_bytes, picture);
    if (need < 0)
        return need;
    if ((uint64_t)need > pixels_bytes)
        return -ENOSPC;
    // A warning is an error: data was missing or corrupt, and the picture is not what was taken.
    if (tjDecompress2(decoder, jpeg, jpeg_bytes, pixels, (int)picture->width,
                      (int)picture->row_bytes, (int)picture->height, orders[picture->pixels].format,
                      TJFLAG_ACCURATEDCT) < 0)
        return -EBADMSG;
    return need;
}

static int64_t with_decoder(const void *jpeg, size_t jpeg_bytes, struct pinhole_picture *picture,
                            void *pixels, size_t pixels_bytes)
{
    struct pinhole_picture mine;
    int error = client_copy_sized(&mine, sizeof mine, picture, picture->size);
    if (error < 0)
        return error;
    tjhandle decoder = tjInitDecompress();
    if (decoder == NULL)
        return -ENOMEM;
    int64_t result = pixels == NULL
                         ? plan(decoder, jpeg, jpeg_bytes, &mine)
                         : decode(decoder, jpeg, jpeg_bytes, &mine, pixels, pixels_bytes);
    tjDestroy(decoder);
    client_copy_out(picture, picture->size, &mine, sizeof mine);
    return result;
}
#else
static int64_t with_decoder(const void *jpeg, size_t jpeg_bytes, struct pinhole_picture *picture,
                            void *pixels, size_t pixels_bytes)
{
    (void)jpeg, (void)jpeg_bytes, (void)picture, (void)pixels, (void)pixels_bytes;
    return -ENOTSUP;
}
#endif

int64_t pinhole_decode_size(const void *jpeg, size_t jpeg_bytes, struct pinhole_picture *picture)
{
    return with_decoder(jpeg, jpeg_bytes, picture, NULL, 0);
}

int64_t pinhole_decode(const void *jpeg, size_t jpeg_bytes, struct pinhole_picture *picture,
                       void *pixels, size_t pixels_bytes)
{
    return pixels == NULL ? -EINVAL : with_decoder(jpeg, jpeg_bytes, picture, pixels, pixels_bytes);
}
