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
from pinhole_node import Node, run_cases  # noqa: E402
from recording import (MEDIA, Observer, Recorder, Recording, count_lines, has_avformat,  # noqa: E402
                       wait_for)

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
            recorder.stop(0)
            assert status.f_bavail * status.f_frsize > 7 << 20, status
            recording = Recording(f"{folder}/cam").check()
            assert recording.segments[0].serial > 5
            assert not recording.missing
            newest = max(sequence for _, sequence in observer.seen)
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


def test_folder_gone_for_a_while():
    """What a disk that is pulled out does: each write fails, later it works again."""
    with tempfile.TemporaryDirectory() as folder, Node(*NODE) as node:
        observer = Observer(node.address)
        recorder = Recorder(folder, "-s", "1", address_of(node))
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > 20)
        os.rename(f"{folder}/cam", f"{folder}/away")
        recorder.wait_log("No such file or directory; records are dropped")
        seen = len(observer.seen)
        wait_for("the node to go on", lambda: len(observer.seen) > seen + 50)
        os.rename(f"{folder}/away", f"{folder}/cam")
        recorder.wait_log("writing works again")
        written = count_lines(f"{folder}/cam")
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > written + 20)
        recorder.stop(1)
        # The segment that was open could not be completed: the next start does.
        recorder = Recorder(folder, address_of(node))
        recorder.wait_log("connected")
        recorder.stop(0)
        recording = Recording(f"{folder}/cam").check()
        compared, missing = recording.check_against(observer.seen)
        assert compared > 40 and missing > 40, (compared, missing)
        no_gap(observer)


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
