#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A night without a link: 8 h of one trigger a second, 60 KB each, as fast as the leaf takes them, into a
leaf whose stream has room for a third of them. In the morning the link is back. The oldest are gone, which
the recorder tells by one range; the newest are all there. Catching up is measured beside a bare
js_PublishAsync() of as many messages, by the same leaf into a stream of the same hub, and to the hub
itself. Live frames are taken at the hub by their subject, without JetStream: the backlog does not hold
them up.

HOURS=N      of the night (8)
Last line: "N passed, N failed"."""

import calendar
import glob
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from fake_node import ScriptedNode, padded_jpeg  # noqa: E402
from gateway import Gateway  # noqa: E402
from mqtt import Process  # noqa: E402
from nats import (HUB_STREAM, PROGRAM, STREAM, Client, Error, Relay, Server, is_old,  # noqa: E402
                  print_config, publish_loop)
from pinhole_node import BUILD, free_port, run_cases, wait_for  # noqa: E402
from recording import Recording  # noqa: E402

HOURS = float(os.environ.get("HOURS", "8"))
EVENING, NIGHT = 20, int(HOURS * 3600)
PICTURE = padded_jpeg(60000)
LIMIT = NIGHT // 3 * len(PICTURE)
LIVE_S = 0.1
PATIENCE_S = 900
FIRST_NS = 1795818722 * 10**9


class Camera(ScriptedNode):
    """Sends records up to `until` as fast as they are taken, then one each LIVE_S once it is live."""

    def __init__(self):
        self.until, self.is_live, self.is_over, self.sent = 0, False, False, {}
        super().__init__(self.run, sequence_next=10**9, boot_id=0xCAFE,
                         realtime_ns=lambda sequence: FIRST_NS + sequence * 10**9)

    def run(self, _node, send, _boot_id, start):
        sequence = max(1, start)
        while not self.is_over:
            if self.is_live and sequence > self.until:
                time.sleep(LIVE_S)
                self.until = sequence
            if sequence > self.until:
                time.sleep(0.01)
                continue
            data = self.frame(sequence, PICTURE + struct.pack(">Q", sequence), sequence)
            self.sent[sequence] = time.monotonic()
            send(data)
            sequence += 1


class Viewer(threading.Thread):
    """Takes live frames at the hub by their subject, without JetStream: (sequence, when)."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client, self.seen = Client(port, timeout_s=PATIENCE_S), []
        self.client.listen("pinhole.gate.frame")
        self.start()

    def run(self):
        try:
            while True:
                data, now = self.client.hear(), time.monotonic()
                self.seen.append((struct.unpack(">Q", data[-8:])[0], now))
        except (OSError, ValueError):
            pass


def state(port, stream):
    """Of a stream; None: nobody answers."""
    try:
        with Client(port, timeout_s=5) as client:
            return client.api(f"STREAM.INFO.{stream}")["state"]
    except (OSError, Error):
        return None


def wait_last(port, stream, count):
    """Waits until so many messages have ever come into the stream."""
    return wait_for(f"{count} messages in {stream}", lambda: found if (
        found := state(port, stream)) and found["last_seq"] >= count else None, PATIENCE_S)


def bare_rate(hub, by, messages):
    """Of a bare publisher into the hub, at this server."""
    with tempfile.TemporaryDirectory() as folder, Client(hub.port) as client:
        client.api("STREAM.CREATE.bare", name="bare", subjects=["bare"], storage="file", retention="limits",
                   discard="old", num_replicas=1, max_bytes=LIMIT, max_msgs=-1, max_age=0, max_consumers=-1)
        rate = publish_loop(folder, by.url, "bare", len(PICTURE), messages)
        client.api("STREAM.DELETE.bare")
        return rate


def stored_at(port, sequence):
    """When the hub has stored this message of its stream, by time.monotonic()."""
    with Client(port) as client:
        text = client.api(f"STREAM.MSG.GET.{HUB_STREAM}", seq=sequence)["message"]["time"]
    date, fraction = text.removesuffix("Z").split(".")
    realtime = calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%S")) + float("0." + fraction)
    return realtime - time.time() + time.monotonic()


def watch_spool(hub):
    """Asks the fleet page again and again how many records are still at the leaf, until there are none."""
    seen = [0]

    def watch():
        with Gateway("", "--fleet", hub.url, "--stream", HUB_STREAM) as gateway:
            while seen[-1] or not max(seen):
                seen.extend(node["spool"] for node in json.loads(gateway.get("/fleet").body)["nodes"])
                time.sleep(0.2)
    threading.Thread(target=watch, daemon=True).start()
    return seen


def make_servers():
    leaf_port, hub_port, link_port = free_port(), free_port(), free_port()
    sync = "" if is_old() else "always"
    hub = Server(print_config("hub", "--client-port", str(hub_port), "--leaf-port", str(link_port),
                              "--store-dir", "{folder}/s", "--sync-interval", ""), port=hub_port).wait()
    leaf = Server(print_config("leaf", "gate", "--client-port", str(leaf_port), "--peers",
                               f"127.0.0.1:{link_port}", "--store-dir", "{folder}/s", "--sync-interval", sync),
                  port=leaf_port).wait()
    return hub, leaf


def test_night():
    hub, leaf = make_servers()
    recorder = Process()
    output = f"{recorder.folder.name}/recordings"
    with Camera() as camera, hub, leaf, recorder, \
            Relay(leaf.url, ("127.0.0.1", int(camera.address.split(":")[1])), "--max-bytes", str(LIMIT)):
        camera.until = EVENING
        wait_last(leaf.port, STREAM, EVENING)
        subprocess.run([PROGRAM, "--server", hub.url, "--max-bytes", "0", "--gather", "gate"], check=True,
                       capture_output=True)
        wait_last(hub.port, HUB_STREAM, EVENING)
        command = (f"{BUILD}/pinhole-rec", "-o", output, "--from", hub.url, "--group", "night", "--stream", HUB_STREAM)
        recorder.run(*command)
        wait_for("the evening", lambda: is_recorded(output, EVENING), PATIENCE_S)
        recorder.end()
        hub.kill()
        start = time.monotonic()
        camera.until = EVENING + NIGHT
        dawn = wait_last(leaf.port, STREAM, EVENING + NIGHT)
        print(f"  a night of {NIGHT} records in {time.monotonic() - start:.0f} s; {dawn['messages']} are left, "
              f"{dawn['bytes']} of {LIMIT} bytes", flush=True)
        assert dawn["bytes"] <= LIMIT and dawn["messages"] > NIGHT // 4, dawn
        assert dawn["first_seq"] == EVENING + NIGHT - dawn["messages"] + 1, dawn
        camera.is_live = True
        hub.start().wait()
        morning = time.monotonic()
        viewer = Viewer(hub.port)
        spools = watch_spool(hub)
        # The hub's stream has the evening's records, then what was left of the night.
        target = EVENING + dawn["messages"]
        wait_last(hub.port, HUB_STREAM, target)
        start, end = (stored_at(hub.port, sequence) for sequence in (EVENING + 1, target))
        rate = (target - EVENING - 1) / (end - start)
        live = [(sequence, when - camera.sent[sequence]) for sequence, when in viewer.seen
                if sequence > EVENING + NIGHT and start <= camera.sent[sequence] <= end]
        bare, direct = (bare_rate(hub, server, dawn["messages"]) for server in (leaf, hub))
        print(f"  the hub takes the backlog {start - morning:.0f} s after its start", flush=True)
        print(f"  caught up with {rate:.0f} messages a second; bare js_PublishAsync() from the edge to the hub's stream "
              f"{bare:.0f}, ratio {rate / bare:.2f}; at the hub itself {direct:.0f}, ratio {rate / direct:.2f}\n"
              f"  {len(live)} live frames meanwhile, the latest after {max(d for _, d in live):.3f} s", flush=True)
        print(f"  the fleet page saw up to {max(spools)} records still at the leaf", flush=True)
        camera.is_over = True
        recorder.run(*command)
        wait_for("the recorder", lambda: is_recorded(output, max(camera.sent)), PATIENCE_S)
        recorder.end()
        judge(output, dawn["first_seq"], max(camera.sent))
    assert max(spools) > 0 == spools[-1], spools
    assert live and max(delay for _, delay in live) < 1, live
    assert rate > 0.8 * bare, (rate, bare)


def is_recorded(output, sequence):
    names = sorted(glob.glob(f"{output}/gate/*.jsonl*"))
    if not names:
        return False
    with open(names[-1], encoding="utf-8") as file:
        return f'"sequence":{sequence},' in file.read()


def judge(output, oldest, last):
    """The evening, one range that is told as missing, and all behind it, once and in order. What was the
    oldest at dawn has gone for the live frames that came before the link."""
    segments = Recording(f"{output}/gate").segments
    frames = [f["sequence"] for segment in segments for f in segment.frames]
    gaps = [(line["first"], line["last"]) for segment in segments for line in segment.lines
            if line["type"] == "missing"]
    print(f"  recorded: {len(frames)} frames, missing: {gaps}", flush=True)
    first = frames[EVENING]
    assert oldest <= first <= oldest + last - EVENING - NIGHT, (oldest, first, last)
    assert frames == [*range(1, EVENING + 1), *range(first, last + 1)], (frames[:30], first, last)
    assert gaps == [(EVENING + 1, first - 1)], gaps


if __name__ == "__main__":
    run_cases(globals())
