#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinhole-web by HTTPS, with a certificate made by the command of its page."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from fake_node import FakeNode, padded_jpeg  # noqa: E402
from gateway import BUILD, Answer, Gateway, Stream  # noqa: E402
from pinhole_node import wait_for  # noqa: E402

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), *[".."] * 3, "tools", "web", "README.md")
# More than a socket's buffer, many records of TLS.
JPEG = padded_jpeg(700000)


def make_pair(folder: str) -> tuple[str, str]:
    """Paths of a certificate and its key, by the page's own command."""
    with open(PAGE, encoding="utf-8") as file:
        command = re.findall(r"```\n(openssl req.*?)```", file.read(), re.S)[0]
    subprocess.run(["sh", "-ec", command], cwd=folder, capture_output=True, check=True)
    return os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")


class Https(Gateway):
    def __init__(self, node: str, certificate: str, key: str, *options: str) -> None:
        self.certificate = certificate
        self.context = ssl.create_default_context(cafile=certificate)
        super().__init__(node, "--tls-certificate", certificate, "--tls-key", key, *options)

    def curl(self, path: str, *options: str) -> Answer:
        return super().curl(path, "--http1.1", "--cacert", self.certificate, *options)

    def connect_plain(self, receive_bytes: int = 0) -> socket.socket:
        return super().connect(receive_bytes)

    def connect(self, receive_bytes: int = 0) -> socket.socket:
        return self.context.wrap_socket(super().connect(receive_bytes), server_hostname="127.0.0.1")


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.certificate, cls.key = make_pair(folder.name)
        users = os.path.join(folder.name, "users")
        subprocess.run([f"{BUILD}/pinhole-web", "--add-user", "anna", "--role", "control", "--users", users],
                       input=b"a password\n", check=True)
        cls.node = FakeNode(jpeg=JPEG, refusal=b"")
        cls.addClassCleanup(cls.node.__exit__)
        cls.gateway = Https(cls.node.address, cls.certificate, cls.key, "--users", users, "--anonymous", "view",
                            "--max-clients", "12")
        cls.addClassCleanup(cls.gateway.__exit__)
        cls.gateway.wait_ready()

    def test_pictures_state_and_login(self) -> None:
        self.assertTrue(self.gateway.url.startswith("https://"))
        self.assertEqual(self.gateway.get("/snapshot").body, JPEG)
        self.assertEqual(self.gateway.get("/snapshot?fresh=1").body, JPEG)
        self.assertEqual(self.gateway.get("/state").status, 200)
        answer = self.gateway.post("/login", json.dumps({"name": "anna", "password": "a password"}), "-H",
                                   f"Origin: {self.gateway.url}")
        self.assertTrue(answer.headers["set-cookie"].endswith("; Secure"))
        cookie = "Cookie: " + answer.headers["set-cookie"].split(";")[0]
        self.assertEqual(self.gateway.post("/trigger", "", "-H", cookie).status, 200)

    def test_the_stream_has_the_nodes_bytes(self) -> None:
        with Stream(self.gateway) as one, Stream(self.gateway, receive_bytes=4096) as slow:
            for stream in (one, slow):
                parts = list(stream.parts(6))
                self.assertTrue(all(part.body == JPEG for part in parts))
                ids = [int(part.headers["x-frame-id"]) for part in parts if "x-repeated" not in part.headers]
                self.assertEqual(ids, sorted(set(ids)))
        # Nothing went past libmicrohttpd.
        self.assertIn(b"\npinhole_web_stream_frames_at_once_total 0\n", self.gateway.get("/metrics").body)

    def test_a_reader_that_stalls_holds_up_nobody(self) -> None:
        stalled = Stream(self.gateway, receive_bytes=4096)
        with Stream(self.gateway) as quick:
            ids: set[int] = set()
            while len(ids) < 20:
                part = quick.part()
                self.assertEqual(part.body, JPEG)
                ids.add(int(part.headers["x-frame-id"]))
        stalled.close()

    def test_plain_http_gets_nothing(self) -> None:
        with self.gateway.connect_plain() as link:
            link.sendall(b"GET /snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            try:
                while more := link.recv(65536):
                    answer += more
            except ConnectionResetError:
                pass
        self.assertNotIn(b"HTTP/1", answer)
        self.assertLess(len(answer), 100)
        self.assertEqual(self.gateway.get("/snapshot").status, 200)

    def test_old_versions_are_refused(self) -> None:
        warnings.simplefilter("ignore", DeprecationWarning)
        for version, is_taken in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True),
                                  (ssl.TLSVersion.TLSv1_3, True)):
            context = ssl.create_default_context(cafile=self.certificate)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = version
            context.set_ciphers("ALL:@SECLEVEL=0")
            with self.gateway.connect_plain() as link:
                if is_taken:
                    context.wrap_socket(link, server_hostname="127.0.0.1").close()
                else:
                    with self.assertRaises(ssl.SSLError) as caught:
                        context.wrap_socket(link, server_hostname="127.0.0.1")
                    # It is the gateway that refuses, by an alert or by closing.
                    self.assertRegex(str(caught.exception), "ALERT_PROTOCOL_VERSION|EOF occurred")

    def test_handshakes_that_never_end_give_their_places_back(self) -> None:
        idle = [self.gateway.connect_plain() for _ in range(12)]
        for link in idle:
            link.sendall(b"\x16\x03\x01")  # the beginning of a ClientHello
        wait_for("a place", lambda: self.gateway.curl("/healthz", "--retry", "20", "--retry-all-errors",
                                                      "--retry-delay", "1").status == 200)
        for link in idle:
            link.close()

    def test_files_that_are_wrong(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            other, other_key = make_pair(folder)
            garbage = os.path.join(folder, "garbage")
            with open(garbage, "wb") as file:
                file.write(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            absent = os.path.join(folder, "absent")
            for certificate, key, words in (
                    (other, self.key, ("--tls-key", self.key, "not the key of that certificate")),
                    (self.certificate, other_key, ("--tls-key", other_key, "not the key of that certificate")),
                    (absent, self.key, ("--tls-certificate", absent, "No such file")),
                    (self.certificate, absent, ("--tls-key", absent, "No such file")),
                    (garbage, self.key, ("--tls-certificate", garbage)),
                    (self.certificate, garbage, ("--tls-key", garbage)),
                    (self.key, self.certificate, ("--tls-certificate", self.key)),
                    ("/dev/zero", self.key, ("--tls-certificate", "/dev/zero", "too long")),
                    (folder, self.key, ("--tls-certificate", folder, "directory"))):
                status, out = self.start("--tls-certificate", certificate, "--tls-key", key)
                self.assertEqual(status, 2, out)
                for word in words:
                    self.assertIn(word, out)
        for options in (("--tls-certificate", self.certificate), ("--tls-key", self.key)):
            status, out = self.start(*options)
            self.assertEqual(status, 2)
            self.assertIn("need each other", out)

    @staticmethod
    def start(*options: str) -> tuple[int, str]:
        done = subprocess.run([f"{BUILD}/pinhole-web", "--listen", "127.0.0.1:0", *options], capture_output=True,
                              text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
        return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    if shutil.which("openssl") is None:
        print("skip: openssl is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)
