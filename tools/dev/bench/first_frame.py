#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From start to the first frame of libcamera's virtual camera: a node and its client beside a program that
does nothing else than to take it, in alternating runs. Run by tools/dev/check-libcamera.sh."""

import subprocess
import time

from common import BUILD, median, ROUNDS, run, say
from latency import first_frame

NODE = ("--camera", "libcamera:Bars0", "--width", "1280", "--height", "720", "--framerate", "60")


def main():
    own, bare = [], []
    for _ in range(ROUNDS):
        own.append(first_frame(NODE))
        begin = time.monotonic()
        subprocess.run([f"{BUILD}/tests/kernel/test_camera_libcamera_recovery", "--first"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        bare.append(1e3 * (time.monotonic() - begin))
    more = [a - b for a, b in zip(own, bare)]
    say(f"from start to the first frame in a client, libcamera: {median(own):.0f} ms, the library alone {median(bare):.0f} ms; "
        f"{median(more):.0f} ms more (<= 30), {min(more):.0f} to {max(more):.0f} in {ROUNDS} pairs")


run(main)
