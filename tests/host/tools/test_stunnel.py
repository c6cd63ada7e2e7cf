#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""TLS in front of the node by stunnel, set up with the very lines of SECURITY.md: a frame comes
through, the node's key still decides, and a peer with another TLS key or certificate is refused. Then
clocks that are wrong, and a certificate that has expired."""

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
UNSET = "1970-01-02 00:00:00"  # where a board without a clock begins
LONG_AGO = "2001-01-01 00:00:00"


def recipes():
    """The four configurations of the page: for each way, the camera's and the client's."""
    with open(os.path.join(ROOT, "SECURITY.md"), encoding="utf-8") as file:
        found = re.findall(r"^```\n(\[pinhole\]\n.*?)^```", file.read(), re.M | re.S)
    assert len(found) == 4, found
    return found[:2], found[2:]


def at(clock, *command):
    """The command, under a clock of its own."""
    return ["faketime", clock, *command] if clock else list(command)


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Tunnel:
    """stunnel with one of the page's configurations, for ports and files of the test."""

    def __init__(self, folder, name, recipe, replaced, clock=None):
        text = "foreground = yes\npid =\nsyslog = no\n" + recipe
        for old, new in replaced.items():
            text = text.replace(old, str(new))
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.port = int(re.search(r"accept = .*?(\d+)$", text, re.M).group(1))
        self.program = Program(*at(clock, STUNNEL, path))

    def __enter__(self):
        wait_for("stunnel", lambda: is_listening(self.port) or self.program.process.poll() is not None)
        assert self.program.process.poll() is None, self.program.err()
        return self

    def __exit__(self, *_):
        self.program.end()


def pinholectl(port, *arguments):
    return subprocess.run([f"{BUILD}/pinholectl", "-n", f"127.0.0.1:{port}", *arguments],
                          capture_output=True, text=True, timeout=PATIENCE_S, check=False)


class Camera:
    """A node with stunnel in front of it. The files that a recipe names are replaced by those of the test."""

    def __init__(self, way, folder, files, clock=None):
        self.way, self.folder, self.files = way, folder, files
        self.outer, self.inner = free_port(), free_port()
        self.node = KeyedNode("--socket", f"{folder}/pinhole.sock", listen=None)
        self.tunnel = self.make_tunnel("camera", way[0], files, clock)

    def make_tunnel(self, name, recipe, files, clock=None):
        return Tunnel(self.folder, name, recipe, files | {
            "/run/pinhole/pinhole.sock": f"{self.folder}/pinhole.sock",
            "accept = 7448": f"accept = 127.0.0.1:{self.outer}",
            "raspberrypi.local:7448": f"127.0.0.1:{self.outer}", "127.0.0.1:7447": f"127.0.0.1:{self.inner}"}, clock)

    def client(self, files=None, clock=None):
        return self.make_tunnel("client", self.way[1], files or self.files, clock)

    def __enter__(self):
        self.node.__enter__()
        self.tunnel.__enter__()
        return self

    def __exit__(self, *error):
        self.tunnel.__exit__(*error)
        self.node.__exit__(*error)

    def check_picture(self):
        picture = os.path.join(self.folder, "now.jpg")
        done = pinholectl(self.inner, "--key-file", self.node.view, "grab", "--replace", "-o", picture)
        assert done.returncode == 0, done
        with open(picture, "rb") as file:
            assert file.read(2) == b"\xff\xd8"

    def check_refused(self, tunnel, reason):
        refused = pinholectl(self.inner, "--key-file", self.node.view, "get", "Width")
        assert refused.returncode == 3 and refused.stdout == "", refused
        wait_for(reason, lambda: re.search(reason, tunnel.program.err()))


def check(way, folder, files, client_files, wrong_files):
    with Camera(way, folder, files) as camera:
        with camera.client(client_files):
            camera.check_picture()
            # stunnel is a program of this machine: the node asks it for the key all the same.
            assert "needs the role view" in pinholectl(camera.inner, "get", "Width").stderr
            wrong = pinholectl(camera.inner, "--key-file", camera.node.wrong, "get", "Width")
            assert "fits no key" in wrong.stderr
        with camera.client(wrong_files) as tunnel:
            camera.check_refused(tunnel, "alert|certificate verify failed|CERT:")
        # Nor does it come in without TLS.
        assert pinholectl(camera.outer, "--key-file", camera.node.view, "get", "Width").returncode == 3


def psk_file(folder, name, digits):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="ascii", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
        file.write(f"laptop:{digits}\n")
    return {"/etc/stunnel/pinhole.psk": path}


def test_pre_shared_key():
    digits = secrets.token_hex(32)
    with tempfile.TemporaryDirectory() as folder:
        check(recipes()[0], folder, psk_file(folder, "camera.psk", digits), psk_file(folder, "client.psk", digits),
              psk_file(folder, "wrong.psk", secrets.token_hex(32)))


def certificate(folder, name, clock=None):
    """Made by the page's command."""
    with open(os.path.join(ROOT, "SECURITY.md"), encoding="utf-8") as file:
        command = re.search(r"^openssl req .*$", file.read(), re.M).group(0).replace("camera.", name + ".")
    subprocess.run(at(clock, *command.split()), cwd=folder, check=True, capture_output=True)
    return {"/etc/stunnel/camera.crt": f"{folder}/{name}.crt", "/etc/stunnel/camera.key": f"{folder}/{name}.key"}


def test_certificate():
    with tempfile.TemporaryDirectory() as folder:
        ours = certificate(folder, "ours")
        check(recipes()[1], folder, ours, ours, certificate(folder, "theirs"))


def test_clock_of_the_camera_is_unset():
    """Neither way needs the camera's clock."""
    with tempfile.TemporaryDirectory() as folder:
        for way, files in ((recipes()[0], psk_file(folder, "psk", secrets.token_hex(32))),
                           (recipes()[1], certificate(folder, "ours"))):
            with Camera(way, folder, files, clock=UNSET) as camera, camera.client():
                camera.check_picture()


def test_clock_of_the_client_is_unset():
    """A certificate is not valid yet; a pre-shared key does not ask."""
    with tempfile.TemporaryDirectory() as folder:
        psk, ours = psk_file(folder, "psk", secrets.token_hex(32)), certificate(folder, "ours")
        with Camera(recipes()[0], folder, psk) as camera, camera.client(clock=UNSET):
            camera.check_picture()
        with Camera(recipes()[1], folder, ours) as camera, camera.client(clock=UNSET) as tunnel:
            camera.check_refused(tunnel, "certificate is not yet valid")


def test_certificate_that_has_expired():
    with tempfile.TemporaryDirectory() as folder:
        with Camera(recipes()[1], folder, certificate(folder, "old", LONG_AGO)) as camera, \
                camera.client() as tunnel:
            camera.check_refused(tunnel, "certificate has expired")


if __name__ == "__main__":
    if STUNNEL is None or not all(map(shutil.which, ("openssl", "faketime"))):
        print("skip: stunnel4, openssl or faketime is not installed")
        sys.exit(77)
    run_cases(globals())
