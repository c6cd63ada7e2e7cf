#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The disk: full, read-only, bounded by quota, age and free space. The node must not notice."""

import glob
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from fake_node import JPEG, ScriptedNode  # noqa: E402
from pinhole_node import Node, run_cases, wait_for  # noqa: E402
from recording import (MEDIA, Observer, Recorder, Recording, WallClock, count_lines,  # noqa: E402
                       has_avformat)

FEATURES = 4  # a kind of event
NODE = ("--set", "camera.framerate=100", "--set", "store.memory=16M")


def address_of(node):
    return f"cam=127.0.0.1:{node.address[1]}"


def occupied(folder):
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.path.getsize(os.path.join(place, name))
            except FileNotFoundError:
                pass  # deleted or renamed meanwhile
    return total


class SmallDisk:
    """A tmpfs of its own. Not for others than root: `with` gives None then."""

    def __init__(self, size):
        self.size, self.is_mounted = size, False

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.is_mounted = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", self.folder.name],
            capture_output=True, check=False).returncode == 0
        if not self.is_mounted:
            print("no small disk can be mounted here: this case is left out")
            return None
        return self.folder.name

    def __exit__(self, *_):
        if self.is_mounted:
            subprocess.run(["umount", "-l", self.folder.name], check=True)
        self.folder.cleanup()


def no_gap(observer):
    """The node was unaffected: another client has every frame's sequence without a hole."""
    sequences = sorted(sequence for _, sequence in observer.stop())
    assert len(sequences) > 50
    assert sequences[-1] - sequences[0] + 1 - len(sequences) < 10, "frames are missing"


def test_disk_full_and_free_again():
    with SmallDisk("12M") as folder:
        if folder is None:
            return
        with Node(*NODE) as node:
            observer = Observer(node.address)
            filler = os.path.join(folder, "filler")
            with open(filler, "wb") as file:
                file.write(bytes(8 << 20))
            recorder = Recorder(folder, address_of(node))
            recorder.wait_log("No space left on device")
            assert "--free-bytes" in recorder.log
            written = count_lines(f"{folder}/cam")
            seen = len(observer.seen)
            wait_for("the node to go on", lambda: len(observer.seen) > seen + 100)
            assert count_lines(f"{folder}/cam") == written, "it wrote where there is no room"
            os.unlink(filler)
            recorder.wait_log("writing works again")
            wait_for("new frames", lambda: count_lines(f"{folder}/cam") > written + 50)
            recorder.stop(1)
            recording = Recording(f"{folder}/cam").check()
            lost = [line for line in recording.missing if line["reason"] == "not written"]
            assert lost and lost[0]["last"] - lost[0]["first"] + 1 >= 90, recording.missing
            compared, missing = recording.check_against(observer.seen)
            assert compared > 100 and missing >= 90, (compared, missing)
            no_gap(observer)


def test_disk_full_with_permission_to_delete():
    """--free-bytes that the disk cannot keep by itself: the newest stay, nothing is dropped."""
    with SmallDisk("24M") as folder:
        if folder is None:
            return
        with Node(*NODE) as node:
            observer = Observer(node.address)
            recorder = Recorder(folder, "--free-bytes", "10M", "-b", "1M", address_of(node))
            wait_for("enough for two disks", lambda: len(observer.seen) > 2200, 600)
            status = os.statvfs(folder)
            newest = max(sequence for _, sequence in observer.seen)
            recorder.stop(0)
            assert status.f_bavail * status.f_frsize > 7 << 20, status
            recording = Recording(f"{folder}/cam").check()
            assert recording.segments[0].serial > 5
            assert not recording.missing
            assert newest - recording.frames[-1]["sequence"] < 500
            no_gap(observer)


def test_full_disk_kept_going_by_age_policy():
    """The disk is full before any bound is reached: what may be deleted makes room."""
    with SmallDisk("16M") as folder:
        if folder is None:
            return
        with Node(*NODE) as node:
            recorder = Recorder(folder, "--max-age", "30d", "-b", "1M", address_of(node))
            wait_for("deletions", lambda: not glob.glob(f"{folder}/cam/00000003_*") and
                     glob.glob(f"{folder}/cam/00000020_*"), 600)
            recorder.stop(0)
            Recording(f"{folder}/cam").check()


def test_disk_without_inodes_left():
    """A folder of pictures can use up the inodes long before the blocks."""
    with SmallDisk("64M,nr_inodes=150") as folder:
        if folder is None:
            return
        with Node(*NODE) as node:
            recorder = Recorder(folder, "--max-age", "30d", "-c", "jpeg", "-s", "0.3", address_of(node))
            # A segment that found the disk full before its first picture is taken away again.
            wait_for("deletions", lambda: not glob.glob(f"{folder}/cam/00000002_*") and
                     max(glob.glob(f"{folder}/cam/0*"), default="") > f"{folder}/cam/00000009")
            assert "deleted" in recorder.log and "the disk is full" in recorder.log
            recorder.stop(0)
            assert not Recording(f"{folder}/cam").check().missing


def test_read_only_from_the_start():
    with SmallDisk("1M") as folder:
        if folder is None:
            return
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        with Node(*NODE) as node:
            for place in (folder, f"{folder}/new"):
                recorder = Recorder(place, address_of(node))
                assert recorder.process.wait(60) == 1
                assert "Read-only file system" in recorder.log and folder in recorder.log


def test_folder_gone():
    """A folder that is taken away is made again, and nothing is dropped. What was being written
    goes on where it is."""
    with tempfile.TemporaryDirectory() as folder, Node(*NODE) as node:
        observer = Observer(node.address)
        recorder = Recorder(folder, "-s", "1", address_of(node))
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > 20)
        os.rename(f"{folder}/cam", f"{folder}/away")
        recorder.wait_log("cam was gone and is made again")
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > 50)
        recorder.stop(0)
        assert "dropped until" not in recorder.log and "0 missing, 0 dropped" in recorder.log
        first, second = (Recording(f"{folder}/{name}").check() for name in ("away", "cam"))
        assert second.frames[0]["sequence"] == first.frames[-1]["sequence"] + 1
        assert second.segments[0].serial > first.segments[-1].serial
        compared, missing = second.check_against(observer.seen)
        assert compared > 40 and missing == 0, (compared, missing)
        no_gap(observer)


def test_all_folders_gone():
    """The output folder itself, with its lock."""
    with tempfile.TemporaryDirectory() as place, Node(*NODE) as node:
        folder = f"{place}/recordings"
        recorder = Recorder(folder, "-s", "1", address_of(node))
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > 20)
        os.rename(folder, f"{place}/away")
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > 50)
        assert os.path.exists(f"{folder}/.pinhole-rec.lock")
        assert "recordings was gone and is made again" in recorder.log
        recorder.stop(0)
        first, second = (Recording(f"{place}/{name}/cam").check() for name in ("away", "recordings"))
        assert second.frames[0]["sequence"] == first.frames[-1]["sequence"] + 1


def test_another_folder_under_the_name():
    """A share that is mounted after the start: numbers go on after the highest in it."""
    with tempfile.TemporaryDirectory() as folder, Node(*NODE) as node:
        recorder = Recorder(folder, "-s", "1", address_of(node))
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > 20)
        os.mkdir(f"{folder}/.other")
        with open(f"{folder}/.other/00000041_20200101T000000Z.mkv", "w", encoding="utf-8") as file:
            file.write("what another program has put here")
        os.rename(f"{folder}/cam", f"{folder}/.before")
        os.rename(f"{folder}/.other", f"{folder}/cam")
        recorder.wait_log("is another folder now; the next segment is number 42")
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > 20)
        recorder.stop(0)
        assert Recording(f"{folder}/cam").check().segments[0].serial == 42


def test_require_mount():
    """Without the disk nothing is written to the place where it belongs."""
    with SmallDisk("64M") as folder:
        if folder is None:
            return
        with Node(*NODE) as node:
            recorder = Recorder(f"{folder}/sub", "--require-mount", address_of(node))
            assert recorder.process.wait(60) == 1
            assert "is not a mount point now (--require-mount)" in recorder.log
            recorder = Recorder(folder, "--require-mount", "-s", "0.5", address_of(node))
            wait_for("frames", lambda: count_lines(f"{folder}/cam") > 20)
            subprocess.run(["umount", "-l", folder], check=True)
            recorder.wait_log("is not a mount point now")
            recorder.wait_log("records are dropped")
            assert not os.listdir(folder)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", folder], check=True)
            recorder.wait_log("writing works again")
            wait_for("frames", lambda: count_lines(f"{folder}/cam") > 20)
            recorder.stop(1)
            Recording(f"{folder}/cam").check()


def test_numbers_go_on_after_any_file():
    """Nothing that somebody else has written is replaced, whatever it is."""
    with tempfile.TemporaryDirectory() as folder, Node(*NODE) as node:
        os.makedirs(f"{folder}/cam/00000009_x")
        for name in ("00000007_x.mkv", "00000009_x/note"):
            with open(f"{folder}/cam/{name}", "w", encoding="utf-8") as file:
                file.write(name)
        recorder = Recorder(folder, "-c", "jpeg", address_of(node))
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > 20)
        recorder.stop(0)
        assert [s.serial for s in Recording(f"{folder}/cam").segments] == [10]
        for name in ("00000007_x.mkv", "00000009_x/note"):
            with open(f"{folder}/cam/{name}", encoding="utf-8") as file:
                assert file.read() == name


def age(folder, environment, *arguments, node):
    return Recorder(folder, "--max-age", "30d", "-s", "0.5", *arguments, address_of(node),
                    environment=environment)


def test_age_when_the_wall_clock_steps_forward():
    """A machine without a clock chip starts 40 days behind; then the time comes from the network.
    Neither what this run nor what the one before has written is older for that."""
    with tempfile.TemporaryDirectory() as folder, Node(*NODE) as node:
        clock = WallClock(days=-40, is_synchronized=False)
        recorder = age(folder, clock.environment, node=node)
        wait_for("segments", lambda: glob.glob(f"{folder}/cam/00000003_*.jsonl"))
        recorder.stop(0)
        recorder = age(folder, clock.environment, node=node)
        wait_for("segments", lambda: glob.glob(f"{folder}/cam/00000006_*.jsonl"))
        clock.set(0, True)
        recorder.wait_log("the wall clock was set by +3456000.0 s")
        wait_for("segments", lambda: glob.glob(f"{folder}/cam/00000009_*.jsonl"))
        recorder.stop(0)
        assert "deleted" not in recorder.log
        assert Recording(f"{folder}/cam").check().segments[0].serial == 1


def test_age_when_the_wall_clock_steps_back():
    """What was written in the future is not kept until the clock has caught up."""
    with tempfile.TemporaryDirectory() as folder, Node(*NODE) as node:
        clock = WallClock(days=40)
        recorder = Recorder(folder, "--max-age", "3s", "-s", "0.5", address_of(node),
                            environment=clock.environment)
        wait_for("segments", lambda: glob.glob(f"{folder}/cam/00000002_*.jsonl"))
        clock.set(0, True)
        recorder.wait_log("the wall clock was set by -3456000.0 s")
        recorder.wait_log("cam/00000001_")
        assert "older than --max-age" in recorder.log
        recorder.stop(0)


def test_age_of_earlier_runs():
    """By the wall clock while it can be trusted; else the time that this run has seen."""
    with tempfile.TemporaryDirectory() as folder, Node(*NODE) as node:
        clock = WallClock()
        recorder = age(folder, clock.environment, node=node)
        wait_for("segments", lambda: glob.glob(f"{folder}/cam/00000002_*.jsonl"))
        recorder.stop(0)
        clock.set(40, False)
        recorder = age(folder, clock.environment, "-s", "60", node=node)
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > 60)
        assert "deleted" not in recorder.log
        clock.set(40, True)
        recorder.wait_log("cam/00000001_")
        assert "older than --max-age" in recorder.log
        recorder.stop(0)


def test_quota_holds_for_events():
    """A node that sends nothing but long events fills no disk."""
    def talk(node, send, *_):
        for sequence in range(1, 4001):
            send(node.event(FEATURES, sequence, text=b"x" * 4000))

    with tempfile.TemporaryDirectory() as folder, ScriptedNode(talk) as node:
        recorder = Recorder(folder, "--quota-bytes", "1M", f"cam={node.address}")
        recorder.wait_log("over --quota-bytes")
        most = 0
        while not any(f'"sequence":{4000},' in line for path in
                      glob.glob(f"{folder}/cam/*.jsonl.part") for line in read_lines(path)):
            most = max(most, blocks(folder))
            assert recorder.process.poll() is None
        recorder.stop(0)
        assert most <= 1 << 20, most


def test_quota_counts_blocks():
    """Small pictures take a block each on the disk."""
    def small(node, send, *_):
        for sequence in range(1, 3001):
            send(node.frame(sequence))

    with tempfile.TemporaryDirectory() as folder, ScriptedNode(small) as node:
        recorder = Recorder(folder, "-c", "jpeg", "-q", "4M", f"cam={node.address}")
        most = 0
        while not any('"sequence":3000,' in line for path in
                      glob.glob(f"{folder}/cam/*.jsonl.part") for line in read_lines(path)):
            most = max(most, blocks(folder))
            assert recorder.process.poll() is None
        recorder.stop(0)
        assert 1 << 20 < most <= 4 << 20, most


def blocks(folder):
    """Bytes on the disk, as du counts them."""
    total = 0
    for place, folders, names in os.walk(folder):
        for name in folders + names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def read_lines(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.readlines()[-1:]
    except FileNotFoundError:
        return []


def test_shape_that_changes_with_each_frame():
    """Not a segment for each, with its fsync: some at once, then one a second. No frame is lost."""
    other = JPEG.replace(bytes.fromhex("ffc0001108001000200301"), bytes.fromhex("ffc0001108001000180301"))
    assert other != JPEG and len(other) == len(JPEG)

    def flip(node, send, *_):
        for sequence in range(1, 601):
            send(node.frame(sequence, JPEG if sequence % 2 else other))

    with tempfile.TemporaryDirectory() as folder, ScriptedNode(flip) as node:
        recorder = Recorder(folder, f"cam={node.address}")
        wait_for("all frames", lambda: count_lines(f"{folder}/cam") == 600)
        recorder.stop(0)
        recording = Recording(f"{folder}/cam").check(probe=False)
        assert 8 <= len(recording.segments) < 40, len(recording.segments)


def test_quota():
    """Never more than the quota on the disk, the newest stay, the sidecars stay whole."""
    quota = 4 << 20
    for container in MEDIA if has_avformat() else ("jpeg",):
        with tempfile.TemporaryDirectory() as folder, Node(*NODE) as node:
            recorder = Recorder(folder, "-c", container, "--quota-bytes", str(quota),
                                address_of(node))
            most = 0
            while not glob.glob(f"{folder}/cam/00000012_*"):
                most = max(most, occupied(folder))
                assert recorder.process.poll() is None
                time.sleep(0.01)
            recorder.stop(0)
            most = max(most, occupied(folder))
            recording = Recording(f"{folder}/cam").check()
            assert quota // 3 < most <= quota, (container, most)
            assert recording.segments[0].serial > 4, container
            assert recording.segments[-1].serial >= 12
            assert not recording.missing


def test_quota_over_cameras_and_age():
    with tempfile.TemporaryDirectory() as folder, Node(*NODE) as one, Node(*NODE) as two:
        # What an earlier recording left counts, and is the oldest.
        recorder = Recorder(folder, "-b", "200K", f"old=127.0.0.1:{one.address[1]}")
        wait_for("old segments", lambda: glob.glob(f"{folder}/old/00000004_*.mkv") or
                 glob.glob(f"{folder}/old/00000004_*Z"))
        recorder.stop(0)
        recorder = Recorder(folder, "-q", "6M", f"a=127.0.0.1:{one.address[1]}",
                            f"b=127.0.0.1:{two.address[1]}")
        wait_for("both going round", lambda: all(
            glob.glob(f"{folder}/{name}/00000006_*") and
            not glob.glob(f"{folder}/{name}/00000001_*") for name in "ab"))
        recorder.stop(0)
        for name in "ab":
            Recording(f"{folder}/{name}").check()
        old = Recording(f"{folder}/old").check()
        assert len(old.segments) == 1, "only the one that says where to go on stays"
        recorder = Recorder(folder, "--max-age", "2s", f"a=127.0.0.1:{one.address[1]}")
        wait_for("the old to go", lambda: not os.listdir(f"{folder}/old") and
                 not os.listdir(f"{folder}/b"))
        recorder.wait_log("connected")
        recorder.stop(0, 4)


if __name__ == "__main__":
    run_cases({name: case for name, case in globals().items()
               if not sys.argv[1:] or name in sys.argv[1:]})
