# SPDX-License-Identifier: MIT
"""The libcamera backend is loaded by a node that uses it, and by no other; where it cannot be loaded
the node says so."""

import contextlib
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from pinhole_node import BUILD, PROGRAM, Node, run, run_cases  # noqa: E402
import pinhole_wire as wire  # noqa: E402

PLUGIN = "pinhole-libcamera.so"
NOT_STARTED = 1
SAN = bool(os.environ.get("SAN"))


@contextlib.contextmanager
def copy_of_node(plugin=None):
    """The program alone in the folder bin, or with that file in this place relative to it."""
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/bin/pinhole"
        os.mkdir(f"{folder}/bin")
        shutil.copy(PROGRAM, program)
        if plugin is not None:
            place = f"{folder}/bin/{plugin}"
            os.makedirs(place, exist_ok=True)
            shutil.copy(f"{BUILD}/{PLUGIN}", place)
        yield program


def loaded(node):
    """The files of libcamera and of its backend that the node has mapped."""
    with open(f"/proc/{node.process.pid}/maps", encoding="utf-8") as maps:
        paths = {line.split(maxsplit=5)[5].strip() for line in maps if "/" in line}
    return {os.path.basename(path) for path in paths if "libcamera" in os.path.basename(path)}


def insists(program, *words):
    """A node that shall use libcamera ends and says these."""
    with tempfile.TemporaryDirectory() as folder:
        status, _, log = run("--camera", "libcamera", "--listen", "", "--socket",
                             f"{folder}/socket", program=program)
    assert status == NOT_STARTED, (status, log)
    errors = [line for line in log.splitlines() if line.startswith("<3>")]
    assert len(errors) == 1 and all(word in errors[0] for word in words), log


def test_only_a_node_that_uses_libcamera_loads_it():
    with Node() as node, wire.Client(node.address) as client:
        client.subscribe()
        client.next_frame()
        # Under sanitizers the node has libcamera from the start, see the Makefile.
        assert PLUGIN not in loaded(node) and (SAN or not loaded(node)), loaded(node)
    with Node(camera="libcamera:no such camera") as node:
        node.wait_log("camera absent")
        assert PLUGIN in loaded(node) and len(loaded(node)) > 1, loaded(node)


def test_it_is_found_beside_the_program_and_where_it_is_installed():
    version = run("--version")[1]
    assert "not loaded" not in version, version
    for place in (".", "../lib/pinhole"):
        with copy_of_node(place) as program:
            assert run("--version", program=program)[1] == version


def test_a_missing_backend_is_named():
    with copy_of_node() as program:
        insists(program, PLUGIN, "is missing", "make install")
        status, text, error = run("--list-cameras", program=program)
        assert status == 1 and PLUGIN in error and "fake:" in text, (status, text, error)
        assert "libcamera: not loaded" in run("--version", program=program)[1]


def test_a_backend_that_does_not_load_is_named_with_the_reason():
    with copy_of_node(".") as program:
        plugin = os.path.join(os.path.dirname(program), PLUGIN)
        with open(plugin, "w", encoding="utf-8") as file:
            file.write("no library")
        insists(program, plugin, "file too short", "libcamera-ipa")


def test_without_it_auto_is_the_fake_camera_and_says_why():
    with copy_of_node() as program, Node(camera="auto", program=program) as node:
        node.wait_log(rf"<4>camera fake, because libcamera .*{PLUGIN} is missing")
        with wire.Client(node.address) as client:
            client.subscribe()
            client.next_frame()


if __name__ == "__main__":
    if "libcamera: not in this build" in run("--version")[1]:
        print("built without libcamera")
        sys.exit(77)
    run_cases(globals())
