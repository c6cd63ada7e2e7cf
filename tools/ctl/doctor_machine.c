// SPDX-License-Identifier: MIT
// What the doctor finds on the node's own machine, from /proc, /sys, /dev and /run.
#include "tools/ctl/doctor.h"

#include "tools/common/stats.h"

#include <dirent.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

/** Temperatures, in thousandths of a degree: a Pi slows down from 80 °C and stops at 85 °C. */
enum { WARM = 80000, HOT = 85000 };
/** Of the watchdog's time, what the longest turn may take. */
#define WATCHDOG_SHARE 0.5

/** Paths below the root that match; globfree() it. */
static void find_paths(const struct doctor *doctor, const char *pattern, glob_t *out)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", doctor->root, pattern);
    if (glob(whole, 0, NULL, out) != 0)
        out->gl_pathc = 0;
}

/** The path as it is on the machine, for doctor_read() and for people. */
static const char *below(const struct doctor *doctor, const char *path)
{
    return path + strlen(doctor->root);
}

// --- processes ----------------------------------------------------------------------------------

struct process {
    int pid;
    char name[32];
};

/** Of a path below /proc. */
static int pid_of(const char *path)
{
    return (int)strtol(path + strlen("/proc/"), NULL, 10);
}

/** Calls `visit` for each open descriptor of each process that we may look into, with what it is
 * ("/dev/video0", "socket:[1234]"), until `visit` returns true. */
static bool each_descriptor(const struct doctor *doctor,
                            bool (*visit)(void *user, const struct process *, const char *target),
                            void *user)
{
    glob_t links;
    bool was_found = false;
    find_paths(doctor, "/proc/[0-9]*/fd/*", &links);
    for (size_t i = 0; i < links.gl_pathc && !was_found; i++) {
        char target[PATH_MAX], path[64];
        ssize_t length = readlink(links.gl_pathv[i], target, sizeof target - 1);
        if (length < 0)
            continue;
        target[length] = '\0';
        struct process process = {.pid = pid_of(below(doctor, links.gl_pathv[i]))};
        snprintf(path, sizeof path, "/proc/%d/comm", process.pid);
        if (doctor_read(doctor, path, process.name, sizeof process.name) < 0)
            strcpy(process.name, "?");
        was_found = visit(user, &process, target);
    }
    globfree(&links);
    return was_found;
}

static bool is_ours(const struct process *process)
{
    return strcmp(process->name, "pinhole") == 0;
}

/** The process of the node, 0 when there is none. */
static int find_node(const struct doctor *doctor)
{
    glob_t names;
    char name[32];
    int pid = 0;
    find_paths(doctor, "/proc/[0-9]*/comm", &names);
    for (size_t i = 0; i < names.gl_pathc && pid == 0; i++) {
        const char *path = below(doctor, names.gl_pathv[i]);
        if (doctor_read(doctor, path, name, sizeof name) >= 0 && strcmp(name, "pinhole") == 0)
            pid = pid_of(path);
    }
    globfree(&names);
    return pid;
}

// --- cameras ------------------------------------------------------------------------------------

struct holder {
    const char *path;
    struct process process;
};

static bool holds_device(void *user, const struct process *process, const char *target)
{
    struct holder *holder = user;
    if (strcmp(target, holder->path) != 0 || is_ours(process))
        return false;
    holder->process = *process;
    return true;
}

/** The user of the node, who must be allowed to open the device. */
static bool may_open(const struct doctor *doctor, const char *device)
{
    char path[64], status[4096];
    struct stat info;
    snprintf(path, sizeof path, "/proc/%d/status", find_node(doctor));
    if (stat(device, &info) < 0 || doctor_read(doctor, path, status, sizeof status) < 0)
        return true; // not known to be otherwise
    const char *line = strstr(status, "\nUid:");
    unsigned uid = line != NULL ? (unsigned)strtoul(line + strlen("\nUid:"), NULL, 10) : 0;
    if (uid == 0 || (uid == info.st_uid && (info.st_mode & S_IRUSR) != 0) ||
        (info.st_mode & S_IROTH) != 0)
        return true;
    line = strstr(status, "\nGroups:");
    char *rest = line != NULL ? (char *)line + strlen("\nGroups:") : NULL;
    while (rest != NULL && *rest != '\n' && *rest != '\0') {
        char *end;
        unsigned long group = strtoul(rest, &end, 10);
        if (end == rest)
            break;
        if (group == info.st_gid)
            return (info.st_mode & S_IRGRP) != 0;
        rest = end + strspn(end, " \t");
    }
    return false;
}

void doctor_check_devices(struct doctor *doctor)
{
    glob_t devices;
    find_paths(doctor, "/dev/media[0-9]*", &devices);
    if (devices.gl_pathc == 0)
        doctor_say(
            doctor, FINDING_WARNING, "devices",
            "check both ends of the ribbon cable with the power off; camera_auto_detect=1 or "
            "the sensor's dtoverlay in config.txt; dmesg",
            "the kernel knows no camera");
    for (size_t i = 0; i < devices.gl_pathc; i++) {
        const char *path = below(doctor, devices.gl_pathv[i]);
        struct holder holder = {.path = path};
        if (each_descriptor(doctor, holds_device, &holder))
            doctor_say(
                doctor, FINDING_WARNING, "devices", "end that program; only one can have a camera",
                "%s is held by %s (process %d)", path, holder.process.name, holder.process.pid);
        else if (!may_open(doctor, devices.gl_pathv[i]))
            doctor_say(doctor, FINDING_FAULT, "devices",
                       "add the node's user to the group of the device (video)",
                       "the node may not open %s", path);
        else
            doctor_say(doctor, FINDING_OK, "devices", NULL, "%s is free for the node", path);
    }
    globfree(&devices);
}

// --- lines --------------------------------------------------------------------------------------

/** The value of `line` or the like in a section of the node's settings; "" when it is not set. */
static void read_setting(const char *settings, const char *section, const char *key, char *out,
                         size_t bytes)
{
    bool is_inside = false;
    *out = '\0';
    for (const char *line = settings; line != NULL; line = strchr(line, '\n')) {
        line += strspn(line, " \t\r\n");
        if (*line == '[')
            is_inside = strncmp(line + 1, section, strlen(section)) == 0 &&
                        line[1 + strlen(section)] == ']';
        size_t length = strlen(key);
        if (!is_inside || strncmp(line, key, length) != 0)
            continue;
        const char *value = line + length + strspn(line + length, " \t");
        if (*value != '=')
            continue;
        value += 1 + strspn(value + 1, " \t");
        snprintf(out, bytes, "%.*s", (int)strcspn(value, " \t\r\n;"), value);
    }
}

/** Looks the line up in the kernel's list: ` gpio-529 (GPIO17              |pinhole) in hi IRQ`. */
static void check_line(struct doctor *doctor, const char *list, const char *what, const char *name)
{
    char entry[80];
    snprintf(entry, sizeof entry, "(%s", name);
    for (const char *found = list; (found = strstr(found, entry)) != NULL; found++) {
        const char *bar = found + strlen(entry) + strspn(found + strlen(entry), " ");
        if (*bar != '|')
            continue;
        int length = (int)strcspn(bar + 1, ")\n");
        while (length > 0 && bar[length] == ' ')
            length--;
        if (strncmp(bar + 1, "pinhole", strlen("pinhole")) == 0)
            doctor_say(doctor, FINDING_OK, what, NULL, "the node has %s", name);
        else
            doctor_say(doctor, FINDING_FAULT, what,
                       "end that program, or take another line (PINS.md)",
                       "%s is taken by \"%.*s\"", name, length, bar + 1);
        return;
    }
    doctor_say(doctor, FINDING_FAULT, what, "journalctl -u pinhole; `gpioinfo` lists the lines",
               "nobody has %s, though the settings name it", name);
}

void doctor_check_lines(struct doctor *doctor)
{
    static const char *const sections[] = {"trigger", "strobe"};
    static char settings[65536], list[65536];
    if (doctor_read(doctor, "/etc/pinhole/pinhole.ini", settings, sizeof settings) < 0)
        return;
    bool is_listed = doctor_read(doctor, "/sys/kernel/debug/gpio", list, sizeof list) >= 0;
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        char name[64];
        read_setting(settings, sections[i], "line", name, sizeof name);
        if (*name != '\0' && is_listed && strchr(name, ':') == NULL)
            check_line(doctor, list, sections[i], name);
    }
}

// --- listening ----------------------------------------------------------------------------------

struct socket_owner {
    char target[40];
    struct process process;
};

static bool owns_socket(void *user, const struct process *process, const char *target)
{
    struct socket_owner *owner = user;
    if (strcmp(target, owner->target) != 0 || strncmp(process->name, "pinhole", 7) != 0)
        return false;
    owner->process = *process;
    return true;
}

/** As the node that answered says in STATS. */
static const char *what_strangers_may(const struct doctor *doctor)
{
    switch ((int)stats_sample(doctor->stats, "pinhole_role_without_key{peer=\"other\"}")) {
    case PINHOLE_ROLE_NONE: return "; without a key they get nothing";
    case PINHOLE_ROLE_VIEW: return "; without a key they may see";
    case PINHOLE_ROLE_CONTROL: return "; without a key they may see, set and trigger";
    default: return ""; // the node was not reached, or is older than roles
    }
}

/** One line of /proc/net/tcp or tcp6. Its fields count from 0: 1 the local address and port, 3 the
 * state (0A is listening), 9 the inode. */
static void check_socket(struct doctor *doctor, char *line)
{
    char *fields[10], *rest = NULL;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        fields[i] = strtok_r(i == 0 ? line : NULL, " \n", &rest);
        if (fields[i] == NULL)
            return;
    }
    char *address = fields[1], *colon = strchr(address, ':');
    if (strcmp(fields[3], "0A") != 0 || colon == NULL || colon - address < 8)
        return;
    *colon = '\0';
    unsigned long port = strtoul(colon + 1, NULL, 16);
    struct socket_owner owner;
    snprintf(owner.target, sizeof owner.target, "socket:[%.20s]", fields[9]);
    if (!each_descriptor(doctor, owns_socket, &owner))
        return;
    size_t length = strlen(address);
    bool is_any = strspn(address, "0") == length;
    bool is_loopback = strcmp(address + length - 2, "7F") == 0 ||
                       strcmp(address, "00000000000000000000000001000000") == 0;
    const bool is_node = strcmp(owner.process.name, "pinhole") == 0;
    doctor_say(doctor, FINDING_OK, "listening", NULL, "%s listens on port %lu for %s%s",
               owner.process.name, port,
               is_loopback ? "this machine only"
               : is_any    ? "every machine that can reach this one"
                           : "one of this machine's addresses",
               is_node && !is_loopback ? what_strangers_may(doctor) : "");
}

void doctor_check_listening(struct doctor *doctor)
{
    static const char *const files[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[512], line[512];
        snprintf(path, sizeof path, "%s%s", doctor->root, files[i]);
        FILE *file = fopen(path, "re");
        while (file != NULL && fgets(line, sizeof line, file) != NULL)
            check_socket(doctor, line);
        if (file != NULL)
            fclose(file);
    }
}

// --- the machine --------------------------------------------------------------------------------

static void check_clock(struct doctor *doctor)
{
    char path[512];
    struct timex clock = {0};
    snprintf(path, sizeof path, "%s/run/systemd/timesync/synchronized", doctor->root);
    bool is_set = access(path, F_OK) == 0;
    if (!is_set && *doctor->root == '\0')
        is_set = adjtimex(&clock) >= 0 && (clock.status & STA_UNSYNC) == 0;
    if (is_set)
        doctor_say(doctor, FINDING_OK, "clock", NULL, "synchronised");
    else
        doctor_say(
            doctor, FINDING_WARNING, "clock",
            "check the network and its time server; on the image: ntp in pinhole-network.ini",
            "not synchronised: frames carry a wrong time of day");
}

static void check_power(struct doctor *doctor)
{
    glob_t files;
    char text[32];
    find_paths(doctor, "/sys/devices/platform/soc/*/get_throttled", &files);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        if (doctor_read(doctor, below(doctor, files.gl_pathv[i]), text, sizeof text) <= 0)
            continue;
        // The firmware's bits: now from 0, since the start from 16.
        unsigned long bits = strtoul(text, NULL, 16);
        const char *supply = "use a supply that holds 5.1 V under load, and a short thick cable";
        if ((bits & 0x1) != 0)
            doctor_say(doctor, FINDING_FAULT, "power", supply, "the voltage is too low now");
        else if ((bits & 0x10000) != 0)
            doctor_say(doctor, FINDING_WARNING, "power", supply,
                       "the voltage was too low since the start");
        if ((bits & 0xE) != 0)
            doctor_say(doctor, FINDING_WARNING, "power", "cool the board",
                       "the processor is slowed down now");
        else if ((bits & 0xE0000) != 0)
            doctor_say(doctor, FINDING_WARNING, "power", "cool the board",
                       "the processor was slowed down since the start");
        if ((bits & 0xF000F) == 0)
            doctor_say(doctor, FINDING_OK, "power", NULL, "the voltage was never too low");
    }
    globfree(&files);
}

static void check_temperature(struct doctor *doctor)
{
    glob_t files;
    char text[32];
    find_paths(doctor, "/sys/class/thermal/thermal_zone*/temp", &files);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        if (doctor_read(doctor, below(doctor, files.gl_pathv[i]), text, sizeof text) <= 0)
            continue;
        long value = strtol(text, NULL, 10);
        doctor_say(doctor,
                   value >= HOT    ? FINDING_FAULT
                   : value >= WARM ? FINDING_WARNING
                                   : FINDING_OK,
                   "temperature", value >= WARM ? "cool the board" : NULL, "%.1f degrees Celsius",
                   (double)value / 1000);
    }
    globfree(&files);
}

static void check_room(struct doctor *doctor)
{
    static const char *const folders[] = {"/", "/run", "/var/lib/pinhole"};
    struct statvfs info;
    unsigned long seen[sizeof folders / sizeof folders[0]] = {0};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s%s", doctor->root, folders[i]);
        if (statvfs(path, &info) < 0 || info.f_blocks == 0)
            continue;
        seen[i] = info.f_fsid;
        if (i > 0 && info.f_fsid == seen[0])
            continue; // the same file system
        unsigned percent = (unsigned)((uint64_t)info.f_bavail * 100 / info.f_blocks);
        bool is_full = percent < doctor->free_percent;
        doctor_say(doctor, is_full ? FINDING_WARNING : FINDING_OK, "room",
                   is_full ? "remove files, or take a larger card" : NULL, "%s has %u %% free",
                   folders[i], percent);
    }
}

void doctor_check_machine(struct doctor *doctor)
{
    check_clock(doctor);
    check_power(doctor);
    check_temperature(doctor);
    check_room(doctor);
}

void doctor_check_watchdog(struct doctor *doctor, double turn_seconds)
{
    char path[64], environment[8192];
    snprintf(path, sizeof path, "/proc/%d/environ", find_node(doctor));
    int length = doctor_read(doctor, path, environment, sizeof environment);
    for (const char *at = environment; at < environment + length; at += strlen(at) + 1) {
        static const char name[] = "WATCHDOG_USEC=";
        if (strncmp(at, name, strlen(name)) != 0)
            continue;
        double limit = strtod(at + strlen(name), NULL) / 1e6;
        bool is_near = turn_seconds > limit * WATCHDOG_SHARE;
        doctor_say(doctor, is_near ? FINDING_WARNING : FINDING_OK, "watchdog",
                   is_near ? "look for a slow card, a slow camera or programs that load the machine"
                           : NULL,
                   "the longest turn took %.3f s of the %.0f s that the watchdog grants",
                   turn_seconds, limit);
        return;
    }
}
