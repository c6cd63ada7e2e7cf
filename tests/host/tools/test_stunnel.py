#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""TLS in front of the node by stunnel, set up with the very lines of SECURITY.md: a frame comes
through, the node's key still decides, and a peer with another TLS key or certificate is refused."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[".."] * 3))
sys.path.insert(0, os.path.join(ROOT, "tests", "host", "support"))
from gateway import Program  # noqa: E402
from keyed_node import KeyedNode  # noqa: E402
from pinhole_node import BUILD, PATIENCE_S, free_port, run_cases, wait_for  # noqa: E402

STUNNEL = shutil.which("stunnel4")


def recipes():
    """The four configurations of the page: for each way, the camera's and the client's."""
    with open(os.path.join(ROOT, "SECURITY.md"), encoding="utf-8") as file:
        found = re.findall(r"^```\n(\[pinhole\]\n.*?)^```", file.read(), re.M | re.S)
    assert len(found) == 4, found
    return found[:2], found[2:]


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Tunnel:
    """stunnel with one of the page's configurations, for ports and files of the test."""

    def __init__(self, folder, name, recipe, replaced):
        text = "foreground = yes\npid =\nsyslog = no\n" + recipe
        for old, new in replaced.items():
            text = text.replace(old, str(new))
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.port = int(re.search(r"accept = .*?(\d+)$", text, re.M).group(1))
        self.program = Program(STUNNEL, path)

    def __enter__(self):
        wait_for("stunnel", lambda: is_listening(self.port) or self.program.process.poll() is not None)
        assert self.program.process.poll() is None, self.program.err()
        return self

    def __exit__(self, *_):
        self.program.end()


def pinholectl(port, *arguments):
    return subprocess.run([f"{BUILD}/pinholectl", "-n", f"127.0.0.1:{port}", *arguments],
                          capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def check(way, camera_files, client_files, wrong_files):
    """The files that a recipe names are replaced by those of the test."""
    with tempfile.TemporaryDirectory() as folder, \
            KeyedNode("--socket", f"{folder}/pinhole.sock", listen=None) as node:
        outer, inner = free_port(), free_port()
        common = {"/run/pinhole/pinhole.sock": f"{folder}/pinhole.sock",
                  "accept = 7448": f"accept = 127.0.0.1:{outer}",
                  "raspberrypi.local:7448": f"127.0.0.1:{outer}", "127.0.0.1:7447": f"127.0.0.1:{inner}"}
        with Tunnel(folder, "camera", way[0], common | camera_files(folder)):
            with Tunnel(folder, "client", way[1], common | client_files(folder)):
                picture = os.path.join(folder, "now.jpg")
                done = pinholectl(inner, "--key-file", node.view, "grab", "-o", picture)
                assert done.returncode == 0, done
                with open(picture, "rb") as file:
                    assert file.read(2) == b"\xff\xd8"
                # stunnel is a program of this machine: the node asks it for the key all the same.
                assert "needs the role view" in pinholectl(inner, "get", "Width").stderr
                assert "fits no key" in pinholectl(inner, "--key-file", node.wrong, "get", "Width").stderr
            with Tunnel(folder, "wrong", way[1], common | wrong_files(folder)) as tunnel:
                refused = pinholectl(inner, "--key-file", node.view, "get", "Width")
                assert refused.returncode == 3 and refused.stdout == "", refused
                wait_for("a reason", lambda: re.search("alert|certificate verify failed|CERT:",
                                                       tunnel.program.err()))
            # Nor does it come in without TLS.
            assert pinholectl(outer, "--key-file", node.view, "get", "Width").returncode == 3


def psk_file(folder, name, digits):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="ascii", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
        file.write(f"laptop:{digits}\n")
    return {"/etc/stunnel/pinhole.psk": path}


def test_pre_shared_key():
    digits = secrets.token_hex(32)
    check(recipes()[0], lambda folder: psk_file(folder, "camera.psk", digits),
          lambda folder: psk_file(folder, "client.psk", digits),
          lambda folder: psk_file(folder, "wrong.psk", secrets.token_hex(32)))


def certificate(folder, name):
    """Made by the page's command."""
    with open(os.path.join(ROOT, "SECURITY.md"), encoding="utf-8") as file:
        command = re.search(r"^openssl req .*$", file.read(), re.M).group(0).replace("camera.", name + ".")
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return {"/etc/stunnel/camera.crt": f"{folder}/{name}.crt", "/etc/stunnel/camera.key": f"{folder}/{name}.key"}


def test_certificate():
    check(recipes()[1], lambda folder: certificate(folder, "ours"),
          lambda folder: {"/etc/stunnel/camera.crt": f"{folder}/ours.crt"},
          lambda folder: certificate(folder, "theirs"))


if __name__ == "__main__":
    if STUNNEL is None or shutil.which("openssl") is None:
        print("skip: stunnel4 or openssl is not installed")
        sys.exit(77)
    run_cases(globals())
