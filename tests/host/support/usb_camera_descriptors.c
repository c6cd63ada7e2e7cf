// SPDX-License-Identifier: MIT
#include "tests/host/support/usb_camera_descriptors.h"

#include <string.h>

#include "tests/host/support/usb_camera.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "as USB's descriptors are");

#define INTERVAL_10_HZ 1000000u
#define INTERVAL_5_HZ  2000000u
#define BYTES_VGA      (640u * 480 * 2)
#define BYTES_720P     (1280u * 720)
#define BYTES_YUYV     (320u * 240 * 2)
#define CLOCK_HZ       1000000u
#define ENDPOINT       (USB_DIR_IN | 1)

const struct uvc_mode uvc_modes[UVC_MODES] = {
    {1, 1, HAL_PIXEL_MJPEG, 640, 480, INTERVAL_10_HZ, BYTES_VGA},
    {1, 2, HAL_PIXEL_MJPEG, 1280, 720, INTERVAL_5_HZ, BYTES_720P},
    {2, 1, HAL_PIXEL_YUYV, 320, 240, INTERVAL_10_HZ, BYTES_YUYV},
};

static const struct usb_device_descriptor device = {
    .bLength = sizeof device,
    .bDescriptorType = USB_DT_DEVICE,
    .bcdUSB = 0x0200,
    .bDeviceClass = USB_CLASS_MISC,
    .bDeviceSubClass = 2, // common class
    .bDeviceProtocol = 1, // with interface associations
    .bMaxPacketSize0 = 64,
    .idVendor = 0x1d6b,
    .idProduct = 0x0102,
    .bcdDevice = 0x0100,
    .iManufacturer = 1,
    .iProduct = 2,
    .iSerialNumber = 3,
    .bNumConfigurations = 1,
};

DECLARE_UVC_HEADER_DESCRIPTOR(1);
DECLARE_UVC_INPUT_HEADER_DESCRIPTOR(1, 2);
DECLARE_UVC_FRAME_MJPEG(1);
DECLARE_UVC_FRAME_UNCOMPRESSED(1);

struct control_part {
    struct UVC_HEADER_DESCRIPTOR(1) header;
    struct uvc_camera_terminal_descriptor camera;
    struct uvc_processing_unit_descriptor processing;
    struct uvc_output_terminal_descriptor output;
} __attribute__((packed));

struct streaming_part {
    struct UVC_INPUT_HEADER_DESCRIPTOR(1, 2) header;
    struct uvc_format_mjpeg mjpeg;
    struct UVC_FRAME_MJPEG(1) vga, hd;
    struct uvc_color_matching_descriptor mjpeg_colours;
    struct uvc_format_uncompressed yuyv;
    struct UVC_FRAME_UNCOMPRESSED(1) qvga;
    struct uvc_color_matching_descriptor yuyv_colours;
} __attribute__((packed));

#define TYPE(name, subtype)                                                                        \
    .bLength = sizeof name, .bDescriptorType = USB_DT_CS_INTERFACE, .bDescriptorSubType = (subtype)
#define FRAME(type, index, width, height, bytes, interval)                                         \
    .bLength = 30, .bDescriptorType = USB_DT_CS_INTERFACE, .bDescriptorSubType = (type),           \
    .bFrameIndex = (index), .wWidth = (width), .wHeight = (height), .dwMinBitRate = 8 * (bytes),   \
    .dwMaxBitRate = 80 * (bytes), .dwMaxVideoFrameBufferSize = (bytes),                            \
    .dwDefaultFrameInterval = (interval), .bFrameIntervalType = 1, .dwFrameInterval = {(interval)}
#define INTERFACE(number, alternate, endpoints, subclass)                                          \
    .bLength = USB_DT_INTERFACE_SIZE, .bDescriptorType = USB_DT_INTERFACE,                         \
    .bInterfaceNumber = (number), .bAlternateSetting = (alternate), .bNumEndpoints = (endpoints),  \
    .bInterfaceClass = USB_CLASS_VIDEO, .bInterfaceSubClass = (subclass)
/** BT.709 primaries and transfer with BT.601's matrix, as most webcams say */
#define COLOURS                                                                                    \
    {TYPE(configuration.streaming.yuyv_colours, UVC_VS_COLORFORMAT),                               \
     .bColorPrimaries = UVC_COLOR_PRIMARIES_BT_709_SRGB,                                           \
     .bTransferCharacteristics = UVC_TRANSFER_CHARACTERISTICS_BT_709,                              \
     .bMatrixCoefficients = UVC_MATRIX_COEFFICIENTS_SMPTE_170M}

/** Its last two bytes are those of audio endpoints, and not sent. */
static const struct {
    struct usb_config_descriptor head;
    struct usb_interface_assoc_descriptor association;
    struct usb_interface_descriptor control_interface;
    struct control_part control;
    struct usb_interface_descriptor idle_interface;
    struct streaming_part streaming;
    struct usb_interface_descriptor active_interface;
    struct usb_endpoint_descriptor endpoint;
} __attribute__((packed)) configuration = {
    .head = {.bLength = USB_DT_CONFIG_SIZE,
             .bDescriptorType = USB_DT_CONFIG,
             .wTotalLength = sizeof configuration - 2,
             .bNumInterfaces = 2,
             .bConfigurationValue = 1,
             .bmAttributes = USB_CONFIG_ATT_ONE | USB_CONFIG_ATT_SELFPOWER},
    .association = {.bLength = USB_DT_INTERFACE_ASSOCIATION_SIZE,
                    .bDescriptorType = USB_DT_INTERFACE_ASSOCIATION,
                    .bFirstInterface = UVC_INTERFACE_CONTROL,
                    .bInterfaceCount = 2,
                    .bFunctionClass = USB_CLASS_VIDEO,
                    .bFunctionSubClass = UVC_SC_VIDEO_INTERFACE_COLLECTION},
    .control_interface = {INTERFACE(UVC_INTERFACE_CONTROL, 0, 0, UVC_SC_VIDEOCONTROL)},
    .control.header = {TYPE(configuration.control.header, UVC_VC_HEADER), .bcdUVC = 0x0110,
                       .wTotalLength = sizeof(struct control_part), .dwClockFrequency = CLOCK_HZ,
                       .bInCollection = 1, .baInterfaceNr = {UVC_INTERFACE_STREAMING}},
    /** exposure mode (bit 1) and time (bit 3) */
    .control.camera = {TYPE(configuration.control.camera, UVC_VC_INPUT_TERMINAL),
                       .bTerminalID = UVC_CAMERA_TERMINAL, .wTerminalType = UVC_ITT_CAMERA,
                       .bControlSize = 3, .bmControls = {0x0a}},
    /** brightness (bit 0), contrast (1), saturation (3), gain (9) */
    .control.processing = {TYPE(configuration.control.processing, UVC_VC_PROCESSING_UNIT),
                           .bUnitID = UVC_PROCESSING_UNIT, .bSourceID = UVC_CAMERA_TERMINAL,
                           .bControlSize = 2, .bmControls = {0x0b, 0x02}},
    .control.output = {TYPE(configuration.control.output, UVC_VC_OUTPUT_TERMINAL),
                       .bTerminalID = UVC_OUTPUT_TERMINAL, .wTerminalType = UVC_TT_STREAMING,
                       .bSourceID = UVC_PROCESSING_UNIT},
    .idle_interface = {INTERFACE(UVC_INTERFACE_STREAMING, 0, 0, UVC_SC_VIDEOSTREAMING)},
    .streaming.header = {TYPE(configuration.streaming.header, UVC_VS_INPUT_HEADER),
                         .bNumFormats = 2, .wTotalLength = sizeof(struct streaming_part),
                         .bEndpointAddress = ENDPOINT, .bTerminalLink = UVC_OUTPUT_TERMINAL,
                         .bControlSize = 1},
    .streaming.mjpeg = {TYPE(configuration.streaming.mjpeg, UVC_VS_FORMAT_MJPEG), .bFormatIndex = 1,
                        .bNumFrameDescriptors = 2, .bDefaultFrameIndex = 1},
    .streaming.vga = {FRAME(UVC_VS_FRAME_MJPEG, 1, 640, 480, BYTES_VGA, INTERVAL_10_HZ)},
    .streaming.hd = {FRAME(UVC_VS_FRAME_MJPEG, 2, 1280, 720, BYTES_720P, INTERVAL_5_HZ)},
    .streaming.mjpeg_colours = COLOURS,
    .streaming.yuyv = {TYPE(configuration.streaming.yuyv, UVC_VS_FORMAT_UNCOMPRESSED),
                       .bFormatIndex = 2, .bNumFrameDescriptors = 1,
                       .guidFormat = {'Y', 'U', 'Y', '2', 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38,
                                      0x9b, 0x71},
                       .bBitsPerPixel = 16, .bDefaultFrameIndex = 1},
    .streaming.qvga = {FRAME(UVC_VS_FRAME_UNCOMPRESSED, 1, 320, 240, BYTES_YUYV, INTERVAL_10_HZ)},
    .streaming.yuyv_colours = COLOURS,
    .active_interface = {INTERFACE(UVC_INTERFACE_STREAMING, 1, 1, UVC_SC_VIDEOSTREAMING)},
    .endpoint = {.bLength = USB_DT_ENDPOINT_SIZE,
                 .bDescriptorType = USB_DT_ENDPOINT,
                 .bEndpointAddress = ENDPOINT,
                 .bmAttributes = USB_ENDPOINT_XFER_ISOC | USB_ENDPOINT_SYNC_ASYNC,
                 .wMaxPacketSize = UVC_PACKET_BYTES,
                 .bInterval = 1},
};

void uvc_settle(struct uvc_streaming_control *wish, const struct uvc_mode **mode)
{
    *mode = &uvc_modes[0];
    for (unsigned i = 0; i < UVC_MODES; i++)
        if (uvc_modes[i].format_index == wish->bFormatIndex &&
            uvc_modes[i].frame_index == wish->bFrameIndex)
            *mode = &uvc_modes[i];
    *wish = (struct uvc_streaming_control){
        .bmHint = 1, // the interval is what counts
        .bFormatIndex = (*mode)->format_index,
        .bFrameIndex = (*mode)->frame_index,
        .dwFrameInterval = (*mode)->interval,
        .dwMaxVideoFrameSize = (*mode)->bytes_max,
        .dwMaxPayloadTransferSize = UVC_PACKET_BYTES,
        .dwClockFrequency = CLOCK_HZ,
        .bmFramingInfo = 3, // frames have their ids and their ends marked
    };
}

static const uint8_t *string(unsigned index, size_t *bytes)
{
    static const char *const texts[] = {"\x09\x04", "Pinhole", USB_CAMERA_MODEL, "UVC-0001"};
    static uint8_t text[128] = {0, USB_DT_STRING};
    if (index >= ARRAY_SIZE(texts))
        return NULL;
    size_t length = strlen(texts[index]);
    if (index == 0) // the languages that there are: US English
        memcpy(text + 2, texts[0], length);
    for (size_t i = 0; i < length && index > 0; i++) {
        text[2 + 2 * i] = (uint8_t)texts[index][i];
        text[3 + 2 * i] = 0;
    }
    *bytes = 2 + (index == 0 ? length : 2 * length);
    text[0] = (uint8_t)*bytes;
    return text;
}

const uint8_t *uvc_descriptor(uint16_t value, size_t *bytes)
{
    switch (value >> 8) {
    case USB_DT_DEVICE: *bytes = sizeof device; return (const uint8_t *)&device;
    case USB_DT_CONFIG: *bytes = sizeof configuration - 2; return (const uint8_t *)&configuration;
    case USB_DT_STRING: return string(value & 0xff, bytes);
    default: return NULL;
    }
}
