# SPDX-License-Identifier: MIT
"""Instructions per frame, counted by callgrind."""

import json
import re
import subprocess

from common import BUILD, folder, FORMATS, ROUND, say, SIZES
from node import Encoder, Node, planar

CALLGRIND = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.%p")


def collected(text):
    found = re.findall(r"Collected : (\d+)", text)
    return int(found[-1]) if found else None


# Two runs of different length, subtracted: a round through the photographs remains.
LENGTHS = (4, 4 + ROUND)


def encoder_instructions(kind, width, height, layout, framerate):
    totals = []
    for frames in LENGTHS:
        encoder = Encoder(kind, width, height, layout, framerate=framerate, tool=CALLGRIND)
        if encoder.run(frames) is None:
            return None
        encoder.stop()
        with open(encoder.stderr.name, encoding="utf-8") as log:
            totals.append(collected(log.read()))
    return (totals[1] - totals[0]) / ROUND


def node_instructions(width, height, pixel, framerate):
    totals, ids = [], []
    for frames in LENGTHS:
        node = Node(width, height, pixel, framerate=framerate, tool=CALLGRIND, count_heap=False)
        result = subprocess.run([f"{BUILD}/tests/bench/bench_client", node.address,
                                 str(node.process.pid), "1", "1", str(frames)], check=True,
                                capture_output=True)
        ids.append(json.loads(result.stdout)["last_id"])
        node.stop()
        totals.append(collected(node.text()))
    return (totals[1] - totals[0]) / (ids[1] - ids[0])


def instructions():
    say("\nmillion instructions per frame (callgrind), one subscriber over TCP")
    say("size       format    bare  turbo     own  own/bare   node  node/bare")
    for width, height in SIZES:
        framerate = 2 if width == 1920 else 4 if width == 1280 else 8
        references = {}
        for pixel in FORMATS:
            layout = planar(pixel)
            if layout not in references:
                references[layout] = [encoder_instructions(kind, width, height, layout, framerate)
                                      for kind in ("bare", "turbo")]
            bare, turbo = references[layout]
            own = encoder_instructions("own", width, height, pixel, framerate)
            node = node_instructions(width, height, pixel, framerate)
            limit = " (<= 0.56)" if (width, pixel) == (1920, "YUV420") else ""
            say(f"{width}x{height:<5} {pixel:7} {bare / 1e6:6.2f} " +
                (f"{turbo / 1e6:6.2f}" if turbo else "     -") +
                f"  {own / 1e6:6.2f}     {own / bare:.3f} {node / 1e6:6.2f}  {node / bare:.3f}{limit}")
