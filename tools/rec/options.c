// SPDX-License-Identifier: MIT
// The command line.
#include "tools/common/secret.h"
#include "tools/rec/rec.h"
#include "tools/rec/segment.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENT_S = 60, SYNC_S = 10, LEASE_S = 10, LEASE_MIN_NS = 100000000 };

static const char help[] =
    "Usage: pinhole-rec [OPTION]... [NAME=]ADDRESS...\n"
    "       pinhole-rec [OPTION]... --listen ADDRESS:PORT\n"
    "       pinhole-rec [OPTION]... --from SERVER[,SERVER...] --group NAME\n"
    "       pinhole-rec check FOLDER...\n"
    "       pinhole-rec find [OPTION]... FOLDER...\n"
    "Records every frame of Pinhole cameras. Each camera has a folder, and in it a sidecar of "
    "JSON\n"
    "lines for each segment. The sidecar has all that is known of each frame, and what is "
    "missing.\n"
    "The recorder goes on where it stopped: after a broken link, a restart of the node or its "
    "own.\n"
    "`check` compares recordings with their sidecars. `find` finds pictures by time and "
    "trigger.\n\n"
    "Where from and where to:\n"
    "  ADDRESS                  host, host:port, [v6]:port or unix:/path; NAME= names its folder\n"
    "  -l, --listen ADDR:PORT   nodes dial in (`uplink` in their configuration); their\n"
    "                           DeviceUserID names the folder\n"
    "      --allow [NAME=]ADDR[/BITS]  only this address or network may dial in, with NAME= only\n"
    "                           it under that name; may be given several times\n"
    "      --uplink-secret FILE  who dials in must know this secret (`uplink_secret_file` in the\n"
    "                           node's configuration)\n"
    "      --node-key-file FILE  key of the nodes at ADDRESS (pinholectl keygen)\n"
    "      --max-cameras-of-one N  cameras that dial in from one address at a time (default 32)\n"
    "      --from URL[,URL...]  take records from a stream of NATS JetStream (pinhole-relay)\n"
    "      --group NAME         recorders of one group share its cameras, and take over from each\n"
    "                           other; each needs a folder of its own\n"
    "      --stream NAME        its stream (default: pinhole)\n"
    "      --lease-seconds S    another recorder takes over when this one is silent for that time\n"
    "                           (default 10)\n"
    "      --user, --password-file, --token-file, --nkey-file, --credentials-file, --ca-file,\n"
    "      --cert-file, --key-file  as of pinhole-relay\n"
    "  -o, --output DIR         folder of the folders (default: recordings)\n"
    "      --require-mount      write only while DIR is a mount point\n"
    "  -c, --container WHAT     matroska, mp4 (fragmented), or jpeg: a folder of files\n"
    "                           (default: matroska, or jpeg in a build without libavformat)\n"
    "      --interval SECONDS   time-lapse: least time between two frames (default: every frame)\n"
    "Segments:\n"
    "  -s, --segment-seconds S  a new one after this time (default 60; 0: no bound)\n"
    "  -b, --segment-bytes N    or when it would grow beyond this\n"
    "      --discard-unfinished SIGINT and SIGTERM remove the unfinished segment (default:\n"
    "                           complete it)\n"
    "      --sync-seconds S     how often the unfinished segment is handed to the disk (default\n"
    "                           10; 0: when it is complete). A power cut can cost this much.\n"
    "What to keep. The oldest segments of all cameras are deleted first (default: all is kept):\n"
    "  -q, --quota-bytes N      this much altogether, in blocks of the disk\n"
    "  -a, --max-age AGE        nothing older: 90, 90s, 15m, 12h, 30d\n"
    "  -f, --free-bytes N       this much stays free on the disk\n"
    "Other:\n"
    "      --seconds S          ends after this time\n"
    "      --quiet              no progress line on a terminal\n"
    "  -h, --help, -V, --version\n\n"
    "N may end in K, M, G or T (1024 each). Exit codes: 0 all was recorded; 1 the folder cannot\n"
    "be written, or records were dropped because it could not; 2 wrong usage; 3 a camera was\n"
    "never reached; 4 a node no longer had some records, see `missing` in the sidecars.\n"
    "tools/rec/README.md describes the files.\n";

static int usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int usage(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say("%s; `pinhole-rec --help` tells more", text);
    return REC_USAGE;
}

/** Reads a whole number and a suffix of `suffixes`, whose n-th letter stands for units[n]. */
static bool read_scaled(const char *text, const char *suffixes, const uint64_t *units,
                        uint64_t *out)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    uint64_t unit = 1;
    if (!isdigit((unsigned char)text[0]) || errno != 0)
        return false;
    if (*end != '\0') {
        const char *at = strchr(suffixes, toupper((unsigned char)*end));
        if (at == NULL || end[1] != '\0')
            return false;
        unit = units[at - suffixes];
    }
    if (value > UINT64_MAX / 2 / unit)
        return false;
    *out = value * unit;
    return true;
}

static bool read_bytes(const char *text, uint64_t *out)
{
    static const uint64_t units[] = {1ull << 10, 1ull << 20, 1ull << 30, 1ull << 40};
    return read_scaled(text, "KMGT", units, out);
}

static bool read_age(const char *text, uint64_t *out_ns)
{
    static const uint64_t units[] = {1, 60, 3600, 86400};
    uint64_t seconds;
    if (!read_scaled(text, "SMHD", units, &seconds) || seconds > UINT64_MAX / 4 / NS_PER_S)
        return false;
    *out_ns = seconds * NS_PER_S;
    return true;
}

/** Seconds, with a fraction if wanted. */
static bool read_seconds(const char *text, uint64_t *out_ns)
{
    char *end;
    const double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= 0 && seconds <= 1e9))
        return false;
    *out_ns = (uint64_t)(seconds * 1e9);
    return true;
}

static int add_camera(struct rec_options *options, const char *text)
{
    char file[REC_NAME_SIZE];
    const char *equals = strchr(text, '=');
    const char *address = equals != NULL ? equals + 1 : text;
    const unsigned count = options->cameras_count;
    if (count == REC_CAMERAS_MAX)
        return usage("more than %d cameras", REC_CAMERAS_MAX);
    if (*address == '\0')
        return usage("'%s' has no address", text);
    const int length = equals != NULL ? (int)(equals - text) : (int)strlen(address);
    char *name = options->cameras[count].camera;
    snprintf(name, REC_NAME_SIZE, "%.*s", length, text);
    const bool does_fit = length < REC_NAME_SIZE && rec_name_to_file(file, name);
    if (equals != NULL && (!does_fit || strcmp(file, name) != 0))
        return usage("'%.*s' is no name for a folder: no '/', '%%' or control character, no '.' or "
                     "'-' in front, at most %d bytes of UTF-8",
                     length, text, REC_NAME_SIZE - 1);
    if (!does_fit)
        return usage("'%s' is too long to name a folder; NAME=ADDRESS names it", text);
    for (unsigned i = 0; i < count; i++)
        if (strcmp(options->cameras[i].camera, name) == 0)
            return usage("two cameras are named '%s'; NAME=ADDRESS names them", name);
    options->cameras[count].address = address;
    options->cameras_count++;
    return REC_OK;
}

/** "[NAME=]ADDRESS[/BITS]". */
static bool read_allowed(const char *text, struct rec_allowed *out)
{
    char host[64];
    const char *equals = strrchr(text, '='), *address = equals != NULL ? equals + 1 : text;
    const char *slash = strchr(address, '/');
    const int length = slash != NULL ? (int)(slash - address) : (int)strlen(address);
    if ((equals != NULL && (equals == text || equals - text >= REC_NAME_SIZE)) ||
        length >= (int)sizeof host)
        return false;
    snprintf(out->camera, sizeof out->camera, "%.*s", equals != NULL ? (int)(equals - text) : 0,
             text);
    snprintf(host, sizeof host, "%.*s", length, address);
    memcpy(out->network, "\0\0\0\0\0\0\0\0\0\0\xFF\xFF", 12);
    unsigned bits_max = 32;
    if (inet_pton(AF_INET, host, out->network + 12) != 1) {
        bits_max = 128;
        if (inet_pton(AF_INET6, host, out->network) != 1)
            return false;
    }
    uint64_t bits = bits_max;
    if (slash != NULL && (!read_scaled(slash + 1, "", NULL, &bits) || bits > bits_max))
        return false;
    out->bits = (unsigned)bits + 128 - bits_max;
    return true;
}

static bool add_allowed(struct rec_options *options, const char *text)
{
    if (options->allowed_count == REC_ALLOWED_MAX)
        return false;
    return read_allowed(text, &options->allowed[options->allowed_count++]);
}

static bool read_of_one(const char *text, unsigned *out)
{
    uint64_t count;
    if (!read_scaled(text, "", NULL, &count) || count == 0 || count > REC_CAMERAS_MAX)
        return false;
    *out = (unsigned)count;
    return true;
}

static bool read_interval(const char *text, uint32_t *out_us)
{
    uint64_t ns;
    if (!read_seconds(text, &ns) || ns / 1000 == 0 || ns / 1000 > UINT32_MAX)
        return false;
    *out_us = (uint32_t)(ns / 1000);
    return true;
}

enum { DISCARD = 256, SYNC, SECONDS, QUIET, ALLOW, SECRET, OF_ONE, MOUNT, INTERVAL, NODE_KEY };
enum { FROM = 300, GROUP, STREAM, LEASE, USER, PASSWORD, TOKEN, NKEY, CREDENTIALS, CA, CERT, KEY };
static const struct option long_options[] = {
    {"listen", required_argument, NULL, 'l'},
    {"allow", required_argument, NULL, ALLOW},
    {"uplink-secret", required_argument, NULL, SECRET},
    {"node-key-file", required_argument, NULL, NODE_KEY},
    {"max-cameras-of-one", required_argument, NULL, OF_ONE},
    {"from", required_argument, NULL, FROM},
    {"group", required_argument, NULL, GROUP},
    {"stream", required_argument, NULL, STREAM},
    {"lease-seconds", required_argument, NULL, LEASE},
    {"user", required_argument, NULL, USER},
    {"password-file", required_argument, NULL, PASSWORD},
    {"token-file", required_argument, NULL, TOKEN},
    {"nkey-file", required_argument, NULL, NKEY},
    {"credentials-file", required_argument, NULL, CREDENTIALS},
    {"ca-file", required_argument, NULL, CA},
    {"cert-file", required_argument, NULL, CERT},
    {"key-file", required_argument, NULL, KEY},
    {"output", required_argument, NULL, 'o'},
    {"require-mount", no_argument, NULL, MOUNT},
    {"interval", required_argument, NULL, INTERVAL},
    {"container", required_argument, NULL, 'c'},
    {"segment-seconds", required_argument, NULL, 's'},
    {"segment-bytes", required_argument, NULL, 'b'},
    {"discard-unfinished", no_argument, NULL, DISCARD},
    {"sync-seconds", required_argument, NULL, SYNC},
    {"quota-bytes", required_argument, NULL, 'q'},
    {"max-age", required_argument, NULL, 'a'},
    {"free-bytes", required_argument, NULL, 'f'},
    {"seconds", required_argument, NULL, SECONDS},
    {"quiet", no_argument, NULL, QUIET},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static void take_stream_option(struct rec_options *out, int letter)
{
    const char **const places[] = {[0] = &out->from.access.servers,
                                   [GROUP - FROM] = &out->from.group,
                                   [STREAM - FROM] = &out->from.access.stream,
                                   [USER - FROM] = &out->from.access.user,
                                   [PASSWORD - FROM] = &out->from.access.password_file,
                                   [TOKEN - FROM] = &out->from.access.token_file,
                                   [NKEY - FROM] = &out->from.access.nkey_file,
                                   [CREDENTIALS - FROM] = &out->from.access.credentials_file,
                                   [CA - FROM] = &out->from.access.ca_file,
                                   [CERT - FROM] = &out->from.access.cert_file,
                                   [KEY - FROM] = &out->from.access.key_file};
    *places[letter - FROM] = optarg;
}

/** False: the value is not what the option wants. */
static bool take_option(struct rec_options *out, int letter)
{
    if (letter == LEASE)
        return read_seconds(optarg, &out->lease_ns) && out->lease_ns >= LEASE_MIN_NS;
    if (letter >= FROM) {
        take_stream_option(out, letter);
        return *optarg != '\0';
    }
    switch (letter) {
    case 'l': out->listen = optarg; return true;
    case 'o': out->directory = optarg; return *optarg != '\0';
    case 'c': return rec_container_read(optarg, &out->container);
    case 's': return read_seconds(optarg, &out->segment_ns);
    case 'b': return read_bytes(optarg, &out->segment_bytes);
    case 'q': return read_bytes(optarg, &out->quota_bytes);
    case 'a': return read_age(optarg, &out->max_age_ns);
    case 'f': return read_bytes(optarg, &out->free_bytes);
    case ALLOW: return add_allowed(out, optarg);
    case SECRET: out->secret_file = optarg; return true;
    case NODE_KEY: out->node_key_file = optarg; return true;
    case OF_ONE: return read_of_one(optarg, &out->of_one_max);
    case INTERVAL: return read_interval(optarg, &out->interval_us);
    case MOUNT: out->needs_mount = true; return true;
    case SYNC: return read_seconds(optarg, &out->sync_ns);
    case SECONDS: return read_seconds(optarg, &out->run_ns);
    case DISCARD: out->should_discard_unfinished = true; return true;
    default: out->is_quiet = true; return true;
    }
}

/** A token in names of consumers and buckets. */
static bool is_token(const char *text)
{
    const size_t length = strlen(text);
    for (const char *at = text; *at != '\0'; at++)
        if (!isalnum((unsigned char)*at) && *at != '-' && *at != '_')
            return false;
    return length > 0 && length <= 40;
}

static int check_from(struct rec_options *options)
{
    struct rec_stream_options *from = &options->from;
    char why[REC_WHY_BYTES];
    if (from->access.servers == NULL)
        return from->group == NULL ? REC_OK : usage("--group is for a stream: --from");
    if (options->listen != NULL || options->cameras_count > 0 ||
        options->should_discard_unfinished || options->interval_us != 0)
        return usage("--from excludes addresses, --listen, --interval and --discard-unfinished");
    if (from->group == NULL || !is_token(from->group) || !is_token(from->access.stream))
        return usage("--from wants --group; names of groups and streams have at most 40 letters, "
                     "digits, '-' and '_'");
    if (stream_access_check(&from->access, why, sizeof why) < 0)
        return usage("%s", why);
    return REC_OK;
}

static int check(struct rec_options *options)
{
    struct net_secret key;
    const char *why = NULL;
    if (check_from(options) != REC_OK)
        return REC_USAGE;
    if (options->listen == NULL && options->cameras_count == 0 &&
        options->from.access.servers == NULL)
        return usage("which camera? Name addresses, --listen or --from");
    if (options->listen == NULL && options->allowed_count > 0)
        return usage("--allow is for nodes that dial in: --listen");
    if (options->listen == NULL && options->secret_file != NULL)
        return usage("--uplink-secret is for nodes that dial in: --listen");
    if (options->secret_file != NULL)
        why = net_secret_read(options->secret_file, &options->secret);
    if (why != NULL)
        return usage("--uplink-secret %s: %s", options->secret_file, why);
    if (options->node_key_file != NULL)
        why = net_secret_read(options->node_key_file, &key);
    if (why != NULL)
        return usage("--node-key-file %s: %s", options->node_key_file, why);
    if (rec_media_of(options->container) == NULL)
        return usage("there is no libavformat: only --container jpeg");
    if (strlen(options->directory) > REC_PATH_SIZE - 2 * REC_NAME_SIZE)
        return usage("the name of the output folder is too long");
    return REC_OK;
}

int rec_options_read(struct rec_options *out, int argc, char **argv)
{
    *out = (struct rec_options){
        .directory = "recordings",
        .container = rec_media_of(REC_MATROSKA) != NULL ? REC_MATROSKA : REC_JPEG,
        .segment_ns = SEGMENT_S * NS_PER_S,
        .sync_ns = SYNC_S * NS_PER_S,
        .of_one_max = REC_CAMERAS_OF_ONE,
        .from = {.access = STREAM_ACCESS_DEFAULTS},
        .lease_ns = LEASE_S * NS_PER_S,
    };
    int letter, index = 0;
    while ((letter = getopt_long(argc, argv, "l:o:c:s:b:q:a:f:hV", long_options, &index)) != -1) {
        if (letter == '?')
            return usage("wrong option");
        if (letter == 'h') {
            fputs(help, stdout);
            return -1;
        }
        if (letter == 'V') {
            const char *library = rec_media_library();
            printf("pinhole-rec %s, %s%s\n", pinhole_version(),
                   *library != '\0' ? "libavformat " : "without libavformat", library);
            return -1;
        }
        if (!take_option(out, letter))
            return usage("the value '%s' does not fit its option", optarg);
    }
    for (; optind < argc; optind++)
        if (add_camera(out, argv[optind]) != REC_OK)
            return REC_USAGE;
    return check(out);
}
