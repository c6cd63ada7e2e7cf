// SPDX-License-Identifier: MIT
// A simulated machine for the real node: clock, descriptors, epoll, sockets, signals, stderr. The
// node's calls to the system land here, because the linker wraps them (Makefile, SIM_CALLS). Time
// moves in epoll_pwait2() alone, or where the process is stopped, from one event to the next: a day
// takes as long as its events.
//
// One machine a process. Everything is decided by the seed. A failed check prints the seed and ends
// the process with status 1.
#ifndef PINHOLE_TEST_SIM_MACHINE_H
#define PINHOLE_TEST_SIM_MACHINE_H

#include "hal/base.h"
#include "tests/host/sim/random.h"

#include <sys/types.h>

/** Starts the machine at a moment that the seed decides, once in a process. `is_verbose` prints
 * what happens. */
void machine_init(uint64_t seed, bool is_verbose);
/** CLOCK_MONOTONIC. */
uint64_t machine_now(void);
/** For everything that happens in this run. */
struct chance *machine_chance(void);
/** For roles and keys alone: draws from it leave everything else of a seed as it was. */
struct chance *machine_second_chance(void);

/** Calls fn(arg, value) at that time. Events of one time come in the order of these calls. */
void machine_at(uint64_t when_ns, void (*fn)(void *arg, uint64_t value), void *arg, uint64_t value);
/** CLOCK_REALTIME jumps by so much. */
void machine_step_realtime(int64_t step_ns);
/** The reader of stderr stops, or goes on: log lines are dropped meanwhile. */
void machine_block_stderr(bool is_blocked);
/** accept4() fails with EMFILE for a while. */
void machine_starve_descriptors(bool is_starved);
/** The process is stopped for so long when it reads the clock next: right after it. */
void machine_stop(uint64_t stop_ns);
/** How long a turn of the loop takes at most: in one machine of four it is a slow one. */
uint64_t machine_turn_max_ns(void);
/** Whether the last stop ended so long ago at least. */
bool machine_is_awake_for(uint64_t least_ns);
/** The node gets a signal through its signalfd. */
void machine_signal(int signal_number);

/** Appends to the run's trace. The same seed gives the same trace, byte for byte. */
void machine_trace(const char *format, ...) BASE_PRINTF(1, 2);
/** A hash of the whole trace. */
uint64_t machine_trace_hash(void);
/** Ends the run unless `is_true`: what was expected, and the seed that shows it. */
#define CHECK(is_true, ...)                                                                        \
    do {                                                                                           \
        if (!(is_true))                                                                            \
            machine_fail(__FILE__, __LINE__, __VA_ARGS__);                                         \
    } while (0)
_Noreturn void machine_fail(const char *file, int line, const char *format, ...) BASE_PRINTF(3, 4);

/** How a client's end of a connection behaves. */
struct link_manners {
    uint32_t window_bytes;  /**< that the kernel takes from the node before the client reads */
    uint32_t read_bytes;    /**< per read; 0 = the client reads nothing */
    uint64_t read_pause_ns; /**< between reads */
    uint64_t delay_ns;      /**< from client to node */
};

/** The client's end of a connection to the node. */
struct link;

/** What a client hears of its connection. */
struct link_events {
    void (*received)(void *user, const uint8_t *bytes, size_t count);
    void (*closed)(void *user);
    void (*ended)(void *user); /**< NULL, or: the node closes its descriptor, in this moment */
    void *user;
};

/** A host that is this machine, by the Unix socket. */
#define LINK_UNIX 255u
/** Connects from the address 10.0.0.`host` (0: from this machine). NULL when nobody listens. */
struct link *link_open(unsigned host, const struct link_manners *manners,
                       const struct link_events *events);
/** Sends bytes; they arrive in order, whole or in pieces. */
void link_send(struct link *link, const uint8_t *bytes, size_t count);
/** Changes how the client reads. */
void link_set_manners(struct link *link, const struct link_manners *manners);
/** The client closes, or resets; it hears nothing more. The link is gone. */
void link_close(struct link *link, bool is_reset);
/** Whether the node has closed its end. A client that reads nothing does not hear of it. */
bool link_is_dropped(const struct link *link);
/** Since when the node has been able to send nothing, because the client reads nothing; 0 = it can.
 */
uint64_t link_blocked_ns(const struct link *link);
/** When the node accepted the connection; 0 = not yet. */
uint64_t link_accepted_ns(const struct link *link);

/** What becomes of a connection that the node makes itself. */
struct link_dial {
    int error;         /**< 0: it is accepted; else ECONNREFUSED and the like */
    uint64_t delay_ns; /**< until then. 0: connect() says it; NS_NEVER: nothing ever comes */
};
/** Who is dialled. Functions are called in the moment that they name. */
struct link_listener {
    struct link_dial (*dialled)(void *user); /**< the node calls connect() */
    void (*failed)(void *user);              /**< it gets no socket to dial with */
    void (*connected)(void *user, struct link *link);
    struct link_manners manners;
    struct link_events events; /**< `user` is also that of the functions above */
};
void link_listen(const struct link_listener *listener);

/** Where the node's Unix socket is. A dead node has left a file there if `is_left`. */
#define SOCKET_FILE "/simulated/pinhole.sock"
void socket_file_init(bool is_left);
enum socket_file_fault { SOCKET_FILE_REMOVED, SOCKET_FILE_REPLACED, SOCKET_FILE_BLOCKED };
/** Somebody removes the file, or replaces it: by a dead socket, or by a file of another kind. */
void socket_file_break(enum socket_file_fault fault);
/** Since when clients have found no socket though the node could make one; 0 = they find it. */
uint64_t socket_file_missing_ns(void);
/** After the node has ended: its file is gone. */
void socket_file_check_end(void);

#endif
