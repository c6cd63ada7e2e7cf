#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinhole-web behind nginx, set up with the very lines of its page."""

import json
import os
import re
import shutil
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from gateway import Gateway, Node, Program, Stream  # noqa: E402
from pinhole_node import free_port, wait_for  # noqa: E402

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), *[".."] * 3, "tools", "web", "README.md")
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
NAME = "camera.example"
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {recipe}
    }}
}}
"""


def recipe(gateway: Gateway) -> str:
    with open(PAGE, encoding="utf-8") as file:
        text = re.findall(r"For nginx:\n\n```\n(.*?)```", file.read(), re.S)[0]
    assert text.count("http://127.0.0.1:8080") == 1, text
    return str(text.replace("http://127.0.0.1:8080", gateway.url))


class Proxy(Gateway):
    """nginx, asked as if it were the gateway."""

    def __init__(self, folder: str, text: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(folder=folder, port=self.port, recipe=text))
        Program.__init__(self, str(NGINX), "-e", "stderr", "-p", folder, "-c", path)
        wait_for("nginx", self.is_listening)

    def is_listening(self) -> bool:
        assert self.process.poll() is None, self.err()
        with socket.socket() as link:
            return link.connect_ex(("127.0.0.1", self.port)) == 0


class BehindNginx(unittest.TestCase):
    def setUp(self) -> None:
        self.node = Node("--framerate", "30")
        self.addCleanup(self.node.__exit__)
        self.gateway = Gateway(self.node.address, "--allow-host", NAME).wait_ready()
        self.addCleanup(self.gateway.__exit__)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.proxy = Proxy(folder.name, recipe(self.gateway))
        self.addCleanup(self.proxy.__exit__)
        self.host = f"Host: {NAME}:{self.proxy.port}"

    def test_page_and_pictures(self) -> None:
        page = self.proxy.get("/", "-H", self.host)
        self.assertEqual((page.status, page.body), (200, self.gateway.get("/").body))
        picture = self.proxy.get("/snapshot", "-H", self.host).body
        self.assertEqual((picture[:3], picture[-2:]), (b"\xff\xd8\xff", b"\xff\xd9"))
        self.assertEqual(self.proxy.get("/", "-H", "Host: other.example").status, 403)

    def test_stream(self) -> None:
        with Stream(self.proxy, version="1.0") as stream:
            ids = [int(part.headers["x-frame-id"]) for part in stream.parts(20)]
            self.assertEqual(ids, sorted(set(ids)))
        wait_for("the stream's end at the gateway",
                 lambda: b"\npinhole_web_streams 0\n" in self.gateway.get("/metrics").body)

    def test_control(self) -> None:
        """As the page does it, with the browser's Origin. Another site's page is refused."""
        headers = ("-H", self.host, "-H", f"Origin: http://{NAME}:{self.proxy.port}")
        answer = self.proxy.post("/features", "TriggerMode=On&TriggerSource=Software", *headers)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.gateway.feature("TriggerMode"), "On")
        with Stream(self.proxy, version="1.0") as stream:
            triggered = json.loads(self.proxy.post("/trigger", "", *headers).body)
            wait_for("the trigger's picture", lambda: int(
                stream.part().headers["x-trigger-id"]) == triggered["trigger_id"])
        for refused in (("-H", self.host, "-H", "Origin: http://other.example"),
                        ("-H", "Host: other.example")):
            self.assertEqual(self.proxy.post("/trigger", "", *refused).status, 403, refused)
        self.assertEqual(self.proxy.post("/trigger", "", *headers, marked=False).status, 403)


if __name__ == "__main__":
    if NGINX is None:
        print("skip: nginx is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)
