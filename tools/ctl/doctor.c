// SPDX-License-Identifier: MIT
// pinholectl doctor: what is wrong with a node, in sentences, and what to do about it.
#include "tools/ctl/doctor.h"

#include "tools/common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void doctor_say(struct doctor *doctor, enum doctor_state state, const char *check,
                const char *advice, const char *format, ...)
{
    static const char *const words[] = {"ok", "warning", "fault"};
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (state > doctor->worst)
        doctor->worst = state;
    if (advice == NULL)
        advice = "";
    if (doctor->ctl->wants_json) {
        json_t *line = json_object();
        json_put_text(&line, "check", check);
        json_put_text(&line, "state", words[state]);
        json_put_text(&line, "text", text);
        json_put_text(&line, "advice", advice);
        ctl_print_json(line);
        return;
    }
    printf("%-8s %-12s ", words[state], check);
    text_print(stdout, text);
    printf("\n");
    if (*advice != '\0')
        printf("%-21s -> %s\n", "", advice);
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

double doctor_sample(const struct doctor *doctor, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = doctor->stats; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtod(line + length, NULL);
    }
    return 0;
}

static void check_camera(struct doctor *doctor, struct pinhole *p)
{
    char width[16] = "?", height[16] = "?";
    const char *model = pinhole_info(p)->model;
    if (doctor_sample(doctor, "pinhole_camera_streaming") == 0) {
        doctor_say(doctor, DOCTOR_FAULT, "camera",
                   "see the lines on devices; `pinhole --list-cameras`", "%s delivers no frames",
                   *model != '\0' ? model : "the camera");
        return;
    }
    pinhole_get(p, "Width", width, sizeof width);
    pinhole_get(p, "Height", height, sizeof height);
    if (strstr(model, "fake") != NULL)
        doctor_say(doctor, DOCTOR_WARNING, "camera",
                   "set camera = libcamera in pinhole.ini, which waits for a real camera",
                   "the pictures are drawn, not taken (%s)", model);
    else
        doctor_say(doctor, DOCTOR_OK, "camera", NULL, "%s delivers frames of %sx%s", model, width,
                   height);
}

/** A frame lost now and then is no fault; this share of all frames is. */
#define FRAMES_LOST_SHARE 0.001

/** Counters that mean a loss, and what to do. */
static const struct loss {
    const char *name, *check, *what, *advice;
} losses[] = {
    {"pinhole_frames_dropped_total{reason=\"sensor\"}", "frames", "lost before the node got them",
     "raise camera.buffers; look for other programs that load the machine"},
    {"pinhole_frames_dropped_total{reason=\"busy\"}", "frames", "came while one was encoded",
     "lower framerate, size or quality"},
    {"pinhole_frames_dropped_total{reason=\"size\"}", "frames", "did not fit into frame_bytes_max",
     "raise jpeg.frame_bytes_max or lower jpeg.quality_min"},
    {"pinhole_frames_dropped_total{reason=\"invalid\"}", "frames", "were damaged",
     "check the camera's cable and its supply"},
    {"pinhole_frames_dropped_total{reason=\"error\"}", "frames", "could not be encoded",
     "read the node's log: journalctl -u pinhole"},
    {"pinhole_camera_restarts_total{how=\"restart\"}", "camera", "restarts after a stall",
     "check the camera's cable and its supply"},
    {"pinhole_camera_restarts_total{how=\"reopen\"}", "camera", "times the camera was gone",
     "check the camera's cable and its supply"},
    {"pinhole_line_edges_ignored_total{reason=\"kernel_lost\"}", "trigger",
     "edges were lost by the kernel", "look for bounce at the line: debounce_us or hold_off_us"},
    {"pinhole_triggers_total{source=\"line\",outcome=\"missed\"}", "trigger",
     "triggers of the line got no frame in time", "raise framerate, or trigger.timeout_ms"},
    {"pinhole_triggers_total{source=\"line\",outcome=\"overrun\"}", "trigger",
     "triggers of the line came before the previous one had its frame",
     "raise framerate, or look for bounce: hold_off_us"},
    {"pinhole_triggers_total{source=\"line\",outcome=\"failed\"}", "trigger",
     "triggers of the line failed", "read the node's log: journalctl -u pinhole"},
    {"pinhole_clients_dropped_total{reason=\"full\"}", "clients", "connections found no place",
     "raise server.clients_max"},
    {"pinhole_clients_dropped_total{reason=\"slow\"}", "clients", "clients took no data in time",
     "check their network, or lower jpeg.bit_rate"},
};

static void check_losses(struct doctor *doctor)
{
    double hours = doctor_sample(doctor, "pinhole_uptime_seconds") / 3600;
    double few = doctor_sample(doctor, "pinhole_frames_acquired_total") * FRAMES_LOST_SHARE;
    bool is_clean = true;
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        double count = doctor_sample(doctor, losses[i].name);
        if (count == 0)
            continue;
        is_clean = false;
        bool is_few = strcmp(losses[i].check, "frames") == 0 && count <= few;
        doctor_say(doctor, is_few ? DOCTOR_OK : DOCTOR_WARNING, losses[i].check,
                   is_few ? NULL : losses[i].advice, "%.0f %s in %.1f hours", count, losses[i].what,
                   hours);
    }
    if (is_clean)
        doctor_say(doctor, DOCTOR_OK, "frames", NULL, "nothing was lost in %.1f hours, %.0f frames",
                   hours, doctor_sample(doctor, "pinhole_frames_captured_total"));
}

static int check_node(struct doctor *doctor, struct pinhole *p)
{
    char *stats;
    int length = ctl_stats_text(p, &stats);
    if (length < 0)
        return ctl_failed(p, length);
    doctor->stats = stats;
    const struct pinhole_info *info = pinhole_info(p);
    doctor_say(doctor, DOCTOR_OK, "node", NULL, "pinhole %s, \"%s\", answers at %s", info->version,
               info->name, info->address);
    check_camera(doctor, p);
    check_losses(doctor);
    if (ctl_is_local(info->address))
        doctor_check_watchdog(
            doctor, doctor_sample(doctor, "pinhole_loop_turn_worst_seconds{clock=\"wall\"}"));
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
        doctor_say(&doctor, DOCTOR_FAULT, "node", "give the node's key: --key-file FILE",
                   "the node at %s tells nothing without a key that it has",
                   address != NULL ? address : "127.0.0.1");
    else if (code != CTL_OK)
        doctor_say(&doctor, DOCTOR_FAULT, "node",
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
    return doctor.worst == DOCTOR_OK ? CTL_OK : CTL_REFUSED;
}

const struct ctl_command ctl_doctor = {
    "doctor", run_doctor, "[--free PERCENT]", "Says what is wrong with a node and what to do",
    "  -f, --free PERCENT     a card with less room than this is nearly full (default 10)\n"
    "  -r, --root FOLDER      look at /sys, /proc and files below this folder\n\n"
    "On the node's own machine it also looks at devices, lines, clock, power, temperature and\n"
    "card; as root it sees who holds them. With --json one object a finding: check, state (ok,\n"
    "warning, fault), text, advice. Exit code: 0 nothing is wrong, 1 something is, 3 no node.\n"};
