#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Many nodes: simulated ones that speak net/SPEC.md (many_nodes.c), a relay for each, a hub of three
servers that keep each record three times on disk, and four recorders of one group. What each node has
published is recorded once, or told by a GAP.

Many connections: NODES nodes, each with a trigger in IDLE_S seconds. Then the load: more and more nodes
with a trigger a second, until what is recorded no longer keeps up. A line for each step: messages a
second, CPU of each part in % of a core, and its memory.

NODES=N      connections at once, and the most nodes of the load (200)
IDLE_S=S     (20)
WINDOW_S=S   of each measurement (12; the connections' one takes IDLE_S)
LOAD=N,...   nodes of the load's steps (50,100)
Last line: "N passed, N failed"."""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from fake_node import padded_jpeg  # noqa: E402
from mqtt import Process  # noqa: E402
from check import Hub  # noqa: E402
from nats import STREAM, Client, Relay  # noqa: E402
from pinhole_node import BUILD, cpu_s, run_cases, wait_for  # noqa: E402

NODES = int(os.environ.get("NODES", "200"))
IDLE_S = int(os.environ.get("IDLE_S", "20"))
WINDOW_S = int(os.environ.get("WINDOW_S", "12"))
LOAD = [int(n) for n in os.environ.get("LOAD", "50,100").split(",")]
BYTES, RECORDERS, AT_ONCE = 40000, 4, 20
PATIENCE_S = 120


class Nodes:
    """The simulated nodes, in one process."""

    def __init__(self, folder):
        program, picture = f"{folder}/many_nodes", f"{folder}/picture"
        subprocess.run(["cc", "-O2", "-std=c11", "-D_GNU_SOURCE", "-I.", "-o", program,
                        "tests/host/fleet/many_nodes.c", "net/wire.c", "hal/os/clock.c"], check=True)
        with open(picture, "wb") as file:
            file.write(padded_jpeg(BYTES))
        self.process = subprocess.Popen([program, str(NODES), picture], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.ports = self.process.stdout.readline().split()

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return [int(word) for word in self.process.stdout.readline().split()]


class Fleet:
    """All parts, on disks of their own. Relays and cameras come in steps."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pinhole-many-")
        self.nodes = Nodes(self.folder.name)
        self.hub = Hub("--store-bytes", "20000000000", stream=STREAM)
        self.relays = []
        self.outputs = [f"{self.folder.name}/{i}" for i in range(RECORDERS)]
        self.recorders = [Process() for _ in self.outputs]

    def start(self):
        self.grow(1)  # makes the stream
        self.hub.wait_ready()
        for recorder, output in zip(self.recorders, self.outputs):
            recorder.run("prlimit", "--nofile=1024:", f"{BUILD}/pinhole-rec", "-o", output, "--from", self.hub.url, "--group", "many")

    def grow(self, count):
        """To so many relays, a few at a time."""
        while len(self.relays) < min(count, NODES):
            first = len(self.relays)
            for i in range(first, min(first + AT_ONCE, count, NODES)):
                self.relays.append(Relay(self.hub.url, ("127.0.0.1", self.nodes.ports[i]), "--replicas", "3", "--max-bytes", "0", name=f"node{i}"))
            for relay in self.relays[first:]:
                relay.wait_log("connected to", PATIENCE_S)

    def parts(self):
        """{part: its processes}"""
        return {"nodes": [self.nodes.process.pid], "relays": [r.process.pid for r in self.relays],
                "hub": [s.process.pid for s in self.hub.servers],
                "recorders": [r.process.pid for r in self.recorders]}

    def stored(self):
        with Client(self.hub.servers[0].port) as client:
            return client.api(f"STREAM.INFO.{STREAM}")["state"]["last_seq"]

    def recorded(self):
        """Frames in all sidecars."""
        total = 0
        for path in glob.glob(f"{self.folder.name}/?/*/*.jsonl*"):
            try:
                with open(path, "rb") as file:
                    total += file.read().count(b'"type":"frame"')
            except FileNotFoundError:
                pass  # it has its final name by now, and is counted the next time
        return total

    def counts(self):
        """(when, published, stored, recorded)"""
        return time.monotonic(), self.nodes.ask("count")[0], self.stored(), self.recorded()

    def measure(self, count, seconds):
        """Prints the table's line. Returns what is recorded of what is offered."""
        parts = self.parts()
        before, busy, used = self.counts(), busy_s(), {part: cpu_s(*pids) for part, pids in parts.items()}
        time.sleep(seconds)
        after, busy = self.counts(), busy_s() - busy
        took = after[0] - before[0]
        used = {part: (cpu_s(*pids) - used[part]) / took * 100 for part, pids in parts.items()}
        rates = [(b - a) / took for a, b in zip(before[1:], after[1:])]
        memory = {part: sum(map(pss_mb, pids)) for part, pids in parts.items()}
        print(f"| {count} | " + " | ".join(f"{rate:.0f}" for rate in rates) +
              f" | {after[1] - after[2]} | {after[2] - after[3]} | " +
              " | ".join(f"{used[part]:.0f}" for part in used) + f" | {busy / took * 100:.0f} | " +
              " | ".join(f"{memory[part]:.0f}" for part in memory) + " |", flush=True)
        return rates[2] / rates[0]

    def settle(self, seconds=PATIENCE_S):
        """Waits until all that is published is recorded."""
        self.nodes.ask("run 0 1")
        published, begin = self.nodes.ask("count")[0], time.monotonic()
        wait_for("all is recorded", lambda: time.sleep(1) or self.recorded() >= published, seconds)
        print(f"  {published} records; the last is recorded {time.monotonic() - begin:.0f} s after it came", flush=True)

    def judge(self):
        """Each node's records are in one sidecar, or told as missing there."""
        newest = self.nodes.ask("each")
        for recorder in self.recorders:
            recorder.process.terminate()
        for recorder in self.recorders:
            assert recorder.process.wait(PATIENCE_S) in (0, 4), recorder.log[-1500:]
        done = subprocess.run([f"{BUILD}/pinhole-rec", "check", *self.outputs], capture_output=True, text=True,
                              check=False)
        print("  " + done.stdout.strip().splitlines()[-1], flush=True)
        assert done.returncode == 0, done.stdout[-2000:]
        frames = lost = 0
        for i, last in enumerate(newest):
            expected = 1
            for first, end, is_frame in sorted(ranges(self.folder.name, f"node{i}")):
                assert first == expected, f"node{i}: record {expected} is expected, then comes {first}"
                expected, frames = end + 1, frames + is_frame
                lost += 0 if is_frame else end - first + 1
            assert expected == last + 1, f"node{i}: {last} records, and {expected - 1} are recorded"
        print(f"  {frames} frames of {sum(x > 0 for x in newest)} nodes are recorded once, {lost} are told as missing",
              flush=True)
        assert frames + lost == sum(newest), (frames, lost, sum(newest))

    def __enter__(self):
        print("| nodes | offered/s | stored/s | recorded/s | not stored | not recorded | CPU % nodes | relays | hub | "
              "recorders | whole machine | MB nodes | relays | hub | recorders |\n|" + "---|" * 15, flush=True)
        return self

    def __exit__(self, *_):
        for each in (*self.relays, *self.recorders, *self.hub.servers):
            each.kill()
            each.folder.cleanup()
        self.nodes.process.stdin.close()
        self.nodes.process.wait()
        self.folder.cleanup()


def ranges(folder, camera):
    """Of the sidecars of a camera in all folders: (first, last, is it a frame)."""
    for path in glob.glob(f"{folder}/?/{camera}/*.jsonl"):
        with open(path, encoding="utf-8") as file:
            for line in map(json.loads, file):
                if line["type"] == "frame":
                    yield line["sequence"], line["sequence"], True
                elif line["type"] == "missing":
                    yield line["first"], line["last"], False


def busy_s():
    """CPU time of the whole machine, other work on it too."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # without idle and iowait


def pss_mb(pid):
    """Memory of a process, with its share of what it shares."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss: +(\d+)", file.read(), re.M).group(1)) / 1000


def test_connections():
    with Fleet() as fleet:
        fleet.start()
        begin = time.monotonic()
        fleet.grow(NODES)
        print(f"  {NODES} relays in {time.monotonic() - begin:.0f} s", flush=True)
        fleet.nodes.ask(f"run {NODES} {IDLE_S * 1000}")
        begin = time.monotonic()
        wait_for("a recorder for each node", lambda: time.sleep(1) or
                 len(glob.glob(f"{fleet.folder.name}/?/*/*.jsonl*")) >= NODES, PATIENCE_S)
        print(f"  the recorders have all cameras after {time.monotonic() - begin:.0f} s", flush=True)
        fleet.measure(NODES, IDLE_S)
        fleet.settle()
        fleet.judge()


def test_load():
    with Fleet() as fleet:
        fleet.start()
        for count in [n for n in LOAD if n < NODES] + [NODES]:
            fleet.grow(count)
            fleet.nodes.ask(f"run {count} 1000")
            time.sleep(WINDOW_S)  # the recorders take the new cameras
            if fleet.measure(count, WINDOW_S) < 0.9:
                print(f"  {count} nodes are more than this machine carries", flush=True)
                break
        fleet.settle()
        fleet.judge()


if __name__ == "__main__":
    run_cases(globals())
