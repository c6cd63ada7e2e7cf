#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A whole node with keys: who may do what, what its log says of an opened listener, and key files that
stop the start. The proofs are made here as net/SPEC.md says them."""

import hmac
import os
import struct
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from keyed_node import CONTROL_KEY, VIEW_KEY, WRONG_KEY, KeyedNode, bad_keys  # noqa: E402
from pinhole_node import Node, run, run_cases  # noqa: E402
from pinhole_wire import (AUTH, DENIED, FEATURES, FRAME, GET, SET, STATS, TRIGGER, Client,  # noqa: E402
                          Refused)

NONE, VIEW, CONTROL = 1, 2, 3


def proof_of(client, key, text, first, second):
    name = client.hello.lines["DeviceUserID"].encode()
    return hmac.digest(key, text + b"\n" + first + second + struct.pack("<Q", client.hello.boot_id) +
                       name, "sha256")


def authenticate(client, key):
    """Proves the key; returns the role once the node has proved it, too."""
    nonce = os.urandom(32)
    proof = proof_of(client, key, b"PINHOLE AUTH 1", client.hello.challenge, nonce)
    reply = client.request(AUTH, nonce + proof).data
    assert reply[8:] == proof_of(client, key, b"PINHOLE NODE 1", nonce, client.hello.challenge)
    return reply[0]


def refusal(request, *arguments):
    try:
        request(*arguments)
    except Refused as why:
        return why
    raise AssertionError("it was carried out")


def test_roles_of_a_node():
    with KeyedNode() as node:
        with Client(node.address) as stranger:
            assert stranger.hello.role == NONE
            for kind in (GET, SET, FEATURES, STATS, TRIGGER):
                assert refusal(stranger.request, kind, b"").code == DENIED
            assert "SUBSCRIBE needs the role view" in refusal(stranger.subscribe).text
        with Client(node.address) as viewer:
            assert authenticate(viewer, VIEW_KEY) == VIEW
            viewer.subscribe()
            assert viewer.until(lambda record: record.type == FRAME)
            assert viewer.get("Width") == {"Width": "320"}
            why = refusal(lambda: viewer.set(Width=160))
            assert why.text == "SET needs the role control, this connection has view; give a key"
            assert refusal(viewer.trigger).code == DENIED
        with Client(node.address) as wrong:
            assert refusal(authenticate, wrong, WRONG_KEY).code == DENIED
        with Client(node.address) as controller:
            assert authenticate(controller, CONTROL_KEY) == CONTROL
            assert controller.get("Width") == {"Width": "320"}
            controller.set(TriggerMode="On", TriggerSource="Software")
            assert controller.trigger() == 1
            stats = controller.stats()
            assert stats['pinhole_clients_dropped_total{reason="denied"}'] == 1
            assert stats['pinhole_clients_dropped_total{reason="malformed"}'] == 0
            assert stats['pinhole_role_without_key{peer="local"}'] == NONE
            assert stats['pinhole_role_without_key{peer="other"}'] == NONE


def test_this_machine_needs_no_key_by_default():
    with Node() as node, Client(node.address) as client:
        assert client.hello.role == CONTROL
        assert client.stats()['pinhole_role_without_key{peer="local"}'] == CONTROL
        assert "other hosts" not in node.log


def test_the_log_says_to_whom_a_listener_is_open():
    opened = {"listen": "0.0.0.0:0"}
    with Node(**opened) as node:
        node.wait_log(r"tcp 0\.0\.0\.0:\d+: other hosts get nothing, because there is no "
                      r"server\.control_key_file; nothing is encrypted")
    for role, said in (("view", "may see without a key"),
                       ("control", "may see, set and trigger without a key")):
        with Node("--set", f"server.anonymous={role}", **opened) as node:
            node.wait_log(rf"other hosts {said} \(server\.anonymous\); nothing is encrypted")
    with KeyedNode(**opened) as node:
        node.wait_log(r"other hosts need a key \(server\.control_key_file, server\.view_key_file\)")


def test_a_bad_key_file_stops_the_start():
    with tempfile.TemporaryDirectory() as place:
        for path, said in bad_keys(place):
            for key in ("view_key_file", "control_key_file"):
                for more in (("--check-config",), ()):
                    status, _, log = run("--camera", "fake", "--listen", "127.0.0.1:0", "--set",
                                         f"server.{key}={path}", *more)
                    assert status == 2 and f"server.{key} = {path}: " in log and said in log, \
                        (path, key, more, status, log)


if __name__ == "__main__":
    run_cases(globals())
