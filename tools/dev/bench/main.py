#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of `make bench` (tools/dev/bench/run.sh prepares): CPU time, instructions, latency, memory and
what peers need for the same frames. Node, subscribers, references and peers are processes of their
own; figures that are compared come from runs that alternate, as medians."""

import os

from common import FORMATS, FRAMERATE, FRAMES, make_photographs, QUALITY, ROUNDS, run, say, SIZES
from cpu import cpu_time, details, growth, RUNS, system_calls
from instructions import instructions
from latency import first_frame_after_start, hand_over, latency, slow_readers
from peers import peers
from rec import recorder
from web import gateway, ustreamer


def main():
    make_photographs()
    say(f"CPU ms per frame and ratio to the bare encode; medians of {ROUNDS} alternating runs of "
        f"{FRAMES} frames, quality {QUALITY}, {FRAMERATE} frames/s, {os.cpu_count()} cores")
    say("bare: libjpeg-turbo's raw-data API on the same photographs, planar (grey for GREY); turbo: "
        "TurboJPEG's API")
    say("size       format    bare  turbo" +
        "".join(f"   {name:6} ratio          " for name, _, _ in RUNS))
    lines = []
    for width, height in SIZES:
        for pixel in FORMATS:
            lines.append(details(width, pixel, cpu_time(width, height, pixel)))
    say("\nms; enc99 is the encode time's p99, `late` latency p99 less each frame's own encode")
    say("            -------- tcp 1 --------------  -------- tcp 4 --------------")
    say("            enc99    p50    p99   late  csw  enc99    p50    p99   late  csw  heap"
        "   bytes  /bare")
    say("\n".join(lines))
    say("csw: context switches per frame; heap: heap calls in all runs (0)")
    say()
    latency()
    growth()
    slow_readers()
    system_calls()
    first_frame_after_start()
    hand_over()
    instructions()
    gateway()
    recorder()
    for width, height in SIZES[-2:]:
        peers(width, height)
        ustreamer(width, height)


if __name__ == "__main__":
    run(main)
