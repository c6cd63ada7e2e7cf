#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinhole-relay with a real nats-server: each record of the node is in the stream once and byte for
byte, whoever is killed; what goes wrong is one clear sentence."""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
import pinhole_wire as wire  # noqa: E402
from mqtt import skip_unless  # noqa: E402
from nats import (HUB_STREAM, PROGRAM, STREAM, Client, Relay, Server, check_whole, create_stream,  # noqa: E402
                  is_old, is_same, node_records, print_config, read_stream)
from pinhole_node import Node, free_port, run_cases, wait_for  # noqa: E402

MEMORY_MAX = 24 << 20  # the bound, with a server that takes nothing


def triggered_node(*more):
    return Node("--set", "trigger.mode=on", "--set", "trigger.source=software", *more)


def trigger(client, times):
    """So many frames, each of a trigger."""
    for _ in range(times):
        identity = client.trigger()
        client.until(lambda r, i=identity: r.type == wire.FRAME and r.trigger_id == i)


def trigger_too_fast(client):
    """Until a trigger comes while the one before it is pending."""
    def is_answer(record):
        return record.trigger_id == last if record.type == wire.FRAME else \
            record.kind == wire.TRIGGER_EVENT
    answer = None
    while answer is None or answer.type == wire.FRAME:
        client.trigger()
        last = client.trigger()
        answer = client.until(is_answer)


def last_sequence(address):
    with wire.Client(address) as client:
        return client.hello.sequence_next - 1


def wait_stored(server, address, **login):
    """Waits until the stream has the node's newest record; returns all its messages."""
    with Client(server.port, **login) as client:
        def look():
            messages = read_stream(client)
            newest = max((m.last for m in messages), default=0)
            return messages if newest == last_sequence(address) else None
        return wait_for("the newest record in the stream", look)


def check_against(messages, address):
    """The stream has each record that the node still has, byte for byte; nothing is lost."""
    records, lost = check_whole(messages)
    wanted = node_records(address)
    assert wanted.keys() == records.keys(), wanted.keys() ^ records.keys()
    for key, record in wanted.items():
        assert is_same(record, records[key].record), (record, records[key].record)
    assert lost == 0
    return records


def test_each_record_once():
    """A triggered run through kill -9 of the relay and of the server, each in the middle."""
    with triggered_node() as node, Server() as server, \
            Relay(server.url, node.address, "--window", "8") as relay, \
            wire.Client(node.address) as client:
        client.subscribe(policy=wire.EVERY, start=wire.FROM_NEXT)
        for victim in (None, relay, server, relay, server):
            if victim:
                victim.kill()
                trigger(client, 10)
                victim.start()
            trigger(client, 12)
        trigger_too_fast(client)
        records = check_against(wait_stored(server.wait(), node.address), node.address)
        frames = [r for r in records.values() if r.record.type == wire.FRAME]
        assert {f.record.trigger_id for f in frames} >= set(range(1, 101)), len(frames)
        assert "OVERRUN" in [r.headers.get("Pinhole-Outcome") for r in records.values()]
        said = relay.said("not synchronised")
        assert (said > 0) == any("Pinhole-Clock" in f.headers for f in frames), relay.log


def test_restart_in_the_middle_of_a_window():
    """Records that were on their way when the relay died, stored out of order, with a window of
    duplicates that has passed: those that lack are sent, those that are there are not."""
    with triggered_node() as node, Server() as server, wire.Client(node.address) as client, \
            Client(server.wait().port) as nats:
        client.subscribe(policy=wire.EVERY, start=1)
        records = [client.next()]  # the camera streams
        for _ in range(11):
            client.trigger()
            records.append(client.next())
        create_stream(nats, duplicate_window=100_000_000)

        def put(record, settled, behind):
            payload = wire.struct.pack("<4sBBHII", b"PINH", 1, record.type, 0, 0, 0)
            fixed = wire.FIELDS[record.type]
            names = [n if n != "flags" else "field_flags" for n in fixed[1].split()]
            body = wire.struct.pack(fixed[0], *(getattr(record, n) for n in names)) + record.data
            payload = payload[:8] + wire.struct.pack("<I", len(body)) + payload[12:] + body
            more = {"Pinhole_Trigger": record.trigger_id} \
                if record.type == wire.FRAME and record.trigger_id else {}
            if record.type == wire.FRAME and not record.field_flags & 1:
                more["Pinhole_Clock"] = "not synchronized"
            if record.type == wire.EVENT:
                more["Pinhole_Event"] = wire.EVENT_NAMES[record.kind]
            kind = "frame" if record.type == wire.FRAME else "event"
            answer = nats.publish(f"pinhole.gate.{kind}", payload, **more, Pinhole_Settled=settled,
                                  Nats_Msg_Id=f"{record.boot_id:016x}:{record.sequence}",
                                  Pinhole_Boot=f"{record.boot_id:016x}", Pinhole_Behind=behind,
                                  Pinhole_Sequence=record.sequence, Pinhole_Time=record.realtime_ns)
            return answer["seq"]

        behind = [put(record, record.sequence, record.sequence - 1) for record in records[:5]][-1]
        for place in (6, 8, 9):  # the sixth lacks, and the eighth
            put(records[place], records[5].sequence, behind)
        time.sleep(0.3)
        with Relay(server.url, node.address):
            messages = wait_stored(server, node.address)
        check_against(messages, node.address)
        order = [m.last - records[0].sequence for m in messages]
        assert order[:12] == [0, 1, 2, 3, 4, 6, 8, 9, 5, 7, 10, 11], order


def test_node_restarts():
    """A new boot follows the former one whole; the stream says where the former one ends."""
    port = free_port()
    with Server() as server:
        with triggered_node("--listen", f"127.0.0.1:{port}") as node, \
                wire.Client(("127.0.0.1", port)) as client:
            relay = Relay(server.wait().url, ("127.0.0.1", port))
            client.subscribe()
            trigger(client, 5)
            node.address = ("127.0.0.1", port)
            wait_stored(server, node.address)
        with triggered_node("--listen", f"127.0.0.1:{port}"), \
                wire.Client(("127.0.0.1", port)) as client:
            client.subscribe()
            trigger(client, 5)

            def look():
                with Client(server.port) as nats:
                    messages = read_stream(nats)
                boots = {m.boot_id for m in messages if not m.is_boot}
                ends = [m.last for m in messages if m.boot_id == client.hello.boot_id]
                return messages if len(boots) == 2 and \
                    max(ends) == last_sequence(("127.0.0.1", port)) else None
            records, lost = check_whole(wait_for("both boots", look))
            assert lost == 0 and len(records) >= 10, records.keys()
            with relay:
                pass


def test_records_that_the_node_lost_are_told():
    """A relay that starts late stores a GAP, in the range that is missing."""
    with Node("--set", "store.memory=4M", "--set",
              "camera.framerate=200") as node, Server() as server:
        wait_for("records that are evicted", lambda: min(
            (sequence for _, sequence in node_records(node.address)), default=0) > 3)
        with Relay(server.wait().url, node.address) as relay:
            relay.wait_log("connected to the node")
            with Client(server.port) as nats:
                messages = wait_for("records", lambda: found if len(
                    found := read_stream(nats)) > 30 else None)
        records, lost = check_whole(messages)
        assert messages[0].is_gap and messages[0].first == 1 and lost >= 3, messages[0]
        assert len(records) >= 29


def test_too_large():
    """A picture above the server's payload, or the stream's, is an event in its place."""
    for lines, stream in (("max_payload: 4096", {}), ("", {"max_msg_size": 4096})):
        with triggered_node() as node, Server(lines=lines) as server, \
                wire.Client(node.address) as client:
            if stream:
                with Client(server.wait().port) as nats:
                    create_stream(nats, **stream)
            client.subscribe()
            trigger(client, 3)
            with Relay(server.wait().url, node.address) as relay:
                messages = wait_stored(server, node.address)
                assert relay.said("bytes are more than the") == 3, relay.log
            records, lost = check_whole(messages)
            frames = {k: r for k, r in node_records(node.address).items() if r.type == wire.FRAME}
            assert len(frames) == 3 and lost == 0
            for key, frame in frames.items():
                event = records[key].record
                assert event.type == wire.EVENT and event.kind == wire.FRAME_LOST, event
                assert event.first == frame.trigger_id and f"frame {frame.frame_id} " in event.text


def test_credentials():
    """A wrong password is one sentence; the right one comes from a file or from systemd. The user has
    no other rights than the README names."""
    rights = 'publish: ["pinhole.gate.>", "$JS.API.>", "$JS.FC.>", "_INBOX.>"], ' \
        'subscribe: ["pinhole.gate.relay.claim", "_INBOX.>"]'
    lines = "authorization { users: [{ user: camera, password: 'se;cr et', permissions: { " + \
        rights + " } }] }\n"
    with triggered_node() as node, Server(lines=lines) as server:
        server.wait()
        wrong, right = server.path("wrong", "none\n"), server.path("nats-password", "se;cr et\n")
        with Relay(server.url, node.address, "--user", "camera", "--password-file", wrong) as relay:
            relay.wait_log("the server refuses the credentials")
            time.sleep(0.4)
            assert relay.said("refuses the credentials") == 1 and relay.process.poll() is None
        for arguments, env in ((("--password-file", right), {}),
                               ((), {"CREDENTIALS_DIRECTORY": server.folder.name})):
            with Relay(server.url, node.address, "--user", "camera", *arguments, env=env) as relay:
                relay.wait_log("stream pinhole has")
                wait_stored(server, node.address, user="camera", password="se;cr et")
                assert "ermission" not in relay.log, relay.log
        refused = subprocess.run([PROGRAM, "--server", "nats://a:b@c", "gate=127.0.0.1"],
                                 capture_output=True, text=True, check=False)
        assert refused.returncode == 2 and "no user and password here" in refused.stderr, refused


def test_no_server_no_jetstream():
    with triggered_node() as node:
        with Relay("nats://127.0.0.1:1", node.address) as relay:
            relay.wait_log("no server answers")
            time.sleep(0.4)
            assert relay.said("no server answers") == 1, relay.log
        with Server(has_jetstream=False) as server, \
                Relay(server.wait().url, node.address) as relay:
            relay.wait_log("JetStream is not enabled at this server")
            time.sleep(0.4)
            assert relay.said("JetStream is not enabled") == 1, relay.log


def test_limits_reached():
    """A stream that takes no more: one sentence. Records wait in the node until it does."""
    with triggered_node() as node, Server() as server, Client(server.wait().port) as nats, \
            wire.Client(node.address) as client:
        config = create_stream(nats, discard="new", max_msgs=5)
        client.subscribe()
        trigger(client, 10)
        with Relay(server.url, node.address) as relay:
            relay.wait_log("its limits are reached, and records wait in the node")
            time.sleep(0.4)
            assert relay.said("limits are reached") == 1, relay.log
            nats.api(f"STREAM.UPDATE.{STREAM}", **(config | {"max_msgs": -1}))
            check_against(wait_stored(server, node.address), node.address)
            relay.wait_log("records are stored again")


def test_two_relays():
    """The second stands by and says so. When the first is gone it goes on."""
    with triggered_node() as node, Server() as server, wire.Client(node.address) as client:
        client.subscribe()
        with Relay(server.wait().url, node.address) as first:
            first.wait_log("connected to the node")
            with Relay(server.url, node.address) as second:
                second.wait_log(f"another relay serves gate already on .*process {first.process.pid};")
                trigger(client, 5)
                wait_stored(server, node.address)
                assert second.said("connected to the node") == 0
                first.kill()
                trigger(client, 5)
                check_against(wait_stored(server, node.address), node.address)
                assert second.said("another relay") == 1, second.log


def test_health():
    """What the doctor would say of the node is told at once, and when the node is away."""
    with Server() as server, Client(server.wait().port) as listener:
        listener.listen("pinhole.gate.relay.health")
        with triggered_node() as node:
            with wire.Client(node.address) as client:
                client.subscribe(policy=wire.EVERY, start=wire.FROM_NEXT)
                trigger(client, 1)
            with Relay(server.url, node.address):
                told = [json.loads(line) for line in listener.hear().splitlines()]
        assert [(f["check"], f["state"]) for f in told] == [("camera", "warning"), ("frames", "ok")], told
        assert "the pictures are drawn, not taken" in told[0]["text"] and told[0]["advice"], told
        with Relay(server.url, node.address):
            [told] = listener.hear().splitlines()
        told = json.loads(told)
        assert (told["check"], told["state"]) == ("node", "fault") and "away" in told["text"], told


def test_stalled_server():
    """A server that takes nothing costs bounded memory and no frame at the node."""
    with Node("--set", "camera.width=1280", "--set", "camera.height=720", "--set",
              "jpeg.frame_bytes_max=512K", "--set", "store.memory=24M") as node, Server() as server, \
            Relay(server.wait().url, node.address) as relay:
        with Client(server.port) as nats:
            wait_for("records", lambda: read_stream(nats))
        server.pause()
        before = last_sequence(node.address)
        wait_for("frames meanwhile", lambda: last_sequence(node.address) > before + 60)
        memory = relay.private_bytes()
        assert memory < MEMORY_MAX, memory
        server.resume()
        with Client(server.port) as nats:
            after = last_sequence(node.address)
            messages = wait_for("newer records", lambda: found if (
                found := read_stream(nats))[-1].last > after else None)
        check_whole(messages)


def test_window_is_bounded_in_bytes():
    """A server that stores and does not answer: so much is on its way, and one picture more."""
    with Node("--set", "camera.width=1280", "--set", "camera.height=720", "--set",
              "jpeg.frame_bytes_max=512K", "--set", "store.memory=24M") as node, \
            Server() as server, Client(server.wait().port) as nats:
        create_stream(nats, no_ack=True)
        with Relay(server.url, node.address, "--window", "128", "--window-bytes", "300000"):
            messages = wait_for("messages", lambda: read_stream(nats))
            before = last_sequence(node.address)
            wait_for("frames meanwhile", lambda: last_sequence(node.address) > before + 30)
            messages = read_stream(nats)
        pictures = [len(m.record.data) for m in messages if m.record.type == wire.FRAME]
        assert sum(pictures[:-1]) < 300000 <= sum(pictures), pictures


class Edge:
    """A node, its relay and its leaf."""

    def __init__(self, name, level, hub_leaf_port):
        port = free_port()
        self.subject, self.node = f"pinhole.{level}.", triggered_node()
        self.leaf = Server(print_config("leaf", name, "--client-port", str(port), "--peers",
                                        f"127.0.0.1:{hub_leaf_port}", "--store-dir", "{folder}/s",
                                        "--sync-interval", ""), port=port)
        self.relay = Relay(self.leaf.wait().url, self.node.address, name=name)

    def trigger(self):
        with wire.Client(self.node.address) as client:
            client.subscribe()
            trigger(client, 5)

    def in_hub(self, hub):
        """What the hub has of this node, when it is all."""
        with Client(hub.port) as nats:
            found = [m for m in read_stream(nats, HUB_STREAM) if m.subject.startswith(self.subject)]
        return found if found and found[-1].last == last_sequence(self.node.address) else None

    def end(self):
        self.relay.end()
        self.leaf.end()
        self.node.stop()


def test_store_and_forward():
    """Leaves keep records while there is no hub; the hub's stream takes those of one, then two."""
    client_port, leaf_port = free_port(), free_port()
    edges = {name: Edge(name, level, leaf_port)
             for name, level in (("gate", "gate"), ("line 1.5", "line_201_2e5"))}
    for edge in edges.values():
        edge.trigger()
        wait_stored(edge.leaf, edge.node.address)
    with Server(print_config("hub", "--client-port", str(client_port), "--leaf-port",
                             str(leaf_port), "--store-dir", "{folder}/s", "--sync-interval", ""),
                port=client_port) as hub:
        for name in edges:
            subprocess.run([PROGRAM, "--server", hub.wait().url, "--gather", name], check=True,
                           stderr=subprocess.DEVNULL)
        for edge in edges.values():
            edge.trigger()
            check_against(wait_for("all records in the hub", lambda e=edge: e.in_hub(hub)),
                          edge.node.address)
        for edge in edges.values():  # the hub hands on what a leaf asks for, and none asks
            with Client(edge.leaf.port) as nats:
                assert all(m.subject.startswith(edge.subject) for m in read_stream(nats))
    for edge in edges.values():
        edge.end()


def test_configurations():
    """What --print-nats-config writes is taken by the server that is installed."""
    for arguments in ("leaf", "store_dir=/data"), ("leaf", "gate=127.0.0.1"):
        done = subprocess.run([PROGRAM, "--print-nats-config", *arguments], capture_output=True, text=True,
                              check=False)
        assert (done.returncode, done.stdout) == (2, "") and "a NAME alone" in done.stderr, done
    for mode in (("leaf", "line 1.5"), ("leaf", "gate", "--peers", "a:7422,b:7422"), ("hub",),
                 ("hub", "--server-name", "hub-1", "--peers", "a:6222,b:6222")):
        for sync in ("always", ""):
            with Server(print_config(*mode, "--sync-interval", sync, "--store-dir", "{folder}/s"),
                        port=1) as server:
                server.end()
                done = subprocess.run(["nats-server", "-t", "-c", server.conf], text=True,
                                      capture_output=True, check=False)
                refused = is_old() and sync
                assert (done.returncode != 0) == bool(refused), (mode, sync, done)
                assert not refused or "sync_interval" in done.stderr, done


if __name__ == "__main__":
    skip_unless("nats-server", PROGRAM)
    run_cases(globals())
