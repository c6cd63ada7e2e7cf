#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinhole-rec against real nodes: many cameras, each container, recovery, its options.
PINHOLE_REC_FULL=1: ten cameras for 60 s at 720p30."""

import glob
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
import pinhole_wire as wire  # noqa: E402
from pinhole_node import Node, free_port, run_cases, wait_for  # noqa: E402
from recording import (BUILD, FFPROBE, FULL, MEDIA, Observer, Proxy, Recorder,  # noqa: E402
                       Recording, count_lines, has_avformat, nanoseconds, record_triggers)

CONTAINERS = tuple(MEDIA) if has_avformat() else ("jpeg",)
LARGE = ("--set", "camera.width=1280", "--set", "camera.height=720", "--set",
         "camera.framerate=30", "--set", "jpeg.frame_bytes_max=1M")


def address_of(node):
    return f"127.0.0.1:{node.address[1]}"


def run(*arguments):
    return subprocess.run([f"{BUILD}/pinhole-rec", *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120, check=False)


def test_ten_cameras():
    """One recorder, ten nodes: nothing is lost, each segment plays."""
    seconds = 60 if FULL else 4
    options = {"small": False} if FULL else {}
    arguments = LARGE + ("--set", "store.memory=64M") if FULL else ("--set", "camera.framerate=30")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        nodes = [stack.enter_context(Node(*arguments, "--set", "server.socket=", **options))
                 for _ in range(10)]
        recorder = Recorder(folder, "-s", str(seconds / 3), "--seconds", str(seconds),
                            *(f"cam{i}={address_of(node)}" for i, node in enumerate(nodes)))
        assert recorder.process.wait(seconds + 120) == 0, recorder.log
        total = 0
        for i in range(10):
            recording = Recording(f"{folder}/cam{i}").check()
            assert not recording.missing
            frames = recording.frames
            ids = [frame["frame_id"] for frame in frames]
            assert ids == list(range(ids[0], ids[0] + len(ids)))
            made = frames[-1]["sensor_sequence"] - frames[0]["sensor_sequence"] + 1
            span_s = (nanoseconds(frames[-1]["captured"]) -
                      nanoseconds(frames[0]["captured"])) / 1e9
            print(f"cam{i}: {len(frames)} frames, {(len(frames) - 1) / span_s:.2f} a second, none "
                  f"lost, {len(recording.segments)} segments; the node itself left out "
                  f"{made - len(frames)} of the sensor's")
            assert len(recording.segments) >= 2
            # How many a second is the machine's affair; that each one made is here is ours.
            if FULL:
                assert len(recording.segments) >= 3 and frames[0]["width"] == 1280
            total += len(frames)
        assert f"{total} frames of 10 cameras, 0 missing, 0 dropped" in recorder.log


def test_each_container_plays_after_any_cut():
    """A segment as a crash leaves it, at every stage of its completion, is recovered whole."""
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        for container in CONTAINERS:
            place = f"{folder}/{container}"
            recorder = Recorder(place, "-c", container, "-s", "0", f"cam={address_of(node)}")
            wait_for("frames", lambda: count_lines(f"{place}/cam") > 60)
            recorder.stop()
            whole = Recording(f"{place}/cam").check()
            cut_and_recover(f"{folder}/{container}-cut", place, container, whole.segments[0],
                            address_of(node))


def lines_with(segment, frames):
    """How many of a sidecar's lines it takes to tell of so many frames; events stand between."""
    told = [number for number, line in enumerate(segment.lines, 1) if line["type"] == "frame"]
    return told[frames - 1]


def cut_and_recover(work, place, container, segment, address):
    name = os.path.basename(segment.stem)
    end = segment.frames[-1].get("end", 0)
    lines = len(segment.lines)
    # What is left of the media (None: all) and of the sidecar's lines, and the frames that stay.
    last, third = len(segment.frames), len(segment.frames) // 3
    cuts = [(None, lines, last), (end, lines, last), (end + 7, lines - 1, last),
            (None, lines_with(segment, third), third), (end - 1, lines, last - 1)]
    for number, (media_end, line_count, frames) in enumerate(cuts):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(place, work)
        stem = f"{work}/cam/{name}"
        with open(f"{stem}.jsonl", encoding="utf-8") as file:
            kept = file.readlines()[:line_count]
        with open(f"{stem}.jsonl.part", "w", encoding="utf-8") as file:
            file.write("".join(kept) + '{"type":"frame","boot_id":"12')
        os.unlink(f"{stem}.jsonl")
        media = stem + MEDIA[container]
        if container == "jpeg":
            if media_end == end - 1:
                os.truncate(f"{media}/{segment.frames[-1]['file']}", 100)
        elif media_end is not None and media_end <= os.path.getsize(media):
            os.truncate(media, media_end)
        if number != 2:  # the crash came between the two renames
            os.rename(media, media + ".part")
        recorder = Recorder(work, "-c", container, f"cam={address}")
        recorder.wait_log(f"recovered, {frames} frames")
        wait_for("new frames", lambda: count_lines(f"{work}/cam") > frames + 5)
        recorder.stop(0, 4)
        recovered = Recording(f"{work}/cam").check(probe=number != 2)
        assert recovered.segments[0].serial == 1
        assert len(recovered.segments[0].frames) == frames, (container, number)
        assert recovered.frames[frames]["sequence"] == recovered.frames[frames - 1]["sequence"] + 1


def test_no_frames_left_to_recover():
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        os.makedirs(f"{folder}/cam")
        for stem, text in (("00000001_x", ""), ("00000002_x", '{"type":"segment"}\n')):
            with open(f"{folder}/cam/{stem}.jsonl.part", "w", encoding="utf-8") as file:
                file.write(text)
            with open(f"{folder}/cam/{stem}.mkv.part", "wb") as file:
                file.write(b"half a header")
        with open(f"{folder}/cam/00000003_x.jsonl.gone", "w", encoding="utf-8") as file:
            file.write("a deletion that was cut short")
        with open(f"{folder}/cam/00000003_x.mkv", "wb") as file:
            file.write(b"its media")
        recorder = Recorder(folder, f"cam={address_of(node)}")
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > 5)
        recorder.stop()
        assert len(Recording(f"{folder}/cam").check().segments) == 1
        assert not glob.glob(f"{folder}/cam/*_x*")


def test_signals_complete_or_discard():
    for by in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with tempfile.TemporaryDirectory() as folder, Node() as node:
            camera, address = f"{folder}/cam", f"cam={address_of(node)}"
            recorder = Recorder(folder, "-b", "300K", "--discard-unfinished", address)
            wait_for("two segments", lambda: len(glob.glob(f"{camera}/*.jsonl")) >= 2)
            recorder.stop(by=by)
            first = Recording(camera).check()
            assert {s.lines[-1]["reason"] for s in first.segments} == {"bytes"}
            # What was discarded is asked for again.
            recorder = Recorder(folder, address)
            wait_for("frames", lambda: count_lines(camera) > len(first.frames) + 5)
            recorder.stop(by=by)
            second = Recording(camera).check()
            assert second.segments[-1].lines[-1]["reason"] == "end"
            assert len(second.segments) == len(first.segments) + 1
            assert not second.missing


def test_signal_before_anything_else():
    """SIGTERM as soon as main() is there: libavformat, which takes 0.1 s, is loaded after that."""
    done = subprocess.run(["ldd", f"{BUILD}/pinhole-rec"], capture_output=True, text=True,
                          check=True)
    assert "libavcodec" not in done.stdout, done.stdout
    with tempfile.TemporaryDirectory() as folder:
        for by in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            recorder = Recorder(folder, f"cam=127.0.0.1:{free_port()}")
            # A thread that waits for a signal does not block it meanwhile.
            wait_for("main()", lambda r=recorder, s=by: blocks(r.process.pid, s) or r.log)
            recorder.stop(3, by=by)


def blocks(pid, number):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        blocked = next(int(row.split()[1], 16) for row in status if row.startswith("SigBlk:"))
    return blocked >> (number - 1) & 1


def test_new_segment_for_a_new_picture_size():
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        recorder = Recorder(folder, f"cam={address_of(node)}")
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > 5)
        with wire.Client(node.address) as client:
            client.request(wire.SET, b"Width=160\nHeight=120\n")
        wait_for("small frames", lambda: '"width":160' in "".join(
            open(p, encoding="utf-8").read() for p in glob.glob(f"{folder}/cam/*.part")
            if p.endswith(".jsonl.part")))
        recorder.stop()
        recording = Recording(f"{folder}/cam").check()
        for segment in recording.segments:
            assert len({frame["width"] for frame in segment.frames}) <= 1
        assert [line["kind"] for s in recording.segments for line in s.lines
                if line["type"] == "event"], "the change is an event"


def test_triggers_and_events():
    with tempfile.TemporaryDirectory() as folder:
        frames = record_triggers(folder, 3).check().frames
        assert [frame["trigger_id"] for frame in frames] == [1, 2, 3]
        assert all(frame["source"] == "Software" and nanoseconds(frame["edge"]) > 0 and
                   "exposure_delta_ns" in frame for frame in frames)


def test_listen_names_cameras_and_refuses_doubles():
    port = free_port()
    uplink = ("--uplink", f"127.0.0.1:{port}", "--set")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        recorder = Recorder(folder, "--listen", f"127.0.0.1:{port}")
        recorder.wait_log("listening on 127.0.0.1 port")
        # Whoever is no node is shown the door and disturbs nobody.
        stranger = socket.create_connection(("127.0.0.1", port))
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        silent = socket.create_connection(("127.0.0.1", port))
        stack.enter_context(Node(*uplink, "node.name=gate"))
        stack.enter_context(Node(*uplink, "node.name=../../gate 2"))
        wait_for("both", lambda: all(
            any(count_lines(f"{folder}/{d}") > 5 for d in os.listdir(folder) if test(d))
            for test in (lambda d: d == "gate", lambda d: d == "%2E.%2F..%2Fgate 2")))
        stack.enter_context(Node(*uplink, "node.name=gate"))
        recorder.wait_log("another node of that name")
        assert stranger.recv(100) == b"" and silent.recv(100) == b""
        recorder.stop()
        assert len(os.listdir(folder)) == 3, os.listdir(folder)  # and the lock
        for name in os.listdir(folder):
            if not name.startswith("."):
                boots = {f["boot_id"] for f in Recording(f"{folder}/{name}").check().frames}
                assert len(boots) == 1


def test_listen_takes_over_from_a_dead_link():
    """The router forgets the old connection without a word; the node dials again."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        proxy = Proxy(("127.0.0.1", port))
        recorder = Recorder(folder, "--listen", f"127.0.0.1:{port}")
        recorder.wait_log("listening")
        with Node("--uplink", f"127.0.0.1:{proxy.port}", "--set", "node.name=gate") as node:
            observer = Observer(node.address)
            wait_for("frames", lambda: count_lines(f"{folder}/gate") > 5)
            proxy.forget()
            wait_for("frames", lambda: count_lines(f"{folder}/gate") > 200)
            recorder.stop(0, 4)
            compared, _ = Recording(f"{folder}/gate").check().check_against(observer.stop())
            assert compared > 100
            assert recorder.log.count("dialled in") == 2 and "link lost" not in recorder.log
        proxy.close()


def test_one_recorder_per_folder():
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        recorder = Recorder(folder, f"cam={address_of(node)}")
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > 5)
        done = run("-o", folder, f"other={address_of(node)}")
        assert done.returncode == 1 and "in use by another pinhole-rec" in done.stderr, done
        recorder.stop()


def test_exit_codes_and_usage():
    with tempfile.TemporaryDirectory() as folder:
        for arguments, said in (
                ([], "which camera?"), (["a=1.2.3.4", "a=1.2.3.5"], "two cameras"),
                (["../x=1.2.3.4"], "is no name"), (["a="], "has no address"),
                (["-s", "x", "a"], "'x' does not fit"), (["-q", "5X", "a"], "'5X' does not fit"),
                (["-c", "avi", "a"], "'avi' does not fit"), (["--nope"], "wrong option"),
                (["-o", "", "a"], "does not fit")):
            done = run(*arguments)
            assert done.returncode == 2 and said in done.stderr, (arguments, done)
        done = run("-o", folder, "--listen", "nonsense")
        assert done.returncode == 3 and "not a numeric ADDRESS:PORT" in done.stderr, done
        done = run("-o", folder, "--seconds", "1", f"cam=127.0.0.1:{free_port()}")
        assert done.returncode == 3 and "Connection refused; trying on" in done.stderr, done
        done = run("-o", folder, "--seconds", "1", "--listen", "127.0.0.1:0")
        assert done.returncode == 3 and "listening on 127.0.0.1 port" in done.stderr, done
        done = run("-o", f"{folder}/a/b", "cam=127.0.0.1")
        assert done.returncode == 1 and "cannot make the folder" in done.stderr, done
    for option, said in (("--help", "Exit codes"), ("--version", "pinhole-rec ")):
        done = run(option)
        assert done.returncode == 0 and said in done.stdout and not done.stderr, done


def test_progress_on_a_terminal_only():
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        for extra, is_expected in ((), True), (("--quiet",), False):
            ours, theirs = pty.openpty()
            with subprocess.Popen([f"{BUILD}/pinhole-rec", "-o", folder, *extra, "--seconds", "4",
                                   f"cam={address_of(node)}"], stderr=theirs,
                                  stdin=subprocess.DEVNULL) as process:
                os.close(theirs)
                said = b""
                while select.select([ours], [], [], 60)[0]:
                    try:
                        data = os.read(ours, 4096)
                    except OSError:  # the other end is closed
                        break
                    said += data
                assert process.wait(60) == 0, said
            os.close(ours)
            assert (b"1 of 1 cameras" in said) == is_expected, said
        done = run("-o", folder, "--seconds", "2", f"cam={address_of(node)}")
        assert "cameras  " not in done.stderr and "connected to" in done.stderr


def test_sidecar_says_all_of_a_frame():
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        done = run("-o", folder, "--seconds", "2", f"cam={address_of(node)}")
        assert done.returncode == 0, done
        frame = Recording(f"{folder}/cam").frames[0]
        for name in ("sequence frame_id boot_id sensor_sequence width height bytes quality flags "
                     "captured realtime crc32c components sampling exposure_us gain_milli digital_gain_milli "
                     "frame_duration_us acquired_us encode_start_us encoded_us queued_us skipped "
                     "encodes pts_ns").split():
            assert name in frame, name
        assert abs(nanoseconds(frame["realtime"]) / 1e9 - time.time()) < 3600
        if FFPROBE and has_avformat():
            media = Recording(f"{folder}/cam").segments[0].media
            shown = json.loads(subprocess.run(
                [FFPROBE, "-v", "error", "-show_format", "-of", "json", media],
                capture_output=True, check=True).stdout)["format"]
            assert shown["tags"]["title"] == "cam" and "creation_time" in shown["tags"]


if __name__ == "__main__":
    run_cases({name: case for name, case in globals().items()
               if not sys.argv[1:] or name in sys.argv[1:]})
