// SPDX-License-Identifier: MIT
// Reaches: tools/ctl/features.c tools/ctl/requests.c tools/ctl/resume.c tools/ctl/print.c
// Reaches: net/client/features.c net/client/values.c tools/common/text.c tools/common/json.c
// pinholectl's commands on a node whose answers are the input, and on a --resume file that is. The
// first byte chooses the command.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/host/support/text_node.h"
#include "tools/ctl/ctl.h"

#define WORDS_MAX 10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const struct {
    const struct ctl_command *command;
    const char *words[WORDS_MAX];
} commands[] = {
    {&ctl_features, {"features"}},
    {&ctl_features, {"features", "--json"}},
    {&ctl_get, {"get"}},
    {&ctl_get, {"get", "--json", "Width"}},
    {&ctl_get, {"get", "Width", "Gain"}},
    {&ctl_set, {"set", "Gain=2", "Width=640"}},
    {&ctl_stats, {"stats"}},
    {&ctl_stats, {"stats", "--json"}},
    {&ctl_trigger, {"trigger"}},
    {&ctl_trigger, {"trigger", "--json"}},
    {&ctl_watch, {"watch", "--triggers", "-c", "1", "-s", "0.02"}},
    {&ctl_watch, {"watch", "--triggers", "--json", "-c", "1", "-s", "0.02"}},
    {&ctl_watch, {"watch", "--triggers", "-c", "1", "-s", "0.02", "--resume", "resume"}},
};

static char folder[] = "/tmp/pinhole-fuzz-XXXXXX";
static const char *node;
static char resume_path[64];

static void remove_folder(void)
{
    unlink(resume_path);
    unlink(node + strlen("unix:"));
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    if (mkdtemp(folder) == NULL || (node = text_node_start(folder)) == NULL)
        abort();
    snprintf(resume_path, sizeof resume_path, "%s/resume", folder);
    atexit(remove_folder);
    return 0;
}

static void write_resume(const uint8_t *data, size_t bytes)
{
    int fd = open(resume_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, bytes) != (ssize_t)bytes)
        abort();
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < 1)
        return 0;
    const size_t choice = *data++ % ARRAY_SIZE(commands);
    bytes--;
    struct ctl ctl = {.node = node, .patience_ms = 5000, .command = commands[choice].command};
    char words[WORDS_MAX][24], *argv[WORDS_MAX + 1] = {NULL};
    char *resume = resume_path;
    int argc = 0;
    for (; argc < WORDS_MAX && commands[choice].words[argc] != NULL; argc++) {
        snprintf(words[argc], sizeof words[argc], "%s", commands[choice].words[argc]);
        argv[argc] = strcmp(words[argc], "resume") == 0 ? resume : words[argc];
    }
    text_node_say(data, bytes);
    write_resume(data, bytes);
    optind = 0; // getopt_long(3) begins again
    int code = ctl.command->run(&ctl, argc, argv);
    if (code < CTL_OK || code > CTL_TIMEOUT || ctl_has_lost_output)
        abort();
    return 0;
}
