# SPDX-License-Identifier: MIT
"""What all parts of `make bench` share: their settings, output, photographs, and the processes that
end with it. Nothing is asserted: the limits that the project holds itself to stand beside the
figures.

Environment: BUILD, QUICK=1 (1080p alone), ROUNDS (default 5), FRAMES per run (default 100, a
multiple of 50)."""

import contextlib
import glob
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile

BUILD = os.environ.get("BUILD", "build/release")
QUICK = bool(os.environ.get("QUICK"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
FRAMES = int(os.environ.get("FRAMES", "100"))
FRAMERATE, QUALITY, WARMUP = 60, 80, 10
EACH = 10  # frames per photograph
FORMATS = ("YUV420", "NV12", "YUYV", "GREY")
SIZES = [(1920, 1080)] if QUICK else [(640, 480), (1280, 720), (1920, 1080)]
STORE_BYTES = 64 << 20
# The replay camera pans by 2 samples a frame, to and fro: with this room it is back where it was
# after 50 frames, which is once through five photographs of 10 frames. So any 50 frames in a row
# are the same 50 pictures, at any time and for any reader.
ROOM, ROUND = 50, 50
WALLPAPERS = ("picosdeeuropa", "friends", "life", "Dragonfly", "seeding")
folder = tempfile.mkdtemp(prefix="pinhole-bench-")
started = []  # whatever ends this, they end too


def say(text=""):
    print(text, flush=True)


def median(values):
    return statistics.median(values)


def crop(source, target, width, height, offset):
    with open(target, "wb") as out:
        subprocess.run(["jpegtran", "-crop", f"{width}x{height}+{offset}+{offset}", source],
                       stdout=out, stderr=subprocess.DEVNULL, check=False)
    if not os.path.getsize(target):
        os.remove(target)


def make_photographs():
    """Five photographs for each size, cropped without decoding: Kodak's for the smallest where
    they are present, else wallpapers."""
    kodak = sorted(glob.glob(os.environ.get("PINHOLE_PHOTOS", "") + "/*.jpg"))
    for width, height in SIZES:
        os.makedirs(photographs(width))
        if width == 640 and len(kodak) >= 5:
            for path in kodak[2:7]:
                crop(path, f"{photographs(width)}/{os.path.basename(path)}", width + ROOM,
                     height + 10, 0)
        else:
            for name in WALLPAPERS:
                for path in glob.glob(f"/usr/share/backgrounds/{name}_*.jpg"):
                    crop(path, f"{photographs(width)}/{name}.jpg", width + ROOM, height + ROOM, 64)
        if len(os.listdir(photographs(width))) != 5:
            sys.exit("bench: five photographs are needed: install lomiri-wallpapers-16.04 and "
                     "libjpeg-turbo-progs")


def photographs(width):
    return f"{folder}/{width}"


def can_be_first():
    return subprocess.run(["chrt", "-f", "10", "true"], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0


def process_cpu_ns(pid):
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as schedstat:
            total += int(schedstat.read().split()[0])
    return total


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(what):
    try:
        what()
    finally:
        for one in started:
            one.kill()
        shutil.rmtree(folder, ignore_errors=True)
