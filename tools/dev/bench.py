#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of `make bench` (tools/dev/bench.sh prepares): CPU time, instructions, latency, memory and
what peers need for the same frames. Node, subscribers, references and peers are processes of their
own; figures that are compared come from runs that alternate, as medians. Nothing is asserted here:
the limits that the project holds itself to stand beside the figures.

Environment: BUILD, QUICK=1 (1080p alone), ROUNDS (default 5), FRAMES per run (default 100, a
multiple of 50)."""

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

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
    kodak = sorted(glob.glob(os.environ.get("PINHOLE_PHOTOS", "../shared/data/kodak") + "/*.jpg"))
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


class Node:
    """The node with the replay camera, watched from outside."""

    def __init__(self, width, height, pixel="YUV420", chroma="420", framerate=FRAMERATE, tool=(),
                 count_heap=True, settings=(), quality=QUALITY, program=(f"{BUILD}/pinhole",)):
        self.socket = f"{folder}/socket"
        self.heap = f"{folder}/heap" if count_heap else ""
        self.log = open(f"{folder}/log", "w+", encoding="utf-8")
        command = [*tool, *program, "--camera", "replay:" + photographs(width),
                   "--width", str(width), "--height", str(height), "--framerate", str(framerate),
                   "--format", pixel, "--quality", str(quality), "--listen", "127.0.0.1:0",
                   "--socket", self.socket, "--set", f"store.memory={STORE_BYTES}",
                   "--set", f"jpeg.chroma={chroma}", "--set", "camera.stall_timeout_ms=3600000",
                   "--set", "server.send_deadline_ms=600000"]
        for setting in settings:
            command += ["--set", setting]
        environment = dict(os.environ)
        if count_heap:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.heap)
            environment |= {"LD_PRELOAD": f"{BUILD}/tests/count_heap.so",
                            "COUNT_HEAP_FILE": self.heap}
        self.process = subprocess.Popen(command, stderr=self.log, env=environment)
        started.append(self.process)
        self.address = "127.0.0.1:" + self.wait(r"listening on tcp .*:(\d+)")
        self.album_bytes = int(self.wait(r"photographs of .* in (\d+) bytes"))
        self.wait(r"(camera streaming)")
        subprocess.run([f"{BUILD}/pinholectl", "-n", self.address, "--timeout", "60", "set",
                        f"ReplayFrames={EACH}"], check=True, stdout=subprocess.DEVNULL)

    def text(self):
        with open(self.log.name, encoding="utf-8") as log:
            return log.read()

    def wait(self, pattern):
        for _ in range(3000):
            match = re.search(pattern, self.text())
            if match:
                return match.group(1)
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        sys.exit("bench: the node did not start:\n" + self.text())

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def subscribe(self, count, unix=False, frames=FRAMES, tool=()):
        """Runs `count` subscribers; returns what bench_client printed."""
        address = "unix:" + self.socket if unix else self.address
        command = [*tool, f"{BUILD}/tests/bench/bench_client", address, str(self.process.pid), str(count),
                   str(WARMUP), str(frames)] + ([self.heap] if self.heap else [])
        result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        result["cpu_ms"] = result["cpu_ns"] / result["frames"] / 1e6
        return result

    def metric(self, name):
        text = subprocess.run([f"{BUILD}/pinholectl", "-n", self.address, "stats"], check=True,
                              capture_output=True, text=True).stdout
        match = re.search(re.escape(name) + r"[ =]+([0-9.e+-]+)", text)
        return float(match.group(1)) if match else float("nan")

    def anonymous_kib(self):
        """Beyond the store and the replayed pictures: the node's own, and that of its libraries
        (their writable data and the heap that they alone use)."""
        own, libraries, name = -(STORE_BYTES + self.album_bytes) / 1024, 0, ""
        with open(f"/proc/{self.process.pid}/smaps", encoding="utf-8") as smaps:
            for line in smaps:
                if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                    name = (line.split(maxsplit=5) + [""])[5].strip()
                elif line.startswith("Anonymous:"):
                    kib = int(line.split()[1])
                    if ".so" in name or name == "[heap]":
                        libraries += kib
                    else:
                        own += kib
        return own, libraries

    def stop(self):
        self.resume()
        self.process.terminate()
        self.process.wait(timeout=120)
        self.log.close()


def planar(pixel):
    """What the references encode in a format's place."""
    return pixel if pixel == "GREY" else "YUV420"


class Encoder:
    """bench_encode: encodes batches when told to; stopped in between."""

    def __init__(self, kind, width, height, pixel="YUV420", framerate=FRAMERATE, tool=()):
        command = [*tool, f"{BUILD}/tests/bench/bench_encode", *kind.split(), photographs(width), pixel,
                   str(width), str(height), str(framerate), str(QUALITY)]
        self.stderr = open(f"{folder}/encoder-log", "w+", encoding="utf-8")
        environment = dict(os.environ) | {"BENCH_EACH": str(EACH)}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.stderr, text=True, env=environment)
        started.append(self.process)

    def run(self, frames=FRAMES):
        self.process.stdin.write(f"{frames}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            return None
        result = json.loads(line)
        result["cpu_ms"] = result["cpu_ns"] / result["frames"] / 1e6
        result["bytes"] /= result["frames"]
        return result

    def stop(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(timeout=300)


# ---- CPU time ----

RUNS = (("tcp 1", 1, False), ("tcp 4", 4, False), ("unix 1", 1, True), ("unix 4", 4, True))
LIMITS = {(1920, "tcp 1"): 1.06, (1920, "tcp 4"): 1.10, (1280, "tcp 1"): 1.08,
          (1280, "tcp 4"): 1.15}


def cpu_time(width, height, pixel):
    node = Node(width, height, pixel)
    node.pause()
    bare, turbo = (Encoder(kind, width, height, planar(pixel)) for kind in ("bare", "turbo"))
    references, turbos = [], []
    results = {name: [] for name, _, _ in RUNS}
    for _ in range(ROUNDS):
        references.append(bare.run())
        turbos.append(turbo.run())
        node.resume()
        for name, count, unix in RUNS:
            results[name].append(node.subscribe(count, unix))
        node.pause()
    node.resume()
    reference = median(r["cpu_ms"] for r in references)
    line = f"{width}x{height:<5} {pixel:7} {reference:6.2f}"
    line += f" {median(t['cpu_ms'] for t in turbos):6.2f}" if turbos[0] else "      -"
    for name, _, _ in RUNS:
        cpu = median(r["cpu_ms"] for r in results[name])
        limit = LIMITS.get((width, name)) if pixel == "YUV420" else None
        line += f"  {cpu:6.2f} {cpu / reference:5.3f}"
        line += f" (<= {limit:.2f})" if limit else " " * 10
    say(line)
    heap = sum(r["heap_calls"] for runs in results.values() for r in runs)
    detail = {"node": node, "results": results, "heap": heap,
              "bytes": median(r["bytes"] for r in results["tcp 1"]),
              "reference_bytes": median(r["bytes"] for r in references)}
    bare.stop()
    turbo.stop()
    return detail


def details(width, pixel, detail):
    node = detail["node"]
    line = f"{width:4} {pixel:7}"
    for name in ("tcp 1", "tcp 4"):
        runs = detail["results"][name]
        for key in ("encode_p99", "latency_p50", "latency_p99", "beyond_p99"):
            line += f" {median(r[key] for r in runs):6.2f}"
        line += f" {median(r['switches'] for r in runs):5.1f}"
    line += f"  {detail['heap']:4d}"
    line += f"  {detail['bytes']:7.0f} {detail['bytes'] / detail['reference_bytes']:6.3f}"
    node.stop()
    return line


def growth():
    rows = {count: [] for count in (1, 2, 4, 8)}
    turns = []
    for _ in range(ROUNDS):
        node = Node(1920, 1080, count_heap=False)
        for count, runs in rows.items():
            runs.append(node.subscribe(count)["cpu_ms"])
            if count == 4:
                turns.append(1e3 * node.metric('pinhole_loop_turn_worst_seconds{clock="cpu"}'))
        own, libraries = node.anonymous_kib()
        node.stop()
    # A hypervisor that takes the processor away is not seen by the kernel's clock either.
    say(f"worst loop turn in CPU time, 1080p, up to 4 subscribers: {median(turns):.2f} ms (<= 1.00), "
        f"median of {ROUNDS} nodes' worst; {min(turns):.2f} to {max(turns):.2f}")
    say(f"anonymous memory beyond store and pictures: {own:.0f} KiB of the node, {libraries:.0f} KiB "
        "of its libraries (<= 1024 together)")
    one = median(rows[1])
    say("subscribers 1 -> 8 over TCP, 1080p YUV420: " + ", ".join(
        f"{count}: {median(runs):.2f} ms" for count, runs in rows.items()) +
        f"; {(median(rows[8]) - one) / 7:.3f} ms per further subscriber")


def can_be_first():
    return subprocess.run(["chrt", "-f", "10", "true"], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0


def latency():
    """Each at real-time priority where that may be, so that nothing else on the machine comes
    before it. The reference does without all that a node does: bare encode, one blocking call a
    reader."""
    first = ("chrt", "-f", "10") if can_be_first() else ()
    say(f"latency, ms; medians of {ROUNDS} alternating runs of {6 * ROUND} frames" +
        (" at real-time priority" if first else ", at normal priority: other work enters"))
    say("reference: bare encode, then a plain send() to each of as many readers; over: the node's "
        "p99 less the reference's encode p99")
    say("                        --------- reference --------   ------------ node -------------")
    say("                        encode         beyond encode            beyond its encode (<= 0.50)")
    say("size       subscribers     p99    p99    p50    p99      p50    p99    p50    p99"
        "   over (<= 0.50)")
    for width, height in SIZES[-2:]:
        node = Node(width, height, tool=first, count_heap=False)
        for count in (1, 4):
            plain = Encoder(f"send {count}", width, height, tool=first)
            runs, references = [], []
            for _ in range(ROUNDS):
                node.resume()
                runs.append(node.subscribe(count, frames=6 * ROUND, tool=first))
                node.pause()
                plain.run(WARMUP)
                references.append(plain.run(6 * ROUND))
            plain.stop()
            line = f"{width}x{height:<5} {count:11} "
            for results, parts in ((references, ("encode_p99", "latency_p99")),
                                   (runs, ("latency_p50", "latency_p99"))):
                for what in (*parts, "beyond_p50", "beyond_p99"):
                    line += f" {median(r[what] for r in results):6.2f}"
                line += "  "
            over = (median(r["latency_p99"] for r in runs) -
                    median(r["encode_p99"] for r in references))
            say(f"{line}{over:5.2f}")
        node.stop()


def slow_readers():
    first = ("chrt", "-f", "10") if can_be_first() else ()
    node = Node(1920, 1080, framerate=30, tool=first, count_heap=False)
    without, with_slow = [], []
    for _ in range(ROUNDS):
        without.append(node.subscribe(1, tool=first))
        slow = [subprocess.Popen([f"{BUILD}/tests/bench/bench_client", node.address, "slow", rate])
                for rate in ("10000", "0")]
        time.sleep(0.5)
        with_slow.append(node.subscribe(1, tool=first))
        for process in slow:
            process.kill()
            process.wait()
    node.stop()
    say("a subscriber's latency beyond the encode, 1080p, p50 / p99 ms: alone " +
        " / ".join(f"{median(r[k] for r in without):.2f}" for k in ("beyond_p50", "beyond_p99")) +
        "; beside one reading 10 kB/s and one stopped " +
        " / ".join(f"{median(r[k] for r in with_slow):.2f}" for k in ("beyond_p50", "beyond_p99")))


def hand_over():
    """From libcamera's thread to the loop, where libcamera has a camera; make check-libcamera
    measures it with its virtual one."""
    say(subprocess.run([f"{BUILD}/tests/kernel/test_camera_libcamera_recovery", "--bench"], check=False,
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                       text=True).stdout.strip() or "hand-over: this build has no libcamera")


def system_calls():
    """Of the whole node, counted by the kernel's tracepoint. Time decides how often the loop looks
    for news while it encodes, so a busy machine has more of them."""
    calls, node = [], Node(1920, 1080, framerate=30, count_heap=False)
    for _ in range(ROUNDS):
        counts = f"{folder}/perf"
        done = subprocess.run(["perf", "stat", "-x,", "-o", counts, "-e", "raw_syscalls:sys_enter", "-p",
                               str(node.process.pid), f"{BUILD}/tests/bench/bench_client", node.address,
                               str(node.process.pid), "1", str(WARMUP), str(FRAMES)],
                              check=False, capture_output=True, text=True)
        found = ""
        with contextlib.suppress(OSError), open(counts, encoding="ascii") as lines:
            found = re.search(r"^(\d+),.*sys_enter", lines.read(), re.MULTILINE)
        if done.returncode == 0 and found:
            calls.append((int(found.group(1)) / (WARMUP + FRAMES),
                          json.loads(done.stdout)["cpu_ns"] / FRAMES / 1e6))
    turn = 1e3 * node.metric('pinhole_loop_turn_worst_seconds{clock="cpu"}')
    node.stop()
    if not calls:
        say("system calls: perf cannot count them here (as root, with linux-perf)")
        return
    low, high = min(calls), max(calls)
    say(f"system calls per frame, 1080p, one subscriber: {median(c for c, _ in calls):.1f} (<= 12), "
        f"{low[0]:.1f} to {high[0]:.1f} in {len(calls)} runs, at {low[1]:.2f} to {high[1]:.2f} ms of CPU "
        f"time a frame; longest turn {turn:.2f} ms of CPU time (<= 0.50)")


def first_frame_after_start():
    """From the start of the node to a frame on disk: the fake camera at 30 frames/s, and a client that
    starts when the node's socket is there."""
    path, taken = f"{folder}/early", []
    for _ in range(max(5, ROUNDS)):
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
        begin = time.monotonic()
        node = subprocess.Popen([f"{BUILD}/pinhole", "--camera", "fake", "--framerate", "30", "--listen",
                                 "", "--socket", path], stderr=subprocess.DEVNULL)
        started.append(node)
        while not os.path.exists(path):
            time.sleep(0.0005)
        subprocess.run([f"{BUILD}/pinholectl", "-n", f"unix:{path}", "grab", "--replace",
                        "-o", f"{folder}/first"],
                       check=True, stdout=subprocess.DEVNULL)
        taken.append(1e3 * (time.monotonic() - begin))
        node.terminate()
        node.wait(timeout=60)
    say(f"from start to the first frame in a client, fake camera at 30 frames/s: {median(taken):.0f} ms "
        f"(<= 60), {min(taken):.0f} to {max(taken):.0f}")


# ---- instructions ----

CALLGRIND = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.%p")


def collected(text):
    found = re.findall(r"Collected : (\d+)", text)
    return int(found[-1]) if found else None


# Two runs of different length, subtracted: a round through the photographs remains.
LENGTHS = (4, 4 + ROUND)


def encoder_instructions(kind, width, height, layout, framerate):
    totals = []
    for frames in LENGTHS:
        encoder = Encoder(kind, width, height, layout, framerate=framerate, tool=CALLGRIND)
        if encoder.run(frames) is None:
            return None
        encoder.stop()
        with open(encoder.stderr.name, encoding="utf-8") as log:
            totals.append(collected(log.read()))
    return (totals[1] - totals[0]) / ROUND


def node_instructions(width, height, pixel, framerate):
    totals, ids = [], []
    for frames in LENGTHS:
        node = Node(width, height, pixel, framerate=framerate, tool=CALLGRIND, count_heap=False)
        result = subprocess.run([f"{BUILD}/tests/bench/bench_client", node.address,
                                 str(node.process.pid), "1", "1", str(frames)], check=True,
                                capture_output=True)
        ids.append(json.loads(result.stdout)["last_id"])
        node.stop()
        totals.append(collected(node.text()))
    return (totals[1] - totals[0]) / (ids[1] - ids[0])


def instructions():
    say("\nmillion instructions per frame (callgrind), one subscriber over TCP")
    say("size       format    bare  turbo     own  own/bare   node  node/bare")
    for width, height in SIZES:
        framerate = 2 if width == 1920 else 4 if width == 1280 else 8
        references = {}
        for pixel in FORMATS:
            layout = planar(pixel)
            if layout not in references:
                references[layout] = [encoder_instructions(kind, width, height, layout, framerate)
                                      for kind in ("bare", "turbo")]
            bare, turbo = references[layout]
            own = encoder_instructions("own", width, height, pixel, framerate)
            node = node_instructions(width, height, pixel, framerate)
            limit = " (<= 0.56)" if (width, pixel) == (1920, "YUV420") else ""
            say(f"{width}x{height:<5} {pixel:7} {bare / 1e6:6.2f} " +
                (f"{turbo / 1e6:6.2f}" if turbo else "     -") +
                f"  {own / 1e6:6.2f}     {own / bare:.3f} {node / 1e6:6.2f}  {node / bare:.3f}{limit}")


# ---- peers ----

def process_cpu_ns(pid):
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as schedstat:
            total += int(schedstat.read().split()[0])
    return total


class Reader(threading.Thread):
    """Reads a raw MJPEG stream and notes where frames begin. In the bench's process, never in the
    peer's."""

    def __init__(self, port):
        super().__init__(daemon=True)
        for _ in range(200):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.05)
        else:
            sys.exit(f"bench: nobody listens on port {port}")
        self.begins, self.head = [], b""

    def run(self):
        rest, octets = b"", 0
        with contextlib.suppress(OSError):
            while data := self.socket.recv(1 << 20):
                if len(self.head) < 4096:
                    self.head += data[:4096]
                joined = rest + data
                at = joined.find(b"\xff\xd8\xff")
                while at >= 0:
                    self.begins.append(octets - len(rest) + at)
                    at = joined.find(b"\xff\xd8\xff", at + 3)
                rest = joined[-2:]
                octets += len(data)

    def wait(self, frames):
        while len(self.begins) <= frames:
            time.sleep(0.002)
            if not self.is_alive():
                sys.exit("bench: a peer has ended")


def tables_of(jpeg):
    """The quantiser tables of the first frame in a stream."""
    found, at = [], jpeg.index(b"\xff\xd8") + 2
    while jpeg[at] == 0xff and jpeg[at + 1] != 0xda:
        length = jpeg[at + 2] << 8 | jpeg[at + 3]
        if jpeg[at + 1] == 0xdb:
            body = jpeg[at + 4:at + 2 + length]
            found += [(body[i] & 15, body[i + 1:i + 65]) for i in range(0, len(body), 65)]
        at += 2 + length
    return dict(found)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure_peer(command, port):
    """CPU ms per frame, bytes per frame and tables, over two rounds through the photographs;
    `port` 0: the feed alone, paced, no output."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    started.append(process)
    reader, frames = None, 2 * ROUND
    if port:
        reader = Reader(port)
        reader.start()
        reader.wait(WARMUP)
    else:
        time.sleep(1.0)
    cpu = process_cpu_ns(process.pid)
    if reader:
        reader.wait(WARMUP + frames)
    else:
        time.sleep(frames / 30)
    cpu = process_cpu_ns(process.pid) - cpu
    process.kill()
    process.wait()
    begins = reader.begins if reader else [0] * (WARMUP + frames + 1)
    return {"cpu_ms": cpu / frames / 1e6, "tables": tables_of(reader.head) if reader else None,
            "bytes": (begins[WARMUP + frames] - begins[WARMUP]) / frames}


def natural_order(table):
    zigzag = sorted(range(64), key=lambda i: (i // 8 + i % 8, i % 8 if (i // 8 + i % 8) % 2 == 0
                                              else i // 8))
    out = [0] * 64
    for position, natural in enumerate(zigzag):
        out[natural] = table[position]
    return ",".join(str(value) for value in out)


FFMPEG = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin"]


def ffmpeg_encoder(tables):
    return ["-vf", "scale=in_range=pc:out_range=pc", "-c:v", "mjpeg", "-pix_fmt", "yuvj422p",
            "-qmin", "8", "-qmax", "8", "-q:v", "8", "-intra_matrix", natural_order(tables[0]),
            "-chroma_intra_matrix", natural_order(tables[1])]


def finer_tables(tables, video, octets):
    """The quantiser tables with which ffmpeg's frames have as many octets: these, times a factor
    that is searched for."""
    low, high, found = 0.5, 1.0, tables
    for _ in range(7):
        factor = (low + high) / 2
        found = {i: bytes(max(1, round(step * factor)) for step in table)
                 for i, table in tables.items()}
        out = subprocess.run([*FFMPEG, *video, *ffmpeg_encoder(found), "-f", "mjpeg", "pipe:1"],
                             check=True, capture_output=True).stdout
        low, high = (factor, high) if len(out) / ROUND > octets else (low, factor)
    return found


def compare(tables, ours):
    pairs = [pair for i in (0, 1) for pair in zip(tables.get(i, ()), ours[i])]
    if len(pairs) != 128 or any(step > our for step, our in pairs):
        return "DIFFER"
    return "equal" if all(step == our for step, our in pairs) else "finer"


def peer_commands(width, height, raw, tables, octets):
    """Peers as {name: (program, command, port)}, and what each program's reading alone takes."""
    # One file per frame, in the page cache, read over and over.
    feed = (f"multifilesrc location={raw}/%03d.raw start-index=0 stop-index={ROUND - 1} loop=true "
            f"! rawvideoparse format=yuy2 width={width} height={height} framerate=30/1 "
            "! identity sync=true").split()
    video = ["-f", "rawvideo", "-pix_fmt", "yuyv422", "-video_size", f"{width}x{height}",
             "-framerate", "30", "-i", f"{raw}/all.raw"]
    ffmpeg = [*FFMPEG, "-re", "-stream_loop", "-1", *video]
    port = [free_port() for _ in range(4)]
    finer = finer_tables(tables, video, octets) if shutil.which("ffmpeg") else tables

    def listen(number):
        return ["-f", "mjpeg", f"tcp://127.0.0.1:{number}?listen=1"]

    return {
        "GStreamer": ("gst-launch-1.0", [
            "gst-launch-1.0", "-q", *feed, "!", "jpegenc", f"quality={PEER_QUALITY}", "!",
            "tcpserversink", "host=127.0.0.1", f"port={port[0]}"], port[0]),
        "ffmpeg": ("ffmpeg", ffmpeg + ffmpeg_encoder(tables) + listen(port[1]), port[1]),
        "ffmpeg, as large": ("ffmpeg", ffmpeg + ffmpeg_encoder(finer) + listen(port[2]), port[2]),
        # At its cheapest: one thread, the standard's Huffman tables instead of a frame's own.
        "ffmpeg, 1 thread": ("ffmpeg", ffmpeg + ffmpeg_encoder(tables) + [
            "-threads", "1", "-huffman", "default"] + listen(port[3]), port[3]),
    }, {"gst-launch-1.0": ["gst-launch-1.0", "-q", *feed, "!", "fakesink"],
        "ffmpeg": ffmpeg + ["-c", "copy", "-f", "null", "-"]}


def first_frame(node):
    path = f"{folder}/frame"
    subprocess.run([f"{BUILD}/pinholectl", "-n", node.address, "grab", "-o", path], check=True,
                   stdout=subprocess.DEVNULL)
    with open(path, "rb") as file:
        return file.read()


PEER_LIMITS = {"gst-launch-1.0": 0.70, "ffmpeg": 0.35}
# ffmpeg's first quantiser step is 8 whatever the matrix says; at this quality libjpeg's is too, for
# luma and chroma, so all 128 steps can be equal. Its rounding is its own, towards zero, and
# takes a tenth of the bytes away; with finer steps it has as many bytes instead.
PEER_QUALITY = 76


def peers(width, height):
    say(f"\npeers, {width}x{height} YUYV to 4:2:2, quality {PEER_QUALITY}, 30 frames/s, one TCP "
        "reader; the feed is the peer's reading of raw frames from the page cache")
    raw = f"{folder}/raw-{width}"
    os.makedirs(raw)
    writer = Encoder(f"raw {raw}/all.raw", width, height, "YUYV")
    writer.run(ROUND)
    writer.stop()
    with open(f"{raw}/all.raw", "rb") as whole:
        for index in range(ROUND):
            with open(f"{raw}/{index:03d}.raw", "wb") as one:
                one.write(whole.read(2 * width * height))
    node = Node(width, height, "YUYV", "422", framerate=30, quality=PEER_QUALITY)
    octets = node.subscribe(1, frames=ROUND)["bytes"]
    tables = tables_of(first_frame(node))
    commands, feed_commands = peer_commands(width, height, raw, tables, octets)
    commands = {name: c for name, c in commands.items() if shutil.which(c[0])}
    if not commands:
        say("neither GStreamer nor ffmpeg is installed: make bench PEERS=1")
    own, found = [], {name: [] for name in commands}
    feeds = {program: [] for program, _, _ in commands.values()}
    for _ in range(ROUNDS if commands else 0):
        node.resume()
        own.append(node.subscribe(1, frames=2 * ROUND))
        node.pause()
        for name, (_, command, port) in commands.items():
            found[name].append(measure_peer(command, port))
        for program, runs in feeds.items():
            runs.append(measure_peer(feed_commands[program], 0))
    node.stop()
    ours = median(r["cpu_ms"] for r in own) if own else 0
    for name, runs in found.items():
        cpu = median(r["cpu_ms"] for r in runs)
        feed = median(r["cpu_ms"] for r in feeds[commands[name][0]])
        limit = PEER_LIMITS[commands[name][0]]
        say(f"{name:16} {cpu:6.2f} ms; node {ours:5.2f} = {ours / cpu:.2f} x (<= "
            f"{limit:.2f}); its feed alone {feed:5.2f}, without it "
            f"{ours / (cpu - feed):.2f} x; quantiser tables "
            f"{compare(runs[-1]['tables'], tables)}, "
            f"bytes/ours {median(r['bytes'] for r in runs) / median(r['bytes'] for r in own):.3f}")


def main():
    make_photographs()
    say(f"CPU ms per frame and ratio to the bare encode; medians of {ROUNDS} alternating runs of "
        f"{FRAMES} frames, quality {QUALITY}, {FRAMERATE} frames/s, {os.cpu_count()} cores")
    say("bare: libjpeg-turbo's raw-data API on the same photographs, planar (grey for GREY); turbo: "
        "TurboJPEG's API")
    say("size       format    bare  turbo" +
        "".join(f"   {name:6} ratio          " for name, _, _ in RUNS))
    lines = []
    for width, height in SIZES:
        for pixel in FORMATS:
            lines.append(details(width, pixel, cpu_time(width, height, pixel)))
    say("\nms; enc99 is the encode time's p99, `late` latency p99 less each frame's own encode")
    say("            -------- tcp 1 --------------  -------- tcp 4 --------------")
    say("            enc99    p50    p99   late  csw  enc99    p50    p99   late  csw  heap"
        "   bytes  /bare")
    say("\n".join(lines))
    say("csw: context switches per frame; heap: heap calls in all runs (0)")
    say()
    latency()
    growth()
    slow_readers()
    system_calls()
    first_frame_after_start()
    hand_over()
    instructions()
    for width, height in SIZES[-2:]:
        peers(width, height)


def run(what):
    try:
        what()
    finally:
        for one in started:
            one.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    run(main)
