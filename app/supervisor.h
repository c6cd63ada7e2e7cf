// SPDX-License-Identifier: MIT
// What to do about a camera that is silent, broken or gone. First restart the stream, then open the
// camera again, at last end the program for the service manager to restart it. Pure: time comes in
// as an argument, decisions go out. app/node_camera.c carries them out.
#ifndef PINHOLE_APP_SUPERVISOR_H
#define PINHOLE_APP_SUPERVISOR_H

#include "hal/base.h"

enum supervisor_action {
    SUPERVISOR_WAIT,    /**< nothing to do before supervisor_deadline() */
    SUPERVISOR_OPEN,    /**< open, configure and start the camera */
    SUPERVISOR_RESTART, /**< stop and start the stream */
    SUPERVISOR_GIVE_UP, /**< exit non-zero */
};

struct supervisor_config {
    uint64_t stall_ns;         /**< silence that counts as a stall */
    uint64_t reopen_ns;        /**< pause between attempts to open */
    uint64_t give_up_ns;       /**< without a frame for this long; 0 = never */
    uint32_t restart_attempts; /**< restarts in a row before the camera is opened again */
};

struct supervisor {
    struct supervisor_config config;
    bool is_streaming;  /**< started, as far as the backend said */
    bool wants_restart; /**< an error was reported while streaming */
    uint32_t restarts;  /**< in a row without a frame */
    uint64_t alive_ns;  /**< last frame, or the beginning */
    uint64_t quiet_ns;  /**< since when silence is counted: last frame or start */
    uint64_t open_ns;   /**< when to open next */
};

/** The camera is closed; it is to be opened at once. */
void supervisor_init(struct supervisor *s, const struct supervisor_config *config, uint64_t now_ns);

/** What is to be done now. Asking again without reporting gives the same answer. */
enum supervisor_action supervisor_next(const struct supervisor *s, uint64_t now_ns);
/** When supervisor_next() should be asked again at the latest. */
uint64_t supervisor_deadline(const struct supervisor *s);

/** The stream was started (after OPEN, RESTART or a change of settings). */
void supervisor_started(struct supervisor *s, uint64_t now_ns);
/** A restart was tried, whether or not it worked; report before supervisor_started(). */
void supervisor_restarting(struct supervisor *s);
/** Opening, configuring or starting failed, or the camera is gone: closed, opened again later. */
void supervisor_closed(struct supervisor *s, uint64_t now_ns);
/** The stream reported an error. Answered at once; after a restart without a frame, not before
 * reopen_ns have passed since that. */
void supervisor_stream_error(struct supervisor *s);
/** A frame came. */
void supervisor_frame(struct supervisor *s, uint64_t now_ns);
/** The stream is meant to be silent (external trigger): silence up to now does not count. */
void supervisor_expect_silence(struct supervisor *s, uint64_t now_ns);

#endif
