#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Simulated nodes in a process of their own:  many_nodes.py COUNT BYTES FRAMES_PER_SECOND
Prints their addresses on one line, then serves until its standard input ends."""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from fake_node import FakeNode, padded_jpeg  # noqa: E402


def main():
    count, size, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    threading.stack_size(256 << 10)
    jpeg = padded_jpeg(size)
    nodes = []
    for i in range(count):
        nodes.append(FakeNode(name=b"node%d" % i, jpeg=jpeg, frames_per_second=rate, boot_id=i + 1))
        time.sleep(0.002)
    print(*(node.address for node in nodes), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
