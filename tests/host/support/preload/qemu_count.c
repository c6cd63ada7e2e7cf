// SPDX-License-Identifier: MIT
// A plug-in for qemu-user: counts the instructions that a program executes, and the cache lines
// that its loads and stores miss in a model of a small ARM: 32 KiB of first level with 4 ways, 512
// KiB of second level with 16, lines of 64 bytes, least recently used replaced. Prefetches are not
// seen, so a line that one would have brought counts as missed. For programs with one thread.
//   qemu-aarch64 -plugin qemu_count.so[,caches=on] PROGRAM
// At the end of the program one line on stderr: "counted INSTRUCTIONS L1_MISSES L2_MISSES".
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

/** The part in use of version 1 of QEMU's interface (docs/devel/tcg-plugins.rst). Debian packages
 * no header of it. */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void tb_trans_fn(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void tb_exec_fn(unsigned cpu, void *user);
typedef void mem_fn(unsigned cpu, uint32_t info, uint64_t address, void *user);
typedef void exit_fn(qemu_plugin_id_t id, void *user);
enum { QEMU_PLUGIN_CB_NO_REGS = 0, QEMU_PLUGIN_MEM_RW = 3 };
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
                                                        size_t index);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_fn *fn);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, tb_exec_fn *fn,
                                                 int flags, void *user);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, mem_fn *fn, int flags,
                                             int access, void *user);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, exit_fn *fn, void *user);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);

#define LINE_BITS 6u
#define WAYS_MAX  16u

/** The lines in each set, the newest first. */
struct cache {
    uint32_t sets, ways;
    uint64_t misses;
    uint64_t line[512][WAYS_MAX];
};

static struct cache first_level = {.sets = 128, .ways = 4};
static struct cache second_level = {.sets = 512, .ways = 16};
static uint64_t instructions;
static int has_caches;

static int is_hit(struct cache *cache, uint64_t line)
{
    uint64_t *set = cache->line[line % cache->sets];
    uint32_t at = 0;
    while (at + 1 < cache->ways && set[at] != line)
        at++;
    int was_there = set[at] == line;
    memmove(set + 1, set, at * sizeof *set);
    set[0] = line;
    cache->misses += !was_there;
    return was_there;
}

static void on_access(unsigned cpu, uint32_t info, uint64_t address, void *user)
{
    (void)cpu;
    (void)user;
    const uint64_t last = address + (1u << (info & 15)) - 1; // the low bits: log2 of the size
    for (uint64_t line = address >> LINE_BITS; line <= last >> LINE_BITS; line++)
        if (!is_hit(&first_level, line))
            is_hit(&second_level, line);
}

static void on_block(unsigned cpu, void *user)
{
    (void)cpu;
    instructions += (uintptr_t)user;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(tb);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS,
                                         (void *)(uintptr_t)count);
    for (size_t i = 0; has_caches && i < count; i++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), on_access,
                                         QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, NULL);
}

static void on_exit_of_program(qemu_plugin_id_t id, void *user)
{
    (void)id;
    (void)user;
    fprintf(stderr, "counted %llu %llu %llu\n", (unsigned long long)instructions,
            (unsigned long long)first_level.misses, (unsigned long long)second_level.misses);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info;
    has_caches = argc > 0 && strcmp(argv[0], "caches=on") == 0;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_of_program, NULL);
    return 0;
}
