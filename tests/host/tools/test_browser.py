#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The live page in a real browser, with a real node: what a person sees and does.

`test_browser.py --screenshot FILE` makes the picture of the page for the documents instead."""

import functools
import http.server
import json
import os
import subprocess
import sys
import tempfile
import unittest
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import debian_python  # noqa: E402
debian_python.need("selenium")
from browser import Browser, find_programs  # noqa: E402
from gateway import BUILD, Gateway, Node, in_background  # noqa: E402

# A sum over the picture as it is on the screen now, and how bright it is.
PIXELS = """
const picture = document.getElementById('picture');
const canvas = document.createElement('canvas');
canvas.width = picture.naturalWidth; canvas.height = picture.naturalHeight;
if (!canvas.width) return null;
const context = canvas.getContext('2d');
context.drawImage(picture, 0, 0);
const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
let sum = 0, light = 0;
for (let i = 0; i < data.length; i += 4) {
  sum = (sum * 31 + data[i] * 3 + data[i + 1] * 5 + data[i + 2] * 7) % 2147483647;
  light += data[i] + data[i + 1] + data[i + 2];
}
return {sum, light: light / (data.length / 4 * 3), width: canvas.width, height: canvas.height};
"""
OVERFLOW = """
const wide = [...document.querySelectorAll('body *')].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width > 0 && (box.right > innerWidth + 0.5 || box.left < -0.5);
}).map((e) => e.tagName + '#' + e.id + '.' + e.className);
return {scroll: document.documentElement.scrollWidth, width: innerWidth, wide};
"""
UNNAMED = """
return [...document.querySelectorAll('input, select, button, output')].filter((e) =>
  !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.textContent.trim()
).map((e) => e.id || e.outerHTML);
"""

# What the card of triggers shows: its table, and of each chart the counts and the bars' lengths.
TRIGGERS = """
const whole = (cell) => Number(cell.textContent.replaceAll('\u202f', ''));
const cells = (row) => [...row.cells].slice(1).map(whole);
return {
  hidden: document.getElementById('triggers').hidden,
  counts: Object.fromEntries([...document.getElementById('trigger-counts').rows].slice(1)
    .map((row) => [row.cells[0].textContent, cells(row)])),
  charts: [...document.querySelectorAll('.chart')].filter((chart) => !chart.hidden)
    .map((chart) => ({summary: chart.caption.textContent, rows: [...chart.rows].map((row) => ({
      range: row.cells[0].textContent, count: whole(row.cells[2]),
      length: row.querySelector('i').getBoundingClientRect().width}))})),
};
"""


class Page(unittest.TestCase):
    phone = False
    size = (1280, 900)

    def setUp(self) -> None:
        self.node = Node("--framerate", "15")
        self.addCleanup(self.node.__exit__)
        self.gateway = Gateway(self.node.address)
        self.addCleanup(self.gateway.__exit__)
        self.gateway.wait_ready()
        self.browser = Browser(*self.size, phone=self.phone)
        self.addCleanup(self.browser.quit)
        self.browser.get(self.gateway.url + "/")
        self.browser.wait("the badge says live", lambda: self.browser.text("#badge") == "live")

    def pixels(self) -> Any:
        return self.browser.wait("a picture", lambda: self.browser.run(PIXELS))

    def wait_text(self, selector: str, wanted: str) -> None:
        self.browser.wait(f"{selector} says {wanted}",
                          lambda: wanted in self.browser.text(selector).replace("\u202f", ""))

    def value(self, selector: str) -> str:
        return str(self.browser.run("return document.querySelector(arguments[0]).value;", selector))


class Desktop(Page):
    def test_the_picture_lives_and_the_page_complains_of_nothing(self) -> None:
        first, shot = self.pixels(), self.browser.get_screenshot_as_png()
        self.assertEqual((first["width"], first["height"]), (1280, 720))
        self.assertGreater(first["light"], 10, "not black")
        frame = self.browser.text("#frame-id")
        self.browser.wait("other pixels", lambda: self.pixels()["sum"] != first["sum"])
        self.browser.wait("another frame id", lambda: self.browser.text("#frame-id") != frame)
        self.assertNotEqual(self.browser.get_screenshot_as_png(), shot)
        self.assertEqual(self.browser.text("#size"), "1280×720")
        self.assertGreater(float(self.browser.text("#fps")), 0)
        self.assertIn("kB", self.browser.text("#bytes"))
        self.assertEqual(self.browser.run(UNNAMED), [], "controls without a name for a reader")
        self.assertEqual(self.browser.complaints(), [])

    def test_a_script_reads_times_without_loss(self) -> None:
        text, seconds, fraction = self.browser.execute_async_script(
            "const done = arguments[0];"
            "fetch('state?brief=1').then((answer) => answer.text()).then((text) => {"
            "  const frame = JSON.parse(text).frame;"
            "  done([text, String(frame.realtime_s), String(frame.realtime_frac_ns)]);"
            "});")
        exact = json.loads(text)["frame"]["realtime_ns"]
        self.assertEqual(int(seconds) * 10**9 + int(fraction), exact)

    def test_exposure_time_is_set_by_its_control(self) -> None:
        self.browser.type("#feature-ExposureTime", "1234")
        self.browser.wait("the node has it", lambda: self.gateway.feature("ExposureTime") == 1234)
        self.assertEqual(self.gateway.feature("ExposureAuto"), "Off")
        self.browser.wait("a picture exposed so", lambda: self.gateway.get(
            "/snapshot").headers["x-exposure-us"] == "1234")
        self.wait_text("#meta-exposure", "1.2 ms")
        self.browser.wait("the automatic's control follows",
                          lambda: self.value("#feature-ExposureAuto") == "Off")
        self.assertEqual(self.value("#feature-ExposureTime"), "1234")
        # By the slider, too.
        self.browser.run("const slider = document.getElementById('feature-ExposureTime-slider');"
                         "slider.value = 500; slider.dispatchEvent(new Event('input'));"
                         "slider.dispatchEvent(new Event('change'));")
        self.browser.wait("the node has the slider's", lambda: self.gateway.feature(
            "ExposureTime") == float(self.value("#feature-ExposureTime")) != 1234)

    def test_a_change_elsewhere_shows_here(self) -> None:
        self.gateway.set(ImageCompressionQuality=33)
        self.browser.wait("the control follows",
                          lambda: self.value("#feature-ImageCompressionQuality") == "33")
        self.wait_text("#quality", "33")
        self.wait_text("#events", "ImageCompressionQuality=33")

    def test_a_refusal_stands_next_to_its_control(self) -> None:
        self.browser.type("#feature-ImageCompressionQuality", "1000")
        self.browser.wait("the node's sentence", lambda: "ImageCompressionQuality" in
                          self.browser.text("#feature-ImageCompressionQuality-error"))
        self.assertEqual(self.browser.run(
            "return document.getElementById('feature-ImageCompressionQuality')"
            ".getAttribute('aria-invalid');"), "true")
        self.browser.type("#feature-ImageCompressionQuality", "77")
        self.browser.wait("it is gone", lambda: self.browser.text(
            "#feature-ImageCompressionQuality-error") == "")
        self.assertEqual(self.gateway.feature("ImageCompressionQuality"), 77)

    def test_trigger(self) -> None:
        enabled = "return !document.getElementById('trigger').disabled;"
        self.assertFalse(self.browser.run(enabled))
        self.wait_text("#trigger-state", "TriggerMode")
        self.browser.choose("#feature-TriggerMode", "On")
        self.browser.choose("#feature-TriggerSource", "Software")
        self.browser.wait("the button is enabled", lambda: self.browser.run(enabled))
        self.wait_text("#badge", "waiting for triggers")
        still = self.browser.wait("the picture stands still", lambda: (
            a := self.pixels()["sum"]) and a == self.pixels()["sum"] and a)
        for press in ("1", "2"):
            self.browser.click("#trigger")
            self.wait_text("#trigger-state", f"Trigger {press} MATCHED")
            self.wait_text("#meta-trigger-id", f"{press} (Software)")
            self.browser.wait("another picture", lambda: self.pixels()["sum"] != still)
            still = self.pixels()["sum"]
        self.assertEqual(self.gateway.get("/snapshot").headers["x-trigger-id"], "2")

    def test_the_bars_of_the_triggers_add_up(self) -> None:
        self.browser.wait("the page knows the node's counters", lambda: self.browser.run(
            "return performance.getEntriesByType('resource').some((entry) =>"
            "entry.name.endsWith('/metrics') && entry.responseEnd > 0);"))
        self.assertTrue(self.browser.run(TRIGGERS)["hidden"], "no trigger yet")
        self.gateway.set(TriggerMode="On")
        # Some answered one by one, then some at once, of which not all get a picture.
        for burst in (1, 1, 1, 1, 4, 4):
            for _ in range(burst):
                answer = self.gateway.post("/trigger")
                self.assertEqual(answer.status, 200)
            fired = json.loads(answer.body)["trigger_id"]
            self.browser.wait("its end", lambda: self.gateway.state()["triggers"] and
                              self.gateway.state()["triggers"][-1]["last"] >= fired)
        shown = self.browser.wait("all of them", lambda: (
            now := self.browser.run(TRIGGERS)) and sum(now["counts"].get("Software", [])) == fired and now)
        self.assertFalse(shown["hidden"])
        self.assertEqual(list(shown["counts"]), ["Software"])
        matched = shown["counts"]["Software"][0]
        self.assertGreaterEqual(matched, 4)
        self.assertEqual(len(shown["charts"]), 2)
        for chart in shown["charts"]:
            self.assertRegex(chart["summary"], r"^Edge to .*p50 .* (s|ms|µs), p99 ")
            self.assertEqual(sum(row["count"] for row in chart["rows"]), matched)
            most = max(chart["rows"], key=lambda row: int(row["count"]))
            for row in chart["rows"]:
                self.assertEqual(row["length"] > 0, row["count"] > 0)
                self.assertAlmostEqual(row["length"] * most["count"], most["length"] * row["count"],
                                       delta=3 * most["count"])
        self.assertEqual(self.browser.complaints(), [])

    def test_a_triggered_picture_shows_before_it_is_repeated(self) -> None:
        self.gateway.set(TriggerMode="On")
        key = self.browser.run("return document.getElementById('picture').src;").split("key=")[1]
        key = key.split("&")[0]

        def repeats() -> int:
            return int(self.gateway.state(f"brief=1&key={key}")["stream"]["repeated"])

        def shows_at_once() -> bool:
            known = repeats()
            self.browser.wait("repeats, so that all is still", lambda: repeats() > known + 2)
            before, known = self.pixels()["sum"], repeats()
            self.assertEqual(self.gateway.post("/trigger").status, 200)
            self.browser.wait("another picture", lambda: self.pixels()["sum"] != before)
            return repeats() == known
        # A busy machine may need longer than a second now and then, but not each time.
        self.browser.wait("a picture that does not wait for the next", shows_at_once)

    def test_the_picture_comes_back_after_node_and_gateway_were_away(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "node.sock")
            with Gateway(f"unix:{path}") as gateway:
                self.browser.get(gateway.url + "/")
                self.wait_text("#badge", "node away")
                self.wait_text("#notice", "The node is away")
                port = str(gateway.port)
                with Node(path=path):
                    self.wait_text("#badge", "live")
                    first = self.pixels()["sum"]
                    self.browser.wait("it moves", lambda: self.pixels()["sum"] != first)
                self.wait_text("#badge", "node away")
                with Node(path=path):
                    self.wait_text("#badge", "live")
                    first = self.pixels()["sum"]
                    self.browser.wait("it moves again", lambda: self.pixels()["sum"] != first)
                    gateway.end()
                    self.wait_text("#badge", "gateway away")
                    with Gateway(f"unix:{path}", "--listen", f"127.0.0.1:{port}"):
                        self.wait_text("#badge", "live")
                        first = self.pixels()["sum"]
                        self.browser.wait("and again", lambda: self.pixels()["sum"] != first)


class OwnPage(unittest.TestCase):
    """A page of one's own, from another port of the same machine, with the stream in it."""

    def test_a_triggered_picture_shows_at_once(self) -> None:
        with Node("--framerate", "15") as node, Gateway(node.address, "--allow-origin", "*") as gateway, \
                Browser() as browser, tempfile.TemporaryDirectory() as folder:
            gateway.wait_ready()
            gateway.set(TriggerMode="On")
            with open(os.path.join(folder, "index.html"), "w", encoding="utf-8") as page:
                page.write(f'<!doctype html><img src="{gateway.url}/stream?key=own" width="640">')
            handler = functools.partial(QuietHandler, directory=folder)
            with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
                in_background(server.serve_forever)
                browser.get(f"http://127.0.0.1:{server.server_port}/")
                browser.wait("a picture", lambda: browser.run("return document.images[0].naturalWidth;"))

                def repeats() -> int:
                    return int(gateway.state("brief=1&key=own")["stream"]["repeated"])

                def shows_at_once() -> bool:
                    known = repeats()
                    browser.wait("repeats, so that all is still", lambda: repeats() > known + 1)
                    before, known = browser.get_screenshot_as_png(), repeats()
                    self.assertEqual(gateway.post("/trigger").status, 200)
                    browser.wait("another picture", lambda: browser.get_screenshot_as_png() != before)
                    return repeats() == known
                # A busy machine may need longer than a second now and then, but not each time.
                browser.wait("a picture that does not wait for the next", shows_at_once)
                server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Phone(Page):
    phone = True
    size = (390, 844)

    def test_nothing_is_wider_than_the_screen(self) -> None:
        self.pixels()
        for _ in range(2):
            found = self.browser.run(OVERFLOW)
            self.assertEqual(found, {"scroll": 390, "width": 390, "wide": []})
            # With a long refusal and events there, too.
            self.browser.type("#feature-ImageCompressionQuality", "1000")
            self.gateway.set(ReverseX=1)
            self.wait_text("#events", "ReverseX=1")
            self.gateway.set(TriggerMode="On")
            self.assertEqual(self.gateway.post("/trigger").status, 200)
            self.browser.wait("the triggers", lambda: not self.browser.run(TRIGGERS)["hidden"])
            self.gateway.set(TriggerMode="Off")
        self.assertEqual(self.browser.run("return getComputedStyle(document.getElementById("
                                          "'picture')).width;"), "368px")


class ReadOnly(unittest.TestCase):
    def test_controls_are_locked(self) -> None:
        with Node() as node, Gateway(node.address, "--read-only") as gateway, Browser() as browser:
            gateway.wait_ready()
            browser.get(gateway.url + "/")
            browser.wait("it says so", lambda: browser.run(
                "return document.getElementById('feature-Width') !== null && "
                "!document.getElementById('read-only').hidden;"))
            self.assertEqual(browser.run(
                "return [...document.querySelectorAll('#features input, #features select, #trigger')]"
                ".filter((e) => !e.disabled).map((e) => e.id);"), [])


class Login(unittest.TestCase):
    def test_a_person_logs_in_and_out(self) -> None:
        with tempfile.TemporaryDirectory() as folder, Node() as node:
            users = os.path.join(folder, "users")
            for name, role in (("anna", "control"), ("eve", "view")):
                subprocess.run([f"{BUILD}/pinhole-web", "--add-user", name, "--role", role, "--users", users],
                               input=f"password of {name}\n", text=True, check=True)
            with Gateway(node.address, "--users", users) as gateway, Browser() as browser:
                gateway.wait_ready("-u", "anna:password of anna")

                def log_in(name: str, password: str) -> None:
                    browser.wait("the login page", lambda: browser.current_url == gateway.url + "/login")
                    browser.type("#name", name)
                    browser.type("#password", password)
                    browser.click("#submit")

                browser.get(gateway.url + "/")
                log_in("anna", "password of eve")
                browser.wait("a refusal", lambda: browser.text("#error") == "wrong name or password")
                log_in("anna", "password of anna")
                browser.wait("live", lambda: browser.current_url == gateway.url + "/" and
                             browser.text("#badge") == "live")
                browser.wait("a picture", lambda: browser.run(PIXELS))
                # No script gets the cookie.
                self.assertEqual(browser.run("return document.cookie;"), "")
                [cookie] = browser.get_cookies()
                self.assertEqual((cookie["httpOnly"], cookie["sameSite"]), (True, "Strict"))
                browser.wait("controls", lambda: browser.run(
                    "const width = document.getElementById('feature-Width'); return width && !width.disabled;"))
                browser.click("#link-logout")
                log_in("eve", "password of eve")
                browser.wait("locked controls", lambda: browser.current_url == gateway.url + "/" and browser.run(
                    "const width = document.getElementById('feature-Width'); return width && width.disabled;"))
                # The gateway's own refusals are all that the console has.
                self.assertEqual([line for line in browser.complaints() if "401" not in line], [])
                browser.delete_all_cookies()
                browser.wait("the login page", lambda: browser.current_url == gateway.url + "/login")


def make_screenshot(path: str) -> None:
    """The page with a live scene, after some triggers, so that there is something to see."""
    with Node("--set", "node.name=conveyor-2") as node, Gateway(node.address) as gateway, \
            Browser(1280, 1000, dark=True) as browser:
        gateway.wait_ready()
        browser.get(gateway.url + "/")
        browser.wait("live", lambda: browser.text("#badge") == "live")
        browser.type("#feature-ExposureTime", "5000")
        browser.wait("set", lambda: gateway.feature("ExposureTime") == 5000)
        gateway.set(TriggerMode="On")
        browser.wait("enabled", lambda: browser.run(
            "return !document.getElementById('trigger').disabled;"))
        for press in range(1, 13):
            browser.wait("enabled again", lambda: browser.run(
                "return !document.getElementById('trigger').disabled;"))
            browser.click("#trigger")
            browser.wait("answered", lambda: f"Trigger {press}" in browser.text("#trigger-state"))
        browser.run("document.activeElement.blur();")
        browser.wait("matched", lambda: "12 MATCHED" in browser.text("#trigger-state"))
        browser.wait("counted", lambda: browser.run(TRIGGERS)["counts"].get("Software") == [12, 0, 0, 0])
        with open(path, "wb") as file:
            file.write(browser.get_screenshot_as_png())


if __name__ == "__main__":
    if find_programs() is None:
        print("chromium and chromedriver are not installed")
        sys.exit(77)
    if sys.argv[1:2] == ["--screenshot"]:
        make_screenshot(sys.argv[2])
    else:
        unittest.main(verbosity=2)
