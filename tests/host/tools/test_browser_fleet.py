#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The fleet page in a real browser, with a real nats-server: a phone with 4 nodes, a desk with
1,000, names that are no names, and what a person reads when something is away."""

import json
import os
import sys
import unittest
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import debian_python  # noqa: E402
debian_python.need("selenium")
# pylint: disable=wrong-import-position
import pinhole_wire as wire  # noqa: E402
from browser import Browser, find_programs  # noqa: E402
from fake_node import JPEG  # noqa: E402
from gateway import BUILD, Gateway  # noqa: E402
from mqtt import skip_unless  # noqa: E402
from nats import STREAM, Client, Feeder, Server, create_stream  # noqa: E402
from pinhole_node import wait_for  # noqa: E402
from test_browser import OVERFLOW  # noqa: E402

HOSTILE = "<img src=x onerror=document.title='owned'>"
# Each card: its name, the texts of its figures, whether its picture is there, and whether it is on
# the screen.
CARDS = """
return Object.fromEntries([...document.querySelectorAll('#list > .node')].map((card) => {
  const box = card.getBoundingClientRect();
  const image = card.querySelector('img');
  return [card.querySelector('.name').textContent, {
    href: card.querySelector('.name').getAttribute('href'),
    seen: card.querySelector('.seen').textContent, health: card.querySelector('.health').textContent, gap: card.querySelector('.gap').textContent,
    figures: Object.fromEntries([...card.querySelectorAll('dl > div')].map((pair) =>
      [pair.querySelector('dt').textContent, pair.querySelector('dd').textContent])),
    picture: !image.hidden && image.naturalWidth > 0, missing: card.querySelector('.thumbnail span').textContent,
    index: Number(card.getAttribute('aria-posinset')),
    visible: box.bottom > 0 && box.top < innerHeight, width: box.width, top: box.top, left: box.left}];
}));
"""
# Every change of the page from now on, by kind and by the card that it is in.
WATCH = """
window.seen = [];
new MutationObserver((list) => list.forEach((change) => {
  const card = change.target.nodeType === 3 ? change.target.parentElement.closest('.node')
    : change.target.closest('.node');
  window.seen.push([change.type, card ? card.querySelector('.name').textContent : change.target.id]);
})).observe(document.getElementById('list'), {subtree: true, childList: true, characterData: true});
"""


def level(name: str) -> str:
    """A name as a token of a subject: tools/common/level.h."""
    return "".join(c if c.isascii() and (c.isalnum() or c == "-") else "__" if c == "_" else
                   "".join(f"_{byte:02x}" for byte in c.encode()) for c in name)


class Page(unittest.TestCase):
    browser: Browser

    @classmethod
    def setUpClass(cls) -> None:
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.__exit__)
        self.nats = Client(self.server.wait().port)
        self.addCleanup(lambda: self.nats.close())  # it may be another one by then
        create_stream(self.nats)
        self.gateway = Gateway("", "--fleet", self.server.url)
        self.addCleanup(self.gateway.__exit__)
        self.addCleanup(lambda: self.browser.get("about:blank"))  # it asks no gateway that has ended
        # What is there before is not counted.
        wait_for("the gateway follows", lambda: self.gateway.get("/healthz").status == 200)

    def feeder(self, name: str, boot: int, jpeg: bytes = JPEG) -> Any:
        return Feeder(self.nats, jpeg, name=level(name), boot=boot)

    def open(self, width: int, height: int, mobile: bool = False) -> None:
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile})
        self.browser.get(self.gateway.url + "/")

    def cards(self) -> Any:
        return self.browser.run(CARDS)

    def wait_badge(self, text: str) -> None:
        self.browser.wait(f"badge {text}", lambda: self.browser.text("#badge") == text)

    def wait_card(self, name: str, wanted: Any) -> Any:
        return self.browser.wait(f"the card of {name}", lambda: (
            card := self.cards().get(name)) and wanted(card) and card)

    def test_four_nodes_on_a_phone_and_what_is_away(self) -> None:
        self.open(390, 844, mobile=True)
        self.wait_badge("no nodes yet")
        self.assertIn("no records yet", self.browser.text("#notice"))
        gate = self.feeder("gate", 1).put(1).put(2, trigger=5)
        gate.put_triggers(3, wire.MISSED, 6, 8).put_triggers(4, wire.OVERRUN, 9, 9)
        gate.put_triggers(5, wire.FAILED, 10, 11).put_gap(6, 17)
        self.feeder("line 1.5", 2).put(1)
        self.feeder("torn", 3, JPEG[:100]).put(1)
        self.feeder(HOSTILE, 4).put(1)
        self.wait_badge("live")
        self.browser.wait("pictures", lambda: sum(c["picture"] for c in self.cards().values()) == 3)
        cards = self.cards()
        self.assertEqual(set(cards), {"gate", "line 1.5", "torn", HOSTILE})
        self.assertEqual(self.browser.text("#stream"), f"{STREAM}, 4 nodes")
        self.assertEqual(cards["gate"]["figures"], {"Frames/s": "1.00", "Frames": "2", "Matched": "1",
                                                    "Missed": "3", "Overrun": "1", "Failed": "2"})
        self.assertEqual(cards["gate"]["gap"], "12 lost in 1 gap, newest 6–17")
        self.assertRegex(cards["gate"]["seen"], r"^\d+ s ago$")
        finding = {"check": "trigger", "state": "warning", "text": "12 <b>edges</b> were lost", "advice": "look"}
        self.nats.tell("pinhole.gate.relay.health", "\n".join([json.dumps(finding)] * 3).encode())
        self.nats.tell("pinhole.torn.relay.health", b"")
        self.wait_card("gate", lambda card: card["health"] ==
                       "warning: 12 <b>edges</b> were lost: look (and 2 more)")
        self.wait_card("torn", lambda card: card["health"] == "nothing is wrong")
        self.assertEqual(self.cards()["line 1.5"]["health"], "", "no relay has told of it")
        self.wait_card("torn", lambda card: card["missing"] == "no picture")
        # A name stays text.
        self.assertEqual(self.browser.run("return document.querySelectorAll('#list img').length;"), 4)
        self.assertEqual(self.browser.run("return document.title;"), "Pinhole fleet")
        self.assertTrue(all(card["href"] is None for card in cards.values()))
        # One column, and nothing beside the screen.
        self.assertEqual({card["left"] for card in cards.values()}, {10})
        overflow = self.browser.run(OVERFLOW)
        self.assertEqual((overflow["scroll"], overflow["wide"]), (overflow["width"], []))

        self.server.kill()
        self.wait_badge("server away")
        self.browser.wait("a sentence", lambda: "no server answers" in self.browser.text("#notice"))
        self.assertEqual(len(self.cards()), 4, "what was known stays")
        self.nats.close()
        self.nats = Client(self.server.start().wait().port)
        wait_for("its stream", lambda: self.nats.api(f"STREAM.INFO.{STREAM}"))
        gate.client = self.nats
        gate.put(18)
        self.wait_card("gate", lambda card: card["figures"]["Frames"] == "3")
        self.wait_badge("live")
        # The torn picture is all that the console has, and what was asked while the server was away.
        self.assertEqual([line for line in self.browser.complaints()
                          if "fleet/thumbnail" not in line], [])

    def test_a_thousand_nodes_on_a_desk(self) -> None:
        feeders = [self.feeder(f"camera {n}", n).put(1) for n in range(1, 1001)]
        self.open(1600, 1000)
        self.wait_badge("live")
        self.browser.wait("all nodes", lambda: self.browser.text("#stream").replace(
            "\u202f", "") == f"{STREAM}, 1000 nodes")
        self.browser.wait("pictures on the screen", lambda: all(
            card["picture"] for card in self.cards().values()))
        cards = self.cards()
        self.assertLess(len(cards), 60)
        self.assertEqual(sorted(cards, key=lambda name: int(cards[name]["index"])),
                         [f"camera {n}" for n in range(1, len(cards) + 1)])
        self.assertGreater(len({card["left"] for card in cards.values()}), 2)
        self.assertEqual(self.made(), len(cards), "pictures of what is on the screen alone")

        # A node that changes changes its own texts alone, where it is.
        self.browser.run(WATCH)
        feeders[4].put(2).put_gap(3, 5)
        feeders[700].put(2)
        card = self.wait_card("camera 5", lambda card: card["figures"]["Frames"] == "2" and card["gap"])
        self.assertEqual((card["top"], card["left"]), (cards["camera 5"]["top"], cards["camera 5"]["left"]))
        changes = self.browser.run(
            "return window.seen.filter(([kind, name]) => kind === 'childList' && name === 'list');")
        self.assertEqual(changes, [], "no card was made or moved")
        # Ages go on for all; figures only where they changed.
        self.assertEqual(self.browser.run("return document.querySelectorAll('#list > .node').length;"),
                         len(cards))

        # Scrolled to the middle, to the end and by a search: the right ones, and few.
        for place in ("document.body.scrollHeight / 2", "document.body.scrollHeight"):
            self.browser.run(f"scrollTo(0, {place});")
            self.browser.wait("the cards there", lambda: self.is_filled() and not self.cards().get("camera 1"))
        self.assertIn("camera 1000", self.cards())
        self.browser.wait("their pictures", lambda: all(c["picture"] for c in self.cards().values() if c["visible"]))
        self.assertLess(self.made(), 300)
        self.browser.run("document.getElementById('search').value = 'A 70'; document.getElementById('search')"
                         ".dispatchEvent(new Event('input'));")
        self.browser.wait("what was looked for", lambda: list(self.cards()) == [
            "camera 70", *(f"camera {n}" for n in range(700, 710))])
        self.assertEqual(self.cards()["camera 701"]["figures"]["Frames"], "2")
        self.assertEqual(self.browser.complaints(), [])

    def is_filled(self) -> bool:
        """The cards on the screen are neighbours, and there is one at each place."""
        cards = self.cards().values()
        visible = sorted(card["index"] for card in cards if card["visible"])
        last = max(card["index"] for card in cards)
        screen = self.browser.run("return Math.floor(innerHeight / 154);")
        columns = len({card["left"] for card in cards})
        return 0 < len(visible) <= len(cards) < 60 and visible == list(range(visible[0], visible[-1] + 1)) and (
            len(visible) >= (screen - 1) * columns or last == 1000)

    def made(self) -> int:
        text = self.gateway.get("/metrics").body.decode()
        return int(next(line.split()[1] for line in text.splitlines()
                        if line.startswith("pinhole_web_fleet_thumbnails_total ")))


if __name__ == "__main__":
    skip_unless("nats-server")
    if find_programs() is None or not os.path.exists(f"{BUILD}/pinhole-web-nats.so"):
        print("skipped: chromium, chromedriver or libnats is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)
