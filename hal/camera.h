// SPDX-License-Identifier: MIT
// The camera contract. Every backend behaves as written here. tests/host/support/camera_contract.c
// checks it.
//
// One process owns one camera, so a backend keeps its state in static storage and its operations
// take no handle. All operations are called from the loop's thread. None blocks longer than it
// says, none allocates between start() and stop(), none raises a signal or exits.
//
// Life of a camera:  open -> configure -> start -> { fd readable -> acquire -> release }* -> stop
// -> configure -> start ... -> stop -> close After an error from acquire() only stop() and close()
// are legal. The node then opens the camera again by the same id.
#ifndef PINHOLE_HAL_CAMERA_H
#define PINHOLE_HAL_CAMERA_H

#include "hal/base.h"

#define HAL_CAMERA_ID_BYTES      128
#define HAL_CAMERA_MODES_MAX     16
#define HAL_CAMERA_BUFFERS_MAX   8
#define HAL_CAMERA_PLANES_MAX    3
#define HAL_CAMERA_FEATURES_MAX  48
#define HAL_CAMERA_DIMENSION_MAX 8192 /**< widest and tallest picture anything here accepts */

/** Pixel formats, named as V4L2 and DRM name them. All 8 bit. Chroma of YUV420 and NV12 is
 * subsampled 2x2, of YUYV 2x1. Full range, BT.601 coefficients (libcamera's ColorSpace::Sycc). */
enum hal_pixel_format {
    HAL_PIXEL_ANY = 0, /**< in a wish: the backend's best */
    HAL_PIXEL_YUV420,  /**< planes Y, U, V */
    HAL_PIXEL_NV12,    /**< planes Y, UV interleaved */
    HAL_PIXEL_YUYV,    /**< one plane Y0 U Y1 V */
    HAL_PIXEL_GREY,    /**< one plane Y */
    HAL_PIXEL_MJPEG,   /**< one plane: a JPEG of `bytes` bytes, with or without DHT; stride 0 */
    HAL_PIXEL_FORMATS
};

/** "YUV420", "NV12", ...; "?" for a value outside the enum. Static storage. */
BASE_EXPORT const char *hal_pixel_format_name(enum hal_pixel_format format);
/** The format of that name, HAL_PIXEL_ANY for "any", or -EINVAL. */
int hal_pixel_format_parse(const char *name);

/** One size that a camera offers. `framerate_max` 0 = not known. */
struct hal_camera_mode {
    enum hal_pixel_format format;
    uint32_t width, height;
    double framerate_max;
};

/** One camera as enumerate() found it. */
struct hal_camera_info {
    char id[HAL_CAMERA_ID_BYTES]; /**< stable across unplugging and reboots; what open() takes */
    char model[64];
    char location[16]; /**< "front", "back", "external" or "" */
    uint16_t rotation; /**< degrees clockwise by which the sensor is mounted: 0, 90, 180, 270 */
    uint8_t mode_count;
    struct hal_camera_mode mode[HAL_CAMERA_MODES_MAX];
};

/** A wish to configure(), and its answer. Zero in a wish means "the camera's own preference";
 * an answer has every field set. Width and height are even. */
struct hal_camera_config {
    uint32_t width, height;
    enum hal_pixel_format format;
    double framerate;      /**< frames per second */
    uint32_t buffers;      /**< 2..HAL_CAMERA_BUFFERS_MAX */
    bool hflip, vflip;     /**< mirrored / upside down, on the sensor or in its ISP */
    uint64_t memory_bytes; /**< the most a backend may map for pictures of its own (replay) */
};

/** Where the rows of one plane are. `data` is mapped memory that the backend owns. */
struct hal_plane {
    const uint8_t *data;
    uint32_t stride; /**< bytes from row to row, >= the row's own bytes */
    uint32_t rows;
};

/** How many planes of samples a picture in that format has; 0 for MJPEG and HAL_PIXEL_ANY. */
unsigned hal_pixel_format_planes(enum hal_pixel_format format);
/** The least stride and rows of one of them, `plane` < their number. Sets no data. */
struct hal_plane hal_pixel_format_plane(enum hal_pixel_format format, uint32_t width,
                                        uint32_t height, unsigned plane);

enum hal_frame_flags {
    HAL_FRAME_TORN = 1u << 0,     /**< the hardware reported an error in this frame's data */
    HAL_FRAME_NO_CLOCK = 1u << 1, /**< timestamp_ns is the time of arrival, not the sensor's */
};

/** One frame, valid from acquire() until its release(). Fields that a camera does not report are 0.
 */
struct hal_frame {
    uint32_t buffer; /**< which buffer: release() wants it back */
    enum hal_pixel_format format;
    uint32_t width, height;
    struct hal_plane plane[HAL_CAMERA_PLANES_MAX];
    uint32_t bytes;           /**< MJPEG: length of the JPEG */
    uint32_t sensor_sequence; /**< counts every frame the sensor made, also lost ones; wraps */
    uint64_t timestamp_ns;    /**< CLOCK_MONOTONIC at the start of readout of the first row; the
                                   first row was exposed in [timestamp - exposure, timestamp] */
    uint32_t exposure_us;
    uint32_t gain_milli;         /**< analogue gain x 1000 */
    uint32_t digital_gain_milli; /**< x 1000 */
    uint32_t frame_duration_us;
    uint32_t colour_temperature_k;
    uint32_t lux_milli;
    uint32_t lens_position_milli; /**< dioptres x 1000 */
    uint32_t flags;               /**< enum hal_frame_flags */
};

/** CLOCK_MONOTONIC at which the exposure of the frame's first row began. */
static inline uint64_t hal_frame_exposure_start_ns(const struct hal_frame *frame)
{
    return frame->timestamp_ns - frame->exposure_us * NS_PER_US;
}

enum hal_feature_type {
    HAL_FEATURE_INTEGER,
    HAL_FEATURE_FLOAT,
    HAL_FEATURE_BOOLEAN,
    HAL_FEATURE_ENUM
};

/** One control of the camera, under its GenICam SFNC name. A control the camera lacks is absent.
 * Strings are static or live until close(). An ENUM's value is the index into `choices`. */
struct hal_feature {
    const char *name;
    enum hal_feature_type type;
    const char *unit; /**< "us", "Hz", "dB", "" ... */
    double min, max, increment;
    const char *choices; /**< ENUM: "Off|Once|Continuous"; else NULL */
    bool is_writable;
};

struct hal_camera_ops {
    const char *name; /**< "fake", "replay", "libcamera": the part of CAMERA= before ':' */
    const char *(*version)(void); /**< of the library behind it, or "built in" */

    /** Lists cameras. Returns how many there are, or -errno. The count may exceed `max`; only `max`
     * are written. May block for a second or two. Legal at any time. */
    int (*enumerate)(struct hal_camera_info *out, int max);

    /** Takes the camera `id`: an id, an index ("0") or a part of a model. Backends without hardware
     * have their own argument (replay: a folder, fake: a fault script or ""). May block for
     * seconds. -ENODEV not there, -EBUSY taken by another process, -EINVAL bad argument, -EIO. On
     * failure last_error() has the sentence. */
    int (*open)(const char *id);
    /** The model of the open camera, as enumerate() lists it; "" while closed. Static storage. */
    const char *(*model)(void);

    /** Chooses size, format and rate. What was adjusted shows in `got`. Legal while stopped.
     * May block for seconds. -EINVAL when nothing near the wish exists, -ENOMEM, -EIO. */
    int (*configure)(const struct hal_camera_config *want, struct hal_camera_config *got);

    /** Starts streaming. 0 or -EIO, -ENODEV. May block for seconds. */
    int (*start)(void);

    /** Readable (EPOLLIN) when acquire() has news. Constant from open() to close(). */
    int (*fd)(void);

    /** 1: `*out` is the next frame, borrowed until release(). 0: none now (never "the end").
     * -ENODEV: unplugged. -EIO: the stream broke (all requests cancelled, error in the kernel).
     * Never blocks. Call until it returns 0 after each readiness. A camera whose buffers are all
     * borrowed drops frames, which leave gaps in sensor_sequence. */
    int (*acquire)(struct hal_frame *out);

    /** Gives the frame's buffer back to the sensor. Exactly once per acquired frame; harmless after
     * stop(). Never blocks. */
    void (*release)(const struct hal_frame *frame);

    /** The index-th control, or NULL past the last. Legal after configure(). */
    const struct hal_feature *(*feature)(unsigned index);
    /** Current value. 0 or -errno. */
    int (*feature_get)(unsigned index, double *value);
    /** Applies from one of the next frames on, without restart; the value was checked against the
     * range. 0, -EACCES (read only, or owned by an automatic mode), -EIO. */
    int (*feature_set)(unsigned index, double value);

    /** Ends streaming; frames still borrowed become invalid. May block for a second. Legal always.
     */
    void (*stop)(void);
    /** Gives the camera up and unmaps everything. Legal always. */
    void (*close)(void);

    /** A sentence about the last failure, naming what and where; "" if none. Static storage. */
    const char *(*last_error)(void);
};

#endif
