#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of `make bench ARM=1` (as root): what a 1080p frame costs on 64-bit and 32-bit ARM, beside
libjpeg-turbo's NEON encode of the same planes. Programs are cross-compiled in the root filesystem of
tools/dev/check-arm.sh. They run under qemu-user 7.2 of Debian 12, because later ones in Debian load no
plug-ins. Our plug-in (tests/host/support/preload/qemu_count.c) counts executed instructions, and
cache misses in a model. Two runs of different length are subtracted, so that the start does not
count. libjpeg-turbo on 32 bits is told to use NEON, which it does not find under emulation. The node itself
is counted on arm64 alone: this qemu-arm faults in a 32-bit node with the replay camera, later ones
do not.

Environment: ROUNDS (default 5)."""

import json
import os
import re
import subprocess
import sys

from common import BUILD, make_photographs, median, photographs, QUALITY, ROUNDS, run, say, SIZES
from node import Node

WIDTH, HEIGHT = SIZES[-1]
PIXELS, MCUS = WIDTH * HEIGHT, ((WIDTH + 15) // 16) * ((HEIGHT + 15) // 16)
MACHINES = {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}
# Frames: between the two lie all five photographs, one frame each. The rate is one that an emulated
# encode keeps up with, so that all runs have the same frames.
SHORT, LONG, FRAMERATE = 1, 6, "0.5"
NODE_SHORT, NODE_LONG = 10, 60


class Machine:
    """Runs programs of one machine under the counting emulator."""

    def __init__(self, name, tree, emulator_tree):
        self.name = name
        libraries = ":".join(f"{emulator_tree}{folder}/x86_64-linux-gnu" for folder in ("/lib", "/usr/lib"))
        self.emulator = [f"{emulator_tree}/lib64/ld-linux-x86-64.so.2", "--library-path", libraries,
                         f"{emulator_tree}/usr/bin/{MACHINES[name]}"]
        self.tree = tree

    def version(self):
        return subprocess.run([*self.emulator, "--version"], check=True, capture_output=True,
                              text=True).stdout.splitlines()[0]

    def command(self, program, arguments, caches):
        plugin = f"{BUILD}/tests/qemu_count.so" + (",caches=on" if caches else "")
        return [*self.emulator, "-L", self.tree, "-plugin", plugin, f"build/{self.name}/{program}",
                *arguments]


def counted(text):
    found = re.findall(r"^counted (\d+) (\d+) (\d+)", text, re.MULTILINE)
    if not found:
        sys.exit("bench: the emulator counted nothing:\n" + text[-2000:])
    return [int(number) for number in found[-1]]


def encoder(machine, kind, caches=False):
    """Instructions, first and second level misses of one frame of the encoder alone."""
    totals = []
    for frames in (SHORT, LONG):
        arguments = [kind, photographs(WIDTH), "YUV420", str(WIDTH), str(HEIGHT),
                     FRAMERATE, str(QUALITY)]
        environment = dict(os.environ) | {"BENCH_EACH": "1", "JSIMD_FORCENEON": "1"}
        done = subprocess.run(machine.command("tests/bench/bench_encode", arguments, caches),
                              input=f"{frames}\n", capture_output=True, text=True, check=False,
                              env=environment)
        totals.append(counted(done.stderr))
    return [(more - less) / (LONG - SHORT) for less, more in zip(*totals)]


def node(machine):
    """Instructions of one frame of the whole node, with one subscriber over TCP."""
    totals, ids = [], []
    for frames in (NODE_SHORT, NODE_LONG):
        one = Node(WIDTH, HEIGHT, framerate=2, count_heap=False,
                         program=machine.command("pinhole", [], False))
        result = subprocess.run([f"{BUILD}/tests/bench/bench_client", one.address,
                                 str(one.process.pid), "1", "1", str(frames)], check=True,
                                capture_output=True)
        ids.append(json.loads(result.stdout)["last_id"])
        one.stop()
        totals.append(counted(one.text())[0])
    return (totals[1] - totals[0]) / (ids[1] - ids[0])


def spread(values):
    low, high = min(values) / 1e6, max(values) / 1e6
    return f"{median(values) / 1e6:6.2f} ({low:.2f} to {high:.2f})"


def main():
    tree, emulator_tree = sys.argv[1:3]
    machines = [Machine(name, tree, emulator_tree) for name in MACHINES]
    make_photographs()
    say(f"{machines[0].version()}; a plug-in counts executed instructions")
    say(f"{WIDTH}x{HEIGHT} YUV420, photographs, quality {QUALITY}; million instructions "
              f"per frame, medians of {ROUNDS} alternating runs and their spread")
    say("                encoder alone         libjpeg-turbo's NEON  ratio   node  per pixel   node/bare")
    medians = {}
    for machine in machines:
        own, bare = [], []
        for _ in range(ROUNDS):
            own.append(encoder(machine, "own")[0])
            bare.append(encoder(machine, "bare")[0])
        medians[machine.name] = median(own)
        line = (f"{machine.name:6} {spread(own):>24} {spread(bare):>25}  "
                f"{median(own) / median(bare):.3f}")
        if machine.name == "arm64":
            whole = node(machine)
            line += (f" {whole / 1e6:6.2f}  {whole / PIXELS:9.2f}   "
                     f"{whole / median(bare):.3f}")
        say(line)
    say(f"armhf/arm64 of the encoder: {medians['armhf'] / medians['arm64']:.3f} (<= 1.25); arm64's "
              "ratio <= 0.60, its node <= 13 per pixel")
    say("\ncache lines missed per MCU, arm64: first level 32 KiB with 4 ways, second level 512 KiB "
              "with 16; prefetches are not seen, so their lines count")
    for kind in ("own", "bare"):
        _, first, second = encoder(machines[0], kind, caches=True)
        say(f"{kind:5} {first / MCUS:6.2f} {second / MCUS:6.2f}; the planes alone have "
                  f"{PIXELS * 1.5 / 64 / MCUS:.2f}")


if __name__ == "__main__":
    run(main)
