#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinhole-web's stream in the readers that its page recommends: OpenCV's back ends and ffmpeg."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import debian_python  # noqa: E402
debian_python.need("cv2")
import cv2  # noqa: E402
import numpy  # noqa: E402
from fake_node import FakeNode  # noqa: E402
from gateway import Gateway, Node, Stream  # noqa: E402


PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), *[".."] * 3, "tools", "web", "README.md")


def make_jpeg(width: int, height: int, red: int, *options: str) -> bytes:
    """One colour by libjpeg-turbo's own program, which a reader's picture can be compared with."""
    picture = b"P6 %d %d 255\n" % (width, height) + bytes((red, 40, 40)) * (width * height)
    return subprocess.run(["cjpeg", "-quality", "95", *options], input=picture, check=True,
                          capture_output=True).stdout


@unittest.skipIf(shutil.which("cjpeg") is None, "cjpeg is not installed")
class OpenCv(unittest.TestCase):
    """After a change the next picture read is right, or none is and the reader opens again."""

    first = make_jpeg(320, 240, 200, "-sample", "2x2") if shutil.which("cjpeg") else b""
    others = {"larger": ("640", "480", "-sample", "2x2"), "smaller": ("160", "120", "-sample", "2x2"),
              "sampling": ("320", "240", "-sample", "2x1"), "grey": ("320", "240", "-grayscale")}

    def open(self, url: str, back_end: int) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(url, back_end)
        if not capture.isOpened():
            self.skipTest("OpenCV was built without this back end")
        return capture

    def check(self, back_end: int, source: str) -> None:
        for name, (width, height, *options) in self.others.items():
            other = make_jpeg(int(width), int(height), 80, *options)
            with self.subTest(name), FakeNode(jpeg=self.first, frames_per_second=30) as node, \
                    Gateway(node.address) as gateway:
                gateway.wait_ready()
                capture = self.open(source.format(gateway.url), back_end)
                for _ in range(5):
                    self.assertTrue(self.shows(capture.read(), self.first))
                node.jpeg = other
                seen = 0
                for _ in range(200):
                    result = capture.read()
                    if not result[0]:
                        capture = self.open(source.format(gateway.url), back_end)
                    elif self.shows(result, other):
                        seen += 1
                    else:
                        self.assertTrue(self.shows(result, self.first), "neither of the two")
                        self.assertEqual(seen, 0)
                    if seen == 3:
                        break
                self.assertEqual(seen, 3)
                capture.release()

    def shows(self, result: tuple[bool, Any], jpeg: bytes) -> bool:
        wanted = cv2.imdecode(numpy.frombuffer(jpeg, "uint8"), cv2.IMREAD_COLOR).astype(int)
        return result[0] and result[1].shape == wanted.shape and \
            abs(result[1].astype(int) - wanted).max() < 16

    def test_ffmpeg_back_end(self) -> None:
        self.check(cv2.CAP_FFMPEG, "{}/stream")

    def test_gstreamer_back_end(self) -> None:
        # With a URL alone it buffers first, and shows pictures that are seconds old.
        for query in ("", "?changes=1"):
            self.check(cv2.CAP_GSTREAMER, "souphttpsrc location={}/stream" + query +
                       " ! multipartdemux ! jpegdec ! videoconvert ! video/x-raw,format=BGR"
                       " ! appsink sync=false max-buffers=1 drop=true")


def decode(jpeg: bytes) -> bytes:
    """The grey values, by a program that complains of the least damage."""
    done = subprocess.run(["djpeg", "-grayscale", "-pnm"], input=jpeg, capture_output=True, check=True)
    assert done.stderr == b"", done.stderr
    return done.stdout


@unittest.skipIf(shutil.which("cjpeg") is None, "cjpeg is not installed")
class Grey(unittest.TestCase):
    """Black to white. ffmpeg and mpv crush both where a picture has one component."""

    def make(self, width: int, height: int, *options: str) -> bytes:
        row = bytes(x * 255 // max(width - 1, 1) for x in range(width))
        picture = b"P5 %d %d 255\n" % (width, height) + row * height
        return subprocess.run(["cjpeg", "-grayscale", "-quality", "95", *options], input=picture,
                              check=True, capture_output=True).stdout

    def test_three_components_of_one(self) -> None:
        sizes = ((1, 1), (16, 16), (17, 33), (650, 490))
        with FakeNode(frames_per_second=200) as node, Gateway(node.address) as gateway:
            for size in sizes:
                for options in ((), ("-restart", "1"), ("-optimize",), ("-progressive",)):
                    node.jpeg = self.make(*size, *options)
                    gateway.wait_ready()
                    while gateway.get("/snapshot?fresh=1").body != node.jpeg:
                        pass
                    three = gateway.get("/snapshot?components=3").body
                    if options == ("-progressive",):
                        self.assertEqual(three, node.jpeg)
                        continue
                    self.assertEqual(decode(three), decode(node.jpeg), (size, options))
                    read = cv2.imdecode(numpy.frombuffer(three, "uint8"), cv2.IMREAD_COLOR)
                    self.assertTrue((read == cv2.imdecode(numpy.frombuffer(node.jpeg, "uint8"),
                                                          cv2.IMREAD_COLOR)).all())
                    self.assertEqual(three.count(b"\xff\xda"), 3)
            node.jpeg = make_jpeg(320, 240, 80)
            while gateway.get("/snapshot?fresh=1").body != node.jpeg:
                pass
            self.assertEqual(gateway.get("/snapshot?components=3").body, node.jpeg)

    @unittest.skipIf(shutil.which("ffmpeg") is None, "ffmpeg is not installed")
    def test_ffmpeg_keeps_black_and_white(self) -> None:
        jpeg = self.make(650, 490)
        wanted = numpy.frombuffer(decode(jpeg)[-650 * 490:], "uint8").astype(int)
        with FakeNode(jpeg=jpeg, frames_per_second=30) as node, Gateway(node.address) as gateway, \
                tempfile.TemporaryDirectory() as folder:
            gateway.wait_ready()

            def copy(query: str) -> Any:
                """What a player shows of an H.264 copy of the stream."""
                path = f"{folder}/copy.mkv"
                run = ["ffmpeg", "-v", "error", "-y"]
                subprocess.run([*run, "-f", "mpjpeg", "-i", f"{gateway.url}/stream{query}", "-frames:v",
                                "2", "-c:v", "libx264", "-qp", "1", path], check=True, timeout=120)
                raw = subprocess.run([*run, "-i", path, "-frames:v", "1", "-pix_fmt", "gray", "-f",
                                      "rawvideo", "-"], check=True, capture_output=True).stdout
                return numpy.frombuffer(raw, "uint8").astype(int)

            self.assertLess(abs(copy("") - wanted).max(), 4)
            self.assertGreater(abs(copy("?components=1") - wanted).max(), 10)  # why it is done

    @unittest.skipIf(shutil.which("mpv") is None, "mpv is not installed")
    def test_mpv_keeps_black_and_white(self) -> None:
        jpeg = self.make(650, 490)
        wanted = cv2.imdecode(numpy.frombuffer(jpeg, "uint8"), cv2.IMREAD_COLOR).astype(int)
        with FakeNode(jpeg=jpeg, frames_per_second=30) as node, Gateway(node.address) as gateway, \
                tempfile.TemporaryDirectory() as folder:
            gateway.wait_ready()
            subprocess.run(["mpv", "--no-config", "--vo=image", "--vo-image-format=png", "--frames=1",
                            f"--vo-image-outdir={folder}", f"{gateway.url}/stream"], check=True,
                           capture_output=True, timeout=120)
            shown = cv2.imread(f"{folder}/00000001.png").astype(int)
            self.assertLess(abs(shown - wanted).max(), 4)


class Recipe(unittest.TestCase):
    @unittest.skipIf(shutil.which("ffmpeg") is None, "ffmpeg is not installed")
    def test_a_copy_by_ffmpeg_lasts_as_long_as_it_took(self) -> None:
        """The page's own line. Without its first option 8 pictures last 0.28 s."""
        with open(PAGE, encoding="utf-8") as file:
            recipe = re.findall(r"^(ffmpeg .*) record.mkv$", file.read(), re.M)
        self.assertEqual(len(recipe), 1)
        with FakeNode(frames_per_second=5) as node, Gateway(node.address) as gateway, \
                tempfile.TemporaryDirectory() as folder:
            gateway.wait_ready()

            def span(command: str) -> float:
                path = f"{folder}/record.mkv"
                command = command.replace("http://HOST:8080", gateway.url)
                subprocess.run([*command.split(), "-frames:v", "8", "-v", "error", "-y", path],
                               check=True, timeout=120)
                shown = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "packet=pts_time",
                                        "-of", "csv=p=0", path], check=True, capture_output=True)
                times = [float(line.strip(",")) for line in shown.stdout.decode().split()]
                self.assertEqual(len(times), 8)
                return times[-1] - times[0]

            self.assertGreater(span(recipe[0]), 0.7)  # 1.4 s, but for what was read ahead
            self.assertLess(span(recipe[0].replace("-use_wallclock_as_timestamps 1 ", "")), 0.4)


class Changes(unittest.TestCase):
    def test_a_browser_goes_on_and_others_open_again(self) -> None:
        with Node("--framerate", "30") as node, Gateway(node.address) as gateway:
            gateway.wait_ready()
            with Stream(gateway) as ends, Stream(gateway, "/stream?changes=1") as goes_on:
                self.assertEqual(ends.part().headers["x-width"], "1280")
                self.assertEqual(goes_on.part().headers["x-width"], "1280")
                gateway.set(Width=640)
                while goes_on.part().headers["x-width"] != "640":
                    pass
                with self.assertRaises(EOFError):
                    while True:
                        self.assertEqual(ends.part().headers["x-width"], "1280")
            with Stream(gateway) as again:
                self.assertEqual(again.part().headers["x-width"], "640")
            # Another quality is no change of the shape.
            with Stream(gateway) as stays:
                gateway.set(ImageCompressionQuality=30)
                while stays.part().headers["x-quality"] != "30":
                    pass


if __name__ == "__main__":
    unittest.main(verbosity=2)
