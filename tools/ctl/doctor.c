// SPDX-License-Identifier: MIT
// pinholectl doctor: what is wrong with a node, in sentences, and what to do about it.
#include "tools/ctl/doctor.h"

#include "tools/common/stats.h"
#include "tools/common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void take(void *user, const struct finding *finding)
{
    struct doctor *doctor = user;
    if (finding->state > doctor->worst)
        doctor->worst = finding->state;
    if (doctor->ctl->wants_json) {
        ctl_print_json(finding_json(finding));
        return;
    }
    printf("%-8s %-12s ", finding_state_name(finding->state), finding->check);
    text_print(stdout, finding->text);
    printf("\n");
    if (*finding->advice != '\0')
        printf("%-21s -> %s\n", "", finding->advice);
}

void doctor_say(struct doctor *doctor, enum finding_state state, const char *check,
                const char *advice, const char *format, ...)
{
    struct finding finding = {
        .state = state, .check = check, .advice = advice != NULL ? advice : ""};
    va_list list;
    va_start(list, format);
    vsnprintf(finding.text, sizeof finding.text, format, list);
    va_end(list);
    take(doctor, &finding);
}

int doctor_read(const struct doctor *doctor, const char *path, char *text, size_t bytes)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", doctor->root, path);
    int fd = open(whole, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    ssize_t length = read(fd, text, bytes - 1);
    close(fd);
    if (length < 0)
        return -1;
    if (length > 0 && text[length - 1] == '\n')
        length--;
    text[length] = '\0';
    return (int)length;
}

static int check_node(struct doctor *doctor, struct pinhole *p)
{
    char *stats;
    int length = stats_text(p, &stats);
    if (length < 0)
        return ctl_failed(p, length);
    doctor->stats = stats;
    const struct pinhole_info *info = pinhole_info(p);
    doctor_say(doctor, FINDING_OK, "node", NULL, "pinhole %s, \"%s\", answers at %s", info->version,
               info->name, info->address);
    diagnose(p, stats, take, doctor);
    if (ctl_is_local(info->address))
        doctor_check_watchdog(
            doctor, stats_sample(stats, "pinhole_loop_turn_worst_seconds{clock=\"wall\"}"));
    pinhole_close(p);
    return CTL_OK;
}

static int run_doctor(struct ctl *ctl, int argc, char **argv)
{
    static const struct option options[] = {
        {"free", required_argument, NULL, 'f'}, {"root", required_argument, NULL, 'r'}, CTL_LONG};
    struct doctor doctor = {.ctl = ctl, .root = "", .free_percent = 10};
    unsigned long long percent = doctor.free_percent;
    int letter;
    while ((letter = ctl_option(ctl, argc, argv, "f:r:" CTL_SHORT, options)) > 0) {
        if (letter == 'f' && !ctl_number("--free", optarg, 0, 100, &percent))
            return CTL_USAGE;
        if (letter == 'r')
            doctor.root = optarg;
    }
    if (letter < 0)
        return ctl_option_exit(letter);
    if (ctl_no_argument(ctl, argc, argv) != CTL_OK)
        return CTL_USAGE;
    doctor.free_percent = (unsigned)percent;

    struct pinhole *p;
    const char *address = ctl->node != NULL ? ctl->node : getenv("PINHOLE_NODE");
    bool is_local = address == NULL || ctl_is_local(address);
    int code = ctl_open(ctl, &p, -1);
    if (code == CTL_OK)
        code = check_node(&doctor, p);
    if (code == CTL_REFUSED)
        doctor_say(&doctor, FINDING_FAULT, "node", "give the node's key: --key-file FILE",
                   "the node at %s tells nothing without a key that it has",
                   address != NULL ? address : "127.0.0.1");
    else if (code != CTL_OK)
        doctor_say(&doctor, FINDING_FAULT, "node",
                   is_local ? "systemctl status pinhole; journalctl -u pinhole"
                            : "check its supply, cable and address; `listen` in its pinhole.ini",
                   "no node answers at %s", address != NULL ? address : "127.0.0.1");
    if (is_local) {
        doctor_check_devices(&doctor);
        doctor_check_lines(&doctor);
        doctor_check_listening(&doctor);
        doctor_check_machine(&doctor);
    }
    free((char *)doctor.stats);
    if (code != CTL_OK)
        return code;
    return doctor.worst == FINDING_OK ? CTL_OK : CTL_REFUSED;
}

const struct ctl_command ctl_doctor = {
    "doctor", run_doctor, "[--free PERCENT]", "Says what is wrong with a node and what to do",
    "  -f, --free PERCENT     a card with less room than this is nearly full (default 10)\n"
    "  -r, --root FOLDER      look at /sys, /proc and files below this folder\n\n"
    "On the node's own machine it also looks at devices, lines, clock, power, temperature and\n"
    "card; as root it sees who holds them. With --json one object a finding: check, state (ok,\n"
    "warning, fault), text, advice. Exit code: 0 nothing is wrong, 1 something is, 3 no node.\n"};
