#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinhole-web over HTTP with a real node: every URL, by curl, ffmpeg and a strict reader."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import debian_python  # noqa: E402
debian_python.need("prometheus_client")
import prometheus  # noqa: E402
from gateway import BUILD, Gateway, Node, Program, Stream, in_background  # noqa: E402
from pinhole_node import wait_for  # noqa: E402


def is_jpeg(data: bytes) -> bool:
    return data[:3] == b"\xff\xd8\xff" and data[-2:] == b"\xff\xd9"


class WithNode(unittest.TestCase):
    """One node and one gateway for all cases of a class, which leave them as they were."""

    gateway_options: tuple[str, ...] = ()

    @classmethod
    def setUpClass(cls) -> None:
        cls.node = Node("--framerate", "30")
        cls.addClassCleanup(cls.node.__exit__)
        cls.gateway = Gateway(cls.node.address, *cls.gateway_options)
        cls.addClassCleanup(cls.gateway.__exit__)
        cls.gateway.wait_ready()


class Pictures(WithNode):
    def test_snapshot_is_a_jpeg_with_its_metadata(self) -> None:
        for path in ("/snapshot", "/snapshot.jpg", "/?action=snapshot"):
            answer = self.gateway.get(path)
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.headers["content-type"], "image/jpeg")
            self.assertEqual(int(answer.headers["content-length"]), len(answer.body))
            self.assertTrue(is_jpeg(answer.body))
            self.assertGreater(int(answer.headers["x-frame-id"]), 0)
            self.assertEqual(answer.headers["x-width"], "1280")
            self.assertRegex(answer.headers["x-timestamp"], r"^\d+\.\d{6}$")
            self.assertLess(abs(float(answer.headers["x-timestamp"]) - time.time()), 60)
            self.assertIn("no-store", answer.headers["cache-control"])

    def test_snapshot_decodes(self) -> None:
        if shutil.which("djpeg") is None:
            self.skipTest("djpeg is not installed")
        picture = subprocess.run(["djpeg", "-pnm"], input=self.gateway.get("/snapshot").body,
                                 capture_output=True, check=True)
        self.assertEqual(picture.stderr, b"")
        self.assertTrue(picture.stdout.startswith(b"P6\n1280 720\n255\n"))

    def test_head_has_no_body(self) -> None:
        for path in ("/", "/snapshot", "/stream", "/state", "/metrics", "/healthz"):
            raw = self.gateway.ask(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            self.assertTrue(raw.startswith(b"HTTP/1.1 200 "), (path, raw[:80]))
            self.assertTrue(raw.endswith(b"\r\n\r\n"), path)

    def test_http_1_0_is_answered_and_closed(self) -> None:
        for path in ("/snapshot", "/state", "/"):
            raw = self.gateway.ask(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            self.assertIn(b" 200 ", raw.split(b"\r\n")[0])
            self.assertNotIn(b"chunked", raw.split(b"\r\n\r\n")[0])

    def test_fresh_snapshot_was_exposed_after_the_request(self) -> None:
        for _ in range(10):
            asked_ns = time.monotonic_ns()
            answer = self.gateway.get("/snapshot?fresh=1")
            self.assertEqual(answer.status, 200)
            exposed_ns = int(answer.headers["x-monotonic-ns"]) - \
                int(answer.headers["x-exposure-us"]) * 1000
            self.assertGreater(exposed_ns, asked_ns)

    def test_stream_has_each_frame_in_order(self) -> None:
        for path, version in (("/stream", "1.1"), ("/?action=stream", "1.1"), ("/stream", "1.0")):
            with Stream(self.gateway, path, version) as stream:
                self.assertEqual(stream.answer.status, 200)
                self.assertEqual(stream.answer.headers["content-type"],
                                 "multipart/x-mixed-replace;boundary=boundarydonotcross")
                self.assertNotIn("transfer-encoding", stream.answer.headers)
                parts = list(stream.parts(20))
            ids = [int(part.headers["x-frame-id"]) for part in parts]
            times = [float(part.headers["x-timestamp"]) for part in parts]
            self.assertEqual(ids, sorted(set(ids)))
            self.assertEqual(times, sorted(set(times)))
            self.assertTrue(all(is_jpeg(part.body) for part in parts))
            self.assertTrue(all(part.headers["content-type"] == "image/jpeg" for part in parts))
            self.assertFalse(any("x-repeated" in part.headers for part in parts))

    def test_stream_with_headers_in_advance(self) -> None:
        with self.gateway.connect() as connection:
            connection.sendall(b"GET /stream?advance_headers=1 HTTP/1.0\r\n\r\n")
            data = b""
            while data.count(b"--boundarydonotcross\r\n") < 6:
                data += connection.recv(65536)
        parts = data.split(b"\r\n\r\n", 1)[1].split(b"--boundarydonotcross\r\n")
        self.assertEqual(parts[0], b"")
        pictures = set()
        for part in parts[1:5]:
            head, picture = part.split(b"\r\n\r\n", 1)
            self.assertEqual(head, b"Content-Type: image/jpeg")
            self.assertTrue(is_jpeg(picture[:-2]) and picture.endswith(b"\r\n"))
            pictures.add(picture)
        self.assertEqual(len(pictures), 4)
        self.assertTrue(b"Content-Type: image/jpeg\r\n\r\n".startswith(parts[-1][:28]))

    def test_a_browser_made_from_chromium_gets_headers_in_advance(self) -> None:
        for agent, path, is_advance in (
                ("Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36", "/stream", True),
                ("Mozilla/5.0 (X11; rv:120.0) Gecko/20100101 Firefox/120.0", "/stream", False),
                ("Lavf/59.27.100", "/stream", False),
                ("Mozilla/5.0 Chrome/120.0.0.0", "/stream?advance_headers=0", False)):
            with self.gateway.connect() as connection:
                connection.sendall(f"GET {path} HTTP/1.0\r\nUser-Agent: {agent}\r\n\r\n".encode())
                data = b""
                while data.count(b"\r\n\r\n") < 2:
                    data += connection.recv(65536)
            self.assertEqual(b"Content-Length" not in data.split(b"\r\n\r\n")[1], is_advance, agent)

    def test_ffmpeg_reads_the_stream(self) -> None:
        if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
            self.skipTest("ffmpeg is not installed")
        probe = subprocess.run(
            ["ffprobe", "-v", "error", "-f", "mpjpeg", "-show_entries",
             "stream=codec_name,width,height", "-of", "csv=p=0", f"{self.gateway.url}/stream"],
            capture_output=True, text=True, timeout=120, check=True)
        self.assertEqual(probe.stdout.strip(), "mjpeg,1280,720")
        # Without being told the format, too.
        frames = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", f"{self.gateway.url}/?action=stream", "-frames:v", "12",
             "-f", "framemd5", "-"], capture_output=True, text=True, timeout=120, check=True)
        self.assertEqual(frames.stderr, "")
        sums = {line.split(",")[-1].strip() for line in frames.stdout.splitlines() if line[0] != "#"}
        self.assertEqual(len(sums), 12, "pictures that differ")

    def test_state_knows_the_stream_by_its_key(self) -> None:
        self.assertFalse(self.gateway.state("brief=1&key=nobody")["stream"]["alive"])
        with Stream(self.gateway, "/stream?key=abc") as stream:
            last = [int(part.headers["x-frame-id"]) for part in stream.parts(3)][-1]
            told = self.gateway.state("brief=1&key=abc")["stream"]
            self.assertTrue(told["alive"])
            self.assertGreaterEqual(told["frame_id"], last)
        wait_for("the stream's end", lambda: not self.gateway.state("brief=1&key=abc")["stream"]["alive"])


class Knowledge(WithNode):
    gateway_options = ("--allow-origin", "https://panel.example")

    def test_state_is_json_with_all_that_is_known(self) -> None:
        first = self.gateway.state("")
        self.assertTrue(first["node"]["connected"])
        self.assertIn("fake", first["node"]["model"])
        self.assertRegex(first["node"]["boot_id"], "^[0-9a-f]{16}$")
        self.assertEqual(first["gateway"]["connections_max"], 64)
        self.assertEqual((first["frame"]["width"], first["frame"]["height"]), (1280, 720))
        features = {feature["name"]: feature for feature in first["features"]}
        exposure = features["ExposureTime"]
        self.assertTrue(exposure["writable"])
        self.assertLess(exposure["min"], exposure["max"])
        self.assertEqual(exposure["unit"], "us")
        self.assertEqual(features["TriggerMode"]["choices"], ["Off", "On"])
        self.assertIs(features["ReverseX"]["value"], False)
        self.assertFalse(features["DeviceModelName"]["writable"])
        later = wait_for("the next frame", lambda: (
            state := self.gateway.state())["frame"]["frame_id"] > first["frame"]["frame_id"] and state)
        self.assertNotIn("features", later)
        self.assertGreater(later["rate"]["frames_per_second"], 0)

    def test_times_of_the_state_survive_a_reader_of_doubles(self) -> None:
        body = self.gateway.get("/state?brief=1").body
        frame = json.loads(body)["frame"]
        for whole, parts in (("realtime_ns", "realtime"), ("timestamp_ns", "monotonic")):
            self.assertEqual(frame[whole],
                             frame[f"{parts}_s"] * 10**9 + frame[f"{parts}_frac_ns"])
            self.assertLess(max(frame[f"{parts}_s"], frame[f"{parts}_frac_ns"]), 2**53)
        if shutil.which("jq") is None:
            self.skipTest("jq is not installed")
        shown = subprocess.run(
            ["jq", "-r", r'.frame | "\(.realtime_s) \(.realtime_frac_ns) \(.monotonic_frac_ns)"'],
            input=body, capture_output=True, check=True).stdout.decode()
        self.assertEqual(shown.split(), [str(frame[name]) for name in
                                         ("realtime_s", "realtime_frac_ns", "monotonic_frac_ns")])

    def test_metrics_are_in_strict_format(self) -> None:
        answer = self.gateway.get("/metrics")
        self.assertTrue(answer.headers["content-type"].startswith("text/plain; version=0.0.4"))
        families = prometheus.read(answer.body.decode())
        self.assertGreater(prometheus.value(families, "pinhole_frames_captured_total"), 0)
        self.assertGreater(prometheus.value(families, "pinhole_web_frames_received_total"), 0)
        self.assertEqual(prometheus.value(families, "pinhole_web_node_connected"), 1)
        self.assertEqual(prometheus.value(families, "pinhole_web_node_scraped"), 1)
        again = prometheus.read(self.gateway.get("/metrics").body.decode())
        for name, family in families.items():
            if family.type == "counter":
                for before, after in zip(family.samples, again[name].samples, strict=True):
                    self.assertEqual((before.name, before.labels), (after.name, after.labels))
                    self.assertGreaterEqual(after.value, before.value, name)

    def test_promtool_agrees(self) -> None:
        if shutil.which("promtool") is None:
            self.skipTest("promtool is not installed; the strict reader has judged")
        done = subprocess.run(["promtool", "check", "metrics"], capture_output=True, check=False,
                              input=self.gateway.get("/metrics").body)
        self.assertEqual(done.returncode, 0, done.stderr.decode() + done.stdout.decode())

    def test_the_strict_reader_is_strict(self) -> None:
        good = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n"
        self.assertEqual(len(prometheus.read(good)), 1)
        for bad in (good[:-1], good + good, good.replace("counter", "count"), good + "x 1\n",
                    good.replace("1\n", "one\n"), good.replace("a_total{", "a{"),
                    good.replace('"c"', "c"), good + 'a_total{b="c"} 2\n', good.replace("_total", ""),
                    good.replace("# HELP a_total A.\n", ""), good + "\n", good.replace(" 1\n", "  1\n")):
            with self.assertRaises(ValueError, msg=bad):
                prometheus.read(bad)

    def test_healthz(self) -> None:
        answer = self.gateway.get("/healthz")
        self.assertEqual((answer.status, answer.body), (200, b"ok\n"))

    def test_unknown_paths_and_methods(self) -> None:
        self.assertEqual(self.gateway.get("/nothing").status, 404)
        self.assertIn("/nothing", self.gateway.get("/nothing").error())
        answer = self.gateway.get("/?action=command&id=9963776&value=1")
        self.assertEqual(answer.status, 404)
        self.assertIn("POST to /features", answer.error())
        answer = self.gateway.get("/?action=dance")
        self.assertEqual(answer.status, 404)
        self.assertIn("dance", answer.error())
        self.assertEqual(self.gateway.get("/..%2f..%2fetc/passwd").status, 404)
        for path, method, allow in (("/snapshot", "POST", "GET, HEAD, OPTIONS"),
                                    ("/state", "DELETE", "GET, HEAD, OPTIONS"),
                                    ("/features", "GET", "POST, OPTIONS"),
                                    ("/trigger", "PUT", "POST, OPTIONS")):
            answer = self.gateway.curl(path, "-X", method)
            self.assertEqual((answer.status, answer.headers["allow"]), (405, allow))
        for path, allow in (("/stream", "GET, HEAD, OPTIONS"), ("/features", "POST, OPTIONS")):
            answer = self.gateway.curl(path, "-X", "OPTIONS")
            self.assertEqual((answer.status, answer.headers["allow"]), (204, allow))

    def test_other_origins_may_read_only_what_get_gives(self) -> None:
        origin = "access-control-allow-origin"
        for path in ("/snapshot", "/state", "/metrics"):
            self.assertEqual(self.gateway.get(path).headers[origin], "https://panel.example")
        self.assertNotIn(origin, self.gateway.curl("/features", "-X", "OPTIONS").headers)
        answer = self.gateway.post("/features", "Gain=1", "-H", "Origin: https://panel.example")
        self.assertEqual(answer.status, 403)
        self.assertNotIn(origin, answer.headers)

    def test_a_request_line_as_a_proxy_writes_it(self) -> None:
        for path, status in (("/snapshot", b"200"), ("", b"200"), ("/nothing", b"404")):
            line = f"GET http://localhost:{self.gateway.port}{path} HTTP/1.1\r\n"
            raw = self.gateway.ask(f"{line}Host: localhost\r\nConnection: close\r\n\r\n".encode())
            self.assertEqual(raw.split(b" ")[1], status, path)

    def test_nothing_is_read_by_a_name_that_is_not_ours(self) -> None:
        # As a page at evil.example does whose name has come to lead to this address.
        for path in ("/", "/app.js", "/snapshot", "/snapshot?fresh=1", "/stream", "/state", "/metrics",
                     "/healthz", "/?action=snapshot", "/nothing"):
            for host in ("evil.example", f"evil.example:{self.gateway.port}", "127.0.0.1.evil.example"):
                answer = self.gateway.get(path, "-H", f"Host: {host}")
                self.assertEqual(answer.status, 403, path)
                self.assertIn("--allow-host", answer.error())
                self.assertIn(host.split(":")[0], answer.error())
            answer = self.gateway.curl(path, "-X", "OPTIONS", "-H", "Host: evil.example")
            self.assertEqual(answer.status, 403)
        for host in ("localhost", "[::1]:80", "10.0.0.1", socket.gethostname()):
            self.assertEqual(self.gateway.get("/state", "-H", f"Host: {host}").status, 200, host)

    def test_other_sites_may_not_show_what_they_cannot_read(self) -> None:
        with Gateway(self.node.address) as gateway:
            gateway.wait_ready()
            for path in ("/", "/snapshot", "/state", "/nothing"):
                self.assertEqual(gateway.get(path).headers["cross-origin-resource-policy"], "same-site")
        self.assertEqual(self.gateway.get("/snapshot").headers["cross-origin-resource-policy"],
                         "cross-origin")

    def test_page_is_its_own_and_nobody_elses(self) -> None:
        page = self.gateway.get("/")
        self.assertTrue(page.headers["content-security-policy"].startswith("default-src 'self'"))
        for path, kind in (("/style.css", "text/css"), ("/app.js", "text/javascript"),
                           ("/triggers.js", "text/javascript"), ("/favicon.svg", "image/svg+xml")):
            answer = self.gateway.get(path)
            self.assertEqual(answer.status, 200)
            self.assertTrue(answer.headers["content-type"].startswith(kind))
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
            name = path[1:]
            with open(f"tools/web/page/{name}", "rb") as file:
                self.assertEqual(answer.body, file.read())
        self.assertNotIn(b"<script>", page.body)
        self.assertNotIn(b"style=", page.body)


class Control(WithNode):
    def tearDown(self) -> None:
        self.gateway.set(TriggerMode="Off", TriggerSource="Software", ReverseX=0, Width=1280)

    def test_a_feature_set_by_form_or_json_shows_in_the_pictures(self) -> None:
        for body, exposure in (("ExposureAuto=Off&ExposureTime=5000", 5000),
                               ('{"ExposureTime": 2000, "ReverseX": true, "Width": "640"}', 2000),
                               (' {"ExposureTime" : "3000"}\n', 3000)):
            answer = self.gateway.post("/features", body)
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(float(json.loads(answer.body)["features"]["ExposureTime"]), exposure)
            self.assertEqual(self.gateway.feature("ExposureTime"), exposure)
            wait_for("a picture exposed so",
                     lambda: self.gateway.get("/snapshot").headers["x-exposure-us"] == str(exposure))

    def test_the_order_of_members_decides_nothing(self) -> None:
        for body in ('{"Gain": 2, "GainAuto": "Off"}', '{"GainAuto": "Off", "Gain": 3}',
                     "Gain=4&GainAuto=Off"):
            self.gateway.set(GainAuto="Continuous")
            answer = self.gateway.post("/features", body)
            self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.gateway.feature("Gain"), 4)

    def test_a_form_as_browsers_send_files(self) -> None:
        answer = self.gateway.curl("/features", "-H", "X-Pinhole: 1", "-F", "ExposureAuto=Off",
                                   "-F", "ExposureTime=4000")
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.gateway.feature("ExposureTime"), 4000)
        answer = self.gateway.curl("/features", "-H", "X-Pinhole: 1", "-F", "ExposureTime=" + "1" * 200)
        self.assertEqual(answer.status, 400)
        self.assertIn("ExposureTime", answer.error())

    def test_a_refusal_brings_the_nodes_sentence_and_changes_nothing(self) -> None:
        before = self.gateway.feature("ImageCompressionQuality")
        for body, words in (("NoSuchFeature=1", "NoSuchFeature"),
                            ("DeviceModelName=mine", "DeviceModelName"),
                            ("ImageCompressionQuality=101", "ImageCompressionQuality"),
                            ("TriggerMode=Perhaps", "TriggerMode"),
                            ("ImageCompressionQuality=50&NoSuchFeature=1", "NoSuchFeature")):
            answer = self.gateway.post("/features", body)
            self.assertEqual(answer.status, 400, body)
            self.assertIn(words, answer.error())
        self.assertEqual(self.gateway.feature("ImageCompressionQuality"), before)

    def test_bodies_that_make_no_sense_are_named(self) -> None:
        for body in ("", "Gain", "=1", "Gain=%zz", "Gain=1%00", "Gain=1%0aWidth=2", "Ga in=1",
                     "{", "{}", '{"Gain"}', '{"Gain": }', '{"Gain": [1]}', '{"Gain": {"a": 1}}',
                     '{"Gain": null}', '{"Gain": 1} x', '{"Gain": "1\\u000aWidth=2"}',
                     '{"Gain": "\\ud800"}', '{"Gain": "\\q"}', '{"Gain": "1', "A" * 60 + "=1",
                     "Gain=" + "1" * 200, '{"Gain": "' + "1" * 200 + '"}', "Gain=1\nWidth=2",
                     '{"Gain": 1, "Gain": 2}', '{"Gain": ' + "[" * 4000, '{"a":' * 800,
                     '{"Gain": 1e999}', '{"Width": 99999999999999999999}', '{"": 1}'):
            answer = self.gateway.post("/features", body)
            self.assertEqual(answer.status, 400, body)
            self.assertNotEqual(answer.error(), "")
        self.assertEqual(self.gateway.post("/features", b"Gain=1\0").status, 400)
        answer = self.gateway.post("/features", "Gain=1", "-H", "Content-Type: text/plain")
        self.assertEqual(answer.status, 400)
        self.assertIn("Content-Type", answer.error())
        self.assertEqual(self.gateway.post("/features", "A=1&" * 5000).status, 413)
        self.assertEqual(self.gateway.get("/healthz").status, 200)

    def test_requests_of_foreign_pages_are_refused(self) -> None:
        own = f"127.0.0.1:{self.gateway.port}"
        for options in (("-H", "Origin: http://evil.example"),
                        ("-H", "Origin: null"),
                        ("-H", f"Origin: http://{own}.evil.example"),
                        ("-H", "Sec-Fetch-Site: cross-site"),
                        ("-H", "Sec-Fetch-Site: same-site"),
                        ("-H", "Host: evil.example", "-H", "Origin: http://evil.example"),
                        ()):
            for path in ("/features", "/trigger"):
                answer = self.gateway.post(path, "TriggerMode=On", *options, marked=options != ())
                self.assertEqual(answer.status, 403, options)
        self.assertEqual(self.gateway.feature("TriggerMode"), "Off")
        answer = self.gateway.post("/features", "ReverseX=0", "-H", f"Origin: http://{own}",
                                   "-H", "Sec-Fetch-Site: same-origin")
        self.assertEqual(answer.status, 200)

    def test_control_behind_a_reverse_proxy(self) -> None:
        proxied = ("-H", "Origin: https://cam.example:8443", "-H", "Sec-Fetch-Site: same-origin")
        refused = self.gateway.post("/features", "ReverseX=0", *proxied)
        self.assertEqual(refused.status, 403)
        for word in ("Origin", "https://cam.example:8443", "Host", str(self.gateway.port),
                     "--allow-host cam.example"):
            self.assertIn(word, refused.error())
        with Gateway(self.node.address, "--allow-host", "cam.example") as gateway:
            gateway.wait_ready()
            for host in ((), ("-H", "Host: cam.example:8443"), ("-H", "Host: cam.example")):
                self.assertEqual(gateway.post("/features", "ReverseX=0", *proxied, *host).status, 200)
            for origin in ("https://cam.example.evil.example", "https://evil.example", "null"):
                answer = gateway.post("/features", "ReverseX=0", "-H", f"Origin: {origin}")
                self.assertEqual(answer.status, 403)

    def test_trigger_brings_a_frame_with_its_id(self) -> None:
        refused = self.gateway.post("/trigger")
        self.assertEqual(refused.status, 409)
        self.assertIn("TriggerMode", refused.error())
        self.gateway.set(TriggerMode="On", TriggerSource="Software")
        # Nobody triggers: no fresh frame comes, and that is said.
        late = self.gateway.get("/snapshot?fresh=1&timeout_ms=300")
        self.assertEqual(late.status, 504)
        self.assertEqual(self.gateway.get("/healthz").status, 200)
        with Stream(self.gateway) as stream:
            stream.part()
            idle = stream.part()  # a second later, the same one again
            self.assertEqual(idle.headers["x-repeated"], "1")
            answers: list[int] = []

            def ask() -> None:
                fresh = self.gateway.get("/snapshot?fresh=1&timeout_ms=60000")
                answers.append(int(fresh.headers["x-trigger-id"]))
            waiting = in_background(ask)
            identity = 0
            while waiting.is_alive():  # until one comes after that request
                answer = self.gateway.post("/trigger")
                self.assertEqual(answer.status, 200, answer.body)
                identity = json.loads(answer.body)["trigger_id"]
                waiting.join(0.3)
            self.assertTrue(0 < answers[0] <= identity)
            part = stream.part()
            while "x-repeated" in part.headers or int(part.headers["x-trigger-id"]) < identity:
                part = stream.part()
            self.assertEqual(part.headers["x-trigger-source"], "Software")
            self.assertEqual(int(part.headers["x-trigger-id"]), identity)
        told = next(t for t in self.gateway.state()["triggers"] if t["first"] == identity)
        self.assertEqual(told["outcome"], "MATCHED")
        self.assertEqual(told["frame_id"], int(part.headers["x-frame-id"]))

    def test_features_of_another_client_show_as_event(self) -> None:
        with Gateway(self.node.address) as other:
            other.set(AcquisitionFrameRate="25")
            wait_for("the event", lambda: any(
                "AcquisitionFrameRate=25" in event["text"] for event in self.gateway.state()["events"]))
            other.set(AcquisitionFrameRate="30")


class ReadOnly(WithNode):
    gateway_options = ("--read-only",)

    def test_nothing_can_be_changed(self) -> None:
        for path, body in (("/features", "Gain=2"), ("/trigger", "")):
            answer = self.gateway.post(path, body)
            self.assertEqual(answer.status, 403)
            self.assertIn("--read-only", answer.error())
        self.assertTrue(self.gateway.state()["gateway"]["read_only"])


class Absence(unittest.TestCase):
    def test_the_node_may_come_late_go_and_come_back(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "node.sock")
            with Gateway(f"unix:{path}") as gateway:
                self.assertEqual(gateway.get("/").status, 200)
                for url in ("/snapshot", "/stream", "/snapshot?fresh=1"):
                    answer = gateway.get(url)
                    self.assertEqual(answer.status, 503)
                    self.assertIn("away", answer.error())
                    self.assertEqual(answer.headers["retry-after"], "1")
                self.assertEqual(gateway.get("/healthz").status, 503)
                self.assertFalse(gateway.state("")["node"]["connected"])
                self.assertEqual(gateway.post("/trigger").status, 503)
                families = prometheus.read(gateway.get("/metrics").body.decode())
                self.assertEqual(prometheus.value(families, "pinhole_web_node_scraped"), 0)
                self._follow(gateway, path)

    def _follow(self, gateway: Gateway, path: str) -> None:
        with Node(path=path):
            wait_for("a picture", lambda: gateway.get("/snapshot").status == 200)
            first_boot = gateway.state()["node"]["boot_id"]
            stream = Stream(gateway)
            before = stream.part()
        wait_for("the loss", lambda: not gateway.state()["node"]["connected"])
        self.assertEqual(gateway.get("/snapshot").status, 503)
        self.assertEqual(gateway.get("/healthz").status, 503)
        self.assertNotEqual(gateway.state()["node"]["away"], "")
        # The stream stays and says what it shows.
        part = stream.part()
        while "x-node-connected" not in part.headers:
            part = stream.part()
        self.assertEqual((part.headers["x-node-connected"], part.headers["x-repeated"]), ("0", "1"))
        with Node(path=path):
            wait_for("the node's return", lambda: gateway.get("/healthz").status == 200)
            while part.headers["x-boot-id"] == before.headers["x-boot-id"]:
                part = stream.part()
            self.assertNotIn("x-node-connected", part.headers)
            stream.close()
            state = gateway.state("")
            self.assertNotEqual(state["node"]["boot_id"], first_boot)
            kinds = [event["kind"] for event in state["events"]]
            self.assertIn("DISCONNECTED", kinds)
            self.assertIn("RECONNECTED", kinds)
            self.assertEqual(gateway.get("/metrics").status, 200)
            self.assertEqual(gateway.post("/features", "ReverseX=1").status, 200)

    def test_a_node_that_hangs_delays_only_what_needs_it(self) -> None:
        with Node() as node, Gateway(node.address) as gateway:
            gateway.wait_ready()
            gateway.set(ImageCompressionQuality=70)
            with Stream(gateway) as stream:
                stream.part()
                node.signal(signal.SIGSTOP)
                statuses: list[int] = []
                waiting = in_background(lambda: statuses.append(
                    gateway.post("/features", "ImageCompressionQuality=60").status))
                part = stream.part()
                while "x-repeated" not in part.headers:
                    part = stream.part()
                self.assertEqual(gateway.get("/snapshot").status, 200)
                self.assertEqual(statuses, [], "these came while that one waits")
                waiting.join()
                self.assertIn(statuses, ([503], [504]))
                # It answers no question either: after some seconds that is said.
                away = wait_for("the loss", lambda: (
                    node := gateway.state()["node"])["connected"] is False and node["away"])
                self.assertRegex(away, "answer|silent|PING")
                self.assertEqual(gateway.get("/healthz").status, 503)
                node.signal(signal.SIGCONT)
                wait_for("new pictures", lambda: "x-repeated" not in stream.part().headers)
            wait_for("answers", lambda:
                     gateway.post("/features", "ImageCompressionQuality=50").status == 200)
            self.assertEqual(gateway.feature("ImageCompressionQuality"), 50)


class Program_(unittest.TestCase):
    """The program's own manners."""

    def run_web(self, *options: str) -> tuple[int, str, str]:
        done = subprocess.run([f"{BUILD}/pinhole-web", *options], capture_output=True, text=True,
                              timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_help_and_version(self) -> None:
        status, out, _ = self.run_web("--help")
        self.assertEqual(status, 0)
        for option in ("--node", "--listen", "--max-clients", "--read-only", "--allow-origin"):
            self.assertIn(option, out)
        status, out, _ = self.run_web("--version")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"^pinhole-web \d+\.\d+\.\d+ ")

    def test_wrong_options_are_named(self) -> None:
        for options, words in ((("--nonsense",), "nonsense"), (("extra",), "extra"),
                               (("--max-clients", "0"), "--max-clients"),
                               (("--max-clients", "many"), "many"),
                               (("--listen", "here"), "here"), (("--listen", "127.0.0.1:70000"), "70000"),
                               (("--listen", "::1:80"), "::1:80"), (("--listen", "127.0.0.1:"), "ADDR:PORT"),
                               (("--listen", "no.such.host.invalid:80"), "no.such.host.invalid")):
            status, _, err = self.run_web(*options)
            self.assertIn(status, (1, 2), options)
            self.assertIn(words, err)

    def test_a_wrong_node_address_is_an_error_and_not_waited_for(self) -> None:
        status, _, err = self.run_web("--listen", "127.0.0.1:0", "--node", "127.0.0.1:99999")
        self.assertEqual(status, 2)
        self.assertIn("--node", err)

    def test_port_in_use(self) -> None:
        with Gateway("unix:/nonexistent/node") as gateway:
            status, out, err = self.run_web("--listen", f"127.0.0.1:{gateway.port}")
            self.assertEqual((status, out), (1, ""))
            self.assertIn(f"127.0.0.1:{gateway.port} is in use", err)
            self.assertTrue(err.startswith("<3>"), "journald's prefix")

    def test_ipv6(self) -> None:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            self.skipTest("this machine has no IPv6")
        with Program(f"{BUILD}/pinhole-web", "--listen", "[::1]:0", "--node", "unix:/nonexistent") as web:
            url = web.find(web.out, r"(http://\[::1\]:\d+/)")
            done = subprocess.run(["curl", "-sS", "-g", url], capture_output=True, check=False)
            self.assertIn(b"<title>Pinhole</title>", done.stdout)

    def test_sigterm_ends_it_in_the_midst_of_everything(self) -> None:
        with Node("--trigger-mode", "On") as node:
            with Gateway(node.address) as gateway:
                wait_for("the node", lambda: gateway.state()["node"]["connected"])
                gateway.set(TriggerMode="On")
                streams = [Stream(gateway) for _ in range(5)]
                waiting = [gateway.connect() for _ in range(5)]
                for connection in waiting:
                    connection.sendall(b"GET /snapshot?fresh=1&timeout_ms=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                wait_for("all of them", lambda: gateway.state()["gateway"]["connections"] >= 11)
                self.assertEqual(gateway.end(), 0)
                for stream in streams:
                    stream.close()
                for connection in waiting:
                    connection.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
