# SPDX-License-Identifier: MIT
"""A camera's own JPEGs go through as they are, except that missing Huffman tables are put in."""

import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from pinhole_node import Node, run_cases  # noqa: E402
import pinhole_wire as wire  # noqa: E402

DHT, APP1, COM, SOS = 0xC4, 0xE1, 0xFE, 0xDA
TABLES_BYTES, BLOCK_BYTES = 420, 16384


def make_photo(seed, width=96, height=64):
    """Soft colours with grain, as a baseline JPEG with the standard's tables."""
    generator = random.Random(seed)
    pixels = bytes((x * 2 + y * channel + seed * 40) % 200 + generator.randrange(40)
                   for y in range(height) for x in range(width) for channel in range(3))
    return subprocess.run(["cjpeg", "-quality", "85"], stdout=subprocess.PIPE, check=True,
                          input=b"P6 %d %d 255\n" % (width, height) + pixels).stdout


def segments(jpeg):
    """(marker, start, end) from behind SOI up to SOS."""
    at = 2
    while True:
        assert jpeg[at] == 0xFF, jpeg[at:at + 4]
        end = at + 2 + int.from_bytes(jpeg[at + 2:at + 4], "big")
        yield jpeg[at + 1], at, end
        if jpeg[at + 1] == SOS:
            return
        at = end


def scan_at(jpeg):
    return next(start for marker, start, _ in segments(jpeg) if marker == SOS)


def without_tables(jpeg):
    for marker, start, end in reversed(list(segments(jpeg))):
        if marker == DHT:
            jpeg = jpeg[:start] + jpeg[end:]
    return jpeg


def tables(jpeg):
    return b"".join(jpeg[start + 4:end] for marker, start, end in segments(jpeg) if marker == DHT)


def with_tables(bare, photo):
    """What is to be delivered for `bare`, made from `photo`."""
    at, inserted = scan_at(bare), tables(photo)
    segment = bytes((0xFF, DHT)) + (2 + len(inserted)).to_bytes(2, "big") + inserted
    assert len(segment) == TABLES_BYTES
    return bare[:at] + segment + bare[at:]


def padded(jpeg, count):
    """Longer by `count` bytes of comments."""
    assert count == 0 or count >= 4
    comments = b""
    while count > 0:
        part = count if count <= 65000 else 60000
        comments += bytes((0xFF, COM)) + (part - 2).to_bytes(2, "big") + b" " * (part - 4)
        count -= part
    return jpeg[:2] + comments + jpeg[2:]


def pixels_of(jpeg):
    done = subprocess.run(["djpeg", "-pnm"], input=jpeg, capture_output=True, check=True)
    assert not done.stderr, done.stderr
    return done.stdout


def play(folder, files, *arguments):
    """A node that passes these files on, each for one frame at a time."""
    for name, data in files.items():
        with open(os.path.join(folder, name + ".jpg"), "wb") as file:
            file.write(data)
    node = Node("--format", "MJPEG", "--framerate", "50", *arguments, camera=f"replay:{folder}",
                small=False)
    with wire.Client(node.address) as client:
        client.set(ReplayFrames=1)
    return node


def delivered(node, count):
    """All different pictures of a node that plays `count` of them."""
    found = set()
    with wire.Client(node.address) as client:
        client.subscribe()
        for _ in range(1000):
            found.add(client.next_frame().data)
            if len(found) == count:
                break
    return found


def test_missing_tables_are_put_in():
    photo = make_photo(1)
    bare = without_tables(photo)
    with tempfile.TemporaryDirectory() as folder, play(folder, {"bare": bare}) as node:
        (got,) = delivered(node, 1)
        assert got == with_tables(bare, photo), (len(got), len(bare))
        assert tables(got) == tables(photo)
        assert pixels_of(got) == pixels_of(photo)


def test_tables_of_its_own_stay():
    photos = {str(seed): make_photo(seed) for seed in range(3)}
    # Tables made for the picture, in the place of the standard's.
    photos["own"] = subprocess.run(["jpegtran", "-optimize"], input=make_photo(3), check=True,
                                   stdout=subprocess.PIPE).stdout
    assert tables(photos["own"]) != tables(photos["0"])
    with tempfile.TemporaryDirectory() as folder, play(folder, photos) as node:
        assert delivered(node, len(photos)) == set(photos.values())


def test_tables_across_blocks():
    photo = make_photo(4)
    bare = without_tables(photo)
    files = {}
    for behind in (0, 1, 200, TABLES_BYTES, TABLES_BYTES + 1):
        for blocks in (1, 5):
            name = f"{blocks}-{behind}"
            files[name] = padded(bare, blocks * BLOCK_BYTES - behind - scan_at(bare))
            assert scan_at(files[name]) == blocks * BLOCK_BYTES - behind
    with tempfile.TemporaryDirectory() as folder, play(folder, files) as node:
        wanted = {with_tables(file, photo) for file in files.values()}
        assert delivered(node, len(files)) == wanted


def test_the_cap_counts_the_tables():
    photo = make_photo(5)
    bare = without_tables(photo)
    room = BLOCK_BYTES - TABLES_BYTES - len(bare)
    fits, exceeds = padded(bare, room), padded(bare, room + 1)
    with tempfile.TemporaryDirectory() as folder, \
            play(folder, {"fits": fits, "exceeds": exceeds},
                 "--set", f"jpeg.frame_bytes_max={BLOCK_BYTES}") as node, \
            wire.Client(node.address) as client:
        client.subscribe()
        for _ in range(3):
            assert client.next_frame().data == with_tables(fits, photo)
            lost = client.event(wire.FRAME_LOST)
            assert "16385 bytes with Huffman tables" in lost.text, lost.text
        assert client.stats()['pinhole_frames_dropped_total{reason="size"}'] >= 3


def test_what_is_not_baseline_is_refused_with_its_reason():
    """The protocol promises baseline JPEG, and small decoders take nothing else."""
    photo = make_photo(6)
    progressive = subprocess.run(["jpegtran", "-progressive"], input=photo, check=True,
                                 stdout=subprocess.PIPE).stdout
    with tempfile.TemporaryDirectory() as folder, \
            play(folder, {"good": photo, "progressive": progressive}) as node, \
            wire.Client(node.address) as client:
        client.subscribe()
        for _ in range(3):
            assert client.next_frame().data == photo
            lost = client.event(wire.FRAME_LOST)
            assert "progressive JPEG (SOF2), baseline is needed" in lost.text, lost.text
        assert client.stats()['pinhole_frames_dropped_total{reason="invalid"}'] >= 3


def test_exif_is_put_in_where_there_is_none():
    photo, bare = make_photo(7), without_tables(make_photo(8))
    with tempfile.TemporaryDirectory() as folder, \
            play(folder, {"photo": photo, "bare": bare}, "--set", "jpeg.exif=yes") as node, \
            wire.Client(node.address) as client:
        client.subscribe()
        pixels = {pixels_of(photo), pixels_of(make_photo(8))}
        for _ in range(4):
            frame = client.next_frame()
            markers = [(marker, start, end) for marker, start, end in segments(frame.data)]
            marker, start, end = markers[0]
            assert marker == APP1 and frame.data[start + 4:start + 10] == b"Exif\0\0"
            unique = b"%016x%016x" % (frame.boot_id, frame.frame_id)
            assert unique in frame.data[start:end], frame.data[start:end]
            assert [entry[0] for entry in markers].count(DHT) >= 1
            assert pixels_of(frame.data) in pixels


def test_the_log_says_which_settings_do_nothing():
    with tempfile.TemporaryDirectory() as folder, \
            play(folder, {"photo": make_photo(9)}, "--quality", "50") as node:
        node.wait_log("only frame_bytes_max and exif apply")


if __name__ == "__main__":
    if not all(map(shutil.which, ("djpeg", "cjpeg", "jpegtran"))):
        print("djpeg, cjpeg and jpegtran (libjpeg-turbo-progs) are not installed")
        sys.exit(77)
    run_cases(globals())
