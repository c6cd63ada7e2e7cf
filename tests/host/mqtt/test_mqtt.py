#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinhole-mqtt between a node and a mosquitto on loopback: topics, payloads, policies, control.
`make check-mqtt` has the other brokers and the long runs."""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
import pinhole_wire as wire  # noqa: E402
from mqtt import (PERSISTENT, PROGRAM, Bridge, Mosquitto, Subscriber, frame_header,  # noqa: E402
                  put_length, put_text, skip_unless)
from pinhole_node import Node, run_cases, wait_for  # noqa: E402

NAME, LEVEL = "line 1.5/+#_é", "line_201_2e5_2f_2b_23___c3_a9"
TRIGGERED = ("--set", "trigger.mode=On")


def address_of(node):
    return f"127.0.0.1:{node.address[1]}"


def node_frames(node, count):
    """{sequence: JPEG} of the newest frames that the node still has."""
    client = wire.Client(node.address)
    client.subscribe(policy=wire.EVERY)
    frames = {}
    while len(frames) < count:
        record = client.next()
        if record.type == wire.FRAME:
            frames[record.sequence] = record.data
    client.close()
    return frames


def test_topics_and_bytes():
    """Each picture arrives byte for byte, with the same facts in meta and in its properties."""
    for version in (4, 5):
        with Mosquitto() as broker, Node() as node, \
                Subscriber(broker.port, "pinhole/#", version=version) as sink, \
                Bridge(broker.port, f"{NAME}={address_of(node)}"):
            sink.wait("/frame", 5)
            expected = node_frames(node, 30)
            last = max(expected)
            wait_for("that picture", lambda: any(m.json["sequence"] >= last
                                                 for m in sink.of("/frame/meta")))
            pictures, metas = sink.of("/frame"), sink.of("/frame/meta")
            compared = 0
            for picture, meta in zip(pictures, metas):
                assert picture.topic == f"pinhole/{LEVEL}/frame", picture.topic
                assert meta.json["bytes"] == len(picture.payload)
                if meta.json["sequence"] in expected:
                    assert picture.payload == expected[meta.json["sequence"]]
                    compared += 1
                if version == 5:
                    facts = {name: str(value) for name, value in meta.json.items()}
                    assert picture.properties[38] == facts, (picture.properties, facts)
                    assert picture.properties[3] == b"image/jpeg"
            assert compared > 0
            state = sink.wait("/state")[0].json
            assert state["state"] == "online" and state["node"] == NAME, state


def test_header():
    with Mosquitto() as broker, Node() as node, \
            Subscriber(broker.port, "p/q/cam/frame", "p/q/cam/frame/meta") as sink, \
            Bridge(broker.port, "--prefix", "p/q", "--payload", "header", "--qos", "1",
                   f"cam={address_of(node)}"):
        metas = sink.wait("/meta", 3)
        for picture, meta in zip(sink.of("/frame"), metas):
            fields, jpeg = frame_header(picture.payload)
            assert jpeg[:2] == b"\xff\xd8" and jpeg[-2:] == b"\xff\xd9"
            assert {**meta.json, **fields} == {**meta.json, "trigger_id": fields["trigger_id"]}


def test_triggers():
    """Each trigger with its outcome, with its picture and without one."""
    script = "every 20 drop 15\n"
    with Mosquitto(PERSISTENT) as broker, Node(*TRIGGERED, script=script) as node, \
            Subscriber(broker.port, "pinhole/#") as sink, \
            Bridge(broker.port, "--policy", "every", f"cam={address_of(node)}") as bridge:
        bridge.wait_log("remembers no position")
        wait_for("a link", lambda: "connected to the node" in bridge.log)
        client = wire.Client(node.address)
        ids = []
        for _ in range(10):
            ids.append(client.trigger())
            time.sleep(0.05)
        triggers = wait_for("all outcomes", lambda: (
            found if covered(found := sink.of("/trigger")) >= set(ids) else None))
        for message in triggers:
            if message.json["outcome"] == "MATCHED":
                wait_for("its picture", lambda m=message: any(
                    meta.json["trigger_id"] == m.json["trigger_id"]
                    for meta in sink.of("/frame/meta") if "trigger_id" in meta.json))
        client.close()


def covered(triggers):
    return {identifier for m in triggers
            for identifier in range(m.json["trigger_id"], m.json["trigger_last"] + 1)}


def test_every_goes_on():
    """Killed and started again, the bridge goes on where the broker's position stands."""
    with Mosquitto(PERSISTENT) as broker, Node("--set", "store.memory=64M", "--set",
                                               "camera.framerate=20") as node, \
            Subscriber(broker.port, "pinhole/cam/#", version=5, clean=False) as sink, \
            Bridge(broker.port, "--policy", "every", f"cam={address_of(node)}") as bridge:
        for round_number in range(3):
            wait_for("going on", lambda n=round_number: bridge.log.count("going on behind record") == n)
            sink.wait("/frame/meta", 20 * (round_number + 1))
            sink.wait("/position", 1)
            bridge.kill()
            broker.kill()
            time.sleep(0.3)
            broker.start()
            bridge.start()
        wait_for("going on", lambda: bridge.log.count("going on behind record") == 3)
        sink.wait("/frame/meta", 80)
        records = {m.json["sequence"] for m in sink.of("/frame/meta")}
        events = {m.json["sequence"] for ending in ("/event", "/trigger") for m in sink.of(ending)}
        missing = set(range(min(records), max(records))) - records - events
        assert not missing, (sorted(missing), bridge.log)
        assert not [m for m in sink.of("/event") if m.json["event"] == "GAP"]
        for message in sink.of("/frame"):
            assert message.properties[38]["bytes"] == str(len(message.payload))


def test_will_and_goodbye():
    with Mosquitto() as broker, Node() as node, \
            Subscriber(broker.port, "pinhole/cam/state") as sink:
        with Bridge(broker.port, f"cam={address_of(node)}") as bridge:
            wait_for("online", lambda: sink.of("/state") and sink.of("/state")[-1].json["state"] ==
                     "online")
            bridge.kill()
            wait_for("the will", lambda: sink.of("/state")[-1].json["state"] == "offline")
            bridge.start()
            wait_for("online", lambda: sink.of("/state")[-1].json["state"] == "online")
            assert bridge.end() == 0, bridge.log
            wait_for("goodbye", lambda: "ended" in sink.of("/state")[-1].json.get("reason", ""))
        with Subscriber(broker.port, "pinhole/cam/state") as late:
            assert late.wait("/state")[0].retain


def test_too_large():
    """A picture above payload_max, or above what the broker takes, is an event with its number."""
    cases = (("--payload-max", "4000", ""), ("--payload-max", "1000000", "max_packet_size 6000\n"))
    for option, value, lines in cases:
        with Mosquitto(lines) as broker, Node() as node, \
                Subscriber(broker.port, "pinhole/cam/#") as sink, \
                Bridge(broker.port, option, value, f"cam={address_of(node)}") as bridge:
            event = sink.wait("/event", 3)[2].json
            assert event["event"] == "TOO_LARGE" and event["frame_id"] > 0, event
            assert not sink.of("/frame") and "lost" not in bridge.log, bridge.log


def test_commands():
    with Mosquitto() as broker, Node(*TRIGGERED, "--set", "camera.shutter_us=3000") as node, \
            Subscriber(broker.port, "pinhole/cam/reply", "pinhole/cam/trigger", version=5) as sink, \
            Bridge(broker.port, "--allow-set", "yes", "--allow-trigger", "yes",
                   f"cam={address_of(node)}") as bridge:
        bridge.wait_log("connected to the node")
        time.sleep(0.3)
        correlation = b"\x09" + put_text(b"\x00\xffid")
        sink.publish("pinhole/cam/set/ExposureTime", "4000", properties=correlation)
        reply = sink.wait("/reply")[0]
        assert reply.json == {"command": "set/ExposureTime", "ok": True, "value": 4000}, reply.json
        assert reply.properties[9] == b"\x00\xffid"
        sink.publish("pinhole/cam/set/ExposureTime", json.dumps({"value": 5000, "id": "x"}))
        assert sink.wait("/reply", 2)[1].json["id"] == "x"
        sink.publish("pinhole/cam/set/NoSuchThing", "1")
        refusal = sink.wait("/reply", 3)[2].json
        assert not refusal["ok"] and "NoSuchThing" in refusal["error"], refusal
        sink.publish("pinhole/cam/trigger/command", "")
        answer = sink.wait("/reply", 4)[3].json
        assert answer["ok"] and answer["trigger_id"] == 1, answer
        assert sink.wait("/trigger")[0].json["trigger_id"] == 1


def test_commands_off():
    """Without being allowed nothing is listened to."""
    with Mosquitto() as broker, Node() as node, \
            Subscriber(broker.port, "pinhole/cam/#", version=5) as sink, \
            Bridge(broker.port, f"cam={address_of(node)}") as bridge:
        sink.wait("/frame", 2)
        sink.publish("pinhole/cam/set/ExposureTime", "4000", qos=1)
        sink.publish("pinhole/cam/trigger/command", "", qos=1)
        sink.wait("/frame", len(sink.of("/frame")) + 5)
        assert not sink.of("/reply") and "refused" not in bridge.log


def test_preview():
    with Mosquitto() as broker, Node() as node, \
            Subscriber(broker.port, "pinhole/cam/frame", "pinhole/cam/preview") as sink, \
            Bridge(broker.port, "--preview-width", "100", "--preview-interval-ms", "50",
                   f"cam={address_of(node)}"):
        preview = sink.wait("/preview", 2)[1].payload
        done = subprocess.run(["djpeg"], input=preview, capture_output=True, check=True)
        assert done.stdout.split(b"\n")[1] == b"80 60", done.stdout[:20]
        assert len(preview) < len(sink.of("/frame")[0].payload) and not done.stderr


def refusal(*arguments, config=None):
    if config is not None:
        with Bridge(1, *arguments, config=config) as bridge:
            return bridge.process.wait(30), bridge.log
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=30,
                          check=False)
    return done.returncode, done.stderr


def test_wrong_settings():
    """Each mistake is one sentence that names its place; exit status 2."""
    cases = (
        ((), None, "no node is given"),
        (("--qos", "2", "a"), None, "option for qos: '2' is not a number from 0 to 1"),
        (("--policy", "some", "a"), None, "'some' is none of latest|every"),
        (("--no-such", "a"), None, "--no-such: no such option"),
        (("--prefix", "a.b", "a"), None, "letters, digits"),
        (("a=1", "a=2"), None, "two nodes named 'a'"),
        ((), "[broker]\nhost = x\nhots = y\n[node a]\naddress = b\n", "bridge.ini:3: hots"),
        ((), "[brokers]\nhost = x\n", "there is no section [brokers]"),
        ((), "[node a]\nqos = 1\n", "[node a] has no address"),
        ((), "[broker]\nhost\n", "bridge.ini:2: neither"),
        (("--password-file", "/nowhere", "a"), None, "cannot read /nowhere"),
        (("--cert-file", "x", "a"), None, "cert_file and key_file go together"),
    )
    for arguments, config, sentence in cases:
        status, text = refusal(*arguments, config=config)
        assert status == 2 and sentence in text and text.count("\n") == 1, (arguments, config, text)


def test_settings_of_a_node():
    config = "[cameras]\nqos = 1\n[node a]\naddress = {}\npayload_max = 4000\n[node b]\naddress = {}\n"
    with Mosquitto() as broker, Node() as node, Subscriber(broker.port, "pinhole/#") as sink, \
            Bridge(broker.port, config=config.format(*2 * [address_of(node)])):
        sink.wait("/b/frame", 2)
        assert sink.wait("/a/event", 2)[0].json["event"] == "TOO_LARGE" and not sink.of("/a/frame")


def test_password():
    with Mosquitto() as first:
        path = first.path("passwords", "")
        subprocess.run(["mosquitto_passwd", "-b", path, "camera", "secret"], check=True,
                       capture_output=True)
        with open(path, encoding="ascii") as file:
            passwords = file.read()
        lines = "password_file {folder}/passwords\n"
        secret, wrong = first.path("secret", "secret\n"), first.path("wrong", "wrong\n")
        with Mosquitto(lines, anonymous=False, files={"passwords": passwords}) as broker, \
                Node() as node, Subscriber(broker.port, "pinhole/#", user="camera",
                                           password="secret") as sink:
            with Bridge(broker.port, "--username", "camera", "--password-file", wrong,
                        f"cam={address_of(node)}") as bridge:
                bridge.wait_log(r"cannot connect: the broker refuses the connection: ")
                time.sleep(1)
                assert bridge.log.count("cannot connect") == 1 and bridge.process.poll() is None
            with Bridge(broker.port, "--username", "camera", "--password-file", secret,
                        f"cam={address_of(node)}"):
                sink.wait("/frame", 2)
            credentials = os.path.dirname(first.path("mqtt-password", "secret"))
            count = len(sink.of("/frame"))
            with Bridge(broker.port, "--username", "camera", f"cam={address_of(node)}",
                        env={"CREDENTIALS_DIRECTORY": credentials}) as bridge:
                sink.wait("/frame", count + 2)
                with open(f"/proc/{bridge.process.pid}/cmdline", "rb") as file:
                    assert b"secret" not in file.read()


def test_broker_away():
    """Started before its broker, and while the broker restarts: goes on by itself."""
    with Mosquitto() as broker, Node() as node:
        broker.kill()
        with Bridge(broker.port, f"cam={address_of(node)}") as bridge:
            bridge.wait_log("cannot connect: ")
            broker.start()
            with Subscriber(broker.port, "pinhole/cam/frame") as sink:
                sink.wait("/frame", 2)
            broker.kill()
            bridge.wait_log("connection lost")
            broker.start()
            with Subscriber(broker.port, "pinhole/cam/frame") as sink:
                sink.wait("/frame", 2)


def test_node_away():
    with Mosquitto() as broker, Subscriber(broker.port, "pinhole/cam/state") as sink, \
            Bridge(broker.port, "cam=127.0.0.1:1") as bridge:
        bridge.wait_log("the node is away: ")
        state = sink.wait("/state")[0].json
        assert state["state"] == "offline" and "127.0.0.1:1" in str(state) or state["reason"], state


def test_metrics():
    with Mosquitto() as broker, Node() as node, Subscriber(broker.port, "pinhole/cam/frame") as sink:
        with Bridge(broker.port, "--metrics-listen", "127.0.0.1:0", f"cam={address_of(node)}") as bridge:
            url = bridge.wait_log(r"metrics on (http://\S+)").group(1)
            path = bridge.path("x.prom")
            sink.wait("/frame", 3)
            text = subprocess.run(["curl", "-sS", url], capture_output=True, text=True,
                                  check=True).stdout
            value = next(line for line in text.splitlines() if line.startswith(
                'pinhole_mqtt_frames_published_total{node="cam"} '))
            assert int(value.split()[-1]) >= 3, text
            assert not os.path.exists(path)
        with Bridge(broker.port, "--metrics-file", broker.path("x.prom"),
                    f"cam={address_of(node)}") as bridge:
            wait_for("the file", lambda: os.path.exists(broker.path("x.prom")))


if __name__ == "__main__":
    skip_unless(PROGRAM, "mosquitto", "mosquitto_passwd")
    assert put_length(321) == b"\xc1\x02"
    if len(sys.argv) > 1:
        run_cases({name: case for name, case in globals().items() if sys.argv[1] in name})
    run_cases(globals())
