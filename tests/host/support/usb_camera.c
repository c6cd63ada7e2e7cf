// SPDX-License-Identifier: MIT
// The device's side of USB/IP: control requests, and isochronous transfers filled with pictures.
#include "tests/host/support/usb_camera.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hal/os/clock.h"
#include "tests/host/support/usb_camera_descriptors.h"

#define VHCI          "/sys/devices/platform/vhci_hcd.0/"
#define PATIENCE_NS   (60 * NS_PER_S)
#define TRANSFERS_MAX 32
#define PACKETS_MAX   128
_Static_assert(USB_CAMERA_PAYLOAD + 2 == UVC_PACKET_BYTES, "a packet has a header of two bytes");

// --- USB/IP, all of it big endian ---------------------------------------------------------------

enum { CMD_SUBMIT = 1, CMD_UNLINK = 2, RET_SUBMIT = 3, RET_UNLINK = 4 };

struct message {
    uint32_t command, number, device, is_in, endpoint;
    union {
        struct {
            uint32_t flags, bytes, start_frame, packets, interval;
            uint8_t setup[8];
        } submit;
        struct {
            uint32_t status, bytes, start_frame, packets, errors, padding[2];
        } reply;
        struct {
            uint32_t number, padding[6];
        } unlink;
    };
};
_Static_assert(sizeof(struct message) == 48, "USB/IP has headers of 48 bytes");

struct packet {
    uint32_t offset, bytes, actual, status;
};

// --- state --------------------------------------------------------------------------------------

struct control {
    uint8_t entity, selector, bytes;
    int32_t min, max, increment, value;
};

struct transfer {
    uint32_t number, packets;
    struct packet packet[PACKETS_MAX];
};

static struct {
    pthread_t thread;
    pthread_mutex_t lock; /**< for what follows up to the line */
    bool is_plugged, is_opened, is_silent;
    enum usb_camera_oddity wanted;
    uint32_t odd_number;
    const struct uvc_mode *mode;
    struct control control[USB_CAMERA_CONTROLS];
    /** ------ the device's thread only */
    int fd;
    struct uvc_streaming_control probe, commit;
    struct transfer transfer[TRANSFERS_MAX];
    unsigned transfers;
    uint32_t last_number;                /**< of the transfers that came */
    struct message early[TRANSFERS_MAX]; /**< cancellations of transfers still to come */
    unsigned early_count;
    uint32_t next_number;
    uint64_t due_ns;
    uint8_t picture[USB_CAMERA_JPEG_MAX];
    size_t bytes, sent;
    bool is_sending;
    enum usb_camera_oddity oddity; /**< of the picture that is being sent */
    uint8_t frame_id;              /**< toggles from picture to picture */
} camera = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const struct control controls_at_power_on[USB_CAMERA_CONTROLS] = {
    [USB_CAMERA_AE_MODE] = {UVC_CAMERA_TERMINAL, UVC_CT_AE_MODE_CONTROL, 1, 1, 8, 9, 8},
    [USB_CAMERA_EXPOSURE] = {UVC_CAMERA_TERMINAL, UVC_CT_EXPOSURE_TIME_ABSOLUTE_CONTROL, 4, 1, 5000,
                             1, 156},
    [USB_CAMERA_BRIGHTNESS] = {UVC_PROCESSING_UNIT, UVC_PU_BRIGHTNESS_CONTROL, 2, -64, 64, 1, 0},
    [USB_CAMERA_CONTRAST] = {UVC_PROCESSING_UNIT, UVC_PU_CONTRAST_CONTROL, 2, 0, 95, 1, 32},
    [USB_CAMERA_SATURATION] = {UVC_PROCESSING_UNIT, UVC_PU_SATURATION_CONTROL, 2, 0, 100, 1, 55},
    [USB_CAMERA_GAIN] = {UVC_PROCESSING_UNIT, UVC_PU_GAIN_CONTROL, 2, 0, 255, 1, 64},
};

static uint32_t little(const uint8_t *data, unsigned bytes)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint32_t)data[i] << 8 * i;
    return value;
}

static void put_little(uint8_t *data, uint32_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        data[i] = (uint8_t)(value >> 8 * i);
}

static bool read_all(void *data, size_t bytes)
{
    return bytes == 0 || recv(camera.fd, data, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

static bool write_all(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    while (bytes > 0) {
        ssize_t done = send(camera.fd, at, bytes, MSG_NOSIGNAL);
        if (done <= 0)
            return false;
        at += done;
        bytes -= (size_t)done;
    }
    return true;
}

// --- control requests ---------------------------------------------------------------------------

/** Answers a GET with `bytes`, takes a SET. -EPIPE is a stall. */
static int streaming_request(uint8_t request, uint8_t selector, uint8_t *data, size_t bytes)
{
    struct uvc_streaming_control *target =
        selector == UVC_VS_PROBE_CONTROL ? &camera.probe : &camera.commit;
    if (selector != UVC_VS_PROBE_CONTROL && selector != UVC_VS_COMMIT_CONTROL)
        return -EPIPE;
    switch (request) {
    case UVC_SET_CUR:
        memcpy(target, data, bytes < sizeof *target ? bytes : sizeof *target);
        uvc_settle(target, &camera.mode);
        return 0;
    case UVC_GET_CUR:
    case UVC_GET_MIN:
    case UVC_GET_MAX:
    case UVC_GET_DEF: memcpy(data, target, sizeof *target); return (int)sizeof *target;
    case UVC_GET_LEN: put_little(data, sizeof *target, 2); return 2;
    case UVC_GET_INFO: data[0] = 3; return 1;
    default: return -EPIPE;
    }
}

static int control_request(uint8_t request, uint8_t entity, uint8_t selector, uint8_t *data)
{
    struct control *control = camera.control;
    while (control->entity != entity || control->selector != selector)
        if (++control == camera.control + USB_CAMERA_CONTROLS)
            return -EPIPE;
    const struct control *initial = &controls_at_power_on[control - camera.control];
    int32_t value = control->value;
    switch (request) {
    case UVC_SET_CUR: {
        uint32_t raw = little(data, control->bytes);
        control->value = control->bytes == 2 ? (int16_t)raw : (int32_t)raw;
        return 0;
    }
    case UVC_GET_CUR: break;
    case UVC_GET_MIN: value = control->min; break;
    case UVC_GET_MAX: value = control->max; break;
    case UVC_GET_RES: value = control->increment; break;
    case UVC_GET_DEF: value = initial->value; break;
    case UVC_GET_LEN: put_little(data, control->bytes, 2); return 2;
    case UVC_GET_INFO: data[0] = 3; return 1;
    default: return -EPIPE;
    }
    put_little(data, (uint32_t)value, control->bytes);
    return control->bytes;
}

static void set_streaming(bool is_on)
{
    camera.is_opened = is_on;
    camera.is_sending = false;
    camera.due_ns = clock_now_ns();
}

static int standard_request(const uint8_t setup[8], uint8_t *data)
{
    uint16_t value = (uint16_t)little(setup + 2, 2);
    size_t bytes;
    switch (setup[1]) {
    case USB_REQ_GET_DESCRIPTOR: {
        const uint8_t *descriptor = uvc_descriptor(value, &bytes);
        if (descriptor == NULL)
            return -EPIPE;
        memcpy(data, descriptor, bytes);
        return (int)bytes;
    }
    case USB_REQ_SET_INTERFACE:
        if (setup[4] == UVC_INTERFACE_STREAMING)
            set_streaming(value == 1);
        return 0;
    case USB_REQ_GET_STATUS: put_little(data, 0, 2); return 2;
    case USB_REQ_SET_CONFIGURATION: set_streaming(false); return 0;
    case USB_REQ_CLEAR_FEATURE:
    case USB_REQ_SET_FEATURE: return 0;
    default: return -EPIPE;
    }
}

static int request(const uint8_t setup[8], uint8_t *data, size_t bytes)
{
    if ((setup[0] & USB_TYPE_MASK) == USB_TYPE_STANDARD)
        return standard_request(setup, data);
    if (setup[4] == UVC_INTERFACE_STREAMING)
        return streaming_request(setup[1], setup[3], data, bytes);
    return control_request(setup[1], setup[5], setup[3], data);
}

static bool answer_control(const struct message *message)
{
    uint8_t data[1024];
    size_t wanted = ntohl(message->submit.bytes);
    bool is_in = message->is_in != 0;
    if (wanted > sizeof data || (!is_in && !read_all(data, wanted)))
        return false;
    pthread_mutex_lock(&camera.lock);
    int result = request(message->submit.setup, data, wanted);
    pthread_mutex_unlock(&camera.lock);
    size_t bytes = result < 0 ? 0 : !is_in ? wanted : (size_t)result;
    if (bytes > wanted)
        bytes = wanted;
    struct message reply = {.command = htonl(RET_SUBMIT), .number = message->number};
    reply.reply.status = htonl((uint32_t)(result < 0 ? result : 0));
    reply.reply.bytes = htonl((uint32_t)bytes);
    reply.reply.packets = htonl(UINT32_MAX);
    return write_all(&reply, sizeof reply) && (!is_in || write_all(data, bytes));
}

// --- transfers of pictures ----------------------------------------------------------------------

static bool take_transfer(const struct message *message)
{
    struct transfer *transfer = &camera.transfer[camera.transfers];
    uint32_t packets = ntohl(message->submit.packets);
    if (camera.transfers == TRANSFERS_MAX || packets > PACKETS_MAX || message->is_in == 0)
        return false;
    transfer->number = message->number;
    transfer->packets = packets;
    camera.transfers++;
    return read_all(transfer->packet, packets * sizeof transfer->packet[0]);
}

static void remove_transfer(unsigned index)
{
    camera.transfers--;
    memmove(&camera.transfer[index], &camera.transfer[index + 1],
            (camera.transfers - index) * sizeof camera.transfer[0]);
}

/** vhci_hcd may overtake a transfer with its cancellation, which then has to wait for it. */
static bool cancel_transfer(const struct message *message)
{
    struct message reply = {.command = htonl(RET_UNLINK), .number = message->number};
    if ((int32_t)(ntohl(message->unlink.number) - camera.last_number) > 0) {
        if (camera.early_count == TRANSFERS_MAX)
            return false;
        camera.early[camera.early_count++] = *message;
        return true;
    }
    for (unsigned i = 0; i < camera.transfers; i++)
        if (camera.transfer[i].number == message->unlink.number) {
            remove_transfer(i);
            reply.reply.status = htonl((uint32_t)-ECONNRESET);
            break;
        }
    return write_all(&reply, sizeof reply);
}

static bool cancel_early(uint32_t number)
{
    for (unsigned i = 0; i < camera.early_count; i++)
        if (camera.early[i].unlink.number == number) {
            const struct message message = camera.early[i];
            camera.early[i] = camera.early[--camera.early_count];
            return cancel_transfer(&message);
        }
    return true;
}

static size_t make_yuyv(uint32_t number, uint8_t *out)
{
    const uint8_t *luma = usb_camera_luma(number);
    for (size_t i = 0; i < 320 * 240; i++) {
        out[2 * i] = luma[i];
        out[2 * i + 1] = 128;
    }
    return 320 * 240 * 2;
}

static void begin_picture(void)
{
    const struct uvc_mode *mode = camera.mode;
    uint32_t number = camera.next_number++;
    if (mode->format == HAL_PIXEL_YUYV)
        camera.bytes = make_yuyv(number, camera.picture);
    else
        camera.bytes = usb_camera_jpeg(number, mode->width, mode->height,
                                       camera.wanted == USB_CAMERA_BIG, camera.picture);
    if (camera.wanted == USB_CAMERA_GARBAGE)
        memset(camera.picture, 0x5a, camera.bytes);
    camera.oddity = camera.wanted;
    if (camera.wanted != USB_CAMERA_FINE)
        camera.odd_number = number;
    camera.wanted = USB_CAMERA_FINE;
    camera.sent = 0;
    camera.is_sending = true;
    camera.frame_id ^= UVC_STREAM_FID;
    uint64_t now_ns = clock_now_ns(), period_ns = mode->interval * UINT64_C(100);
    camera.due_ns = camera.due_ns + 2 * period_ns < now_ns ? now_ns : camera.due_ns;
    camera.due_ns += period_ns;
}

/** One packet: a header of two bytes and a piece of the picture. Returns its length. */
static size_t fill_packet(uint8_t *out, size_t most)
{
    if (!camera.is_sending)
        return 0;
    size_t bytes = most - 2, left = camera.bytes - camera.sent;
    if (bytes > left)
        bytes = left;
    memcpy(out + 2, camera.picture + camera.sent, bytes);
    camera.sent += bytes;
    camera.is_sending = camera.sent < camera.bytes;
    out[0] = 2;
    out[1] = (uint8_t)(UVC_STREAM_EOH | camera.frame_id |
                       (camera.oddity == USB_CAMERA_ERROR ? UVC_STREAM_ERR : 0) |
                       (camera.is_sending ? 0 : UVC_STREAM_EOF));
    return bytes + 2;
}

static bool answer_transfer(void)
{
    static uint8_t data[PACKETS_MAX * UVC_PACKET_BYTES];
    struct transfer *transfer = &camera.transfer[0];
    size_t bytes = 0;
    for (unsigned i = 0; i < transfer->packets; i++) {
        size_t most = ntohl(transfer->packet[i].bytes), before = camera.sent;
        size_t filled =
            fill_packet(data + bytes, most < UVC_PACKET_BYTES ? most : UVC_PACKET_BYTES);
        bool is_lost = camera.oddity == USB_CAMERA_LOSS && before == 2 * USB_CAMERA_PAYLOAD;
        transfer->packet[i].actual = htonl(is_lost ? 0 : (uint32_t)filled);
        transfer->packet[i].status = htonl(is_lost ? (uint32_t)-EXDEV : 0);
        bytes += is_lost ? 0 : filled;
    }
    struct message reply = {.command = htonl(RET_SUBMIT), .number = transfer->number};
    reply.reply.bytes = htonl((uint32_t)bytes);
    reply.reply.packets = htonl(transfer->packets);
    bool is_ok = write_all(&reply, sizeof reply) && write_all(data, bytes) &&
                 write_all(transfer->packet, transfer->packets * sizeof transfer->packet[0]);
    remove_transfer(0);
    return is_ok;
}

/** A transfer waits until there is something to carry: a real device would send it off empty. */
static bool stream(void)
{
    pthread_mutex_lock(&camera.lock);
    if (camera.is_opened && !camera.is_silent && !camera.is_sending &&
        clock_now_ns() >= camera.due_ns)
        begin_picture();
    bool has_sent = camera.is_opened && camera.is_sending;
    pthread_mutex_unlock(&camera.lock);
    return !has_sent || camera.transfers == 0 || answer_transfer();
}

// --- the device's life --------------------------------------------------------------------------

static bool take_message(void)
{
    struct message message;
    if (!read_all(&message, sizeof message))
        return false;
    if (ntohl(message.command) == CMD_UNLINK)
        return cancel_transfer(&message);
    if (ntohl(message.command) != CMD_SUBMIT)
        return false;
    camera.last_number = ntohl(message.number);
    bool is_ok = message.endpoint == 0 ? answer_control(&message) : take_transfer(&message);
    return is_ok && cancel_early(message.number);
}

static int wait_ms(void)
{
    uint64_t now_ns = clock_now_ns();
    if (camera.transfers == 0)
        return 1000;
    if (camera.is_sending || camera.due_ns <= now_ns)
        return camera.is_sending ? 0 : 20; // silent, or about to begin
    return 1 + (int)((camera.due_ns - now_ns) / NS_PER_MS);
}

static void *play(void *argument)
{
    (void)argument;
    struct pollfd wait = {.fd = camera.fd, .events = POLLIN};
    bool is_ok = true;
    while (is_ok) {
        int ready = poll(&wait, 1, wait_ms());
        if (ready > 0)
            is_ok = take_message();
        is_ok = is_ok && stream();
    }
    shutdown(camera.fd, SHUT_RDWR);
    return NULL;
}

bool usb_camera_is_possible(void)
{
    return access(VHCI "attach", W_OK) == 0;
}

/** vhci_hcd frees a port before the kernel is through with the device that was in it. What is
 * plugged in then is taken for that device or gets its cancellations, for ever unanswered. */
static bool is_occupied(void)
{
    glob_t device = {0};
    bool is_there = glob(VHCI "usb*/*-1", GLOB_NOSORT, NULL, &device) != GLOB_NOMATCH;
    globfree(&device);
    return is_there;
}

static int attach(int fd)
{
    char text[64];
    int length = snprintf(text, sizeof text, "0 %d 1 %d\n", fd, USB_SPEED_HIGH);
    uint64_t until_ns = clock_now_ns() + PATIENCE_NS;
    int file = open(VHCI "attach", O_WRONLY);
    if (file < 0)
        return -ENODEV;
    int result;
    for (;;) {
        result = is_occupied() ? -EBUSY : write(file, text, (size_t)length) < 0 ? -errno : 0;
        if ((result != -EBUSY && result != -EINVAL) || clock_now_ns() > until_ns)
            break;
        usleep(5000);
    }
    close(file);
    return result == -EBUSY || result == -EINVAL ? -ETIMEDOUT : result;
}

int usb_camera_plug(void)
{
    int pair[2];
    if (camera.is_plugged)
        return -EBUSY;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    camera.fd = pair[0];
    camera.transfers = camera.early_count = 0;
    camera.last_number = 0;
    camera.is_opened = camera.is_silent = camera.is_sending = false;
    camera.wanted = USB_CAMERA_FINE;
    memcpy(camera.control, controls_at_power_on, sizeof camera.control);
    camera.probe = (struct uvc_streaming_control){0};
    uvc_settle(&camera.probe, &camera.mode);
    camera.commit = camera.probe;
    int result = attach(pair[1]);
    close(pair[1]);
    if (result == 0)
        result = -pthread_create(&camera.thread, NULL, play, NULL);
    if (result < 0) {
        close(camera.fd);
        return result;
    }
    camera.is_plugged = true;
    return 0;
}

void usb_camera_unplug(void)
{
    if (!camera.is_plugged)
        return;
    shutdown(camera.fd, SHUT_RDWR);
    pthread_join(camera.thread, NULL);
    close(camera.fd);
    memcpy(camera.control, controls_at_power_on, sizeof camera.control);
    camera.is_plugged = false;
}

// --- the hand at it -----------------------------------------------------------------------------

int usb_camera_send(enum usb_camera_oddity oddity)
{
    uint64_t until_ns = clock_now_ns() + PATIENCE_NS;
    pthread_mutex_lock(&camera.lock);
    camera.wanted = oddity;
    while (camera.wanted != USB_CAMERA_FINE && clock_now_ns() < until_ns) {
        pthread_mutex_unlock(&camera.lock);
        usleep(20000);
        pthread_mutex_lock(&camera.lock);
    }
    int result = camera.wanted == USB_CAMERA_FINE ? 0 : -ETIMEDOUT;
    camera.wanted = USB_CAMERA_FINE;
    pthread_mutex_unlock(&camera.lock);
    return result;
}

void usb_camera_hush(bool is_hushed)
{
    pthread_mutex_lock(&camera.lock);
    camera.is_silent = is_hushed;
    pthread_mutex_unlock(&camera.lock);
}

bool usb_camera_streams(struct hal_camera_config *chosen)
{
    pthread_mutex_lock(&camera.lock);
    bool was_streaming = camera.is_opened;
    *chosen = (struct hal_camera_config){.width = camera.mode->width,
                                         .height = camera.mode->height,
                                         .format = camera.mode->format,
                                         .framerate = 1e7 / camera.mode->interval};
    pthread_mutex_unlock(&camera.lock);
    return was_streaming;
}

uint32_t usb_camera_odd_number(void)
{
    pthread_mutex_lock(&camera.lock);
    uint32_t number = camera.odd_number;
    pthread_mutex_unlock(&camera.lock);
    return number;
}

int32_t usb_camera_control(enum usb_camera_control which)
{
    pthread_mutex_lock(&camera.lock);
    int32_t value = camera.control[which].value;
    pthread_mutex_unlock(&camera.lock);
    return value;
}
