#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Power cuts at the edge. A leaf keeps its stream on a disk that forgets at a cut what was not flushed
(tests/host/support/forgetful_disk.py), with the product's own configuration. Messages are stored without
a pause. At random moments the disk is cut: what the leaf had acknowledged until then must be on it,
byte for byte, when a server starts there again. With the default, `sync_interval: always`, it is all;
with other settings it is measured what is lost.

CUTS=N       so many (30)
SEED=N       of the random moments; it is printed
Last line: "N passed, N failed"."""

import base64
import hashlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from forgetful_disk import ForgetfulDisk, Mounted, why_not  # noqa: E402
from nats import STREAM, Client, Error, Server, create_stream, is_old, print_config  # noqa: E402
from pinhole_node import free_port, run_cases  # noqa: E402

CUTS = int(os.environ.get("CUTS", "30"))
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
DISK_BYTES, STREAM_BYTES = 160 << 20, 60 << 20
MESSAGE_BYTES = 60000


def leaf(store, sync):
    port = free_port()
    config = print_config("leaf", "gate", "--client-port", str(port), "--peers",
                          f"127.0.0.1:{free_port()}", "--store-dir", store, "--sync-interval", sync)
    return Server(config, port=port).wait()


def content(number):
    """Of message `number`: not compressible, and its own."""
    return hashlib.shake_128(number.to_bytes(8, "big")).digest(MESSAGE_BYTES)


class Publisher(threading.Thread):
    """Stores messages one after the other; acknowledged are all up to `acked`."""

    def __init__(self, port, pause_s):
        super().__init__(daemon=True)
        self.client, self.pause_s, self.acked = Client(port), pause_s, 0
        self.times, self.is_over, self.error = [0.0], False, None
        create_stream(self.client, max_bytes=STREAM_BYTES)
        self.start()

    def run(self):
        try:
            while not self.is_over:
                answer = self.client.publish("pinhole.gate.frame", content(self.acked + 1))
                assert answer.get("seq") == self.acked + 1, answer
                self.times.append(time.monotonic())
                self.acked += 1
                time.sleep(self.pause_s)
        except (OSError, AssertionError) as error:
            self.error = error

    def stop(self):
        self.is_over = True
        self.join()
        assert self.error is None, self.error


def newest_whole(image, sync, acked):
    """Starts a server on the disk. Returns the last message up to `acked` before which nothing of what
    the stream should have is missing or other than it was."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(image)
        file.flush()
        with Mounted(file.name) as store, leaf(f"{store}/nats", sync) as server, \
                Client(server.port) as client:
            try:
                state = client.api(f"STREAM.INFO.{STREAM}")["state"]
            except Error:
                return 0  # a stream that was new is not there
            if state["messages"] == 0:
                return 0
            for number in range(max(1, state["first_seq"]), min(acked, state["last_seq"]) + 1):
                try:
                    message = client.api(f"STREAM.MSG.GET.{STREAM}", seq=number)["message"]
                except Error:
                    return number - 1
                if base64.b64decode(message["data"]) != content(number):
                    return number - 1
            return min(acked, state["last_seq"])


def measure(sync, moments, seconds, pause_s=0.0, is_settled=False):
    """Cuts while messages are stored, into a new stream or into one that is on the disk by now. Returns
    of each cut what was acknowledged and is not there, in messages and in seconds, and the messages a
    second."""
    cuts = []
    with ForgetfulDisk(DISK_BYTES) as disk, Mounted(disk.path, is_new=True) as store, \
            leaf(f"{store}/nats", sync) as server:
        publisher = Publisher(server.port, pause_s)
        if is_settled:
            time.sleep(1)
            subprocess.run(["sync", "--file-system", store], check=True)
        start, before = time.monotonic(), publisher.acked
        for moment in sorted(moments.uniform(0.5, seconds) for _ in range(CUTS)):
            time.sleep(max(0.0, start + moment - time.monotonic()))
            acked, when = publisher.acked, time.monotonic()
            # Every second disk has also written some of what it was not told to flush.
            cuts.append((acked, when, disk.cut(moments if len(cuts) % 2 else None)))
        publisher.stop()
        rate = (publisher.acked - before) / (time.monotonic() - start)
    lost = []
    for acked, when, image in cuts:
        last = newest_whole(image, sync, acked)
        lost.append((acked - last, when - publisher.times[last + 1] if last < acked else 0.0))
    return lost, rate


def report(name, lost, rate):
    messages, seconds = [m for m, _ in lost], [s for _, s in lost]
    print(f"  {name}: of {len(lost)} cuts {sum(m > 0 for m in messages)} lost something; messages: median "
          f"{statistics.median(messages):.0f}, most {max(messages)}; seconds: median "
          f"{statistics.median(seconds):.1f}, most {max(seconds):.1f}; {rate:.0f} messages a second", flush=True)


def test_always():
    """The default loses nothing."""
    lost, rate = measure("always", random.Random(SEED), 20)
    report("always", lost, rate)
    assert all(messages == 0 for messages, _ in lost), lost


def test_others():
    """Other settings lose: if they did not, the disk would forget nothing."""
    for sync in ("",) if is_old() else ("1s", "10s", ""):  # the old one has no such setting
        lost, rate = measure(sync, random.Random(SEED), 40, 0.05, True)
        report(f"sync_interval {sync or 'not set (2m)'}", lost, rate)
        assert any(messages > 0 for messages, _ in lost), lost


def main():
    version = subprocess.run(["nats-server", "-v"], capture_output=True, text=True, check=True).stdout
    print(f"SEED={SEED} CUTS={CUTS} {version.strip()}", flush=True)
    lacking = why_not()
    if lacking:
        print(f"skipped: {lacking}")
        sys.exit(77)
    run_cases({case.__name__: case for case in ([test_others] if is_old() else [test_always, test_others])})


if __name__ == "__main__":
    main()
