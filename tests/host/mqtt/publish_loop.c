// SPDX-License-Identifier: MIT
// What publishing costs by itself: a bare loop of mosquitto_publish(), for `make check-mqtt`.
//     publish_loop file PORT FRAMES QOS FILE BYTES FRAMES_PER_SECOND
// publishes FILE's first BYTES that often. They are in memory: the loop never receives.
//     publish_loop node PORT FRAMES QOS NODE_PORT TEXT_BYTES [NAME=VALUE...]
// publishes what a node sends, and does nothing else: no record is checked, kept or described. Each
// picture has these user properties, which are constant. With it goes a constant text of that many
// bytes with QoS 1, if there are any.
// Prints its CPU time a frame in microseconds.
#include "tests/host/support/bare_node.h"

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static unsigned char picture[8 << 20];

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void publish(struct mosquitto *mosq, const char *topic, const void *payload, int bytes,
                    int qos, const mosquitto_property *properties)
{
    if (mosquitto_publish_v5(mosq, NULL, topic, bytes, payload, qos, false, properties) != 0)
        exit(1);
}

// --- from memory --------------------------------------------------------------------------------

static void serve_until(struct mosquitto *mosq, double until)
{
    for (double left; (left = until - seconds(CLOCK_MONOTONIC)) > 0;)
        mosquitto_loop(mosq, (int)(left * 1e3) + 1, 1);
}

static void publish_file(struct mosquitto *mosq, char **argv, int frames, int qos)
{
    const int bytes = atoi(argv[1]);
    const double period = 1 / atof(argv[2]), start = seconds(CLOCK_MONOTONIC);
    FILE *file = fopen(argv[0], "rb");
    if (file == NULL || bytes > (int)sizeof picture ||
        fread(picture, 1, (size_t)bytes, file) != (size_t)bytes)
        exit(1);
    fclose(file);
    for (int i = 0; i < frames; i++) {
        publish(mosq, "bare/frame", picture, bytes, qos, NULL);
        serve_until(mosq, start + (i + 1) * period);
    }
}

// --- from a node --------------------------------------------------------------------------------

static void receive(int fd, void *out, size_t bytes)
{
    if (recv(fd, out, bytes, MSG_WAITALL) != (ssize_t)bytes)
        exit(1);
}

/** Receives one message. Returns the offset of its JPEG in `picture`; 0: it is no frame. */
static int receive_message(int fd, struct wire_header *header)
{
    unsigned char head[WIRE_HEADER_BYTES];
    struct wire_frame frame;
    receive(fd, head, sizeof head);
    if (wire_get_header(head, header) < 0 || header->length > sizeof picture)
        exit(1);
    receive(fd, picture, header->length);
    return header->type == WIRE_TYPE_FRAME ? wire_get_frame(picture, header->length, &frame) : 0;
}

static mosquitto_property *properties_of(char **list)
{
    mosquitto_property *properties = NULL;
    for (; *list != NULL; list++) {
        const char *name = strtok(*list, "="), *value = strtok(NULL, "");
        if (value == NULL || mosquitto_property_add_string_pair(
                                 &properties, MQTT_PROP_USER_PROPERTY, name, value) != 0)
            exit(2);
    }
    return properties;
}

static void publish_node(struct mosquitto *mosq, char **argv, int frames, int qos)
{
    static const char text[4096];
    const int text_bytes = atoi(argv[1]);
    mosquitto_property *properties = properties_of(argv + 2);
    struct pollfd fds[2] = {{.fd = bare_subscribe(atoi(argv[0])), .events = POLLIN},
                            {.fd = mosquitto_socket(mosq)}};
    while (frames > 0) {
        struct wire_header header;
        fds[1].events = (short)(mosquitto_want_write(mosq) ? POLLIN | POLLOUT : POLLIN);
        poll(fds, 2, 1000);
        if ((fds[1].revents & POLLIN) != 0)
            mosquitto_loop_read(mosq, 1);
        if ((fds[1].revents & POLLOUT) != 0)
            mosquitto_loop_write(mosq, 1);
        mosquitto_loop_misc(mosq);
        const int at = (fds[0].revents & POLLIN) != 0 ? receive_message(fds[0].fd, &header) : 0;
        if (at > 0) {
            publish(mosq, "bare/frame", picture + at, (int)header.length - at, qos, properties);
            if (text_bytes > 0)
                publish(mosq, "bare/frame/meta", text, text_bytes, 1, NULL);
            frames--;
        }
    }
    mosquitto_property_free_all(&properties);
}

int main(int argc, char **argv)
{
    const bool is_file = argc == 8 && strcmp(argv[1], "file") == 0;
    if (!is_file && (argc < 7 || strcmp(argv[1], "node") != 0))
        return 2;
    const int frames = atoi(argv[3]), qos = atoi(argv[4]);
    mosquitto_lib_init();
    struct mosquitto *mosq = mosquitto_new(NULL, true, NULL);
    if (mosq == NULL ||
        mosquitto_int_option(mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5) != 0 ||
        mosquitto_connect(mosq, "127.0.0.1", atoi(argv[2]), 60) != 0)
        return 1;
    serve_until(mosq, seconds(CLOCK_MONOTONIC) + 0.1);
    const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    (is_file ? publish_file : publish_node)(mosq, argv + 5, frames, qos);
    printf("%.1f\n", (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / frames * 1e6);
    mosquitto_destroy(mosq);
    return 0;
}
