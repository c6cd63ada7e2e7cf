// SPDX-License-Identifier: MIT
#include "app/node_stats.h"

#include <stdio.h>

/** How large each pool is and how full it has been: what says in the field that a limit is near. */
static void print_pools(const struct node *n, struct reply *out)
{
    reply_add(out, "# HELP pinhole_pool_size Places in each pool of fixed size\n"
                   "# TYPE pinhole_pool_size gauge\n");
#define POOL(name, bytes, count, used)                                                             \
    reply_add(out, "pinhole_pool_size{pool=\"%s\"} %zu\n", name, (size_t)(count));
#include "app/pools.def"
#undef POOL
    reply_add(out, "# HELP pinhole_pool_used_max Most of them used at a time since start\n"
                   "# TYPE pinhole_pool_used_max gauge\n");
#define POOL(name, bytes, count, used)                                                             \
    reply_add(out, "pinhole_pool_used_max{pool=\"%s\"} %zu\n", name, (size_t)(used));
#include "app/pools.def"
#undef POOL
}

void node_stats_print(const struct node *n, struct reply *out, uint64_t now_ns)
{
    struct metrics_printer printer = {.out = out};
#define METRIC_COUNTER(expression, name, labels, help)                                             \
    metrics_print_counter(&printer, name, labels, help, expression);
#define METRIC_GAUGE(expression, name, labels, help)                                               \
    metrics_print_gauge(&printer, name, labels, help, expression);
#define METRIC_HISTOGRAM(expression, name, help)                                                   \
    metrics_print_histogram(&printer, name, help, &(expression));
#include "app/metrics.def"
#undef METRIC_COUNTER
#undef METRIC_GAUGE
#undef METRIC_HISTOGRAM
    print_pools(n, out);
}

void node_stats_print_pools(const struct node *n, int fd)
{
    size_t total = 0;
    dprintf(fd, "%-32s %12s %8s %14s\n", "pool", "bytes each", "count", "bytes");
#define POOL(name, bytes, count, used)                                                             \
    dprintf(fd, "%-32s %12zu %8zu %14zu\n", name, (size_t)(bytes), (size_t)(count),                \
            (size_t)(bytes) * (size_t)(count));                                                    \
    total += (size_t)(bytes) * (size_t)(count);
#include "app/pools.def"
#undef POOL
    dprintf(fd, "%-32s %12s %8s %14zu\n", "total", "", "", total);
}
