#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the relay costs: CPU time of a 1080p frame, beside a bare loop of natsConnection_Publish() of as
many bytes into the same stream. ROUNDS alternating runs (5)."""

import os
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from nats import STREAM, Client, Relay, Server, create_stream, publish_loop  # noqa: E402
from pinhole_node import Node, cpu_s, wait_for  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "5"))
FRAMES, RATE = 150, 30
LARGE = ("--width", "1920", "--height", "1080", "--framerate", str(RATE), "--quality", "95", "--set",
         "jpeg.frame_bytes_max=900K", "--set", "store.memory=64M")


def stored(client):
    """Messages of the stream so far, and their bytes."""
    state = client.api(f"STREAM.INFO.{STREAM}")["state"]
    return state["last_seq"], state["bytes"]


def main():
    own, bare = [], []
    with tempfile.TemporaryDirectory() as folder, Node(*LARGE, small=False) as node, Server() as server, \
            Client(server.wait().port) as client:
        picture = f"{folder}/picture"
        create_stream(client, max_msgs=100)
        size = 0
        for _ in range(ROUNDS):
            with Relay(server.url, node.address) as relay:
                begin = stored(client)[0]
                wait_for("the flow", lambda: stored(client)[0] > begin + 10)
                (first, _), used = stored(client), cpu_s(relay.process.pid)
                wait_for("frames", lambda: stored(client)[0] >= first + FRAMES)
                (last, octets), used = stored(client), cpu_s(relay.process.pid) - used
                own.append(used / (last - first) * 1e6)
                size = size or octets // 100
            with open(picture, "wb") as file:
                file.write(os.urandom(size))
            bare.append(publish_loop(folder, server.url, "pinhole.bare.frame", picture, RATE, FRAMES))
    ratios = [a / b for a, b in zip(own, bare)]
    print(f"relay, CPU us a frame of {size} bytes: {statistics.median(own):.0f}, bare loop {statistics.median(bare):.0f}; "
          f"ratio {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f} in {ROUNDS} pairs")


if __name__ == "__main__":
    main()
