# SPDX-License-Identifier: MIT
"""What a user or a stranger can get wrong: each is named, with the right exit status, and a node
that runs keeps streaming."""

import os
import random
import socket
import struct
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from pinhole_node import Node, run, run_cases  # noqa: E402
import pinhole_wire as wire  # noqa: E402

USAGE, NOT_STARTED = 2, 1


def refused(status, *named, arguments=(), config=None, **options):
    """The node ends with this status and names all of these."""
    if config is None:
        node = Node(*arguments, wait=False, **options)
    else:
        node = Node("--listen", "127.0.0.1:0", *arguments, config=config, wait=False, small=False,
                    **options)
    try:
        got, log = node.wait(), node.log
    finally:
        node.folder.cleanup()
    assert got == status, (got, log)
    for name in named:
        assert name in log, (name, log)
    return log


def test_config_file_faults_name_file_line_and_key():
    refused(USAGE, "pinhole.ini:3", "qualty", config="# a comment\n[jpeg]\nqualty = 80\n")
    refused(USAGE, "pinhole.ini:1", "jpg", config="[jpg]\nquality = 80\n")
    refused(USAGE, "pinhole.ini:2", "quality", "100", config="[jpeg]\nquality = 101\n")
    refused(USAGE, "pinhole.ini:2", "framerate", config="[camera]\nframerate = fast\n")
    refused(USAGE, "pinhole.ini:2", "197", config="[node]\nname = " + "x" * 300 + "\n")
    refused(USAGE, "pinhole.ini:3", "quality", config="[jpeg]\nquality = 80\nquality = 70\n")
    refused(USAGE, "pinhole.ini:2", config="[jpeg]\nquality\n")


def test_command_line_faults_name_the_option():
    for arguments, name in ((("--quality", "0"), "--quality"), (("--set", "jpeg.nothing=1"),
                            "jpeg.nothing"), (("--width", "12x"), "--width"),
                            (("--no-such-option",), "no-such-option"),
                            (("--config", "/nowhere/pinhole.ini"), "/nowhere/pinhole.ini"),
                            (("--width", "640", "--height", "0"), "camera.height"),
                            (("--camera", "webcam"), "webcam"),
                            (("--listen", "example.org:80"), "example.org:80")):
        status, _, error = run(*arguments)
        assert status == USAGE and name in error, (arguments, status, error)


def test_check_config_judges_as_a_start_would():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pinhole.ini")
        for text, status, named in (("[jpeg]\nquality = 80\n", 0, f"{path} are good"),
                                    ("[jpeg]\n\nqualty = 80\n", USAGE, f"{path}:3: "),
                                    ("[camera]\nwidth = 640\n", USAGE, "camera.width"),
                                    ("[camera]\ncamera = webcam\n", USAGE, "webcam")):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
            got, out, error = run("--config", path, "--check-config")
            assert got == status, (text, got, out, error)
            assert named in (error if got else out), (text, out, error)
            assert bool(error) == bool(got), error
    assert run("--config", path, "--check-config")[0] == USAGE  # it is gone now


def test_settings_that_do_not_fit_each_other():
    refused(USAGE, "store.memory", "server.clients_max 32",
            config="[store]\nmemory = 16M\n[server]\nclients_max = 32\n")
    refused(USAGE, "jpeg.quality_min", config="[jpeg]\nquality = 50\nquality_min = 60\n")
    refused(USAGE, "server.listen", arguments=("--listen", ""))


def test_camera_that_cannot_be_what_is_asked():
    refused(NOT_STARTED, "2x2", arguments=("--width", "2", "--height", "2"))
    refused(NOT_STARTED, "MJPEG", arguments=("--format", "MJPEG"))
    refused(NOT_STARTED, "/nowhere/script", camera="fake:/nowhere/script")
    refused(NOT_STARTED, ":2", "explode", script="at 5 torn\nat 9 explode\n")


def test_photograph_folders_that_are_none():
    refused(NOT_STARTED, "/nowhere/photos", camera="replay:/nowhere/photos")
    with tempfile.TemporaryDirectory() as folder:
        refused(NOT_STARTED, folder, camera=f"replay:{folder}")
        with open(f"{folder}/notes.txt", "w", encoding="utf-8") as file:
            file.write("no photograph")
        refused(NOT_STARTED, folder, camera=f"replay:{folder}")


def test_addresses_in_use():
    with Node() as node, wire.Client(node.address) as client:
        address = "%s:%d" % node.address
        refused(NOT_STARTED, address, "in use", listen=address)
        client.subscribe()
        client.next_frame()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        arguments = ("--set", f"server.socket={path}")
        with Node(*arguments) as node:
            refused(NOT_STARTED, path, "a running node uses it", arguments=arguments)
            with wire.Client(path) as client:
                client.subscribe()
                client.next_frame()
            # One that was killed leaves its socket behind; the next takes it over.
            node.process.kill()
            assert node.process.wait() == -9 and os.path.exists(path)
            node.process.returncode = 0
        with Node(*arguments) as node, wire.Client(path) as client:
            client.subscribe()
            client.next_frame()
        assert not os.path.exists(path)
        refused(USAGE, "socket", arguments=("--set", "server.socket=/" + "a" * 120))


def header(kind=wire.PING, length=0, magic=b"PINH", version=1, tag=3):
    return struct.pack("<4sBBHII", magic, version, kind, 0, length, tag)


def raw(address, data):
    """Sends bytes; returns what the node says besides HELLO, up to its closing."""
    client = wire.Client(address)
    client.socket.sendall(data)
    messages = []
    try:
        while True:
            messages.append(client.receive())
    except EOFError:
        client.close()
        return messages


def test_bad_bytes_end_their_connection_alone():
    with Node("--set", "server.clients_max=4") as node, wire.Client(node.address) as watcher:
        watcher.subscribe(start=wire.FROM_NEXT)
        for data, code, word in ((header(magic=b"HTTP"), wire.MALFORMED, "PINH"),
                                 (b"GET /stream HTTP/1.1\r\n\r\n", wire.MALFORMED, "PINH"),
                                 (header(version=9), wire.VERSION, "9"),
                                 (header(length=4097), wire.TOO_LARGE, "4097"),
                                 (header(length=2**32 - 1), wire.TOO_LARGE, "4096"),
                                 (header(wire.SUBSCRIBE, 1) + b"\2", wire.MALFORMED, "SUBSCRIBE")):
            messages = raw(node.address, data)
            assert len(messages) == 1 and messages[0].type == wire.ERROR, messages
            assert messages[0].code == code and messages[0].field_flags == 1, messages
            assert word in messages[0].text, messages[0].text
            watcher.next_frame()
        assert watcher.stats()['pinhole_clients_dropped_total{reason="malformed"}'] == 6


def test_too_many_clients_are_told():
    with Node("--set", "server.clients_max=2") as node:
        with wire.Client(node.address) as first, wire.Client(node.address) as second:
            first.subscribe()  # else they would be idle and give way
            second.subscribe()
            try:
                wire.Client(node.address)
                raise AssertionError("a third client got in")
            except wire.Refused as refusal:
                assert refusal.code == wire.FULL
            second.next_frame()


def flood(address, garbage, count):
    for _ in range(count):
        try:
            with socket.create_connection(address) as connection:
                while True:
                    connection.sendall(garbage)
        except ConnectionError:
            pass  # as it should be


def test_garbage_at_line_rate():
    garbage = random.Random(1).randbytes(1 << 18)
    with Node("--set", "store.memory=64M") as node, wire.Client(node.address) as watcher:
        watcher.subscribe(start=wire.FROM_NEXT)
        last = watcher.next_frame().frame_id
        floods = [threading.Thread(target=flood, args=(node.address, garbage, 2))
                  for _ in range(4)]
        for thread in floods:
            thread.start()
        while any(thread.is_alive() for thread in floods):
            frame = watcher.next_frame()
            assert frame.frame_id == last + 1 and frame.skipped == 0, frame
            last = frame.frame_id
        assert watcher.stats()['pinhole_clients_dropped_total{reason="malformed"}'] == 8


def test_more_requests_than_the_rate_are_answered_in_time():
    with Node("--set", "server.command_rate=100") as node, wire.Client(node.address) as client:
        client.socket.sendall(b"".join(header(tag=tag) for tag in range(1, 201)))
        assert [client.receive().tag for _ in range(200)] == list(range(1, 201))


def test_print_config_is_read_back_to_the_same():
    status, first, _ = run("--set", "node.name=gate 7", "--quality", "61", "--print-config")
    assert status == 0 and "quality = 61" in first
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/pinhole.ini"
        with open(path, "w", encoding="utf-8") as file:
            file.write(first)
        status, second, _ = run("--config", path, "--print-config")
    assert status == 0 and first == second


def test_questions_are_answered_without_a_node():
    status, text, _ = run("--version")
    assert status == 0 and text.startswith("pinhole ") and "camera fake" in text, text
    assert "gpiod" in text and "libcamera" in text and "encoder" in text, text
    status, text, _ = run("--list-cameras")
    assert status == 0 and "fake" in text and "1280x720" in text, text
    status, text, _ = run("--memory")
    assert status == 0 and "total" in text, text
    rows = [line.split() for line in text.splitlines()[1:]]
    assert sum(int(row[-1]) for row in rows[:-1]) == int(rows[-1][-1]), text
    assert int(rows[-1][-1]) > 64 << 20  # the store is in it
    status, text, _ = run("--help")
    assert status == 0 and "--camera" in text and "--quality" in text, text


def test_a_fake_camera_that_nobody_chose_is_said():
    status, version, _ = run("--version")
    assert status == 0
    with Node(camera="auto") as node:
        kind = node.wait_log(r"<\d>camera (\w+)[,:]").group(1)
        if kind != "fake":
            return  # this machine has a camera
        node.wait_log(r"<4>camera fake, because .*libcamera.*")
        node.wait_log(r"<4>.*the pictures are drawn, not taken")
        if "libcamera: not in this build" not in version:
            node.wait_log(r"<4>.*--camera libcamera .*waits for it")


def test_a_closed_stderr_gets_the_log_into_nothing_else():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        with Node("--socket", path, listen=None, wait=False,
                  prefix=("sh", "-c", 'exec "$@" 2>&-', "sh")) as node:
            deadline = time.monotonic() + 120
            while not os.path.exists(path):
                assert time.monotonic() < deadline and node.process.poll() is None
                time.sleep(0.01)
            assert os.readlink(f"/proc/{node.process.pid}/fd/2") == "/dev/null"


if __name__ == "__main__":
    run_cases(globals())
