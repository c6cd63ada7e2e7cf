// SPDX-License-Identifier: MIT
#include "tools/relay/health.h"

#include "hal/base.h"
#include "hal/os/clock.h"
#include "tools/common/diagnosis.h"
#include "tools/common/stats.h"

#include <stdlib.h>
#include <string.h>

enum { TELL_S = 30 };

struct report {
    char text[8192];
    size_t bytes;
};

/** What has no room is left out: the first findings are the gravest. */
static void add(void *user, const struct finding *finding)
{
    struct report *report = user;
    char *line = json_line(finding_json(finding));
    const size_t bytes = line != NULL ? strlen(line) : 0;
    if (bytes < sizeof report->text - report->bytes) {
        memcpy(report->text + report->bytes, line != NULL ? line : "", bytes + 1);
        report->bytes += bytes;
    }
    free(line);
}

static void report_node(struct report *report, const struct relay_node *node)
{
    char *stats = NULL;
    const int result = node->handle != NULL ? stats_text(node->handle, &stats) : -1;
    if (result >= 0) {
        diagnose(node->handle, stats, add, report);
        free(stats);
        return;
    }
    struct finding away = {
        .state = FINDING_FAULT, .check = "node", .advice = "check its supply, cable and address"};
    snprintf(away.text, sizeof away.text, "the node is away: %s",
             node->handle != NULL ? pinhole_error(node->handle) : node->said);
    add(report, &away);
}

void relay_health_step(struct relay *relay)
{
    if (clock_now_ns() < relay->health_ns)
        return;
    relay->health_ns = clock_now_ns() + TELL_S * NS_PER_S;
    struct report report = {.bytes = 0};
    char subject[RELAY_SUBJECT_BYTES];
    snprintf(subject, sizeof subject, RELAY_PREFIX ".%s.relay.health", relay->settings->level);
    report_node(&report, &relay->node);
    natsConnection_PublishString(relay->server.nc, subject, report.text);
}
