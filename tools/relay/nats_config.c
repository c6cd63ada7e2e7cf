// SPDX-License-Identifier: MIT
#include "tools/relay/nats_config.h"

#include "tools/relay/message.h"
#include "tools/relay/nats_users.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/** Writes a quoted text; control characters have no place in it. */
static void put_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        if ((unsigned char)*text >= ' ')
            fputc(*text, out);
    }
    fputc('"', out);
}

static void put_pair(FILE *out, const char *key, const char *text)
{
    fprintf(out, "%s: ", key);
    put_text(out, text);
    fputc('\n', out);
}

/** HOST:PORT,... as a list of URLs. */
static void put_urls(FILE *out, const char *scheme, const char *list)
{
    char url[RELAY_TEXT_BYTES + 20];
    fputc('[', out);
    for (const char *at = list; *at != '\0';) {
        const size_t length = strcspn(at, ", ");
        if (length > 0) {
            snprintf(url, sizeof url, "%s%.*s",
                     strncmp(at, scheme, strlen(scheme)) == 0 ? "" : scheme, (int)length, at);
            fputs(at == list ? "" : ", ", out);
            put_text(out, url);
        }
        at += length + (at[length] != '\0');
    }
    fputs("]\n", out);
}

static void put_jetstream(FILE *out, const struct relay_settings *s, const char *domain)
{
    fputs("jetstream {\n", out);
    put_pair(out, "  domain", domain);
    put_pair(out, "  store_dir", s->store_dir);
    fprintf(out, "  max_file_store: %" PRIu64 "\n", s->store_bytes);
    if (s->sync_interval[0] != '\0') {
        fputs("  # Without it the files are synced every two minutes, and a power cut loses what "
              "was\n"
              "  # acknowledged meanwhile. nats-server takes the word always from 2.10 on.\n",
              out);
        put_pair(out, "  sync_interval", s->sync_interval);
    }
    fputs("}\n", out);
}

static void put_leaf(FILE *out, const struct relay_settings *s)
{
    fputs(
        "# The edge: keeps records until the hub has them. Its stream is made by pinhole-relay.\n",
        out);
    put_jetstream(out, s, s->level);
    fputs("leafnodes {\n  remotes: [{\n    urls: ", out);
    put_urls(out, "nats-leaf://", s->peers[0] != '\0' ? s->peers : "127.0.0.1:7422");
    // Else records of other cameras would come along, into this one's stream.
    fputs("    deny_imports: [\"" RELAY_PREFIX ".>\"]\n", out);
    if (s->credentials_file[0] != '\0')
        put_pair(out, "    credentials", s->credentials_file);
    if (s->nkey_file[0] != '\0') {
        fputs("    include ", out);
        put_text(out, s->nkey_file);
        fputc('\n', out);
    }
    fputs("  }]\n}\n", out);
}

static void put_hub(FILE *out, const struct relay_settings *s, const struct relay_users *users)
{
    fputs("# The hub: `pinhole-relay --gather NODE...` lets its stream take those of the leaves.\n",
          out);
    put_jetstream(out, s, "hub");
    if (users->keys != NULL)
        relay_users_print(out, users, s);
    fputs("leafnodes {\n", out);
    put_pair(out, "  host", s->bind);
    fprintf(out, "  port: %" PRIu64 "\n}\n", s->leaf_port);
    if (s->peers[0] == '\0')
        return;
    fputs("cluster {\n  name: pinhole\n", out);
    put_pair(out, "  host", s->bind);
    fprintf(out, "  port: %" PRIu64 "\n  routes: ", s->cluster_port);
    put_urls(out, "nats-route://", s->peers);
    fputs("}\n", out);
}

static void put_all(FILE *out, const struct relay_settings *s, const struct relay_users *users)
{
    const bool is_leaf = s->mode == RELAY_PRINT_LEAF;
    const char *standard = is_leaf ? s->level : "hub";
    put_pair(out, "server_name", s->server_name[0] != '\0' ? s->server_name : standard);
    put_pair(out, "host", s->bind);
    fprintf(out,
            "port: %" PRIu64 "\n# The same on each server: a message passes all of them.\n"
            "max_payload: %" PRIu64 "\n",
            s->client_port, s->payload_max);
    if (is_leaf)
        put_leaf(out, s);
    else
        put_hub(out, s, users);
}

int relay_nats_config_print(FILE *out, const struct relay_settings *settings,
                            char why[RELAY_WHY_BYTES])
{
    struct relay_users users = {0};
    int result = 0;
    if (settings->mode == RELAY_PRINT_HUB && settings->keys_folder[0] != '\0')
        result = relay_users_make(&users, settings, why);
    if (result == 0)
        put_all(out, settings, &users);
    free(users.keys);
    return result;
}
