#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sidecars: what recovery needs of them, and what readers make of them."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from fake_node import JPEG, JPEG_GREY, ScriptedNode  # noqa: E402
from pinhole_node import Node, free_port, run_cases, wait_for  # noqa: E402
from recording import (BUILD, FFPROBE, MEDIA, Recorder, Recording, count_lines,  # noqa: E402
                       crc32c, has_avformat, nanoseconds, record_triggers)

MIB = 1 << 20


def line(**members):
    return json.dumps(members, separators=(",", ":")) + "\n"


def write_unfinished(folder, bytes_wanted):
    """A sidecar of events that no recorder has completed."""
    os.makedirs(folder)
    with open(f"{folder}/00000001_x.jsonl.part", "w", encoding="utf-8") as file:
        file.write(line(type="segment", format=1, camera="cam", container="matroska",
                        media="00000001_x.mkv", boot_id="7"))
        sequence, written = 0, 0
        while written < bytes_wanted:
            sequence += 1
            written += file.write(line(type="event", kind="FEATURES", boot_id="7",
                                       sequence=sequence, text="x" * 4000))
    return sequence


def peak_memory(folder, said):
    """Bytes of memory at the most until the recorder has said that."""
    # AddressSanitizer would keep what is freed.
    environment = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
    recorder = Recorder(folder, f"cam=127.0.0.1:{free_port()}", environment=environment)
    recorder.wait_log(said)
    with open(f"/proc/{recorder.process.pid}/status", encoding="ascii") as status:
        peak = next(int(row.split()[1]) for row in status if row.startswith("VmHWM:"))
    recorder.stop(3)
    return peak << 10


def test_recovery_reads_by_lines():
    """A sidecar larger than the memory that recovery may take."""
    with tempfile.TemporaryDirectory() as folder:
        before = peak_memory(f"{folder}/empty", "trying on")
        events = write_unfinished(f"{folder}/full/cam", 24 * MIB)
        after = peak_memory(f"{folder}/full", "trying on")
        print(f"peak without: {before >> 20} MiB, with 24 MiB of lines: {after >> 20} MiB")
        assert after - before < 12 * MIB, (before, after)
        with open(f"{folder}/full/cam/00000001_x.jsonl", encoding="utf-8") as file:
            lines = [json.loads(row) for row in file]
        assert lines[-1]["type"] == "recovered" and lines[-2]["sequence"] == events


def record(folder, node, *options, enough=40, codes=(0,)):
    """A recording of so many frames; its segments."""
    recorder = Recorder(folder, *options, f"cam=127.0.0.1:{node.address[1]}")
    wait_for("frames", lambda: count_lines(f"{folder}/cam") >= enough)
    recorder.stop(*codes)
    return Recording(f"{folder}/cam").check()


def check(*folders):
    done = subprocess.run([f"{BUILD}/pinhole-rec", "check", *folders], capture_output=True,
                          text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_checksum_of_each_frame():
    assert crc32c(b"123456789") == 0xE3069283
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        for segment in record(folder, node, enough=3).segments:
            for frame, data in list(segment.jpegs())[:3]:
                assert frame["crc32c"] == crc32c(data), frame


def damage(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def test_check_finds_damage():
    for container in MEDIA if has_avformat() else ("jpeg",):
        with tempfile.TemporaryDirectory() as folder, Node() as node:
            segment = record(folder, node, "-c", container, "-s", "0.3").segments[1]
            code, said = check(folder)
            assert code == 0 and " 0 faults" in said, said
            frame = segment.frames[2]
            place = segment.media if container != "jpeg" else f"{segment.media}/{frame['file']}"
            damage(place, frame.get("offset", 0) + frame["bytes"] // 2)
            code, said = check(f"{folder}/cam")
            assert code == 1 and f"frame {frame['sequence']}: its checksum is wrong" in said, said
            assert said.count("\n") == 2, said


def test_check_finds_what_is_not_there():
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        segments = record(folder, node, "-s", "0.3", enough=60).segments
        remove = shutil.rmtree if os.path.isdir(segments[1].media) else os.unlink
        remove(segments[1].media)
        with open(f"{segments[2].stem}.jsonl", encoding="utf-8") as file:
            lines = file.readlines()
        at = next(n for n, row in enumerate(lines) if '"type":"frame"' in row)
        gone = json.loads(lines.pop(at))["sequence"]
        with open(f"{segments[2].stem}.jsonl", "w", encoding="utf-8") as file:
            file.write("".join(lines) + '{"type":"fra')
        code, said = check(folder)
        assert code == 1, said
        for frame in segments[1].frames:
            assert f"frame {frame['sequence']}: cannot read " in said, said
        assert f"record {gone + 1} follows {gone - 1}: what is between is not said" in said, said
        assert "are no whole lines" in said, said
        for arguments in ((), (f"{folder}/nowhere",), (tempfile.gettempdir() + "/",)):
            assert check(*arguments)[0] in (1, 2)
        assert check()[0] == 2


def test_format_1_is_still_read():
    """What an older recorder has left: resumed, recovered, and checked as far as it can be."""
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        for unfinished in (False, True):
            recording = record(folder, node, enough=60 if unfinished else 20, codes=(0, 4))
            segment = recording.segments[-1]
            with open(f"{segment.stem}.jsonl", "w", encoding="utf-8") as file:
                for row in segment.lines:
                    if row["type"] == "segment":
                        row["format"] = 1
                        del row["boots"]
                    if row["type"] == "frame":
                        row["timestamp_ns"] = nanoseconds(row.pop("captured"))
                        row["realtime_ns"] = nanoseconds(row.pop("realtime"))
                        del row["crc32c"], row["components"], row["sampling"]
                    if row["type"] != "end":
                        file.write(line(**row))
            if unfinished:
                os.rename(f"{segment.stem}.jsonl", f"{segment.stem}.jsonl.part")
                os.rename(segment.media, segment.media + ".part")
        code, said = check(folder)
        assert code == 0 and "have no checksum" in said, said
        before = len(recording.frames)
        recorder = Recorder(folder, f"cam=127.0.0.1:{node.address[1]}")
        recorder.wait_log("recovered, ")
        wait_for("frames", lambda: count_lines(f"{folder}/cam") > before + 5)
        recorder.stop(0, 4)
        frames = Recording(f"{folder}/cam").frames
        sequences = [frame["sequence"] for frame in frames]
        assert len(set(sequences)) == len(sequences) and not Recording(f"{folder}/cam").missing


def test_numbers_survive_doubles():
    """Each number is exact for readers that keep 53 bits; times are text."""
    with tempfile.TemporaryDirectory() as folder:
        segment = record_triggers(folder, 2, GainAuto="Off").segments[0]
        for row in segment.lines:
            for name, value in row.items():
                assert not isinstance(value, int) or abs(value) < 2**53, (name, value)
                # What pandas takes for dates by their names.
                assert not name.startswith(("timestamp", "date", "modified")), name
                assert not name.endswith(("_at", "_time")), name
        frame = segment.frames[0]
        delta = nanoseconds(frame["captured"]) - frame["exposure_us"] * 1000 - \
            nanoseconds(frame["edge"])
        assert delta == frame["exposure_delta_ns"], (frame, delta)


def readme_recipe(language, number=0):
    with open("tools/rec/README.md", encoding="utf-8") as file:
        return file.read().split(f"```{language}\n")[1 + number].split("```")[0]


def test_recipes_for_sidecars():
    """As the page has them: jq, Python, and pandas where it is installed."""
    with tempfile.TemporaryDirectory() as folder:
        recording = record_triggers(folder, 3)
        times = [nanoseconds(frame["captured"]) for frame in recording.frames]
        script = readme_recipe("python").replace("/data/gate", f"{folder}/gate")
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                              check=True)
        assert done.stdout.split() == [str(t) for t in times], (done, times)
        if has_jq():
            # The sidecar is of this recording, the trigger is its second.
            script = readme_recipe("sh", 1).replace("4711", "2").replace(
                "/data/gate/00000017_*", recording.segments[0].stem)
            subprocess.run(["bash", "-c", script], cwd=folder, check=True)
            with open(f"{folder}/2.jpg", "rb") as file:
                assert file.read() == list(recording.segments[0].jpegs())[1][1]
        if importlib.util.find_spec("pandas") is None:
            print("pandas is not installed: its recipe is left out")
            return
        script = readme_recipe("python", 1).replace("/data/gate", f"{folder}/gate")
        script += "\nprint(*frames.captured.astype('int64'))\n"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                              check=True)
        assert done.stdout.split()[-3:] == [str(t) for t in times], (done, times)


def has_jq():
    return shutil.which("jq") is not None


def test_triggered_pictures_by_ffmpeg():
    """Eight triggers are eight pictures, whatever time lies between them."""
    if shutil.which("ffmpeg") is None or not has_avformat():
        print("without ffmpeg or libavformat: this case is left out")
        return
    with tempfile.TemporaryDirectory() as folder:
        segment = record_triggers(folder, 8, pause_s=0.3).segments[0]
        originals = [data for _, data in segment.jpegs()]
        for row in readme_recipe("sh", 2).splitlines():
            with tempfile.TemporaryDirectory() as out:
                row = row.split("#")[0].replace("/data/gate/00000017_*", segment.stem)
                subprocess.run(["bash", "-c", row], cwd=out, stdin=subprocess.DEVNULL,
                               capture_output=True, check=True)
                names = sorted(os.listdir(out))
                assert len(names) == 8, (row, names)
                if "copy" in row:
                    assert [open(f"{out}/{n}", "rb").read() for n in names] == originals


def probe(path, entries):
    done = subprocess.run([FFPROBE, "-v", "error", "-show_entries", entries, "-of", "json", path],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_container_says_the_full_range():
    """A grey picture's black and white would be crushed without it."""
    if FFPROBE is None or not has_avformat():
        print("without ffprobe or libavformat: this case is left out")
        return
    with tempfile.TemporaryDirectory() as folder, \
            Node("--set", "camera.format=GREY") as node:
        for container in ("matroska", "mp4"):
            segment = record(f"{folder}/{container}", node, "-c", container).segments[0]
            assert {f["components"] for f in segment.frames} == {1}
            assert {f["sampling"] for f in segment.frames} == {"grey"}
            stream = probe(segment.media, "stream=color_range,pix_fmt")["streams"][0]
            assert stream["color_range"] == "pc", (container, stream)


def test_last_frame_has_a_duration():
    if FFPROBE is None or not has_avformat():
        print("without ffprobe or libavformat: this case is left out")
        return
    with tempfile.TemporaryDirectory() as folder, Node("--set", "camera.framerate=20") as node:
        for container in ("matroska", "mp4"):
            segment = record(f"{folder}/{container}", node, "-c", container).segments[0]
            duration = float(probe(segment.media, "format=duration")["format"]["duration"])
            last = segment.frames[-1]["pts_ns"] / 1e9
            assert 0.04 < duration - last < 0.06, (container, duration, last)


def test_recovered_file_has_an_index():
    """After a crash a player can seek at once, and knows how long the file is."""
    if FFPROBE is None or not has_avformat():
        print("without ffprobe or libavformat: this case is left out")
        return
    for container, element in (("matroska", b"\x1c\x53\xbb\x6b"), ("mp4", b"mfra")):
        with tempfile.TemporaryDirectory() as folder, Node() as node:
            recorder = Recorder(folder, "-c", container, f"cam=127.0.0.1:{node.address[1]}")
            wait_for("frames", lambda: count_lines(f"{folder}/cam") > 40)
            recorder.kill()
            recorder = Recorder(folder, "-c", container, f"cam=127.0.0.1:{node.address[1]}")
            recorder.wait_log("recovered, ")
            recorder.wait_log("connected")
            recorder.stop(0, 4)
            segment = Recording(f"{folder}/cam").check().segments[0]
            assert segment.lines[-1]["type"] == "recovered"
            with open(segment.media, "rb") as file:
                assert element in file.read()[segment.frames[-1]["end"]:], container
            duration = float(probe(segment.media, "format=duration")["format"]["duration"])
            assert abs(duration - segment.frames[-1]["pts_ns"] / 1e9) < 0.1, container
            assert check(folder)[0] == 0


def test_recovery_that_dies_begins_over():
    """What a recovery leaves that is killed at any of its steps."""
    if not has_avformat():
        print("without libavformat: this case is left out")
        return
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        segment = record(f"{folder}/whole", node).segments[0]
        name = os.path.basename(segment.stem)
        lines = len(segment.lines)
        leftovers = {
            "while it copies": {".mkv.part": 1, ".jsonl.part": 1, ".mkv": 0.5, ".jsonl.new": 0.5},
            "before the new sidecar has its name": {".mkv.part": 1, ".jsonl.part": 1, ".mkv": 1,
                                                    ".jsonl.new": 1},
            "before the old pair is removed": {".mkv.part": 0.7, ".jsonl.part": 0.7, ".mkv": 1,
                                               ".jsonl": 1},
            "before the old sidecar is removed": {".jsonl.part": 0.7, ".mkv": 1, ".jsonl": 1},
        }
        for when, files in leftovers.items():
            place = f"{folder}/{when}/cam"
            os.makedirs(place)
            for suffix, part in files.items():
                source = segment.media if ".mkv" in suffix else f"{segment.stem}.jsonl"
                with open(source, "rb") as file:
                    data = file.read()
                with open(f"{place}/{name}{suffix}", "wb") as file:
                    file.write(data[:int(len(data) * part)])
            recorder = Recorder(f"{folder}/{when}", f"cam=127.0.0.1:{free_port()}")
            recorder.wait_log("trying on")
            recorder.stop(3)
            recovered = Recording(place).check()
            assert len(recovered.frames) == len(segment.frames), when
            assert sorted(os.listdir(place)) == [f"{name}.jsonl", f"{name}.mkv"], when
            assert len(recovered.segments[0].lines) in (lines, lines + 1), when
            assert check(place)[0] == 0, when


def test_interval():
    """Time-lapse: what was left out by choice is not missing."""
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        recording = record(folder, node, "--interval", "0.4", enough=4)
        times = [nanoseconds(frame["captured"]) for frame in recording.frames]
        for before, after in zip(times, times[1:]):
            assert after - before >= 400_000_000, times
        assert not recording.missing
        left_out = [row for s in recording.segments for row in s.lines if row["type"] == "left_out"]
        assert left_out and all(row["reason"] == "interval" for row in left_out)
        code, said = check(folder)
        assert code == 0, said


def test_new_segment_for_another_sampling():
    """A player keeps the first picture's shape for the whole file."""
    with tempfile.TemporaryDirectory() as folder:
        grey = JPEG_GREY

        def change(node, send, *_):
            for sequence in range(1, 31):
                send(node.frame(sequence, JPEG if sequence <= 10 or sequence > 20 else grey))

        with ScriptedNode(change) as node:
            recorder = Recorder(folder, f"cam={node.address}")
            wait_for("frames", lambda: count_lines(f"{folder}/cam") == 30)
            recorder.stop()
        shapes = [{f["sampling"] for f in s.frames} for s in Recording(f"{folder}/cam").segments]
        assert shapes == [{"4:2:0"}, {"grey"}, {"4:2:0"}], shapes


if __name__ == "__main__":
    run_cases({name: case for name, case in globals().items()
               if not sys.argv[1:] or name in sys.argv[1:]})
