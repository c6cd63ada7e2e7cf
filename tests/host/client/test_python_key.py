#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Python package with a key: against a real node, and against nodes that cannot prove it."""

import os
import struct
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[".."] * 3))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(ROOT, "tests", "host", "support"), os.path.join(ROOT, "tools", "python")]
import pinhole  # noqa: E402
from fake_node import ERROR, FakeNode, message  # noqa: E402
from keyed_node import CONTROL_KEY, KeyedNode, bad_keys, write_key  # noqa: E402
from pinhole_node import Node, run_cases  # noqa: E402

AUTH, UNKNOWN_TYPE = 13, 6
PATIENCE_S = 60


def address_of(node):
    return "%s:%d" % node.address


def failure(kind, function, *arguments, **options):
    try:
        function(*arguments, **options)
    except kind as why:
        return str(why)
    raise AssertionError("it succeeded")


def test_a_key_gives_its_role():
    with KeyedNode() as node:
        with pinhole.Camera(address_of(node)) as stranger:
            assert "SUBSCRIBE needs the role view" in failure(pinhole.Denied, stranger.frame)
        with pinhole.Camera(address_of(node), key=node.view) as viewer:
            assert viewer.frame(PATIENCE_S).width == 320
            assert "SET needs the role control" in failure(
                pinhole.Denied, setattr, viewer, "Gain", 2)
            assert viewer.frame(PATIENCE_S).width == 320  # the link is still there
        with pinhole.Camera(address_of(node), key=node.control) as controller:
            controller.TriggerMode = "On"
            assert controller.trigger() == 1
        assert "fits no key" in failure(pinhole.Denied, pinhole.Camera, address_of(node),
                                        key=node.wrong)
    with Node() as open_node, tempfile.TemporaryDirectory() as folder:
        key = write_key(folder, "key", CONTROL_KEY)
        assert "fits no key" in failure(pinhole.Denied, pinhole.Camera, address_of(open_node),
                                        key=key)


class Pretender(FakeNode):
    """Tells a role and a challenge, and answers AUTH with these bytes."""
    answer = message(AUTH, struct.pack("<B7x32s", 3, b"no proof"), 1, 1)

    def _hello(self):
        fixed = super()._hello()
        return struct.pack("<H", 104) + fixed[2:64] + struct.pack("<B7x32s", 1, b"c" * 32) + fixed[64:]

    def _answer(self, kind, asked, tag):
        return self.answer if kind == AUTH else super()._answer(kind, asked, tag)


class Downgrader(Pretender):
    answer = message(ERROR, struct.pack("<HHI", 8, UNKNOWN_TYPE, 0) + b"not known here", 1, 1)


def test_other_nodes_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        key = write_key(folder, "key", CONTROL_KEY)
        for node, kind, said in ((Pretender(), pinhole.Denied, "the node does not know the key"),
                                 (Downgrader(), ConnectionError, "older than keys"),
                                 (FakeNode(), ConnectionError, "older than keys")):
            with node:
                assert said in failure(kind, pinhole.Camera, node.address, key=key)


def test_key_files():
    with tempfile.TemporaryDirectory() as folder:
        *unfit, (absent, _) = bad_keys(folder)
        for path, said in unfit:
            assert said in failure(ValueError, pinhole.Camera, "127.0.0.1:1", key=path)
        failure(FileNotFoundError, pinhole.Camera, "127.0.0.1:1", key=absent)


if __name__ == "__main__":
    run_cases(globals())
