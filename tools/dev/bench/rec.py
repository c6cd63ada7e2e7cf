# SPDX-License-Identifier: MIT
"""What recording takes: the recorder beside ffmpeg, which copies the gateway's stream of the same frames
into the same container, and beside a bare loop that writes them to a file."""

import glob
import re
import shutil
import subprocess
import sys
import time

from common import BUILD, folder, median, process_cpu_ns, ROUNDS, say, started
from node import Node
from web import Gateway, spread

FRAMES = 100


def lines_written():
    total = 0
    for path in glob.glob(f"{folder}/recordings/*/*.jsonl.part"):
        with open(path, "rb") as file:
            total += file.read().count(b'"type":"frame"')
    return total


def frames_copied():
    with open(f"{folder}/progress", encoding="ascii") as file:
        found = re.findall(r"^frame=(\d+)", file.read(), re.MULTILINE)
    return int(found[-1]) if found else 0


class Forwarded:
    """Frames that the bare loop has written."""

    def __init__(self):
        self.path, self.frames = f"{folder}/bare", 0
        with open(self.path, "wb"):
            pass
        self.file = open(self.path, "rb")

    def __call__(self):
        self.frames += self.file.read().count(b"--frame\r\n")
        return self.frames


def measure(command, count):
    """CPU ms per frame, by the frames that count() sees written."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    started.append(process)
    at = []
    for frames in (20, 20 + FRAMES):
        while (written := count()) < frames:
            if process.poll() is not None:
                sys.exit(f"bench: {command[0]} ended with status {process.returncode}")
            time.sleep(0.01)
        at.append((written, process_cpu_ns(process.pid)))
    process.terminate()
    process.wait(timeout=60)
    (first, before), (last, after) = at
    return (after - before) / 1e6 / (last - first)


def recorder():
    ffmpeg = shutil.which("ffmpeg")
    say(f"\nrecorder, CPU ms per frame to Matroska, 1080p YUV420 at 30 frames/s, {ROUNDS} alternating runs of {FRAMES} "
        "frames; bare: a loop that reads each frame and writes it to a file; only the recorder syncs" +
        ("" if ffmpeg else "; ffmpeg is not installed: make bench PEERS=1"))
    node = Node(1920, 1080, framerate=30, count_heap=False)
    web = Gateway(node, f"{BUILD}/pinhole-web")
    own, theirs, bare = [], [], []
    for _ in range(ROUNDS):
        shutil.rmtree(f"{folder}/recordings", ignore_errors=True)
        own.append(measure([f"{BUILD}/pinhole-rec", "--quiet", "--segment-seconds", "0", "-o",
                            f"{folder}/recordings", f"bench={node.address}"], lines_written))
        bare.append(measure([f"{BUILD}/tests/bench/bench_forward", node.address, f"{folder}/bare"], Forwarded()))
        if ffmpeg:
            with open(f"{folder}/progress", "w", encoding="ascii"):
                pass
            theirs.append(measure(
                [ffmpeg, "-y", "-nostdin", "-loglevel", "error", "-progress", f"{folder}/progress",
                 "-stats_period", "0.1", "-f", "mpjpeg", "-use_wallclock_as_timestamps", "1", "-i",
                 f"http://127.0.0.1:{web.port}/stream", "-c", "copy", "-f", "matroska",
                 f"{folder}/copy.mkv"], frames_copied))
    web.stop()
    node.stop()
    line = f"pinhole-rec {spread(own)}, bare {spread(bare)}: {median(own) / median(bare):.2f}"
    if theirs:
        ratios = [a / b for a, b in zip(own, theirs)]
        line += (f", ffmpeg -c copy {spread(theirs)}; ratio of medians {median(own) / median(theirs):.2f} (<= 0.50), "
                 f"of pairs {min(ratios):.2f} to {max(ratios):.2f}")
    say(line)
