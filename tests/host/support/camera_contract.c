// SPDX-License-Identifier: MIT
#include "tests/host/support/camera_contract.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "hal/os/clock.h"

#define PATIENCE_MS 10000

static const struct camera_contract *contract;

static void begin(void **state)
{
    contract = *state;
}

static void check_ok(int result, const char *what)
{
    if (result < 0)
        fail_msg("%s: %d, %s", what, result, contract->ops->last_error());
}

static void open_camera(void)
{
    check_ok(contract->ops->open(contract->id), "open");
}

static struct hal_camera_config configure(void)
{
    struct hal_camera_config got;
    memset(&got, 0xAA, sizeof got);
    check_ok(contract->ops->configure(&contract->wish, &got), "configure");
    return got;
}

static struct hal_camera_config open_and_start(void)
{
    open_camera();
    struct hal_camera_config got = configure();
    check_ok(contract->ops->start(), "start");
    return got;
}

int camera_contract_teardown(void **state)
{
    begin(state);
    contract->ops->close();
    return 0;
}

int camera_contract_wait(const struct hal_camera_ops *ops, struct hal_frame *frame)
{
    uint64_t deadline_ns = clock_now_ns() + PATIENCE_MS * NS_PER_MS;
    while (clock_now_ns() < deadline_ns) {
        struct pollfd wait = {.fd = ops->fd(), .events = POLLIN};
        if (poll(&wait, 1, PATIENCE_MS) == 1) {
            int got = ops->acquire(frame);
            if (got != 0)
                return got;
        }
    }
    return 0;
}

static struct hal_frame next_frame(void)
{
    struct hal_frame frame;
    int got = camera_contract_wait(contract->ops, &frame);
    if (got != 1)
        fail_msg("no frame within %d ms: %d, %s", PATIENCE_MS, got, contract->ops->last_error());
    return frame;
}

static unsigned plane_count(enum hal_pixel_format format)
{
    return format == HAL_PIXEL_YUV420 ? 3 : format == HAL_PIXEL_NV12 ? 2 : 1;
}

void camera_contract_check_frame(const struct hal_frame *frame, uint64_t *luma_sum)
{
    uint64_t sum = 0;
    assert_in_range(frame->format, HAL_PIXEL_YUV420, HAL_PIXEL_MJPEG);
    if (frame->format == HAL_PIXEL_MJPEG) {
        assert_non_null(frame->plane[0].data);
        assert_true(frame->bytes > 4);
        assert_int_equal(frame->plane[0].data[0], 0xff);
        assert_int_equal(frame->plane[0].data[1], 0xd8);
        for (uint32_t i = 0; i < frame->bytes; i++)
            sum += frame->plane[0].data[i];
    }
    for (unsigned i = 0; frame->format != HAL_PIXEL_MJPEG && i < plane_count(frame->format); i++) {
        const struct hal_plane *plane = &frame->plane[i];
        uint32_t row = frame->format == HAL_PIXEL_YUYV              ? frame->width * 2
                       : frame->format == HAL_PIXEL_YUV420 && i > 0 ? frame->width / 2
                                                                    : frame->width;
        assert_non_null(plane->data);
        assert_true(plane->stride >= row);
        assert_int_equal(plane->rows, i == 0 ? frame->height : frame->height / 2);
        for (uint32_t y = 0; y < plane->rows; y++) {
            const uint8_t *data = plane->data + (size_t)y * plane->stride;
            for (uint32_t x = 0; i == 0 && x < row; x++)
                sum += data[x];
            volatile uint8_t ends = (uint8_t)(data[0] ^ data[row - 1]);
            (void)ends;
        }
    }
    if (luma_sum != NULL)
        *luma_sum = sum;
}

static unsigned count_fds(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

void camera_contract_lists_itself(void **state)
{
    begin(state);
    struct hal_camera_info info[2], untouched;
    memset(&untouched, 0x5A, sizeof untouched);
    info[0] = untouched;
    int found = contract->ops->enumerate(info, 0);
    assert_true(found >= 0);
    assert_memory_equal(&info[0], &untouched, sizeof untouched);
    assert_string_not_equal(contract->ops->name, "");
    assert_string_not_equal(contract->ops->version(), "");
    if (!contract->is_listed)
        return;
    assert_true(found >= 1);
    found = contract->ops->enumerate(info, 2);
    assert_true(found >= 1);
    assert_string_not_equal(info[0].id, "");
    assert_string_not_equal(info[0].model, "");
    assert_true(info[0].mode_count <= HAL_CAMERA_MODES_MAX);
    check_ok(contract->ops->open(info[0].id), "open by the listed id");
    assert_true(contract->ops->enumerate(info, 2) >= 0); // legal at any time
    contract->ops->close();
    check_ok(contract->ops->open("0"), "open by index");
}

void camera_contract_refuses_a_wrong_id(void **state)
{
    begin(state);
    assert_true(contract->ops->open("no camera is called this") < 0);
    assert_string_not_equal(contract->ops->last_error(), "");
    open_camera();
    assert_true(contract->ops->fd() >= 0);
}

void camera_contract_says_its_model(void **state)
{
    begin(state);
    struct hal_camera_info info[8];
    bool is_listed = false;
    assert_string_equal(contract->ops->model(), "");
    open_camera();
    assert_string_not_equal(contract->ops->model(), "");
    int found = contract->ops->enumerate(info, ARRAY_SIZE(info));
    for (int i = 0; i < found && i < (int)ARRAY_SIZE(info); i++)
        is_listed |= strcmp(info[i].model, contract->ops->model()) == 0;
    assert_true(is_listed);
    contract->ops->close();
    assert_string_equal(contract->ops->model(), "");
}

void camera_contract_closes_in_any_state(void **state)
{
    begin(state);
    contract->ops->stop();
    contract->ops->close();
    contract->ops->close();
    open_camera();
    contract->ops->stop();
    contract->ops->close();
    open_camera();
    configure();
    contract->ops->close();
    open_and_start();
    contract->ops->close();
    contract->ops->close();
    open_and_start();
    next_frame();
    contract->ops->close();
    open_and_start();
    contract->ops->stop();
    contract->ops->stop();
    check_ok(contract->ops->start(), "start again");
    next_frame();
}

void camera_contract_answers_every_field(void **state)
{
    begin(state);
    open_camera();
    struct hal_camera_config got = configure();
    assert_in_range(got.width, 2, HAL_CAMERA_DIMENSION_MAX);
    assert_in_range(got.height, 2, HAL_CAMERA_DIMENSION_MAX);
    assert_int_equal(got.width % 2, 0);
    assert_int_equal(got.height % 2, 0);
    assert_in_range(got.format, HAL_PIXEL_YUV420, HAL_PIXEL_MJPEG);
    assert_in_range(got.buffers, 2, HAL_CAMERA_BUFFERS_MAX);
    assert_true(got.framerate > 0);
}

void camera_contract_delivers_whole_frames_in_order(void **state)
{
    begin(state);
    struct hal_camera_config got = open_and_start();
    int fd = contract->ops->fd();
    uint64_t start_ns = clock_now_ns();
    struct hal_frame before = {0};
    for (int i = 0; i < 20; i++) {
        struct hal_frame frame = next_frame();
        assert_int_equal(frame.width, got.width);
        assert_int_equal(frame.height, got.height);
        assert_int_equal(frame.format, got.format);
        assert_int_equal(frame.flags & HAL_FRAME_TORN, 0);
        assert_true(frame.buffer < HAL_CAMERA_BUFFERS_MAX);
        camera_contract_check_frame(&frame, NULL);
        assert_true(frame.timestamp_ns <= clock_now_ns());
        assert_true(frame.timestamp_ns + NS_PER_S > start_ns);
        if (i > 0) {
            assert_true((int32_t)(frame.sensor_sequence - before.sensor_sequence) > 0);
            assert_true(frame.timestamp_ns > before.timestamp_ns);
        }
        assert_int_equal(contract->ops->fd(), fd);
        contract->ops->release(&frame);
        before = frame;
    }
}

void camera_contract_leaves_borrowed_frames_alone(void **state)
{
    begin(state);
    open_and_start();
    struct hal_frame kept = next_frame();
    uint64_t sum, later;
    camera_contract_check_frame(&kept, &sum);
    for (int i = 0; i < 12; i++) {
        struct hal_frame frame = next_frame();
        assert_int_not_equal(frame.buffer, kept.buffer);
        contract->ops->release(&frame);
    }
    camera_contract_check_frame(&kept, &later);
    assert_true(sum == later);
    contract->ops->release(&kept);
}

static unsigned borrow_all(const struct hal_camera_config *got, struct hal_frame *frames)
{
    unsigned seen = 0;
    for (unsigned count = 0; count < got->buffers; count++) {
        frames[count] = next_frame();
        assert_int_equal(seen >> frames[count].buffer & 1, 0); // no buffer twice
        seen |= 1u << frames[count].buffer;
    }
    return seen;
}

/** Nothing may come for a few frame periods. */
static void expect_silence(const struct hal_camera_config *got)
{
    struct hal_frame frame;
    uint64_t until_ns = clock_now_ns() + (uint64_t)(5e9 / got->framerate);
    while (clock_now_ns() < until_ns) {
        struct pollfd wait = {.fd = contract->ops->fd(), .events = POLLIN};
        poll(&wait, 1, 5);
        assert_int_equal(contract->ops->acquire(&frame), 0);
    }
}

void camera_contract_survives_exhausted_buffers(void **state)
{
    begin(state);
    struct hal_camera_config got = open_and_start();
    struct hal_frame frames[HAL_CAMERA_BUFFERS_MAX];
    borrow_all(&got, frames);
    expect_silence(&got);
    for (unsigned i = 0; i < got.buffers; i++)
        contract->ops->release(&frames[i]);
    struct hal_frame last = frames[got.buffers - 1];
    bool has_gap = false;
    for (unsigned i = 0; i < 2 * got.buffers; i++) {
        struct hal_frame frame = next_frame();
        uint32_t step = frame.sensor_sequence - last.sensor_sequence;
        assert_true((int32_t)step > 0);
        has_gap |= step > 1;
        contract->ops->release(&frame);
        last = frame;
    }
    if (contract->is_free_running)
        assert_true(has_gap);
}

void camera_contract_takes_a_late_release(void **state)
{
    begin(state);
    struct hal_camera_config got = open_and_start();
    struct hal_frame old[HAL_CAMERA_BUFFERS_MAX], now[HAL_CAMERA_BUFFERS_MAX];
    borrow_all(&got, old);
    contract->ops->stop();
    contract->ops->release(&old[0]);
    check_ok(contract->ops->start(), "start with frames of the last stream still borrowed");
    borrow_all(&got, now);
    // A release that belongs to the last stream must not free a buffer of this one.
    for (unsigned i = 1; i < got.buffers; i++)
        contract->ops->release(&old[i]);
    expect_silence(&got);
    contract->ops->release(&now[0]);
    struct hal_frame frame = next_frame();
    assert_int_equal(frame.buffer, now[0].buffer);
    contract->ops->stop();
    contract->ops->release(&frame);
    contract->ops->close();
    contract->ops->release(&frame);
}

static unsigned count_choices(const char *choices)
{
    unsigned count = 1;
    for (; *choices; choices++)
        count += *choices == '|';
    return count;
}

static unsigned count_features(void)
{
    unsigned count = 0;
    while (contract->ops->feature(count) != NULL)
        count++;
    assert_true(count <= HAL_CAMERA_FEATURES_MAX);
    return count;
}

void camera_contract_describes_its_features(void **state)
{
    begin(state);
    open_camera();
    configure();
    unsigned count = count_features();
    for (unsigned i = 0; i < count; i++) {
        const struct hal_feature *f = contract->ops->feature(i);
        assert_string_not_equal(f->name, "");
        assert_non_null(f->unit);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(f->name, contract->ops->feature(k)->name);
        assert_true(f->min <= f->max);
        if (f->type == HAL_FEATURE_ENUM) {
            assert_non_null(f->choices);
            assert_true(f->min == 0);
            assert_int_equal((unsigned)f->max + 1, count_choices(f->choices));
        }
        double value = -1e30;
        check_ok(contract->ops->feature_get(i, &value), f->name);
        if (value < f->min || value > f->max)
            fail_msg("%s is %g, outside %g..%g", f->name, value, f->min, f->max);
    }
    assert_null(contract->ops->feature(count + 1000));
}

void camera_contract_sets_its_features_while_streaming(void **state)
{
    begin(state);
    open_and_start();
    unsigned count = count_features();
    for (unsigned i = 0; i < count; i++) {
        const struct hal_feature *f = contract->ops->feature(i);
        double original;
        check_ok(contract->ops->feature_get(i, &original), f->name);
        // The lowest frame rate is slower than a test's patience.
        bool is_slow = strcmp(f->name, "AcquisitionFrameRate") == 0;
        const double values[] = {f->max, is_slow ? original : f->min, original};
        for (size_t k = 0; k < ARRAY_SIZE(values); k++) {
            int result = contract->ops->feature_set(i, values[k]);
            if (result != 0 && result != -EACCES)
                fail_msg("%s = %g: %d, %s", f->name, values[k], result,
                         contract->ops->last_error());
            if (!f->is_writable)
                assert_int_equal(result, -EACCES);
            struct hal_frame frame = next_frame();
            contract->ops->release(&frame);
        }
    }
}

void camera_contract_changes_size(void **state)
{
    begin(state);
    open_camera();
    int fd = contract->ops->fd();
    for (int i = 0; i < CAMERA_CONTRACT_SIZES_MAX && contract->size[i][0] != 0; i++) {
        struct hal_camera_config wish = contract->wish, got;
        wish.width = contract->size[i][0];
        wish.height = contract->size[i][1];
        check_ok(contract->ops->configure(&wish, &got), "configure");
        check_ok(contract->ops->start(), "start");
        for (int k = 0; k < 3; k++) {
            struct hal_frame frame = next_frame();
            assert_int_equal(frame.width, got.width);
            assert_int_equal(frame.height, got.height);
            camera_contract_check_frame(&frame, NULL);
            contract->ops->release(&frame);
        }
        contract->ops->stop();
        assert_int_equal(contract->ops->fd(), fd);
    }
}

void camera_contract_starts_and_stops_without_leaks(void **state)
{
    begin(state);
    open_and_start();
    struct hal_frame frame = next_frame(); // whatever is opened once is open now
    unsigned fds = count_fds();
    for (unsigned i = 0; i < (contract->cycles ? contract->cycles : 50); i++) {
        contract->ops->stop();
        check_ok(contract->ops->start(), "start");
        frame = next_frame();
        if (i % 2 == 0)
            contract->ops->release(&frame);
    }
    assert_int_equal(count_fds(), fds);
}

void camera_contract_opens_and_closes_without_leaks(void **state)
{
    begin(state);
    open_and_start();
    next_frame();
    contract->ops->close();
    unsigned fds = count_fds();
    for (int i = 0; i < 5; i++) {
        open_and_start();
        next_frame();
        contract->ops->close();
    }
    assert_int_equal(count_fds(), fds);
}
