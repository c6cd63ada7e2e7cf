// SPDX-License-Identifier: MIT
#include "tests/host/support/libcamera_faults.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** The declarations that the backend sees when it is built with hooks. */
#define PINHOLE_FAULT_HOOKS
#include "hal/libcamera/faults.h"

static const char *const names[FAULTS] = {
    [FAULT_ABSENT] = "absent", [FAULT_START] = "start",     [FAULT_ALLOCATOR] = "allocator",
    [FAULT_CANCEL] = "cancel", [FAULT_SILENCE] = "silence", [FAULT_UNPLUG] = "unplug",
    [FAULT_HALT] = "halt",     [FAULT_TORN] = "torn",       [FAULT_BOOTTIME] = "boottime",
};

#define RULES_MAX 16

struct rule {
    enum libcamera_fault fault;
    unsigned long first, count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_scripted;
static struct rule rules[RULES_MAX];
static unsigned rule_count;
static unsigned long occasions[FAULTS];
static uint64_t handed_over_ns;

static bool parse_rule(const char *text, struct rule *rule)
{
    char name[16];
    int length = 0;
    if (sscanf(text, "%15[a-z]@%lu%n", name, &rule->first, &length) != 2)
        return false;
    rule->count = 1;
    if (text[length] == 'x')
        rule->count = strtoul(text + length + 1, NULL, 10);
    for (int i = 0; i < FAULTS; i++) {
        if (strcmp(names[i], name) == 0) {
            rule->fault = (enum libcamera_fault)i;
            return rule->first > 0 && rule->count > 0;
        }
    }
    return false;
}

bool libcamera_faults_script(const char *script)
{
    bool is_good = true;
    pthread_mutex_lock(&lock);
    is_scripted = true;
    rule_count = 0;
    memset(occasions, 0, sizeof occasions);
    while (is_good && script != NULL && *script != '\0') {
        is_good = rule_count < RULES_MAX && parse_rule(script, &rules[rule_count++]);
        script = strchr(script, ',');
        script = script != NULL ? script + 1 : NULL;
    }
    pthread_mutex_unlock(&lock);
    return is_good;
}

bool libcamera_fault(enum libcamera_fault fault)
{
    if (!is_scripted && !libcamera_faults_script(getenv("PINHOLE_LIBCAMERA_FAULTS"))) {
        fputs("PINHOLE_LIBCAMERA_FAULTS makes no sense\n", stderr);
        abort();
    }
    bool is_wanted = false;
    pthread_mutex_lock(&lock);
    unsigned long occasion = ++occasions[fault];
    for (unsigned i = 0; i < rule_count; i++)
        is_wanted |= rules[i].fault == fault && occasion >= rules[i].first &&
                     occasion - rules[i].first < rules[i].count;
    pthread_mutex_unlock(&lock);
    return is_wanted;
}

void libcamera_handed_over(uint64_t arrived_ns)
{
    handed_over_ns = arrived_ns;
}

uint64_t libcamera_faults_handed_over_ns(void)
{
    return handed_over_ns;
}
