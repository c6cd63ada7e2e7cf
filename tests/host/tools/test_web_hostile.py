#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinhole-web against bad clients and strange nodes: it stays up, bounded, and fair to the rest."""

import json
import os
import random
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import debian_python  # noqa: E402
debian_python.need("prometheus_client")
import prometheus  # noqa: E402
from fake_node import FakeNode, padded_jpeg  # noqa: E402
from gateway import Gateway, Node, Stream, in_background  # noqa: E402
from pinhole_node import wait_for  # noqa: E402

MAX_CLIENTS = 12


class Hostile(unittest.TestCase):
    def setUp(self) -> None:
        self.node = Node()
        self.addCleanup(self.node.__exit__)
        self.gateway = Gateway(self.node.address, "--max-clients", str(MAX_CLIENTS))
        self.addCleanup(self.gateway.__exit__)
        self.gateway.wait_ready()

    def metrics(self) -> dict[str, prometheus.Metric]:
        answer = wait_for("a place", lambda: (
            a := self.gateway.get("/metrics")).status == 200 and a)
        return prometheus.read(answer.body.decode())

    def stream(self, receive_bytes: int = 0) -> Stream:
        """A stream, as soon as there is a place for it."""
        def attempt() -> Stream | None:
            stream = Stream(self.gateway, receive_bytes=receive_bytes)
            if stream.answer.status == 200:
                return stream
            stream.close()
            return None
        stream: Stream = wait_for("a place for a stream", attempt)
        return stream

    def metric(self, name: str) -> float:
        return prometheus.value(self.metrics(), name)

    def captured(self) -> float:
        return self.metric("pinhole_frames_captured_total")

    def check_serves(self) -> None:
        """The node goes on, and this gateway serves its pictures."""
        before = self.captured()
        with self.stream() as stream:
            ids = [int(part.headers["x-frame-id"]) for part in stream.parts(5)]
        self.assertEqual(ids, sorted(set(ids)))
        wait_for("more captured frames", lambda: self.captured() > before)

    def test_requests_that_are_none(self) -> None:
        noise = random.Random(1)
        for request in (b"", b"\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"\0" * 4000,
                        b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
                        b"G\xff\xfe / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                        b"GET " + b"/" * 60000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1000000 + b"\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Y: z\r\n" * 100000 + b"\r\n",
                        b"POST /features HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                        b"POST /features HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
                        b"POST /features HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                        b"POST /features HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nshort",
                        b"PINH\x01\x02\0\0\0\0\0\0\0\0\0\0",
                        *(noise.randbytes(3000) for _ in range(20))):
            answer = self.gateway.ask(request)
            # Either no answer, or one that is an error (HTTP/1.0 is forgiving of a bare GET).
            if answer:
                self.assertRegex(answer[:13], rb"^HTTP/1\.[01] [2-5]\d\d")
        self.check_serves()

    def test_headers_too_large_are_refused(self) -> None:
        answer = self.gateway.ask(b"GET /state HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 200000 + b"\r\n\r\n")
        self.assertRegex(answer, rb"^HTTP/1\.1 (431|400|413|414) |^$")
        self.check_serves()

    def test_two_hundred_connections_that_say_nothing(self) -> None:
        idle = []
        for _ in range(200):
            connection = socket.socket()
            connection.settimeout(60)
            connection.connect(("127.0.0.1", self.gateway.port))
            idle.append(connection)
        # They are closed soon, because all places are taken; then others are served.
        self.check_serves()
        self.assertGreaterEqual(self.metric("pinhole_web_connections_idle_closed_total"), MAX_CLIENTS)
        for connection in idle:
            connection.close()
        wait_for("places", lambda: self.metric("pinhole_web_connections") <= 2)

    def test_clients_that_dribble_their_request(self) -> None:
        slow = [self.gateway.connect() for _ in range(MAX_CLIENTS)]
        for connection in slow:
            connection.sendall(b"GET /snapshot HTTP/1.1\r\nHost: localhost\r\n")
        enough = threading.Event()

        def dribble() -> None:
            while not enough.wait(0.2):
                for connection in slow:
                    try:
                        connection.sendall(b"X")
                    except OSError:
                        pass
        dribbling = in_background(dribble)
        self.check_serves()
        enough.set()
        dribbling.join()
        for connection in slow:
            connection.close()

    def test_more_clients_than_places_are_told_so(self) -> None:
        streams = [Stream(self.gateway) for _ in range(MAX_CLIENTS)]
        for stream in streams:
            stream.part()
        refused = self.gateway.get("/snapshot")
        self.assertEqual(refused.status, 503)
        self.assertIn("--max-clients", refused.error())
        for stream in streams:  # these do not suffer
            stream.part()
        streams.pop().close()
        wait_for("the place that became free", lambda: self.gateway.get("/snapshot").status == 200)
        for stream in streams:
            stream.close()

    def test_slow_and_stalled_readers_harm_nobody(self) -> None:
        stalled = Stream(self.gateway, "/stream?key=stalled", receive_bytes=4096)
        slow = Stream(self.gateway, "/stream?key=slow", receive_bytes=4096)
        slow_ids: list[int] = []
        newest_at: list[int] = []

        enough = threading.Event()

        def crawl() -> None:
            while not enough.is_set():
                newest_at.append(self.gateway.state()["frame"]["frame_id"])
                slow_ids.append(int(slow.part().headers["x-frame-id"]))
                enough.wait(0.5)
        crawling = in_background(crawl)
        with Stream(self.gateway) as quick:
            ids = []
            while len(slow_ids) < 15:
                ids.append(int(quick.part().headers["x-frame-id"]))
            # The stalled one is dropped at its deadline.
            wait_for("the drop", lambda: self.metric("pinhole_web_connections_slow_closed_total") >= 1)
            self.assertFalse(self.gateway.state("brief=1&key=stalled")["stream"]["alive"])
            self.assertTrue(self.gateway.state("brief=1&key=slow")["stream"]["alive"])
        enough.set()
        crawling.join()
        self.assertEqual(ids, sorted(set(ids)))
        # The slow one gets ever newer frames, not all of them, and no backlog: what it receives was
        # chosen when the parts before it had left, of which only a few fit between here and there.
        self.assertEqual(slow_ids, sorted(set(slow_ids)))
        self.assertGreater(slow_ids[-1] - slow_ids[0], len(slow_ids) - 1)
        for late, identity in zip(newest_at, slow_ids[8:]):
            self.assertGreaterEqual(identity, late)
        slow.close()
        stalled.close()

    def test_a_frame_goes_out_as_it_comes_or_in_parts(self) -> None:
        with self.stream() as quick:
            wait_for("frames taken whole", lambda: bool(quick.part()) and
                     self.metric("pinhole_web_stream_frames_at_once_total") >= 5)
        wait_for("the stream's end", lambda: self.metric("pinhole_web_streams") == 0)
        at_once = self.metric("pinhole_web_stream_frames_at_once_total")
        # No frame fits between here and there. What the socket takes and the rest make one picture.
        with self.stream(receive_bytes=4096) as slow:
            for _ in range(4):
                time.sleep(0.1)
                body = slow.part().body
                self.assertEqual((body[:2], body[-2:]), (b"\xff\xd8", b"\xff\xd9"))
                self.assertEqual(body.count(b"\xff\xd8"), 1)
            self.assertEqual(self.metric("pinhole_web_stream_frames_at_once_total"), at_once)

    def test_memory_is_bounded_by_the_number_of_clients(self) -> None:
        for _ in range(4):
            readers = [self.stream(receive_bytes=4096) for _ in range(MAX_CLIENTS - 1)]
            for reader in readers:
                reader.part()
            for reader in readers:
                reader.close()
        wait_for("the streams' end", lambda: self.metric("pinhole_web_streams") == 0)
        self.assertLessEqual(self.metric("pinhole_web_frame_buffers_max"), MAX_CLIENTS + 8 + 3)
        wait_for("their frames' end", lambda: self.metric("pinhole_web_frame_buffers") <= 2)

    def test_clients_that_break_off_at_any_point(self) -> None:
        noise = random.Random(2)
        for round_ in range(150):
            path = noise.choice(["/stream", "/snapshot?fresh=1", "/state", "/metrics", "/"])
            request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            connection = self.gateway.connect()
            connection.sendall(request[:noise.randint(1, len(request))] if round_ % 3 else request)
            if round_ % 2:
                connection.setblocking(False)
                try:
                    connection.recv(noise.randint(1, 100000))
                except OSError:
                    pass
                # A reset instead of an orderly end.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        self.check_serves()
        wait_for("all gone", lambda: self.metric("pinhole_web_connections") <= 2)


class StrangeNode(unittest.TestCase):
    def test_text_of_the_node_is_escaped(self) -> None:
        name = b'<b>"q\\\xff\xc3\x28 \xc3\xa9'
        row = b'F"<>\tv"\\\tString\t\t\t\t\trw\t\thelp </script> "\n'
        number = b"N\tnan\tFloat\t\t-inf\t1e5\t\trw\t\tx\n"
        with FakeNode(name=name, features=row + number, refusal=b'refused "so" \xff') as node, \
                Gateway(node.address) as gateway:
            gateway.wait_ready()
            state = gateway.state("")  # json.loads() is strict about escapes and UTF-8
            self.assertEqual(state["node"]["name"], '<b>"q\\\ufffd\ufffd( \u00e9')
            self.assertEqual(state["features"][0]["value"], 'v"\\')
            self.assertEqual(state["features"][1]["value"], "nan")
            self.assertEqual(state["features"][1]["max"], 1e5)
            answer = gateway.post("/features", "N=1")
            self.assertEqual(answer.status, 400)
            self.assertEqual(answer.error(), 'refused "so" \ufffd')

    def test_nothing_from_outside_forges_a_line_of_the_log(self) -> None:
        name = b"cam\x1b[31m\r<3>pinhole-web: forged\x7f\xc2\x9b"
        with FakeNode(name=name) as node, Gateway(node.address, "--verbose") as gateway:
            gateway.wait_ready()
            gateway.get("/%0a%3c3%3epinhole-web:%20forged%1b%5b2J%c2%9b%9b")
            gateway.curl("/features", "-X", "POST", "-H", "X-Pinhole: 1\x1b[2J")
            lines = gateway.err().removesuffix("\n").split("\n")
            self.assertTrue(any("forged" in line and "GET" in line for line in lines), lines)
            for line in lines:
                self.assertRegex(line, r"^<[3-7]>pinhole-web: [^\x00-\x1f\x7f-\x9f]*$")
                self.assertFalse(line.startswith("<3>"), line)

    def test_counters_longer_than_kept_are_cut_at_a_line(self) -> None:
        stats = b"".join(b"# HELP m%d x\n# TYPE m%d gauge\nm%d 1\n" % (i, i, i) for i in range(20000))
        with FakeNode(stats=stats) as node, Gateway(node.address) as gateway:
            gateway.wait_ready()
            body = gateway.get("/metrics").body.decode()
            self.assertTrue(all(line.startswith(("#", "m", "pinhole_web_")) for line in body.splitlines()))
            self.assertIn("pinhole_web_node_scraped 1\n", body)

    def test_large_frames_are_served_whole(self) -> None:
        jpeg = padded_jpeg(6_000_000)
        with FakeNode(jpeg=jpeg, frames_per_second=5) as node, Gateway(node.address) as gateway:
            gateway.wait_ready()
            self.assertEqual(gateway.get("/snapshot").body, jpeg)
            with Stream(gateway) as stream:
                for part in stream.parts(3):
                    self.assertEqual(part.body, jpeg)

    def test_fresh_is_true_with_a_node_of_another_clock(self) -> None:
        for hours in (-5, 5):
            offset_ns = hours * 3600 * 10**9
            # Its clock may read before zero only in a test: keep it positive.
            if time.monotonic_ns() + offset_ns < 10**9:
                offset_ns = -offset_ns + 10**9
            with FakeNode(clock_offset_ns=offset_ns) as node, Gateway(node.address) as gateway:
                gateway.wait_ready()
                for _ in range(5):
                    asked_ns = node.now_ns()
                    answer = gateway.get("/snapshot?fresh=1")
                    self.assertEqual(answer.status, 200)
                    exposed_ns = int(answer.headers["x-monotonic-ns"]) - 1000 * 1000
                    self.assertGreater(exposed_ns, asked_ns)
                    self.assertLess(abs(int(answer.headers["x-latency-us"])), 60_000_000)

    def test_no_answer_is_json_that_breaks(self) -> None:
        with FakeNode(features=b"\n\t\nonly-a-name\n" + b"\t" * 30 + b"\n") as node, \
                Gateway(node.address) as gateway:
            gateway.wait_ready()
            json.loads(gateway.get("/state").body)


if __name__ == "__main__":
    unittest.main(verbosity=2)
