// SPDX-License-Identifier: MIT
#include "tools/mqtt/metrics.h"

#include "net/address.h"
#include "tools/common/say.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** A label's value: what would end it is escaped. */
static void print_label(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else
            fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
}

static void print_value(FILE *out, const struct mqtt_camera *camera, const char *name,
                        unsigned long long value)
{
    fprintf(out, "%s{node=\"", name);
    print_label(out, camera->settings->name);
    fprintf(out, "\"} %llu\n", value);
}

static void print_head(FILE *out, const char *name, const char *type, const char *text)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, text, name, type);
}

static void print_all(FILE *out, const struct mqtt_metrics *metrics)
{
#define COUNTER(member, metric, help)                                                              \
    print_head(out, metric, "counter", help);                                                      \
    for (unsigned i = 0; i < metrics->count; i++)                                                  \
        print_value(out, &metrics->cameras[i], metric,                                             \
                    atomic_load(&metrics->cameras[i].counters.member));
#include "tools/mqtt/counters.def"
    print_head(out, "pinhole_mqtt_broker_connected", "gauge", "1 while connected to the broker");
    for (unsigned i = 0; i < metrics->count; i++)
        print_value(out, &metrics->cameras[i], "pinhole_mqtt_broker_connected",
                    atomic_load(&metrics->cameras[i].is_connected));
    print_head(out, "pinhole_mqtt_node_connected", "gauge", "1 while connected to the node");
    for (unsigned i = 0; i < metrics->count; i++)
        print_value(out, &metrics->cameras[i], "pinhole_mqtt_node_connected",
                    atomic_load(&metrics->cameras[i].is_node_up));
}

static enum MHD_Result answer(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_bytes, void **context)
{
    static int seen;
    char *text = NULL;
    size_t bytes = 0;
    (void)version;
    (void)data;
    (void)data_bytes;
    if (*context == NULL) { // only the headers are there
        *context = &seen;
        return MHD_YES;
    }
    const bool is_known = strcmp(url, "/metrics") == 0 && strcmp(method, "GET") == 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out == NULL)
        return MHD_NO;
    if (is_known)
        print_all(out, user);
    else
        fputs("GET /metrics is all there is\n", out);
    fclose(out);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    const enum MHD_Result result =
        MHD_queue_response(connection, is_known ? MHD_HTTP_OK : MHD_HTTP_NOT_FOUND, response);
    MHD_destroy_response(response);
    return result;
}

int mqtt_metrics_start(struct mqtt_metrics *metrics, const char *listen)
{
    struct net_address address;
    struct sockaddr_storage where;
    const char *wrong = net_address_split(listen, -1, &address);
    if (wrong == NULL && net_address_numeric(&address, &where) == 0)
        wrong = "the address must be a number";
    if (wrong != NULL) {
        say("metrics_listen %s: %s", listen, wrong);
        return -EINVAL;
    }
    const unsigned flags =
        MHD_USE_INTERNAL_POLLING_THREAD | (where.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    metrics->daemon = MHD_start_daemon(flags, address.port, NULL, NULL, answer, metrics,
                                       MHD_OPTION_SOCK_ADDR, &where, MHD_OPTION_CONNECTION_LIMIT,
                                       8u, MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
    if (metrics->daemon == NULL) {
        say("cannot listen on %s: %s", listen, strerror(errno));
        return -errno;
    }
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(metrics->daemon, MHD_DAEMON_INFO_BIND_PORT);
    say("metrics on http://%s:%u/metrics", address.host, info != NULL ? info->port : address.port);
    return 0;
}

void mqtt_metrics_stop(struct mqtt_metrics *metrics)
{
    if (metrics->daemon != NULL)
        MHD_stop_daemon(metrics->daemon);
}

int mqtt_metrics_write(const struct mqtt_metrics *metrics, const char *path)
{
    char name[512];
    snprintf(name, sizeof name, "%s.new", path); // the collector reads names that end in .prom
    FILE *out = fopen(name, "we");
    if (out == NULL)
        return -errno;
    print_all(out, metrics);
    const bool is_written = fflush(out) == 0 && ferror(out) == 0;
    if (fclose(out) == 0 && is_written && rename(name, path) == 0)
        return 0;
    const int error = errno;
    unlink(name);
    return -error;
}
