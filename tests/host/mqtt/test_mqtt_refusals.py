#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What brokers refuse, and what networks do: each is one sentence that says what and where, and the
bridge goes on as its README says. PINHOLE_MQTT_LONG=1: also those that wait for time to pass."""

import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from mqtt import (PROGRAM, Bridge, FakeBroker, Mosquitto, Subscriber,  # noqa: E402
                  make_certificates, skip_unless)
from pinhole_node import Node, run_cases, wait_for  # noqa: E402

OLD = ("--mqtt-version", "3.1.1")


def address_of(node):
    return f"127.0.0.1:{node.address[1]}"


def says(port, sentence, *arguments, again=1.5, most=1):
    """A bridge says that once (or in so many words), however often it tries, and does not end. Returns what it has said."""
    with Node() as node, Bridge(port, "--reconnect-max-s", "1", *arguments,
                                f"cam={address_of(node)}") as bridge:
        bridge.wait_log(re.escape(sentence))
        time.sleep(again)
        assert bridge.process.poll() is None, bridge.log
        lines = [line for line in bridge.log.splitlines() if "connected to the node" not in line]
        assert 1 <= sum(sentence in line for line in lines) <= most, bridge.log
        return lines


def test_unknown_host():
    lines = says(1883, "cannot connect: Lookup error", "--host", "no.such.host.invalid")
    assert len(lines) == 1 and "no.such.host.invalid:1883" in lines[0], lines


def test_nobody_listens():
    assert len(says(1, "127.0.0.1:1: cannot connect: Connection refused")) == 1


def test_versions():
    """Three ways in which a broker has no MQTT 5. The fall-back is said once, and remembered."""
    for refusal in ("close", "connack", "old"):
        with FakeBroker((4,), refusal) as broker:
            lines = says(broker.port, "the broker has no MQTT 5")
            assert len(lines) == 2 and "connected to the broker" in lines[1], lines
            assert set(broker.attempts[3:]) <= {4} and broker.attempts[0] == 5, broker.attempts


def test_version_survives_a_restart():
    """A broker that closes connections while it starts is not taken for one without MQTT 5."""
    with FakeBroker((), "close") as broker, Node() as node, \
            Bridge(broker.port, "--reconnect-max-s", "1", f"cam={address_of(node)}") as bridge:
        wait_for("attempts with both versions", lambda: {4, 5} <= set(broker.attempts))
        broker.versions = (4, 5)
        bridge.wait_log("connected to the broker .*, MQTT 5")
        assert "has no MQTT 5" not in bridge.log


def test_quota_and_size():
    """A refused picture is said with its topic and reason. Under `latest` the next one is sent."""
    for reason, text in ((151, "Quota exceeded (151)"), (149, "Packet too large (149)"),
                         (135, "Not authorized (135)")):
        with FakeBroker(reason=lambda topic, r=reason: r if topic.endswith("/frame") else 0) as broker:
            lines = says(broker.port, f"refuses frame of pinhole/cam: {text}", "--qos", "1")
            assert len(lines) == 2 and broker.topics.count("pinhole/cam/frame") > 3, lines


def long_every_waits_for_quota():
    """Under `every` a refusal that may pass holds the position; nothing is left out."""
    refused = [5]

    def reason(topic):
        if topic.endswith("/frame") and refused[0] > 0:
            refused[0] -= 1
            return 151
        return 0
    with FakeBroker(reason=reason) as broker:
        lines = says(broker.port, "refuses frame of pinhole/cam: Quota exceeded", "--policy", "every",
                     again=8)
        assert refused[0] == 0 and not [line for line in lines if "left out" in line], lines
        assert "pinhole/cam/position" in broker.topics


def long_every_leaves_out_what_never_passes():
    """A picture that the broker does not take, and says so or closes on it, is an event; what is
    behind it gets through."""
    def close_on_first(topic):
        if topic.endswith("/frame") and not hold["broker"].topics.count("pinhole/cam/event"):
            return None
        return 0
    hold = {}
    with FakeBroker((4,), reason=close_on_first) as broker:
        hold["broker"] = broker
        says(broker.port, "is left out: the connection ended 3 times", "--policy", "every", *OLD,
             again=3)
        behind = broker.topics[broker.topics.index("pinhole/cam/event"):]
        assert behind.count("pinhole/cam/frame") > 3 and "pinhole/cam/position" in behind
    with FakeBroker(reason=lambda topic: 149 if topic.endswith("/frame") else 0) as broker:
        says(broker.port, "Packet too large (149)", "--policy", "every", again=8)
        assert broker.topics.count("pinhole/cam/event") > 3 and \
            "pinhole/cam/position" in broker.topics


def long_acl():
    acl = "topic write pinhole/cam/state\ntopic read #\n"
    lines, files = "acl_file {folder}/acl\n", {"acl": acl}
    with Mosquitto(lines, files=files) as broker:
        says(broker.port, "the broker refuses frame of pinhole/cam: Not authorized", "--qos", "1")
        # Pictures have no answer; which of the others is refused first depends on who connects first.
        says(broker.port, " of pinhole/cam: Not authorized (135)", "--qos", "0")
        said = says(broker.port, "the broker takes pinhole/cam/frame and delivers nothing",
                    "--qos", "1", *OLD, again=0.5)
        assert len(said) == 2, said


def long_acl_that_allows():
    """Pictures that come back are no reason to warn, nor are they asked for twice."""
    with Mosquitto() as broker, Node() as node, \
            Bridge(broker.port, *OLD, f"cam={address_of(node)}") as bridge, \
            Subscriber(broker.port, "pinhole/cam/frame") as sink:
        sink.wait("/frame", 60)
        time.sleep(10)
        assert "delivers nothing" not in bridge.log


def test_retained_refused():
    for version in ((), OLD):
        with Mosquitto("retain_available false\n") as broker:
            lines = says(broker.port, "the broker takes no retained messages", *version)
            assert "connected to the broker" in lines[-1], lines


def tls(folder, lines=""):
    return (f"cafile {folder}/ca.pem\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
            + lines)


def test_tls():
    with Mosquitto() as place:
        folder = place.folder.name
        make_certificates(folder)
        ca, other = ("--ca-file", f"{folder}/ca.pem"), ("--ca-file", f"{folder}/other.pem")
        cert = ("--cert-file", f"{folder}/client.pem", "--key-file", f"{folder}/client.key")
        with Mosquitto(tls(folder)) as broker:
            says(broker.port, "connected to the broker", *ca)
            assert "certificate verify failed" in says(broker.port, "cannot connect: ", *other)[0]
            assert "localhost" in says(broker.port, "cannot connect: ", "--host", "localhost", *ca)[0]
            says(broker.port, "cannot connect: ", again=0.5)  # no TLS at all
        with Mosquitto(tls(folder, "require_certificate true\n")) as broker:
            says(broker.port, "connected to the broker", *ca, *cert)
            # A write may fail before the alert that says why is read.
            says(broker.port, "cannot connect: ", *ca, most=2)
        with Mosquitto(tls(folder).replace("server.", "stranger.")) as broker:
            says(broker.port, "cannot connect: ", *ca)
        with Bridge(1, "--ca-file", f"{folder}/none.pem", "cam=127.0.0.1:1") as bridge:
            assert bridge.process.wait(30) == 2 and "cannot read" in bridge.log


def test_psk():
    psk = {"psk": "camera:0123456789abcdef\n"}
    with Mosquitto() as place, Mosquitto("psk_hint pinhole\npsk_file {folder}/psk\n",
                                         files=psk) as broker:
        right, wrong = place.path("right", "0123456789abcdef\n"), place.path("wrong", "ff00\n")
        identity = ("--psk-identity", "camera")
        says(broker.port, "connected to the broker", *identity, "--psk-file", right)
        says(broker.port, "cannot connect: ", *identity, "--psk-file", wrong)


def test_two_of_one_name():
    """Two bridges with one client identifier take the connection from each other: it is said."""
    with Mosquitto() as broker, Node() as node, \
            Bridge(broker.port, f"cam={address_of(node)}") as one:
        one.wait_log("connected to the broker")
        with Bridge(broker.port, f"cam={address_of(node)}"):
            one.wait_log("another client have the identifier pinhole-cam")


if __name__ == "__main__":
    skip_unless(PROGRAM, "mosquitto", "openssl")
    subprocess.run(["openssl", "version"], check=True, stdout=subprocess.DEVNULL)
    cases = dict(globals())
    if os.environ.get("PINHOLE_MQTT_LONG"):
        cases |= {f"test_{name}": case for name, case in cases.items() if name.startswith("long_")}
    run_cases(cases)
