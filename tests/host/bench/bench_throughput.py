#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One client against a node that passes JPEG files through as fast as it can, over loopback, beside
a plain send/recv pair in the same run. `make bench` runs it; SECONDS_EACH and ROUNDS change it."""

import os
import random
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from pinhole_node import Node  # pylint: disable=wrong-import-position  # noqa: E402

BUILD = os.environ.get("BUILD", "build/release")
SECONDS = float(os.environ.get("SECONDS_EACH", "4"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
WIDTH, HEIGHT, FILES = 1920, 1080, 4
BENCH = f"{BUILD}/tests/bench/bench_throughput"


def make_files(folder):
    """Noise at a high quality: large files. Returns their mean size."""
    total = 0
    for number in range(FILES):
        noise = random.Random(number).randbytes(3 * WIDTH * HEIGHT)
        jpeg = subprocess.run(["cjpeg", "-quality", "90"], stdout=subprocess.PIPE, check=True,
                              input=f"P6 {WIDTH} {HEIGHT} 255\n".encode() + noise).stdout
        total += len(jpeg)
        with open(os.path.join(folder, f"{number}.jpg"), "wb") as file:
            file.write(jpeg)
    return total // FILES


def measure(*arguments):
    line = subprocess.run([BENCH, *arguments, str(SECONDS)], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    return [float(word) for word in line.split()]


def node_cpu_s(node):
    with open(f"/proc/{node.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    with tempfile.TemporaryDirectory() as folder:
        size = make_files(folder)
        pairs, nodes = [], []
        with Node("--format", "MJPEG", "--framerate", "1000", "--set", "jpeg.frame_bytes_max=8M",
                  "--set", "store.memory=512M", camera=f"replay:{folder}", small=False) as node:
            address = f"127.0.0.1:{node.address[1]}"
            for _ in range(ROUNDS):
                pairs.append(measure("pair", str(size)))
                before = node_cpu_s(node)
                nodes.append(measure("node", address) + [node_cpu_s(node) - before])
    pair = statistics.median(row[0] for row in pairs)
    rate = statistics.median(row[0] for row in nodes)
    goal = min(1e9, 0.8 * pair)
    print(f"Throughput: frames of {size} bytes, {ROUNDS} rounds of {SECONDS:g} s, medians")
    print(f"  plain send/recv pair  {pair / 1e6:8.0f} MB/s")
    print(f"  node to one client    {rate / 1e6:8.0f} MB/s  "
          f"({statistics.median(row[1] for row in nodes):.0f} frames/s, "
          f"CPU s: node {statistics.median(row[4] for row in nodes):.2f}, "
          f"client {statistics.median(row[3] for row in nodes):.2f})")
    print(f"  the lesser of 1000 MB/s and 0.8 of the pair: {goal / 1e6:.0f} MB/s, "
          f"{'reached' if rate >= goal else 'NOT REACHED'}")


if __name__ == "__main__":
    main()
