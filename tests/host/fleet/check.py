#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A fleet of one camera through random kills and cuts: node, relay, leaf, and a hub of three servers
that keep each record three times. What the node published is in the hub's stream once and byte for
byte, or told as lost by a range. Two recorders of a group record the hub's stream: each record is in one
sidecar. The fleet page follows it all, and counts each record once.

KILLS=N      each part is killed so often (10), and the link from leaf to hub cut so often
SEED=N       of the random moments; it is printed
Last line: "N passed, N failed"."""

import base64
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
import pinhole_wire as wire  # noqa: E402
from cut_proxy import CutProxy  # noqa: E402
from gateway import Gateway  # noqa: E402
from nats import (HUB_STREAM, PROGRAM, Client, Error, Relay, Server, check_whole,  # noqa: E402
                  create_stream, print_config, read_stream)
from mqtt import Process  # noqa: E402
from pinhole_node import BUILD, Node, free_port, run_cases, wait_for  # noqa: E402
from recording import Recording  # noqa: E402

KILLS = int(os.environ.get("KILLS", "10"))
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
PATIENCE_S = int(os.environ.get("PINHOLE_PATIENCE_S", "120"))  # a cluster that was killed in turns takes its time
TRIGGER_S = 0.04


def digest(record):
    """Of what belongs to the record; two fields of FRAME belong to the subscriber."""
    fields = sorted((k, v) for k, v in vars(record).items()
                    if k not in ("queued_us", "skipped", "tag", "is_reply"))
    return hashlib.sha256(repr(fields).encode()).digest()


class Witness(threading.Thread):
    """Triggers a node, and notes each record that it sees, of whatever boot."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.address, self.seen, self.is_over, self.error = ("127.0.0.1", port), {}, False, None
        self.start()

    def run(self):
        while not self.is_over:
            try:
                with wire.Client(self.address) as client:
                    self.watch(client)
            except (OSError, EOFError):
                time.sleep(0.05)  # the node is away
            except Exception as error:  # pylint: disable=broad-except
                self.error = error
                return

    def watch(self, client):
        client.subscribe(policy=wire.EVERY, start=1)
        due = 0
        while not self.is_over:
            if time.monotonic() >= due:
                due = time.monotonic() + TRIGGER_S
                client.socket.settimeout(wire.SILENCE_S)
                try:
                    client.trigger()
                except wire.Refused:
                    pass  # the camera is just starting
            client.socket.settimeout(max(0.001, due - time.monotonic()))
            try:
                record = client.next()
            except TimeoutError:
                continue
            assert record.type == wire.FRAME or record.kind != wire.GAP, "the witness was too slow"
            self.seen[record.boot_id, record.sequence] = digest(record)

    def stop(self):
        self.is_over = True
        self.join()
        assert self.error is None, self.error


class Camera:
    """The node: always on the same port."""

    def __init__(self):
        self.port = free_port()
        self.node = None
        self.start()

    def start(self):
        self.node = Node("--set", "trigger.mode=on", "--set", "trigger.source=software",
                         listen=f"127.0.0.1:{self.port}", wait=False)

    def kill(self):
        self.node.process.kill()
        self.node.wait()
        self.node.folder.cleanup()


class Hub:
    """Three servers, and for each a proxy to its port for leaves."""

    def __init__(self, *arguments, stream=HUB_STREAM):
        self.stream = stream
        clients, leaves, routes = ([free_port() for _ in range(3)] for _ in range(3))
        peers = ",".join(f"127.0.0.1:{port}" for port in routes)
        self.proxies = [CutProxy(("127.0.0.1", port)) for port in leaves]
        self.servers = []
        for i, (client, leaf, route) in enumerate(zip(clients, leaves, routes)):
            text = print_config(
                "hub", "--server-name", f"hub-{i}", "--client-port", str(client), "--leaf-port",
                str(leaf), "--cluster-port", str(route), "--peers", peers, "--store-dir",
                "{folder}/s", "--sync-interval", "", *arguments)
            # Else the leaf learns of ways around the proxies.
            text = text.replace("leafnodes {\n", "leafnodes {\n  no_advertise: true\n")
            self.servers.append(Server(text, port=client))
        self.url = ",".join(server.url for server in self.servers)
        self.killed = None

    @property
    def peers(self):
        return ",".join(proxy.address for proxy in self.proxies)

    def cut(self):
        for proxy in self.proxies:
            proxy.is_open = False
            proxy.cut()

    def mend(self):
        for proxy in self.proxies:
            proxy.is_open = True

    def is_ready(self, last):
        """Three copies of the stream that are up to date, and a leader."""
        with Client(self.servers[0].port, timeout_s=5) as client:
            cluster = client.api(f"STREAM.INFO.{self.stream}").get("cluster", {})
        last[:] = [cluster]
        replicas = cluster.get("replicas", [])
        return cluster.get("leader") and len(replicas) == 2 and \
            all(r.get("current") and not r.get("offline") for r in replicas)

    def wait_ready(self):
        """One at a time: the next is killed when the last has caught up."""
        last = []

        def look():
            try:
                return self.is_ready(last)
            except (OSError, Error) as error:
                last[:] = [error]
                return False
        try:
            wait_for("a hub of three that is up to date", look, PATIENCE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}") from None

    def gather(self):
        def look():
            done = subprocess.run([PROGRAM, "--server", self.url, "--replicas", "3", "--gather",
                                   "gate"], capture_output=True, text=True, check=False)
            assert done.returncode in (0, 1), done
            return done.returncode == 0
        wait_for("the hub's stream", look, PATIENCE_S)
        self.wait_ready()


class Recorder(Process):
    """One of a group, with a folder of its own."""

    def __init__(self, hub):
        super().__init__()
        self.output = f"{self.folder.name}/recordings"
        self.command = [f"{BUILD}/pinhole-rec", "-o", self.output, "--from", hub.url, "--group",
                        "fleet", "--stream", HUB_STREAM, "--lease-seconds", "2", "--sync-seconds",
                        "0.5", "--segment-seconds", "3"]
        self.start()

    def start(self):
        self.run(*self.command)


class Part:
    """What is taken away and given back."""

    def __init__(self, name, take, give, before=lambda: None):
        self.name, self.take, self.give, self.before = name, take, give, before


def make_parts(camera, relay, leaf, hub, recorders):
    parts = [Part("node", camera.kill, camera.start), Part("relay", relay.kill, relay.start),
             Part("leaf", leaf.kill, leaf.start), Part("link", hub.cut, hub.mend)]
    parts += [Part(f"recorder-{i}", r.kill, r.start) for i, r in enumerate(recorders)]
    parts += [Part(f"hub-{i}", server.kill, server.start, hub.wait_ready)
              for i, server in enumerate(hub.servers)]
    return parts


def disturb(parts, moments):
    """Takes the parts away in a random order, one after the other. How long each is away, and how
    long all are there, is random: what one has upset may not be over when the next goes."""
    order = [part for part in parts for _ in range(KILLS)]
    moments.shuffle(order)
    for number, part in enumerate(order, 1):
        part.before()
        time.sleep(moments.uniform(0, 1))
        part.take()
        time.sleep(moments.uniform(0, 1))
        part.give()
        if number % 10 == 0:
            print(f"  {number} of {len(order)} disturbances", flush=True)


def wait_arrived(hub, camera):
    """Waits until the hub's stream has the node's newest record."""
    with wire.Client(("127.0.0.1", camera.port)) as client:
        boot, newest = client.hello.boot_id, client.hello.sequence_next - 1

    def look():
        for kind in ("frame", "event", "trigger"):
            try:
                with Client(hub.servers[0].port, timeout_s=5) as client:
                    message = client.last(HUB_STREAM, f"pinhole.gate.{kind}")
            except (OSError, Error):
                continue
            head = wire.struct.unpack_from("<QQ", base64.b64decode(message["data"]), 16 + 8)
            if head == (boot, newest):
                return True
        return False
    wait_for(f"record {newest} of boot {boot:016x} in the hub", look, PATIENCE_S)


def wait_recorded(hub, messages):
    """Waits until the group has acknowledged the stream's last message."""
    boot, newest = messages[-1].boot_id, max(m.last for m in messages
                                             if m.boot_id == messages[-1].boot_id)

    def look():
        try:
            with Client(hub.servers[0].port, timeout_s=5) as client:
                message = client.last("KV_pinhole-rec-fleet", "$KV.pinhole-rec-fleet.gate")
        except (OSError, Error):
            return False
        boots = json.loads(base64.b64decode(message["data"]))["boots"]
        return boots and int(boots[0]["boot_id"], 16) == boot and boots[0]["last"] >= newest
    wait_for(f"record {newest} of boot {boot:016x} acknowledged", look, PATIENCE_S)


def judge_recorders(messages, recorders):
    """What is in the stream is in one sidecar of all folders, frames byte for byte."""
    for recorder in recorders:  # one at a time, so that each can recover what it was killed with
        assert recorder.end() in (0, 4), recorder.log[-1500:]
    done = subprocess.run([f"{BUILD}/pinhole-rec", "check", *(r.output for r in recorders)],
                          capture_output=True, text=True, check=False)
    print("  " + done.stdout.strip(), flush=True)
    assert done.returncode == 0, done
    found, shares = {}, []
    for recorder in recorders:
        segments = Recording(f"{recorder.output}/gate").segments
        shares.append(sum(len(segment.frames) for segment in segments))
        for segment in segments:
            for frame, data in segment.jpegs():
                key = int(frame["boot_id"], 16), frame["sequence"]
                assert key not in found, f"{key} is there twice"
                found[key] = data
            for event in (line for line in segment.lines if line["type"] == "event"):
                key = int(event["boot_id"], 16), event["sequence"]
                assert key not in found, f"{key} is there twice"
                found[key] = None
    records, _ = check_whole(messages)
    assert found.keys() == records.keys(), sorted(found.keys() ^ records.keys())[:20]
    for key, data in found.items():
        assert data is None or data == records[key].record.data, key
    print(f"  recorders have {shares} frames", flush=True)


def judge_page(gateway, messages):
    """The fleet page has counted what is in the stream since it began to follow it."""
    told = []

    def look():
        state = json.loads(gateway.get("/fleet").body)
        since = state["stream"]["since_place"]
        records = [m.record for m in messages if m.stream_sequence > since]
        frames = [r for r in records if r.type == wire.FRAME]
        lost = [m for m in messages if m.stream_sequence > since and m.record.type == wire.EVENT and
                m.record.kind in (wire.GAP, wire.FRAME_LOST)]
        wanted = {"frames": len(frames), "matched": sum(r.trigger_id > 0 for r in frames),
                  "lost": sum(m.last - m.first + 1 for m in lost)}
        for outcome in (wire.MISSED, wire.OVERRUN, wire.FAILED):
            wanted[wire.OUTCOMES[outcome].lower()] = sum(
                r.last - r.first + 1 for r in records if r.type == wire.EVENT and
                r.kind == wire.TRIGGER_EVENT and r.outcome == outcome)
        told[:] = [since, wanted, *state["nodes"]]
        [node] = state["nodes"]
        node |= node["triggers"]
        return {name: node[name] for name in wanted} == wanted
    try:
        wait_for("the page's counts", look, 30)
    except AssertionError as error:
        raise AssertionError(f"{error}: {told}") from None
    assert gateway.get("/fleet/thumbnail?node=gate").status == 200
    print(f"  the page has counted {told[1]} behind message {told[0]}", flush=True)


def judge(messages, seen):
    """The stream is whole in itself, and what the witness has seen is in it or told as lost."""
    keys = [(m.boot_id, m.last, m.is_gap) for m in messages]
    assert len(keys) == len(set(keys)), "a record is there twice"
    records, lost = check_whole(messages)
    ends = {int(m.headers["Pinhole-Former-Boot"], 16): m.record.first
            for m in messages if m.is_boot}
    gaps = [(m.boot_id, m.first, m.last) for m in messages if m.is_gap]
    known = {boot for boot, _ in records}
    counts = {"seen": len(seen), "stored": 0, "in a GAP": 0, "cut off by a reboot": 0,
              "of a boot that the relay never saw": 0}
    for (boot, sequence), wanted in seen.items():
        if (boot, sequence) in records:
            assert digest(records[boot, sequence].record) == wanted, (boot, sequence)
            counts["stored"] += 1
        elif any(b == boot and first <= sequence <= last for b, first, last in gaps):
            counts["in a GAP"] += 1
        elif boot in ends and sequence >= ends[boot]:
            counts["cut off by a reboot"] += 1
        else:
            assert boot not in known, f"record {sequence} of boot {boot:016x} is lost untold"
            counts["of a boot that the relay never saw"] += 1
    late = sum(1 for one, two in zip(messages, messages[1:])
               if one.boot_id == two.boot_id and two.last < one.last)
    print(f"  {len(messages)} messages of {len(ends) + 1} boots, {late} out of order, "
          f"{lost} records told by GAPs")
    print("  " + ", ".join(f"{value} {name}" for name, value in counts.items()), flush=True)
    assert counts["stored"] > 0.5 * len(seen), counts


def test_boots_in_order():
    """A server that stores and does not answer, and a node that restarts meanwhile: the new boot
    waits until the records of the former one are known to be stored."""
    port = free_port()
    server = Server(f'host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: "{{folder}}/js" }}\n',
                    port=port)
    camera = Camera()
    try:
        with server, Client(server.wait().port) as nats:
            create_stream(nats, no_ack=True)
            with Relay(server.url, ("127.0.0.1", camera.port)) as relay:
                wait_for("the first boot", lambda: read_stream(nats))
                camera.kill()
                camera.start()
                wait_for("the second boot", lambda: any(m.is_boot for m in read_stream(nats)))
                assert relay.said("no acknowledgement for 5 s") > 0, relay.log
            check_whole(read_stream(nats))
    finally:
        camera.kill()


def test_kills():
    """Everything at once, see above."""
    moments = random.Random(SEED)
    hub = Hub()
    leaf_port = free_port()
    leaf = Server(print_config("leaf", "gate", "--client-port", str(leaf_port), "--peers",
                               hub.peers, "--store-dir", "{folder}/s", "--sync-interval", ""),
                  port=leaf_port)
    camera = Camera()
    relay = Relay(leaf.url, ("127.0.0.1", camera.port))
    recorders = [Recorder(hub) for _ in range(2)]
    gateway = Gateway("", "--fleet", hub.url, "--stream", HUB_STREAM)
    parts = [*hub.servers, leaf, relay, *recorders]
    try:
        hub.gather()
        witness = Witness(camera.port)
        start = time.monotonic()
        disturb(make_parts(camera, relay, leaf, hub, recorders), moments)
        print(f"  disturbed for {time.monotonic() - start:.0f} s", flush=True)
        witness.stop()
        wait_arrived(hub, camera)
        with Client(hub.servers[0].port) as client:
            messages = read_stream(client, HUB_STREAM)
        judge(messages, witness.seen)
        judge_page(gateway, messages)
        wait_recorded(hub, messages)
        judge_recorders(messages, recorders)
    except Exception:
        for part in parts:
            print(f"--- {part.log[-1500:]}", flush=True)
        print(f"--- {gateway.err()[-1500:]}", flush=True)
        raise
    finally:
        for part in parts:
            part.kill()
            part.folder.cleanup()
        camera.kill()
        gateway.__exit__()


def main():
    print(f"SEED={SEED} KILLS={KILLS}", flush=True)
    run_cases(globals())


if __name__ == "__main__":
    main()
