// SPDX-License-Identifier: MIT
// The camera contract (hal/camera.h) as cmocka cases that any backend can run:
//
//   static struct camera_contract contract = {.ops = &hal_camera_fake, .id = "", ...};
//   const struct CMUnitTest tests[] = {CAMERA_CONTRACT_TESTS(&contract) ...};
#ifndef PINHOLE_TEST_SUPPORT_CAMERA_CONTRACT_H
#define PINHOLE_TEST_SUPPORT_CAMERA_CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef stop // cmocka 2 has a macro of this name

#include "hal/camera.h"

#define CAMERA_CONTRACT_SIZES_MAX 8

struct camera_contract {
    const struct hal_camera_ops *ops;
    const char *id;
    struct hal_camera_config wish;               /**< zeros where the camera may choose */
    uint32_t size[CAMERA_CONTRACT_SIZES_MAX][2]; /**< to reconfigure to; a width of 0 ends */
    bool is_listed;                              /**< enumerate() shows it while it is closed */
    bool is_free_running; /**< makes frames whether or not anybody takes them, so that gaps show */
    unsigned cycles;      /**< of start and stop; 0 = 50 */
};

#define CAMERA_CONTRACT_CASES(X, contract)                                                         \
    X(lists_itself, contract)                                                                      \
    X(refuses_a_wrong_id, contract)                                                                \
    X(says_its_model, contract)                                                                    \
    X(closes_in_any_state, contract)                                                               \
    X(answers_every_field, contract)                                                               \
    X(delivers_whole_frames_in_order, contract)                                                    \
    X(leaves_borrowed_frames_alone, contract)                                                      \
    X(survives_exhausted_buffers, contract)                                                        \
    X(takes_a_late_release, contract)                                                              \
    X(describes_its_features, contract)                                                            \
    X(sets_its_features_while_streaming, contract)                                                 \
    X(changes_size, contract)                                                                      \
    X(starts_and_stops_without_leaks, contract)                                                    \
    X(opens_and_closes_without_leaks, contract)

#define CAMERA_CONTRACT_DECLARE(name, contract) void camera_contract_##name(void **state);
CAMERA_CONTRACT_CASES(CAMERA_CONTRACT_DECLARE, )

/** Closes the camera, whatever the case left behind. */
int camera_contract_teardown(void **state);

#define CAMERA_CONTRACT_ENTRY(name, contract)                                                      \
    {"contract: " #name, camera_contract_##name, NULL, camera_contract_teardown, (contract)},
/** Every case, each with its comma, for an array of struct CMUnitTest. */
#define CAMERA_CONTRACT_TESTS(contract) CAMERA_CONTRACT_CASES(CAMERA_CONTRACT_ENTRY, contract)

/** Waits up to ten seconds for acquire() to return something else than 0, and returns that; 0 when
 * nothing came. */
int camera_contract_wait(const struct hal_camera_ops *ops, struct hal_frame *frame);

/** Fails the case unless planes, strides and sizes of a frame fit each other, and reads every row's
 * ends. `luma_sum`, unless NULL, gets the sum of the first plane's bytes. */
void camera_contract_check_frame(const struct hal_frame *frame, uint64_t *luma_sum);

#endif
