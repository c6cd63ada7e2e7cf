#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinhole-web --fleet with a real nats-server: the nodes of a stream as JSON, thumbnails, and what
goes wrong. The page itself is in test_browser_fleet.py."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
import pinhole_wire as wire  # noqa: E402
from fake_node import JPEG, FakeNode  # noqa: E402
from gateway import BUILD, Gateway  # noqa: E402
from mqtt import skip_unless  # noqa: E402
from nats import STREAM, Client, Feeder, Server, create_stream  # noqa: E402
from pinhole_node import run_cases, wait_for  # noqa: E402


class Fleet:
    """A server with an empty stream, and the gateway."""

    def __init__(self, *options):
        self.options = options

    def __enter__(self):
        self.server = Server().wait()
        self.nats = Client(self.server.port)
        create_stream(self.nats)
        self.gateway = Gateway("", "--fleet", self.server.url, *self.options)
        self.wait_state("live")
        return self

    def __exit__(self, *error):
        self.nats.close()
        self.server.__exit__()
        self.gateway.__exit__(*error)

    def ask(self, query=""):
        answer = self.gateway.get(f"/fleet{query}")
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def nodes(self):
        return {node["name"]: node for node in self.ask()["nodes"]}

    def wait_state(self, state):
        return wait_for(f"state {state}", lambda: (
            now := self.ask()["stream"]) and now["state"] == state and now)

    def wait_frames(self, name, frames):
        """The node, once so many of its frames are counted."""
        return wait_for(f"{frames} frames", lambda: (
            node := self.nodes().get(name)) and node["frames"] == frames and node)

    def thumbnail(self, node="gate"):
        return self.gateway.get(f"/fleet/thumbnail?node={node}")

    def made(self):
        """How many thumbnails were made."""
        for line in self.gateway.get("/metrics").body.decode().splitlines():
            if line.startswith("pinhole_web_fleet_thumbnails_total "):
                return int(line.split()[1])
        raise AssertionError


def test_what_is_told_of_nodes():
    """Each count, only what has changed, and what was there before the gateway is not counted."""
    with Fleet() as fleet:
        gate = Feeder(fleet.nats, JPEG).run(1, 2)
        gate.put(3, trigger=7).put(4, trigger=7).put(5, trigger=8)  # a burst of two, then one
        gate.put_triggers(6, wire.MISSED, 9, 9).put_triggers(7, wire.OVERRUN, 10, 13)
        gate.put_triggers(8, wire.FAILED, 14, 15).put_gap(9, 9).put_gap(10, 29)
        Feeder(fleet.nats, JPEG, name="line_201_2e5", boot=0xdef).put(1)
        fleet.wait_frames("line 1.5", 1)
        state = fleet.ask()
        assert state["is_whole"] and [n["node"] for n in state["nodes"]] == ["gate", "line_201_2e5"], state
        node = state["nodes"][0]
        assert node["triggers"] == {"matched": 2, "missed": 1, "overrun": 4, "failed": 2}, node
        assert (node["gaps"], node["lost"], node["gap_first"], node["gap_last"]) == (2, 21, 10, 29), node
        assert (node["frames"], node["frames_per_second"], node["restarts"]) == (5, 1, 0), node
        assert node["boot_id"] == f"{gate.boot:016x}" and "page" not in node, node
        assert abs(node["seen_ms"] - state["now_ms"]) < 60000, node

        seen = f"?run={state['run']}&since={state['version']}"
        assert fleet.ask(seen)["nodes"] == []
        gate.put_boot(0x123).put(1, trigger=1)
        fleet.wait_frames("gate", 6)
        [changed] = fleet.ask(seen)["nodes"]
        assert (changed["node"], changed["restarts"], changed["triggers"]["matched"]) == ("gate", 1, 3)
        assert not fleet.ask(seen)["is_whole"]
        other = fleet.ask(f"?run={'0' * 16}&since={state['version']}")
        assert other["is_whole"] and len(other["nodes"]) == 2, "what another run has said is void"

        with Gateway("", "--fleet", fleet.server.url) as second:
            nodes = wait_for("both nodes", lambda: len(
                found := json.loads(second.get("/fleet").body)["nodes"]) == 2 and found)
            assert [(n["frames"], n["gaps"], n["triggers"]["matched"]) for n in nodes] == [(0, 0, 0)] * 2
            assert all(n["frame"] > 0 for n in nodes), nodes


def test_health_of_nodes():
    """The gravest of what a relay tells, how much there is, and nothing of what is no finding."""
    with Fleet() as fleet:
        Feeder(fleet.nats, JPEG).put(1)
        fleet.wait_frames("gate", 1)
        assert "health" not in fleet.nodes()["gate"]
        one, two = ({"check": "c", "state": state, "text": f"a {state}", "advice": advice}
                    for state, advice in (("warning", ""), ("fault", "do this")))
        lines = [b"no JSON", b"[]", b'{"state":7}', b'{"state":"fault","text":"torn'] + [
            json.dumps(each).encode() for each in (one, two, one, {**one, "state": "ok"})]
        fleet.nats.tell("pinhole.gate.relay.health", b"\n".join(lines))
        health = wait_for("health", lambda: fleet.nodes()["gate"].get("health"))
        assert (health["state"], health["text"], health["findings"]) == ("fault", "a fault: do this", 3)
        assert abs(health["told_ms"] - fleet.ask()["now_ms"]) < 60000, health
        fleet.nats.tell("pinhole.gate.relay.health", b"")
        wait_for("nothing is wrong", lambda: fleet.nodes()["gate"]["health"]["state"] == "ok")
        # A node whose camera never gave a frame is there, too.
        fleet.nats.tell("pinhole.dark.relay.health", json.dumps(two).encode() + b"\n" + b"x" * 20000)
        dark = wait_for("a node without a record", lambda: fleet.nodes().get("dark"))
        assert (dark["health"]["state"], dark["seen_ms"], dark["frame"]) == ("fault", 0, 0), dark


def test_thumbnails():
    """Made when asked for, once a frame; what is no picture is said so."""
    with Fleet() as fleet:
        gate = Feeder(fleet.nats, JPEG).put(1)
        Feeder(fleet.nats, JPEG[:100], name="torn", boot=1).put(1)
        Feeder(fleet.nats, b"", name="events", boot=2).put_gap(1, 2)
        fleet.nats.publish("pinhole.foreign.frame", b"no record")
        wait_for("all nodes", lambda: len(fleet.nodes()) == 4)
        first = fleet.thumbnail()
        assert (first.status, first.headers["content-type"]) == (200, "image/jpeg")
        done = subprocess.run(["djpeg"], input=first.body, capture_output=True, check=True)
        assert done.stdout.startswith(b"P6\n32 16\n") and not done.stderr, done.stdout[:20]
        assert fleet.thumbnail().body == first.body and fleet.made() == 1
        gate.put(2)
        fleet.wait_frames("gate", 2)
        assert fleet.thumbnail().status == 200 and fleet.made() == 2
        for node in ("torn", "foreign"):
            for _ in range(2):
                answer = fleet.thumbnail(node)
                assert (answer.status, answer.error()) == (
                    502, "the newest frame is no JPEG that can be decoded"), answer.body
        assert fleet.made() == 4, "a bad one is not tried again"
        assert (fleet.thumbnail("events").status, fleet.thumbnail("nobody").status) == (404, 404)
        assert fleet.gateway.get("/fleet/thumbnail").status == 400
        gate.put(3)
        fleet.wait_frames("gate", 3)
        fleet.nats.api(f"STREAM.PURGE.{STREAM}")
        assert fleet.thumbnail().error() == "the stream has discarded the frame"
        assert fleet.server.process.poll() is None, fleet.server.log


def test_server_killed_and_back():
    """The nodes stay, a sentence says what is wrong, and nothing is missed meanwhile."""
    with Fleet() as fleet:
        gate = Feeder(fleet.nats, JPEG).put(1)
        fleet.wait_frames("gate", 1)
        assert fleet.thumbnail().status == 200
        fleet.server.kill()
        wait_for("a sentence", lambda: "no server answers" in fleet.wait_state("away")["why"])
        assert fleet.thumbnail().status == 503 and fleet.gateway.get("/healthz").status == 503
        assert list(fleet.nodes()) == ["gate"]
        fleet.nats.close()
        fleet.server.start().wait()
        fleet.nats = Client(fleet.server.port)
        wait_for("the stream", lambda: fleet.nats.api(f"STREAM.INFO.{STREAM}"))
        gate.client = fleet.nats
        gate.run(2, 5)
        fleet.wait_state("live")
        fleet.wait_frames("gate", 5)
        assert fleet.thumbnail().status == 200 and fleet.gateway.get("/healthz").status == 200


def test_a_stream_comes_and_goes():
    """No stream, another one of the same name: the list begins again."""
    with Fleet() as fleet:
        Feeder(fleet.nats, JPEG).run(1, 3)
        fleet.wait_frames("gate", 3)
        run = fleet.ask()["run"]
        fleet.nats.api(f"STREAM.DELETE.{STREAM}")
        why = fleet.wait_state("no stream")["why"]
        assert "there is no such stream" in why, why
        create_stream(fleet.nats)
        fleet.wait_state("live")
        wait_for("an empty list", lambda: fleet.nodes() == {})
        assert fleet.ask()["run"] != run
        Feeder(fleet.nats, JPEG, name="belt").put(1)
        assert fleet.wait_frames("belt", 1)["node"] == "belt"
        assert fleet.server.process.poll() is None, fleet.server.log


def test_bounded():
    """Nodes beyond 1,024 are left out, and that is told."""
    with Fleet() as fleet:
        feeder = Feeder(fleet.nats, b"")
        for number in range(1, 1026):
            feeder.name = f"n{number}"
            feeder.put_gap(1, number)
        stream = wait_for("more than it takes", lambda: (
            now := fleet.ask()["stream"]) and now["has_more_nodes"] and now)
        assert stream["nodes"] == 1024


def test_roles():
    """Each URL of the fleet needs the role view; those of one node are not there."""
    with Fleet() as fleet:
        users = fleet.server.path("users")
        subprocess.run([f"{BUILD}/pinhole-web", "--add-user", "eve", "--role", "view", "--users", users],
                       input="a password\n", text=True, check=True)
        with Gateway("", "--fleet", fleet.server.url, "--users", users) as gateway:
            for path in ("/fleet", "/fleet/thumbnail?node=gate", "/fleet/prometheus.json", "/fleet.js",
                         "/metrics"):
                assert gateway.get(path).status == 401, path
                assert gateway.get(path, "-u", "eve:a password").status in (200, 404, 503), path
            assert gateway.get("/state", "-u", "eve:a password").status == 404
            assert gateway.post("/trigger", "", "-u", "eve:a password").status == 404


def test_pages_of_nodes():
    """Discovery knows where a node's own page is: by its boot id, whatever its name in the stream."""
    with FakeNode(boot_id=0xabc) as node:
        os.environ["PINHOLE_NODES"] = node.address
        with Fleet("--page-port", "81") as fleet:
            Feeder(fleet.nats, JPEG, name="a_3cb_3e").put(1)
            Feeder(fleet.nats, JPEG, name="far", boot=1).put(1)
            nodes = wait_for("its page", lambda: "page" in (found := fleet.nodes()).get("a<b>", {}) and found)
            assert nodes["a<b>"]["page"] == "http://127.0.0.1:81/" and "page" not in nodes["far"]
            answer = fleet.gateway.get("/fleet/prometheus.json")
            assert answer.headers["content-type"] == "application/json"
            assert json.loads(answer.body) == [{"targets": ["127.0.0.1:81"], "labels": {"node": "a<b>"}}]
        del os.environ["PINHOLE_NODES"]


def test_wrong_options():
    for options, sentence in (
            (("--fleet", "nats://h", "--node", "n"), "--fleet excludes --node"),
            (("--fleet", "nats://me:secret@h"), "a URL has no user and password here"),
            (("--fleet", "nats://h", "--password-file", "/nowhere"), "/nowhere"),
            (("--fleet", "nats://h", "--page-port", "0"), "--page-port takes a number from 1 to 65535")):
        done = subprocess.run([f"{BUILD}/pinhole-web", "--listen", "127.0.0.1:0", *options],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 2 and sentence in done.stderr, (options, done)


if __name__ == "__main__":
    skip_unless("nats-server")
    if not os.path.exists(f"{BUILD}/pinhole-web-nats.so"):
        print("skipped: this build has no libnats")
        sys.exit(77)
    run_cases(globals())
