#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recorder, node and link die at random moments: what is missing is what the sidecars say, each
segment is readable, no frame comes twice. PINHOLE_REC_FULL=1: a hundred times each."""

import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from pinhole_node import Node, free_port, run_cases, wait_for  # noqa: E402
from recording import (FULL, Observer, Proxy, Recorder, Recording, chance,  # noqa: E402
                       count_lines, has_avformat)

TIMES = 100 if FULL else 10
LIFE_S = 1.0  # each life lasts up to so long
# Some 260 frames are retained, so that longer absences lose some.
NODE = ("--set", "camera.framerate=100", "--set", "jpeg.frame_bytes_max=64K", "--set",
        "server.clients_max=4", "--set", "store.memory=4M")


def address_of(port):
    return f"cam=127.0.0.1:{port}"


def grown(folder, before):
    """At least one frame more than before has come."""
    wait_for("frames", lambda: count_lines(folder) > before)


def outlast(observer):
    """Until the node has made more frames than it retains."""
    enough = len(observer.seen) + 400
    wait_for("frames", lambda: len(observer.seen) > enough)


def kill_recorder(container, times, seed):
    luck = chance(seed)
    with tempfile.TemporaryDirectory() as folder, Node(*NODE) as node:
        observer = Observer(node.address)
        arguments = ("-c", container, "-s", "0.4", address_of(node.address[1]))
        camera = f"{folder}/cam"
        for turn in range(times):
            recorder = Recorder(folder, *arguments)
            before = count_lines(camera)
            if luck.random() < 0.8:
                grown(camera, before)
            time.sleep(luck.random() * LIFE_S)
            recorder.kill()
            if turn % 10 == 2:
                outlast(observer)
        recorder = Recorder(folder, *arguments)
        recorder.wait_log("connected to")  # lines before that are of the recovery
        grown(camera, count_lines(camera))
        recorder.stop(0, 4)
        recording = Recording(camera).check()
        compared, lost = recording.check_against(observer.stop())
        assert compared > 10 * times and lost > 0, (compared, lost)
        print(f"{container}: {times} kills, {len(recording.segments)} segments, {compared} frames "
              f"equal, {lost} missing as said")


def test_kill_recorder_matroska():
    kill_recorder("matroska" if has_avformat() else "jpeg", TIMES, 1)


def test_kill_recorder_mp4():
    kill_recorder("mp4" if has_avformat() else "jpeg", TIMES // 3, 2)


def test_kill_recorder_jpeg():
    kill_recorder("jpeg", TIMES // 3, 3)


def start_node(port, folder, is_awaited):
    """A node, and with it in the recording if so wished."""
    before = count_lines(f"{folder}/cam", "boot")
    node = Node(*NODE, listen=f"127.0.0.1:{port}")
    if is_awaited:
        wait_for("the new boot", lambda: count_lines(f"{folder}/cam", "boot") > before)
    return node


def test_kill_node():
    luck = chance(4)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(folder, "-s", "2", address_of(port))
        for _ in range(TIMES):
            node = start_node(port, folder, luck.random() < 0.8)
            time.sleep(luck.random() * LIFE_S)
            node.process.kill()
            node.process.wait()
            node.folder.cleanup()
        with start_node(port, folder, True):
            recorder.stop(4)
        recording = Recording(f"{folder}/cam").check()
        boots = {frame["boot_id"] for frame in recording.frames}
        ends = [line["boot_id"] for line in recording.missing if line["last"] is None]
        assert len(boots) > TIMES // 2, boots
        assert len(ends) == len(set(ends)) >= len(boots) - 1, (ends, boots)
        print(f"{TIMES} kills, {len(boots)} boots recorded, {len(recording.frames)} frames")


def test_kill_link():
    luck = chance(5)
    with tempfile.TemporaryDirectory() as folder, Node(*NODE) as node:
        observer = Observer(node.address)
        proxy = Proxy(node.address)
        recorder = Recorder(folder, "-s", "3", address_of(proxy.port))
        camera = f"{folder}/cam"
        for turn in range(TIMES):
            if luck.random() < 0.8:
                grown(camera, count_lines(camera))
            time.sleep(luck.random() * LIFE_S)
            proxy.cut()
            time.sleep(luck.random() * 0.3)
            if turn % 10 == 2:
                outlast(observer)
            proxy.mend()
        grown(camera, count_lines(camera))
        recorder.stop(0, 4)
        proxy.close()
        recording = Recording(camera).check()
        compared, lost = recording.check_against(observer.stop())
        assert compared > 10 * TIMES and lost > 0, (compared, lost)
        print(f"{TIMES} cuts, {compared} frames equal, {lost} missing as said")


def test_kill_uplink_and_recorder():
    """Listen mode: the node dials in through a relay; the link and the recorder die in turns."""
    luck = chance(6)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        proxy = Proxy(("127.0.0.1", port))
        with Node(*NODE, "--uplink", f"127.0.0.1:{proxy.port}", "--set", "node.name=gate") as node:
            observer = Observer(node.address)
            arguments = ("--listen", f"127.0.0.1:{port}", "-s", "3")
            recorder = Recorder(folder, *arguments)
            camera = f"{folder}/gate"
            for turn in range(TIMES):
                if luck.random() < 0.8:
                    grown(camera, count_lines(camera))
                time.sleep(luck.random() * LIFE_S)
                if turn % 3 == 2:
                    recorder.kill()
                    recorder = Recorder(folder, *arguments)
                else:
                    proxy.cut()
                    time.sleep(luck.random() * 0.3)
                    proxy.mend()
            grown(camera, count_lines(camera))
            recorder.stop(0, 4)
            recording = Recording(camera).check()
            compared, lost = recording.check_against(observer.stop())
        proxy.close()
        assert compared > 5 * TIMES, compared
        print(f"{TIMES} breaks, {compared} frames equal, {lost} missing as said")


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, check=False).returncode == 0


def test_link_down_in_a_namespace():
    """The interface itself goes down: nothing tells either side."""
    name = f"pinhole-rec-{os.getpid()}"
    if os.geteuid() != 0 or not ip("netns", "add", name):
        print("no network namespace can be made here: this case is left out")
        return
    luck = chance(7)
    inside = ("ip", "netns", "exec", name)
    try:
        assert ip("-n", name, "link", "set", "lo", "up")
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as outside, \
                Node(*NODE, "--set", "server.send_deadline_ms=500", "--set",
                     f"server.socket={outside}/socket", prefix=inside) as node:
            observer = Observer(f"{outside}/socket")  # a Unix socket is in no namespace
            recorder = Recorder(folder, "-s", "3", address_of(node.address[1]), prefix=inside)
            camera = f"{folder}/cam"
            for turn in range(TIMES):
                if luck.random() < 0.8:
                    grown(camera, count_lines(camera))
                time.sleep(luck.random() * LIFE_S)
                assert ip("-n", name, "link", "set", "lo", "down")
                time.sleep(luck.random() * 0.5)
                if turn % 10 == 2:
                    outlast(observer)
                assert ip("-n", name, "link", "set", "lo", "up")
            grown(camera, count_lines(camera))
            recorder.stop(0, 4)
            recording = Recording(camera).check()
            compared, lost = recording.check_against(observer.stop())
            assert compared > 10 * TIMES and lost > 0, (compared, lost)
            print(f"{TIMES} times down, {compared} frames equal, {lost} missing as said")
    finally:
        ip("netns", "delete", name)


if __name__ == "__main__":
    run_cases({name: case for name, case in globals().items()
               if not sys.argv[1:] or name in sys.argv[1:]})
