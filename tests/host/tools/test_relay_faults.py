#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each call of the relay to libnats, and of the system, that can fail, failed once: the stream ends with
each record of the node, once. PINHOLE_RELAY_FULL=1: every site, also failing for ever until the relay is
started again; else a part of them."""

import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
import pinhole_wire as wire  # noqa: E402
from faults import fail_each  # noqa: E402
from mqtt import skip_unless  # noqa: E402
from nats import Client, Relay, Server, create_stream, read_stream  # noqa: E402
from pinhole_node import BUILD, run_cases, wait_for  # noqa: E402
from test_relay import check_against, last_sequence, trigger, triggered_node, wait_stored  # noqa: E402

FULL = os.environ.get("PINHOLE_RELAY_FULL") == "1"
FAULTY = f"{BUILD}/tests/pinhole-relay-faulty"
SITES_TRIED = 10**6 if FULL else 6


class Scene:
    """A stream that has a part of a node's records, and a node that has them all."""

    def __init__(self, node, place):
        self.node, self.store = node, f"{place}/js"
        with wire.Client(node.address) as client:
            client.subscribe()
            with Server() as server:
                with Client(server.wait().port) as client_of_nats:
                    # A record that is sent again is stored again.
                    create_stream(client_of_nats, duplicate_window=100_000_000)
                trigger(client, 4)
                with Relay(server.url, node.address):
                    wait_stored(server, node.address)
                server.end()
                shutil.copytree(server.path("js"), self.store)
            trigger(client, 4)

    def run(self, environment):
        """The relay until all is stored, or it has ended; then one without faults."""
        with Server() as server:
            server.kill()
            shutil.rmtree(server.path("js"), ignore_errors=True)
            shutil.copytree(self.store, server.path("js"))
            server.start().wait()
            relay = Relay(server.url, self.node.address, env=environment, program=FAULTY)
            try:
                if "FAIL_ALWAYS" in environment:
                    wait_for("trouble", lambda: relay.log != "" or relay.process.poll() is not None)
                    relay.kill()
                wait_for("records", lambda: relay.process.poll() is not None or
                         self.is_stored(server))
                if relay.process.poll() is not None:
                    assert relay.process.returncode in (-9, 1) and relay.log != "", relay.log
                    with Relay(server.url, self.node.address) as again:
                        again.wait_log("connected to")
                        wait_stored(server, self.node.address)
                check_against(wait_stored(server, self.node.address), self.node.address)
                if relay.process.poll() is None:
                    relay.end()  # under sanitizers: no leak
            finally:
                relay.kill()
                relay.folder.cleanup()

    def is_stored(self, server):
        with Client(server.port) as client:
            newest = max((message.last for message in read_stream(client)), default=0)
        return newest == last_sequence(self.node.address)

    def fail(self, site, is_lasting):
        with tempfile.NamedTemporaryFile() as sites:
            environment = {"FAIL_SITE": site, "FAIL_SITES": sites.name}
            if is_lasting:
                environment["FAIL_ALWAYS"] = "1"
            self.run(environment)
            return sites.read().decode().split()


def test_each_call():
    with triggered_node() as node, tempfile.TemporaryDirectory() as place:
        scene = Scene(node, place)
        known = scene.fail("none", False)
        libnats = [site for site in known if site.startswith(("nats", "js_"))]
        assert len(libnats) > 15, known
        sites = known if FULL else libnats[::max(1, len(libnats) // SITES_TRIED)]
        # Headers that cannot be read are not those of somebody else's message.
        waiting = [(site, lasting) for site in sites for lasting in (False, True)
                   if FULL or not lasting] + [(site, True) for site in libnats if "Header_Get" in site]
        seen, tried, faults = fail_each(known, waiting, scene.fail, FULL)
        print(f"{seen} sites ({len(libnats)} of libnats), {tried} runs, {faults} faults")
        assert tried >= SITES_TRIED or FULL
        assert not faults


if __name__ == "__main__":
    skip_unless("nats-server", FAULTY)
    run_cases({"test_each_call": test_each_call})
