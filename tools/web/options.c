// SPDX-License-Identifier: MIT
#include "tools/web/options.h"

#include "net/client/pinhole.h"
#include "net/secret.h"
#include "tools/common/secret.h"

#include <microhttpd.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help_text[] =
    "Usage: pinhole-web [OPTION]...\n"
    "Shows the pictures of a Pinhole node by HTTP: live page, stream, snapshots, state, metrics.\n"
    "\n"
    "  -n, --node ADDRESS      the node: HOST, HOST:PORT, [V6]:PORT or unix:PATH\n"
    "                          (default: $PINHOLE_NODE, else 127.0.0.1)\n"
    "      --key-file FILE     the node's key (pinholectl keygen)\n"
    "      --fleet URL[,URL...]  in place of one node, show all nodes of a stream of NATS "
    "JetStream\n"
    "                          (pinhole-relay)\n"
    "      --stream NAME       that stream (default pinhole)\n"
    "      --user, --password-file, --token-file, --nkey-file, --credentials-file, --ca-file,\n"
    "      --cert-file, --key-file  with --fleet: as of pinhole-relay\n"
    "      --page-port N       with --fleet: port of the nodes' own pages (default 8080)\n"
    "  -l, --listen ADDR:PORT  where to serve (default 127.0.0.1:8080; port 0 picks a free one;\n"
    "                          0.0.0.0:8080 opens it to the network)\n"
    "      --max-clients N     HTTP connections served at a time, 1 to 1000 (default 64)\n"
    "      --max-clients-of-one N  of them, from one address other than this host's (default 16)\n"
    "      --read-only         refuse changes of features and triggers\n"
    "      --allow-origin URL  let web pages of this origin read what GET gives (* for any), and\n"
    "                          pages of any site show the pictures\n"
    "      --allow-host NAME   answer under this name, too, besides addresses, localhost and this\n"
    "                          machine's host name (may be repeated; a reverse proxy's name)\n"
    "      --users FILE        who may log in: lines NAME:ROLE:HASH; without it nobody needs to\n"
    "      --anonymous ROLE    what everybody may without a login: view or control\n"
    "      --tls-certificate FILE, --tls-key FILE  serve by HTTPS, with these files in PEM\n"
    "      --add-user NAME     write a user into the file of --users, ask for the password, and "
    "end\n"
    "      --role ROLE         of that user: view or control\n"
    "  -v, --verbose           log each request\n"
    "      --version, --help\n";

enum {
    OPT_MAX_CLIENTS = 256,
    OPT_MAX_CLIENTS_OF_ONE,
    OPT_READ_ONLY,
    OPT_ALLOW_ORIGIN,
    OPT_ALLOW_HOST,
    OPT_KEY_FILE,
    OPT_USERS,
    OPT_ANONYMOUS,
    OPT_TLS_CERTIFICATE,
    OPT_TLS_KEY,
    OPT_ADD_USER,
    OPT_ROLE,
    OPT_PAGE_PORT,
    OPT_VERSION,
    OPT_FLEET = 300,
    OPT_STREAM,
    OPT_USER,
    OPT_PASSWORD_FILE,
    OPT_TOKEN_FILE,
    OPT_NKEY_FILE,
    OPT_CREDENTIALS_FILE,
    OPT_CA_FILE,
    OPT_CERT_FILE
};

static const struct option long_options[] = {
    {"node", required_argument, NULL, 'n'},
    {"key-file", required_argument, NULL, OPT_KEY_FILE},
    {"listen", required_argument, NULL, 'l'},
    {"max-clients", required_argument, NULL, OPT_MAX_CLIENTS},
    {"max-clients-of-one", required_argument, NULL, OPT_MAX_CLIENTS_OF_ONE},
    {"read-only", no_argument, NULL, OPT_READ_ONLY},
    {"allow-origin", required_argument, NULL, OPT_ALLOW_ORIGIN},
    {"allow-host", required_argument, NULL, OPT_ALLOW_HOST},
    {"users", required_argument, NULL, OPT_USERS},
    {"anonymous", required_argument, NULL, OPT_ANONYMOUS},
    {"tls-certificate", required_argument, NULL, OPT_TLS_CERTIFICATE},
    {"tls-key", required_argument, NULL, OPT_TLS_KEY},
    {"add-user", required_argument, NULL, OPT_ADD_USER},
    {"role", required_argument, NULL, OPT_ROLE},
    {"fleet", required_argument, NULL, OPT_FLEET},
    {"stream", required_argument, NULL, OPT_STREAM},
    {"user", required_argument, NULL, OPT_USER},
    {"password-file", required_argument, NULL, OPT_PASSWORD_FILE},
    {"token-file", required_argument, NULL, OPT_TOKEN_FILE},
    {"nkey-file", required_argument, NULL, OPT_NKEY_FILE},
    {"credentials-file", required_argument, NULL, OPT_CREDENTIALS_FILE},
    {"ca-file", required_argument, NULL, OPT_CA_FILE},
    {"cert-file", required_argument, NULL, OPT_CERT_FILE},
    {"page-port", required_argument, NULL, OPT_PAGE_PORT},
    {"verbose", no_argument, NULL, 'v'},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int read_number(int *out, const char *option, const char *text, int max)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 || value > max) {
        fprintf(stderr, "pinhole-web: --%s takes a number from 1 to %d, not '%s'\n", option, max,
                text);
        return 2;
    }
    *out = (int)value;
    return -1;
}

static int check_key_file(const char *path)
{
    struct net_secret key;
    const char *why = path != NULL ? net_secret_read(path, &key) : NULL;
    if (why == NULL)
        return -1;
    fprintf(stderr, "pinhole-web: --key-file %s: %s\n", path, why);
    return 2;
}

static int refuse(const char *sentence)
{
    fprintf(stderr, "pinhole-web: %s\n", sentence);
    return 2;
}

static int check_fleet(struct web_options *options)
{
    struct stream_access *fleet = &options->fleet;
    char why[256];
    if (options->node != NULL)
        return refuse("--fleet excludes --node");
    fleet->key_file = options->key_file;
    return stream_access_check(fleet, why, sizeof why) < 0 ? refuse(why) : -1;
}

static int read_role(enum web_role *out, const char *option)
{
    if (web_role_read(out, optarg))
        return -1;
    fprintf(stderr, "pinhole-web: --%s takes view or control, not '%s'\n", option, optarg);
    return 2;
}

static int take_fleet_option(struct stream_access *fleet, int option)
{
    const char **const places[] = {[0] = &fleet->servers,
                                   [OPT_STREAM - OPT_FLEET] = &fleet->stream,
                                   [OPT_USER - OPT_FLEET] = &fleet->user,
                                   [OPT_PASSWORD_FILE - OPT_FLEET] = &fleet->password_file,
                                   [OPT_TOKEN_FILE - OPT_FLEET] = &fleet->token_file,
                                   [OPT_NKEY_FILE - OPT_FLEET] = &fleet->nkey_file,
                                   [OPT_CREDENTIALS_FILE - OPT_FLEET] = &fleet->credentials_file,
                                   [OPT_CA_FILE - OPT_FLEET] = &fleet->ca_file,
                                   [OPT_CERT_FILE - OPT_FLEET] = &fleet->cert_file};
    *places[option - OPT_FLEET] = optarg;
    return -1;
}

static int take_option(struct web_options *options, int option)
{
    if (option >= OPT_FLEET)
        return take_fleet_option(&options->fleet, option);
    switch (option) {
    case 'n': options->node = optarg; return -1;
    case 'l': options->listen = optarg; return -1;
    case 'v': options->is_verbose = true; return -1;
    case OPT_MAX_CLIENTS: return read_number(&options->max_clients, "max-clients", optarg, 1000);
    case OPT_MAX_CLIENTS_OF_ONE:
        return read_number(&options->max_clients_of_one, "max-clients-of-one", optarg, 1000);
    case OPT_PAGE_PORT: return read_number(&options->page_port, "page-port", optarg, 65535);
    case OPT_KEY_FILE: options->key_file = optarg; return -1;
    case OPT_READ_ONLY: options->is_read_only = true; return -1;
    case OPT_ALLOW_ORIGIN: options->allow_origin = optarg; return -1;
    case OPT_ALLOW_HOST:
        if (options->allow_hosts_count == WEB_ALLOWED_HOSTS_MAX) {
            fprintf(stderr, "pinhole-web: at most %d times --allow-host\n", WEB_ALLOWED_HOSTS_MAX);
            return 2;
        }
        options->allow_hosts[options->allow_hosts_count++] = optarg;
        return -1;
    case OPT_USERS: options->users = optarg; return -1;
    case OPT_ANONYMOUS: return read_role(&options->anonymous, "anonymous");
    case OPT_TLS_CERTIFICATE: options->tls_certificate = optarg; return -1;
    case OPT_TLS_KEY: options->tls_key = optarg; return -1;
    case OPT_ADD_USER: options->add_user = optarg; return -1;
    case OPT_ROLE: return read_role(&options->role, "role");
    case OPT_VERSION:
        printf("pinhole-web %s (libmicrohttpd %s)\n", pinhole_version(), MHD_get_version());
        return 0;
    case 'h': fputs(help_text, stdout); return 0;
    default: fputs("Try: pinhole-web --help\n", stderr); return 2;
    }
}

int web_options_read(struct web_options *options, int argc, char **argv)
{
    *options = (struct web_options){.listen = "127.0.0.1:8080",
                                    .max_clients = 64,
                                    .max_clients_of_one = 16,
                                    .page_port = 8080,
                                    .fleet = STREAM_ACCESS_DEFAULTS};
    int option;
    while ((option = getopt_long(argc, argv, "n:l:vh", long_options, NULL)) != -1) {
        int status = take_option(options, option);
        if (status >= 0)
            return status;
    }
    if (optind < argc) {
        fprintf(stderr, "pinhole-web: unexpected argument '%s'\nTry: pinhole-web --help\n",
                argv[optind]);
        return 2;
    }
    if ((options->tls_certificate == NULL) != (options->tls_key == NULL)) {
        fputs("pinhole-web: --tls-certificate and --tls-key need each other\n", stderr);
        return 2;
    }
    if (options->add_user == NULL)
        return options->fleet.servers != NULL ? check_fleet(options)
                                              : check_key_file(options->key_file);
    if (options->users == NULL || options->role == WEB_ROLE_NONE) {
        fputs("pinhole-web: --add-user needs --users FILE and --role view or control\n", stderr);
        return 2;
    }
    return web_users_add_by_hand(options->users, options->add_user, options->role);
}
