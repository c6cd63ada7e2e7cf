#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinhole-rec find: by camera, time and trigger, from an index that sidecars fill."""

import glob
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
import disk  # noqa: E402
from fake_node import JPEG, JPEG_GREY, ScriptedNode  # noqa: E402
from pinhole_node import BUILD, run_cases, wait_for  # noqa: E402
from recording import (FFPROBE, Recorder, Recording, can_find, count_lines, has_avformat,  # noqa: E402
                       nanoseconds)
from test_rec_disk import SmallDisk  # noqa: E402

INDEX = ".pinhole-rec.index"
FIRST_NS = 1795818722219731852


def find_and_say(*arguments, code=0, environment=None):
    """What it prints, by lines, and what it says."""
    done = subprocess.run([f"{BUILD}/pinhole-rec", "find", *map(str, arguments)],
                          capture_output=True, text=True, check=False,
                          env=os.environ | (environment or {}))
    assert done.returncode == code, done
    return done.stdout.splitlines(), done.stderr


def find(*arguments, code=0):
    return find_and_say(*arguments, code=code)[0]


def picture(sequence, jpeg=JPEG):
    return jpeg + sequence.to_bytes(8, "big")


def record(folder, camera, first, last, *arguments, jpeg=JPEG):
    """Frames of which every third answers a trigger, in a recording that is complete."""
    before = count_lines(f"{folder}/{camera}")

    def script(node, send, _boot_id, _start):
        for sequence in range(first, last + 1):
            send(node.frame(sequence, picture(sequence, jpeg), sequence if sequence % 3 == 0 else 0))
    with ScriptedNode(script, sequence_next=last + 1,
                      realtime_ns=lambda sequence: FIRST_NS + sequence * sequence * 33333333) as node:
        recorder = Recorder(folder, *arguments, f"{camera}={node.address}")
        wait_for("all frames", lambda: count_lines(f"{folder}/{camera}") ==
                 before + last - first + 1)
        recorder.stop(0, 4)


def test_find():
    containers = ("matroska", "mp4", "jpeg") if has_avformat() else ("jpeg",)
    for container in containers:
        with tempfile.TemporaryDirectory() as folder:
            record(folder, "gate", 1, 10, "-c", container)
            record(folder, "line 1.5", 1, 10, "-c", container)
            assert len(find(folder)) == 20
            frames = Recording(f"{folder}/gate").frames
            # The file, offset and bytes are the picture.
            lines = find("--camera", "gate", "--trigger", 6, folder)
            assert len(lines) == 1, lines
            path, offset, size, when, trigger = lines[0].split("\t")
            with open(path, "rb") as file:
                file.seek(int(offset))
                assert file.read(int(size)) == picture(6)
            assert trigger == "6" and when == frames[5]["realtime"], lines
            assert len(find("--trigger", 6, folder)) == 2
            # Both ends of the time are within.
            times = "--from", frames[2]["realtime"], "--to", frames[4]["realtime"]
            hits = [json.loads(line) for line in find("--camera", "gate", *times, "--json", folder)]
            assert [h["sequence"] for h in hits] == [3, 4, 5], hits
            assert hits[0]["trigger_id"] == 3 and "trigger_id" not in hits[1], hits
            assert hits[0]["boot_id"] == frames[0]["boot_id"] and hits[0]["camera"] == "gate"
            find("--camera", "nobody", folder, code=1)
            find("--from", "2100-01-01", folder, code=1)
            assert len(find("--to", "2100-01-01T00:00", folder)) == 20
            # The pictures as files; one that is damaged is not one of them.
            find("--camera", "line 1.5", "--export", f"{folder}/out", folder)
            found = sorted(glob.glob(f"{folder}/out/line 1.5_*Z_*.jpg"))
            assert len(found) == 10, found
            for name in found:
                with open(name, "rb") as file:
                    assert file.read() == picture(int(name[:-4].rsplit("_", 1)[1]))
            with open(path, "r+b") as file:
                file.seek(int(offset) + 30)
                file.write(b"\0\1\2\3")
            find("--camera", "gate", "--trigger", 6, "--export", f"{folder}/out", folder, code=1)


def packets(path):
    """Time in seconds and digest of each picture of a film."""
    done = subprocess.run([FFPROBE, "-v", "error", "-show_data_hash", "md5", "-show_entries",
                           "packet=pts_time,data_hash", "-of", "json", path],
                          capture_output=True, text=True, check=True)
    return [(float(p["pts_time"]), p["data_hash"].removeprefix("MD5:").lower())
            for p in json.loads(done.stdout)["packets"]]


def check_film(path, frames, pictures):
    """The film has these pictures, byte for byte, at the times of the sidecar's frames."""
    found = packets(path)
    assert [digest for _, digest in found] == \
        [hashlib.md5(p).hexdigest() for p in pictures], (path, found)
    times = [nanoseconds(frame["realtime"]) for frame in frames]
    for (second, _), time_ns in zip(found, times):
        # Matroska counts milliseconds.
        assert abs(second - (time_ns - times[0]) / 1e9) <= 0.000501, (path, found, times)


def test_films():
    """--container: the pictures of a camera in one file, of whatever files they are."""
    if FFPROBE is None or not has_avformat():
        print("without ffprobe or libavformat: this case is left out")
        return
    for recorded, container, suffix in (("jpeg", "matroska", "mkv"), ("matroska", "mp4", "mp4")):
        with tempfile.TemporaryDirectory() as folder:
            record(folder, "gate", 1, 6, "-c", recorded)
            record(folder, "line 1.5", 1, 4, "-c", recorded)
            record(folder, "gate", 7, 10, "-c", recorded)
            record(folder, "gate", 11, 12, "-c", recorded, jpeg=JPEG_GREY)
            export = "--export", f"{folder}/out", "--container", container
            assert len(find(*export, folder)) == 16
            films = sorted(os.listdir(f"{folder}/out"))
            assert [name.rsplit("_", 1)[1] for name in films] == \
                [f"1.{suffix}", f"11.{suffix}", f"1.{suffix}"], films
            frames = Recording(f"{folder}/gate").frames
            first, grey = sorted((n for n in films if n.startswith("gate")), key=len)
            check_film(f"{folder}/out/{first}", frames[:10], [picture(n) for n in range(1, 11)])
            check_film(f"{folder}/out/{grey}", frames[10:],
                       [picture(n, JPEG_GREY) for n in (11, 12)])
            # A part of them, over the file of before; a damaged picture is not in it.
            with open(find("--trigger", 3, "--camera", "gate", folder)[0].split("\t")[0],
                      "r+b") as file:
                data = file.read()
                file.seek(data.index(picture(3)) + 30)
                file.write(b"\0\1\2\3")
            find("--camera", "gate", "--to", frames[4]["realtime"], *export, folder, code=1)
            check_film(f"{folder}/out/{first}", [f for f in frames[:5] if f["sequence"] != 3],
                       [picture(n) for n in (1, 2, 4, 5)])
            assert not glob.glob(f"{folder}/out/*.part")
    find("--container", "gif", ".", code=2)


def test_index_follows_the_folder():
    with tempfile.TemporaryDirectory() as folder:
        record(folder, "gate", 1, 5, "-c", "jpeg")
        assert len(find(folder)) == 5 and os.path.exists(f"{folder}/{INDEX}")
        record(folder, "gate", 6, 10, "-c", "jpeg")
        assert len(find(folder)) == 10
        first = Recording(f"{folder}/gate").segments[0]
        shutil.rmtree(first.media)
        os.unlink(first.stem + ".jsonl")
        assert len(find(folder)) == 5
        # Deleted, damaged, of another version: made again.
        os.unlink(f"{folder}/{INDEX}")
        assert len(find(folder)) == 5
        with open(f"{folder}/{INDEX}", "wb") as file:
            file.write(b"no database, and long enough for one" * 100)
        assert len(find(folder)) == 5
        os.unlink(f"{folder}/{INDEX}")
        subprocess.run([sys.executable, "-c", "import sqlite3, sys; "
                        "sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 99')",
                        f"{folder}/{INDEX}"], check=True)
        assert len(find(folder)) == 5
        assert len(find(f"{folder}/gate")) == 5  # a camera's folder
        # A sidecar that names files elsewhere.
        sidecar = Recording(f"{folder}/gate").segments[0].stem + ".jsonl"
        with open(sidecar, encoding="utf-8") as file:
            text = file.read()
        with open(sidecar, "w", encoding="utf-8") as file:
            file.write(text.replace('"media":"', '"media":"../'))
        os.unlink(f"{folder}/{INDEX}")
        find(folder, code=1)


def test_sidecar_that_cannot_be_read():
    with tempfile.TemporaryDirectory() as folder:
        record(folder, "gate", 1, 5, "-c", "jpeg")
        record(folder, "gate", 6, 10, "-c", "jpeg")
        sidecar = Recording(f"{folder}/gate").segments[0].stem + ".jsonl"
        os.rename(sidecar, f"{folder}/kept")
        os.mkdir(sidecar)  # it opens, and read() fails
        for _ in range(2):
            lines, said = find_and_say(folder, code=1)
            assert len(lines) == 5 and f"{sidecar}: cannot be read: Is a directory" in said, said
        os.rmdir(sidecar)
        os.rename(f"{folder}/kept", sidecar)
        lines, said = find_and_say(folder)
        assert len(lines) == 10 and said == "", said


def test_damaged_lines():
    """The pictures of all other lines are found, as often as one looks."""
    with tempfile.TemporaryDirectory() as folder:
        record(folder, "gate", 1, 10, "-c", "jpeg")
        sidecar = Recording(f"{folder}/gate").segments[0].stem + ".jsonl"
        with open(sidecar, "rb") as file:
            good = file.read().splitlines(True)
        frames = [i for i, line in enumerate(good) if b'"type":"frame"' in line]

        def look(lines, count, first):
            with open(sidecar, "wb") as file:
                file.writelines(lines)
            if os.path.exists(f"{folder}/{INDEX}"):
                os.unlink(f"{folder}/{INDEX}")
            for _ in range(2):
                found, said = find_and_say(folder, code=1)
                assert f"{sidecar}: damaged lines: {count}, the first is line {first}\n" in said, said
            return len(found)

        zeros = list(good)
        zeros[frames[4]] = bytes(len(good[frames[4]]) - 1) + b"\n"
        assert look(zeros, 1, frames[4] + 1) == 9
        zeros[frames[7]] = b"\n"
        zeros[frames[8]] = b"x" * (300 << 10) + b"\n"  # longer than any line
        assert look(zeros, 3, frames[4] + 1) == 7
        assert look(good[:-1] + [good[-1][:20]], 1, len(good)) == 10
        with open(sidecar, "wb") as file:
            file.writelines(good)
        lines, said = find_and_say(folder)
        assert len(lines) == 10 and said == "", said


def test_full_disk():
    with tempfile.TemporaryDirectory() as recorded, SmallDisk("2M") as folder:
        if folder is None:
            return
        record(recorded, "gate", 1, 5, "-c", "jpeg")
        record(recorded, "belt", 1, 5, "-c", "jpeg")

        def look_while_full(count):
            with open(f"{folder}/filler", "wb") as file:
                status = os.statvfs(folder)
                os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize)
            lines, said = find_and_say(folder)
            assert len(lines) == count, (lines, said)
            assert f"{folder}/{INDEX} cannot be used: " in said and "full" in said, said
            assert "made again" not in said, said
            os.unlink(f"{folder}/filler")
            lines, said = find_and_say(folder)
            assert len(lines) == count and said == "", (lines, said)

        shutil.copytree(f"{recorded}/gate", f"{folder}/gate")
        look_while_full(5)  # without an index
        shutil.copytree(f"{recorded}/belt", f"{folder}/belt")
        look_while_full(10)  # with one


def test_disk_that_fails_at_each_step():
    # In memory, where syncs take no time.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder, tempfile.NamedTemporaryFile() as trace:
        record(folder, "gate", 1, 5, "-c", "jpeg")
        find(folder)
        shutil.copy(f"{folder}/{INDEX}", f"{folder}/kept")
        record(folder, "gate", 6, 10, "-c", "jpeg")
        sentences = ""
        find_and_say(folder, environment=disk.environment(folder, trace=trace.name))
        kinds = [what for what, *_ in disk.read_steps(trace.name)]
        # Of writes in a row the first one.
        steps = [n for n, what in enumerate(kinds) if n == 0 or what != kinds[n - 1]]
        assert len(steps) > 4, kinds
        for fail in ((step + 1, how) for step in steps for how in ("ENOSPC", "EIO")):
            for name in glob.glob(f"{folder}/{INDEX}*"):
                os.unlink(name)
            shutil.copy(f"{folder}/kept", f"{folder}/{INDEX}")
            lines, said = find_and_say(folder, environment=disk.environment(folder, fail=fail))
            assert len(lines) == 10 and "made again" not in said, (fail, lines, said)
            sentences += said
            assert len(find(folder)) == 10, fail
        assert "all sidecars are read" in sentences, sentences


def test_index_in_use():
    """Another process has the lock for longer than one waits."""
    patience = {"LD_PRELOAD": os.path.abspath(f"{BUILD}/tests/no_sleep.so"),
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
    with tempfile.TemporaryDirectory() as folder:
        record(folder, "gate", 1, 5, "-c", "jpeg")
        find(folder)
        before = os.stat(f"{folder}/{INDEX}").st_ino
        record(folder, "gate", 6, 10, "-c", "jpeg")
        for lock in (("BEGIN EXCLUSIVE",), ("BEGIN", "SELECT * FROM segment")):
            other = sqlite3.connect(f"{folder}/{INDEX}", isolation_level=None)
            for statement in lock:
                other.execute(statement).fetchone()
            lines, said = find_and_say(folder, environment=patience)
            assert len(lines) == 10, (lines, said)
            assert f"{folder}/{INDEX} is in use by another `find`" in said, said
            assert "made again" not in said, said
            other.close()
            assert os.stat(f"{folder}/{INDEX}").st_ino == before
        assert len(find(folder)) == 10


def test_wrong_use():
    for arguments in ((), ("--trigger", "x", "."), ("--from", "yesterday", "."), ("--what", ".")):
        find(*arguments, code=2)
    find("/nonexistent", code=1)


if __name__ == "__main__":
    if not can_find():
        print("skipped: this build has no SQLite")
        sys.exit(77)
    run_cases(globals())
