# SPDX-License-Identifier: MIT
"""libcamera's log: through the node's own, so that a reader who has stopped stops nobody."""

import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from pinhole_node import BUILD, START_S, Node, run, run_cases  # noqa: E402
import pinhole_wire as wire  # noqa: E402

# Whatever cameras there are, not this one: libcamera looks for it at start.
ABSENT = "libcamera:no such camera"
# "[0:12:34.567890123] [4711] DEBUG Camera file.cpp:123 ...", for one.
MESSAGE = r"\[\d+:\d\d:\d\d\.\d+\] .*(DEBUG|INFO)"
TALKATIVE = {"LIBCAMERA_LOG_LEVELS": "*:DEBUG"}


def full_pipe():
    """Both ends of a pipe that takes not one byte more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, bytes(4096))
    except BlockingIOError:
        pass
    os.set_blocking(writer, True)
    return reader, writer


def connected(path):
    """A client of the node that listens, or will listen, there."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            return wire.Client(path)
        except (FileNotFoundError, ConnectionRefusedError):
            assert time.monotonic() < deadline, "the node does not listen"
            time.sleep(0.05)


def test_a_full_pipe_stops_nobody():
    reader, writer = full_pipe()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        with subprocess.Popen([f"{BUILD}/pinhole", "--camera", ABSENT, "--listen", "", "--socket",
                               path, "--set", "camera.reopen_interval_ms=100"], stderr=writer,
                              stdin=subprocess.DEVNULL, env=os.environ | TALKATIVE) as node:
            try:
                with connected(path) as client:
                    # Well after libcamera was asked for the camera, more than once.
                    deadline = time.monotonic() + START_S
                    first = client.stats()["pinhole_uptime_seconds"]
                    while client.stats()["pinhole_uptime_seconds"] < first + 1:
                        assert time.monotonic() < deadline
                        time.sleep(0.05)
                node.terminate()
                assert node.wait(START_S) == 0
            finally:
                node.kill()
    os.close(reader)
    os.close(writer)


def test_messages_are_lines_of_the_log():
    with Node(camera=ABSENT, environment=TALKATIVE) as node:
        node.wait_log("(?m)^<4>" + MESSAGE)
        for line in node.log.splitlines():
            assert re.match("<[3467]>.", line), line


def test_a_log_file_is_libcameras_own():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "libcamera.log")
        with Node(camera=ABSENT, environment=TALKATIVE | {"LIBCAMERA_LOG_FILE": path}) as node:
            assert not re.search(MESSAGE, node.log), node.log
        with open(path, encoding="utf-8") as file:
            assert re.search(MESSAGE, file.read())


if __name__ == "__main__":
    if "libcamera: not in this build" in run("--version")[1]:
        print("built without libcamera")
        sys.exit(77)
    run_cases(globals())
