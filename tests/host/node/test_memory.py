#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fixed memory, seen from outside, on a whole node with the fake camera, encoder and four subscribers:
no heap call in 1,000 steady frames, by the node or any library in it, and resident memory after
20,000 frames equal to that after 1,000 within one page per 10,000 frames."""

import atexit
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", "build/release")
HEADER = struct.Struct("<4sBBHII")  # magic, version, type, flags, length, tag
SUBSCRIBE = struct.Struct("<HBBIQQ")  # fixed_bytes, policy, filter, interval, boot_id, from
LATEST, EVERY, FROM_NOW = 1, 2, 2**64 - 1
TYPE_SUBSCRIBE, TYPE_FRAME = 2, 3
PAGE = os.sysconf("SC_PAGE_SIZE")
SILENCE_S = 60  # a node without news for so long is given up


class Subscriber:
    """Counts the frames of one connection and drops their pictures."""

    def __init__(self, path, policy):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        payload = SUBSCRIBE.pack(SUBSCRIBE.size, policy, 0, 0, 0, FROM_NOW)
        self.socket.sendall(HEADER.pack(b"PINH", 1, TYPE_SUBSCRIBE, 0, len(payload), 1) + payload)
        self.buffer = b""
        self.frames = 0

    def read(self):
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            sys.exit("the node closed a subscriber's connection")
        self.buffer += chunk
        at = 0
        while len(self.buffer) - at >= HEADER.size:
            magic, _, kind, _, length, _ = HEADER.unpack_from(self.buffer, at)
            if magic != b"PINH":
                sys.exit("no message header where one must be")
            if len(self.buffer) - at < HEADER.size + length:
                break
            self.frames += kind == TYPE_FRAME
            at += HEADER.size + length
        self.buffer = self.buffer[at:]


class Node:
    """A node at 1,000 frames per second of a small picture, with four subscribers."""

    def __init__(self, folder, environment):
        path = os.path.join(folder, "socket")
        # The smallest store, so that each of its pages is in use after a few hundred frames.
        with open(os.path.join(folder, "node.ini"), "w", encoding="utf-8") as config:
            config.write("[camera]\ncamera = fake\nwidth = 160\nheight = 120\nframerate = 1000\n"
                         "[jpeg]\nframe_bytes_max = 64K\n[store]\nmemory = 4M\n"
                         f"[server]\nlisten =\nsocket = {path}\n")
        self.log = open(os.path.join(folder, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [f"{BUILD}/pinhole", "--config", config.name],
            env=os.environ | environment, stderr=self.log, stdin=subprocess.DEVNULL)
        atexit.register(self.process.kill)  # however this script ends
        deadline = time.monotonic() + SILENCE_S
        while not os.path.exists(path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.fail("the node does not listen")
            time.sleep(0.02)
        self.selector = selectors.DefaultSelector()
        self.subscribers = [Subscriber(path, policy) for policy in (LATEST, LATEST, EVERY, EVERY)]
        for subscriber in self.subscribers:
            self.selector.register(subscriber.socket, selectors.EVENT_READ, subscriber)

    def run_until(self, frames):
        """Until each subscriber has had so many frames."""
        while min(subscriber.frames for subscriber in self.subscribers) < frames:
            ready = self.selector.select(SILENCE_S)
            if not ready:
                self.fail("no frame came for a minute")
            for key, _ in ready:
                key.data.read()

    def resident_pages(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1])

    def end(self):
        self.process.terminate()
        if self.process.wait(SILENCE_S) != 0:
            self.fail(f"the node ended with status {self.process.returncode}")

    def fail(self, reason):
        self.process.kill()
        self.log.seek(0)
        sys.exit(f"{reason}; its log:\n{self.log.read()}")


def read_counters(path):
    with open(path, "rb") as file:
        return struct.unpack("<3Q", file.read(24))


def check_heap(folder):
    library = os.path.abspath(f"{BUILD}/tests/count_heap.so")

    def counting(name):
        return {"LD_PRELOAD": library, "COUNT_HEAP_FILE": os.path.join(folder, name)}

    # The node may well call the heap not once, so it cannot tell whether calls are seen.
    control = counting("control")
    subprocess.run([sys.executable, "-c", ""], env=os.environ | control, check=True)
    if read_counters(control["COUNT_HEAP_FILE"])[0] == 0:
        sys.exit("the counting library saw not one call of Python's: it does not work")
    environment = counting("heap")
    counters = environment["COUNT_HEAP_FILE"]
    node = Node(folder, environment)
    node.run_until(500)
    before = read_counters(counters)
    node.run_until(1500)
    after = read_counters(counters)
    node.end()
    print(f"heap calls: {before[0]} taking memory by frame 500, "
          f"{after[0] - before[0]} taking and {after[1] - before[1]} freeing in 1,000 frames after")
    if after != before:
        sys.exit("the steady state uses the heap")


def check_resident(folder):
    node = Node(folder, {})
    node.run_until(1000)
    first = node.resident_pages()
    node.run_until(20000)
    last = node.resident_pages()
    node.end()
    print(f"resident: {first} pages after 1,000 frames, {last} after 20,000 (a page: {PAGE} bytes)")
    if last - first > 2:
        sys.exit("resident memory grows")


def check_store(folder):
    """The store's memory is the node's within seconds, though no frame fills it: a machine that
    cannot give it says so then, not in the field."""
    path = os.path.join(folder, "socket")
    with subprocess.Popen([f"{BUILD}/pinhole", "--camera", "fake", "--listen", "", "--socket", path,
                           "--set", "store.memory=64M", "--framerate", "0.1"],
                          stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + SILENCE_S
        pages = 0
        while pages * PAGE < 64 << 20 and time.monotonic() < deadline:
            with open(f"/proc/{process.pid}/statm", encoding="ascii") as statm:
                pages = int(statm.read().split()[1])
            time.sleep(0.05)
        process.terminate()
    print(f"store: {pages} pages resident without a frame")
    if pages * PAGE < 64 << 20:
        sys.exit("the store's memory is not there")


signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
if os.environ.get("SAN"):
    print("the sanitizers' own heap would be counted")
    sys.exit(77)
for check in (check_store, check_heap, check_resident):
    with tempfile.TemporaryDirectory() as scratch:
        check(scratch)
