# SPDX-License-Identifier: MIT
"""Runs pinhole-rec for tests and judges what it has written."""

import atexit
import calendar
import glob
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import pinhole_wire as wire
from pinhole_node import BUILD, PATIENCE_S, TOLD_OF_FAILURES, Node, wait_for

FULL = os.environ.get("PINHOLE_REC_FULL") == "1"
FFPROBE = shutil.which("ffprobe")
MEDIA = {"matroska": ".mkv", "mp4": ".mp4", "jpeg": ""}


def has_avformat():
    done = subprocess.run([f"{BUILD}/pinhole-rec", "--version"], capture_output=True, text=True,
                          check=True)
    return "without libavformat" not in done.stdout


def nanoseconds(text):
    """A sidecar's time as an integer: of the node's clock ("5.000000001s"), or a moment."""
    if text.endswith("s"):
        seconds, fraction = text[:-1].split(".")
        return int(seconds) * 10**9 + int(fraction)
    moment, fraction = text.removesuffix("Z").split(".")
    parts = time.strptime(moment, "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(parts) * 10**9 + int(fraction)


def crc32c(data):
    """Bit by bit, as RFC 3720 has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class WallClock:
    """The wall clock of the processes that get `environment`."""

    def __init__(self, days=0, is_synchronized=True):
        self.file = tempfile.NamedTemporaryFile()
        self.set(days, is_synchronized)
        self.environment = {"LD_PRELOAD": os.path.abspath(f"{BUILD}/tests/wall_clock.so"),
                            "WALL_CLOCK_FILE": self.file.name,
                            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") +
                                            ":verify_asan_link_order=0"}

    def set(self, days, is_synchronized):
        os.pwrite(self.file.fileno(),
                  struct.pack("<qq", int(days * 86400 * 10**9), is_synchronized), 0)


class Recorder:
    """A running pinhole-rec. `prefix` is put before its command."""

    def __init__(self, folder, *arguments, prefix=(), environment=None, program="pinhole-rec"):
        self.log_file = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(
            [*prefix, f"{BUILD}/{program}", "-o", str(folder), *arguments],
            stderr=self.log_file, stdin=subprocess.DEVNULL,
            env=os.environ | (environment or {}))
        atexit.register(self.process.kill)  # a failed case leaves it running
        TOLD_OF_FAILURES.append(lambda: f"a recorder's log:\n{self.log}")

    @property
    def log(self):
        return os.pread(self.log_file.fileno(), 1 << 22, 0).decode()

    def wait_log(self, text):
        def look():
            if text in self.log:
                return True
            if self.process.poll() is not None and text not in self.log:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.log}")
            return False
        wait_for(f"{text!r} in the recorder's log", look)

    def stop(self, *codes, by=signal.SIGTERM):
        """Ends it; the exit code must be one of `codes` (default 0)."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        code = self.process.wait(PATIENCE_S)
        assert code in (codes or (0,)), f"exit code {code}:\n{self.log}"
        return code

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)


def can_find():
    """Whether this build has SQLite, for `pinhole-rec find`."""
    return subprocess.run([f"{BUILD}/pinhole-rec", "find", "--help"], capture_output=True,
                          check=False).returncode == 0


class Segment:
    def __init__(self, sidecar):
        self.stem = sidecar.removesuffix(".jsonl")
        self.serial = int(os.path.basename(self.stem).split("_")[0])
        with open(sidecar, encoding="utf-8") as file:
            self.lines = [json.loads(line) for line in file]
        assert self.lines[0]["type"] == "segment", self.lines[0]
        self.container = self.lines[0]["container"]
        self.frames = [line for line in self.lines if line["type"] == "frame"]
        for frame in self.frames:
            if "timestamp_ns" in frame:  # format 1
                frame["captured"] = "%d.%09ds" % divmod(frame["timestamp_ns"], 10**9)
        self.media = self.stem + MEDIA[self.container]
        assert os.path.basename(self.media) == self.lines[0]["media"]

    def jpegs(self):
        """The frames' bytes, found by the sidecar."""
        if self.container == "jpeg":
            for frame in self.frames:
                with open(os.path.join(self.media, frame["file"]), "rb") as file:
                    yield frame, file.read()
            return
        if not self.frames:  # then there is no media: a recorder that events came to, no more
            return
        with open(self.media, "rb") as file:
            for frame in self.frames:
                file.seek(frame["offset"])
                yield frame, file.read(frame["bytes"])

    def check_jpegs(self):
        for frame, data in self.jpegs():
            assert len(data) == frame["bytes"] and data[:2] == b"\xff\xd8" and \
                data[-2:] == b"\xff\xd9", (self.media, frame)
        if self.container == "jpeg":
            assert sorted(os.listdir(self.media)) == [f["file"] for f in self.frames]

    def check_by_ffprobe(self):
        """A player sees each frame, in order, within a millisecond of its capture time."""
        if self.container == "jpeg" or FFPROBE is None:
            return
        done = subprocess.run([FFPROBE, "-v", "error", "-show_entries", "packet=pts_time,size",
                               "-of", "json", self.media], capture_output=True, text=True,
                              check=True)
        packets = json.loads(done.stdout)["packets"]
        assert [int(p["size"]) for p in packets] == [f["bytes"] for f in self.frames], \
            (self.media, len(packets), len(self.frames), done.stderr)
        times = [float(p["pts_time"]) for p in packets]
        start = nanoseconds(self.frames[0]["captured"])
        for before, after in zip(times, times[1:]):
            assert after > before, (self.media, before, after)
        for frame, seconds in zip(self.frames, times):
            assert abs(seconds - (nanoseconds(frame["captured"]) - start) / 1e9) <= 0.001, \
                (self.media, seconds, frame)
            assert abs(seconds - frame["pts_ns"] / 1e9) < 2e-6, (self.media, seconds, frame)


class Recording:
    """All segments of one camera's folder."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.segments = sorted((Segment(path) for path in glob.glob(f"{self.folder}/*.jsonl")),
                               key=lambda segment: segment.serial)

    @property
    def frames(self):
        return [frame for segment in self.segments for frame in segment.frames]

    @property
    def missing(self):
        return [line for segment in self.segments for line in segment.lines
                if line["type"] == "missing"]

    def check(self, probe=True):
        """Nothing unfinished, everything readable, no record twice, no hole that is not told of."""
        left = [name for name in os.listdir(self.folder) if ".part" in name or ".gone" in name]
        assert not left, left
        serials = [segment.serial for segment in self.segments]
        assert len(set(serials)) == len(serials), serials
        for segment in self.segments:
            if segment.frames:
                segment.check_jpegs()
                if probe:
                    segment.check_by_ffprobe()
            else:
                assert not os.path.exists(segment.media), segment.media
        self.check_sequence()
        return self

    def check_sequence(self):
        boot, expected, closed, ends = None, None, set(), {}
        for line in (line for segment in self.segments for line in segment.lines):
            kind = line["type"]
            if kind not in ("frame", "event", "missing", "boot", "left_out"):
                continue
            if kind == "missing" and line["last"] is None:
                assert line["boot_id"] == boot and line["first"] == expected, (line, expected)
                closed.add(boot)
                continue
            if line["boot_id"] != boot:
                assert boot is None or boot in closed, (line, boot)
                # Of the first boot the recording begins anywhere; of later ones at 1. One that comes
                # back goes on where it was.
                ends[boot] = expected
                boot = line["boot_id"]
                expected = ends.get(boot, None if len(ends) == 1 else 1)
                closed.discard(boot)
            if kind == "boot":
                continue
            is_range = kind in ("missing", "left_out")
            first = line["first"] if is_range else line["sequence"]
            last = line["last"] if is_range else line["sequence"]
            assert expected is None or first == expected, (line, expected, self.folder)
            assert last >= first, line
            expected = last + 1

    def check_against(self, seen):
        """`seen`: {(boot_id, sequence): digest} of an independent client. What it saw is recorded
        just so, or said to be missing; what it did not see of its range is not recorded."""
        recorded = {}
        for segment in self.segments:
            for frame, data in segment.jpegs():
                recorded[frame["boot_id"], frame["sequence"]] = hashlib.sha256(data).digest()
        frames = self.frames
        first = {}
        for frame in frames:
            first.setdefault(frame["boot_id"], frame["sequence"])
        last = (frames[-1]["boot_id"], frames[-1]["sequence"])
        missing = [(m["boot_id"], m["first"], m["last"] or 2**64) for m in self.missing]
        compared = lost = 0
        for (boot, sequence), digest in seen.items():
            if boot not in first or sequence < first[boot] or \
                    (boot == last[0] and sequence > last[1]):
                continue
            is_missing = any(b == boot and f <= sequence <= l for b, f, l in missing)
            assert ((boot, sequence) in recorded) != is_missing, (boot, sequence, missing)
            lost += is_missing
            if not is_missing:
                assert recorded[boot, sequence] == digest, (boot, sequence)
                compared += 1
        return compared, lost


class Observer:
    """An independent client that sees each frame of a node which stays up. It is a process of its
    own, because a thread would have to wait for the interpreter while the test reads files, and
    would lose records that the node cannot keep for so long."""

    def __init__(self, address):
        self.frames, self.error, self.is_over = {}, None, False
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), *map(str, (
                address if isinstance(address, tuple) else (address,)))],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout.readline() == "subscribed\n", self.process.stdout.read()
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        rest = ""
        for line in self.process.stdout:
            fields = line.split()
            if len(fields) == 4 and fields[0] == "frame":
                self.frames[fields[1], int(fields[2])] = bytes.fromhex(fields[3])
            else:
                rest += line
        if not self.is_over:
            self.error = rest or "it ended without a word"

    @property
    def seen(self):
        """{(boot_id, sequence): digest} of so far."""
        assert self.error is None, f"the observer has ended:\n{self.error}"
        return dict(self.frames)

    def stop(self):
        assert self.seen is not None
        self.is_over = True
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        return self.seen


def observe(address):
    """The observer's process: a line for each frame, until it is killed."""
    client = wire.Client(address)
    client.subscribe(policy=wire.EVERY)
    print("subscribed", flush=True)
    while True:
        record = client.next()
        if record.type == wire.FRAME:
            digest = hashlib.sha256(record.data).hexdigest()
            print(f"frame {record.boot_id:016x} {record.sequence} {digest}", flush=True)
        else:
            assert record.kind != wire.GAP, "the observer itself was too slow"


class Proxy:
    """A TCP relay whose links can be cut, with a reset as a dying router's, at any moment."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.pairs, self.is_up, self.corpses = [], True, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target)
            except OSError:
                near.close()
                continue
            with self.lock:
                if not self.is_up:
                    near.close()
                    far.close()
                    continue
                self.pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(16384):
                sink.sendall(data)
        except OSError:
            pass
        if source in self.corpses or sink in self.corpses:
            return
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def forget(self):
        """Breaks the link towards who has dialled; the other side hears nothing ever again."""
        with self.lock:
            near, far = self.pairs.pop()
            self.corpses.append(far)
        near.shutdown(socket.SHUT_RDWR)

    def cut(self):
        with self.lock:
            self.is_up = False
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()

    def mend(self):
        with self.lock:
            self.is_up = True

    def close(self):
        self.listener.close()
        self.cut()


def chance(seed):
    """Random moments that a failed run can repeat."""
    seed = int(os.environ.get("PINHOLE_REC_SEED", seed))
    print(f"PINHOLE_REC_SEED={seed}", file=sys.stderr)
    return random.Random(seed)


COUNTED = {}  # (path, size, time of change, kind): lines


def count_lines(folder, kind="frame"):
    """Lines of that type in a camera's sidecars, unfinished ones too."""
    count = 0
    for path in glob.glob(f"{folder}/*.jsonl*"):
        try:
            status = os.stat(path)
            key = path, status.st_size, status.st_mtime_ns, kind
            if key not in COUNTED:
                with open(path, "rb") as file:
                    COUNTED[key] = file.read().count(b'"type":"' + kind.encode() + b'"')
            count += COUNTED[key]
        except FileNotFoundError:
            pass  # renamed meanwhile
    return count


if __name__ == "__main__":
    observe((sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 2 else sys.argv[1])


def record_triggers(folder, triggers, pause_s=0, **features):
    """Records so many triggers by software, each with its frame; the features are the node's."""
    with Node("--set", "trigger.mode=on", "--set", "trigger.source=software") as node:
        recorder = Recorder(folder, f"gate=127.0.0.1:{node.address[1]}")
        recorder.wait_log("connected")
        with wire.Client(node.address) as client:
            if features:
                client.set(**features)
            for count in range(1, triggers + 1):
                client.trigger()
                wait_for("its frame", lambda n=count: count_lines(f"{folder}/gate") >= n)
                time.sleep(pause_s)
        recorder.stop()
    return Recording(f"{folder}/gate")
