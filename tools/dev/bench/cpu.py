# SPDX-License-Identifier: MIT
"""CPU time per frame beside libjpeg-turbo's, memory, and system calls."""

import contextlib
import json
import re
import subprocess
import time

from common import BUILD, folder, FRAMES, median, ROUNDS, say, WARMUP
from node import Encoder, Node, planar

RUNS = (("tcp 1", 1, False), ("tcp 4", 4, False), ("unix 1", 1, True), ("unix 4", 4, True))
LIMITS = {(1920, "tcp 1"): 1.06, (1920, "tcp 4"): 1.10, (1280, "tcp 1"): 1.08,
          (1280, "tcp 4"): 1.15}


def cpu_time(width, height, pixel):
    node = Node(width, height, pixel)
    node.pause()
    bare, turbo = (Encoder(kind, width, height, planar(pixel)) for kind in ("bare", "turbo"))
    references, turbos = [], []
    results = {name: [] for name, _, _ in RUNS}
    for _ in range(ROUNDS):
        references.append(bare.run())
        turbos.append(turbo.run())
        node.resume()
        for name, count, unix in RUNS:
            results[name].append(node.subscribe(count, unix))
        node.pause()
    node.resume()
    reference = median(r["cpu_ms"] for r in references)
    line = f"{width}x{height:<5} {pixel:7} {reference:6.2f}"
    line += f" {median(t['cpu_ms'] for t in turbos):6.2f}" if turbos[0] else "      -"
    for name, _, _ in RUNS:
        cpu = median(r["cpu_ms"] for r in results[name])
        limit = LIMITS.get((width, name)) if pixel == "YUV420" else None
        line += f"  {cpu:6.2f} {cpu / reference:5.3f}"
        line += f" (<= {limit:.2f})" if limit else " " * 10
    say(line)
    heap = sum(r["heap_calls"] for runs in results.values() for r in runs)
    detail = {"node": node, "results": results, "heap": heap,
              "bytes": median(r["bytes"] for r in results["tcp 1"]),
              "reference_bytes": median(r["bytes"] for r in references)}
    bare.stop()
    turbo.stop()
    return detail


def details(width, pixel, detail):
    node = detail["node"]
    line = f"{width:4} {pixel:7}"
    for name in ("tcp 1", "tcp 4"):
        runs = detail["results"][name]
        for key in ("encode_p99", "latency_p50", "latency_p99", "beyond_p99"):
            line += f" {median(r[key] for r in runs):6.2f}"
        line += f" {median(r['switches'] for r in runs):5.1f}"
    line += f"  {detail['heap']:4d}"
    line += f"  {detail['bytes']:7.0f} {detail['bytes'] / detail['reference_bytes']:6.3f}"
    node.stop()
    return line


def growth():
    rows = {count: [] for count in (1, 2, 4, 8)}
    turns = []
    for _ in range(ROUNDS):
        node = Node(1920, 1080, count_heap=False)
        for count, runs in rows.items():
            runs.append(node.subscribe(count)["cpu_ms"])
            if count == 4:
                turns.append(1e3 * node.metric('pinhole_loop_turn_worst_seconds{clock="cpu"}'))
        own, libraries = node.anonymous_kib()
        node.stop()
    # A hypervisor that takes the processor away is not seen by the kernel's clock either.
    say(f"worst loop turn in CPU time, 1080p, up to 4 subscribers: {median(turns):.2f} ms (<= 1.00), "
        f"median of {ROUNDS} nodes' worst; {min(turns):.2f} to {max(turns):.2f}")
    say(f"anonymous memory beyond store and pictures: {own:.0f} KiB of the node, {libraries:.0f} KiB "
        "of its libraries (<= 1024 together)")
    one = median(rows[1])
    say("subscribers 1 -> 8 over TCP, 1080p YUV420: " + ", ".join(
        f"{count}: {median(runs):.2f} ms" for count, runs in rows.items()) +
        f"; {(median(rows[8]) - one) / 7:.3f} ms per further subscriber")


def system_calls():
    """Of the whole node, counted by the kernel's tracepoint. Time decides how often the loop looks
    for news while it encodes, so a busy machine has more of them."""
    calls, node = [], Node(1920, 1080, framerate=30, count_heap=False)
    time.sleep(4)  # the store's pages come in the first seconds, by a call each 256 KiB
    for _ in range(ROUNDS):
        counts = f"{folder}/perf"
        done = subprocess.run(["perf", "stat", "-x,", "-o", counts, "-e", "raw_syscalls:sys_enter", "-p",
                               str(node.process.pid), f"{BUILD}/tests/bench/bench_client", node.address,
                               str(node.process.pid), "1", str(WARMUP), str(FRAMES)],
                              check=False, capture_output=True, text=True)
        found = ""
        with contextlib.suppress(OSError), open(counts, encoding="ascii") as lines:
            found = re.search(r"^(\d+),.*sys_enter", lines.read(), re.MULTILINE)
        if done.returncode == 0 and found:
            calls.append((int(found.group(1)) / (WARMUP + FRAMES),
                          json.loads(done.stdout)["cpu_ns"] / FRAMES / 1e6))
    turn = 1e3 * node.metric('pinhole_loop_turn_worst_seconds{clock="cpu"}')
    node.stop()
    if not calls:
        say("system calls: perf cannot count them here (as root, with linux-perf)")
        return
    low, high = min(calls), max(calls)
    say(f"system calls per frame, 1080p, one subscriber: {median(c for c, _ in calls):.1f} (<= 12), "
        f"{low[0]:.1f} to {high[0]:.1f} in {len(calls)} runs, at {low[1]:.2f} to {high[1]:.2f} ms of CPU "
        f"time a frame; longest turn {turn:.2f} ms of CPU time (<= 0.50)")
