# SPDX-License-Identifier: MIT
"""Photographs in, frames out: what a client gets resembles the file it came from."""

import math
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from pinhole_node import Node, run_cases  # noqa: E402
import pinhole_wire as wire  # noqa: E402

PHOTOS = os.environ.get("PINHOLE_PHOTOS", "")
PSNR_MIN_DB = 30


def decode(jpeg, *options):
    """Width, height and RGB or grey samples, by libjpeg's own program."""
    done = subprocess.run(["djpeg", "-pnm", *options], input=jpeg, capture_output=True, check=True)
    assert not done.stderr, done.stderr
    _, size, _, samples = done.stdout.split(b"\n", 3)
    width, height = map(int, size.split())
    return width, height, samples


def psnr_db(a, b):
    assert len(a) == len(b)
    error = sum((x - y) ** 2 for x, y in zip(a, b)) / len(a)
    return math.inf if error == 0 else 10 * math.log10(255 ** 2 / error)


def thumbnail(jpeg):
    return decode(jpeg, "-scale", "1/8", "-grayscale")[2]


def make_photo(path, seed, width=256, height=192):
    """Soft hills and some texture, as a JPEG file."""
    generator = random.Random(seed)
    waves = [[(generator.uniform(0.01, 0.09), generator.uniform(0.01, 0.09),
               generator.uniform(0, 6), generator.uniform(15, 40)) for _ in range(4)]
             for _ in range(3)]
    rows = bytearray(f"P6\n{width} {height}\n255\n".encode())
    for y in range(height):
        for x in range(width):
            grain = generator.randrange(-4, 5)
            for channel in waves:
                level = 128 + grain + sum(a * math.sin(fx * x + fy * y + p)
                                          for fx, fy, p, a in channel)
                rows.append(max(0, min(255, int(level))))
    with open(path, "wb") as file:
        subprocess.run(["cjpeg", "-quality", "95"], input=rows, stdout=file, check=True)


def check_resemblance(folder, count):
    """Frames of a folder at quality 80, each compared with the file it shows."""
    sources = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            sources[name] = file.read()
    with Node("--framerate", "20", "--quality", "80", camera=f"replay:{folder}",
              small=False) as node, wire.Client(node.address) as client:
        client.subscribe()
        first = client.next_frame()
        size = (first.width, first.height)
        small = {}
        for name, jpeg in sources.items():
            width, height, samples = decode(jpeg, "-scale", "1/8", "-grayscale")
            if (width, height) == (math.ceil(size[0] / 8), math.ceil(size[1] / 8)):
                small[name] = samples
        found = set()
        while len(found) < min(count, len(small)):
            frame = client.next_frame()
            if frame.quality != 80:
                continue  # the first frames, until the size of this scene is known
            mini = thumbnail(frame.data)
            name = max(small, key=lambda n: psnr_db(mini, small[n]))
            if name in found or psnr_db(mini, small[name]) < PSNR_MIN_DB:
                continue  # another one of another size
            found.add(name)
            width, height, samples = decode(frame.data)
            assert (width, height) == size
            psnr = psnr_db(samples, decode(sources[name])[2])
            print(f"{name}: {psnr:.1f} dB at quality {frame.quality}, {len(frame.data)} bytes")
            assert psnr >= PSNR_MIN_DB, (name, psnr)
        assert len(found) >= min(count, 2), found


def test_photographs_arrive_as_they_are():
    if not os.path.isdir(PHOTOS):
        print(f"no photographs in PINHOLE_PHOTOS={PHOTOS}")
        return
    check_resemblance(PHOTOS, 4)


def test_generated_photographs_arrive_as_they_are():
    with tempfile.TemporaryDirectory() as folder:
        for i in range(3):
            make_photo(f"{folder}/photo{i}.jpg", i)
        check_resemblance(folder, 3)


def test_a_broken_file_is_named_and_skipped():
    with tempfile.TemporaryDirectory() as folder:
        make_photo(f"{folder}/good.jpg", 5)
        with open(f"{folder}/good.jpg", "rb") as file:
            good = file.read()
        with open(f"{folder}/cut-short.jpg", "wb") as file:
            file.write(good[:len(good) // 2])
        with open(f"{folder}/noise.jpg", "wb") as file:
            file.write(random.Random(3).randbytes(5000))
        shutil.copy(f"{folder}/good.jpg", f"{folder}/twin.jpg")
        with Node("--framerate", "30", camera=f"replay:{folder}", small=False) as node:
            with wire.Client(node.address) as client:
                client.subscribe(start=wire.FROM_NEXT)
                for _ in range(6):
                    frame = client.next_frame()
                    assert psnr_db(thumbnail(frame.data), thumbnail(good)) > PSNR_MIN_DB
            for name in ("cut-short.jpg", "noise.jpg"):
                assert name in node.log, node.log
            assert "good.jpg" not in node.log.replace("twin.jpg", ""), node.log


if __name__ == "__main__":
    if not shutil.which("djpeg") or not shutil.which("cjpeg"):
        print("djpeg and cjpeg (libjpeg-turbo-progs) are not installed")
        sys.exit(77)
    run_cases(globals())
