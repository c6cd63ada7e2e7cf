#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`pinholectl doctor` against real nodes and a machine of files: what is wrong, and what to do."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from pinhole_node import BUILD, Node  # noqa: E402

OK, WRONG, USAGE, NO_NODE = 0, 1, 2, 3


class Machine:
    """A root folder in which nothing is wrong."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.write("dev/media0")
        self.write("run/systemd/timesync/synchronized")
        self.write("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n")
        self.write("sys/class/thermal/thermal_zone0/temp", "51000\n")
        self.write("proc/net/tcp", "  sl  local_address rem_address   st\n")
        self.process(7, "pinhole", environ="PATH=/bin\0WATCHDOG_USEC=10000000\0",
                     status="Name:\tpinhole\nUid:\t0\t0\t0\t0\nGroups:\t0 \n")

    def write(self, path, text=""):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def process(self, pid, name, links=(), **files):
        self.write(f"proc/{pid}/comm", name + "\n")
        (self.root / f"proc/{pid}/fd").mkdir(exist_ok=True)
        for number, target in enumerate(links):
            (self.root / f"proc/{pid}/fd/{number}").symlink_to(target)
        for file, text in files.items():
            self.write(f"proc/{pid}/{file}", text)


def grab(node, path):
    subprocess.run([f"{BUILD}/pinholectl", "-n", "%s:%d" % node.address, "grab", "-o", path],
                   check=True, timeout=120)


def doctor(node, machine, *options):
    address = node if isinstance(node, str) else "%s:%d" % node.address
    run = subprocess.run([f"{BUILD}/pinholectl", "-n", address, "doctor", "--json", "--free", "0", "--root",
                          machine.root, *options], capture_output=True, text=True, timeout=120)
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines()]


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        photos = tempfile.TemporaryDirectory()
        cls.addClassCleanup(photos.cleanup)
        # A camera that is not the fake one: photographs, here one of the node's own.
        with Node() as node:
            grab(node, f"{photos.name}/0.jpg")
        # One frame a second: a busy machine loses none.
        cls.node = Node("--framerate", "1", camera="replay:" + photos.name)
        grab(cls.node, f"{photos.name}/1.jpg")
        cls.addClassCleanup(cls.node.__exit__, None, None, None)

    def expect(self, found, check, state, *words):
        for finding in found:
            if finding["check"] == check and all(word in finding["text"] for word in words):
                self.assertEqual(finding["state"], state, finding)
                self.assertEqual(bool(finding["advice"]), state != "ok", finding)
                return
        self.fail(f"nothing of {check} with {words}: {found}")

    def test_nothing_is_wrong(self):
        status, found = doctor(self.node, Machine())
        self.assertEqual([f for f in found if f["state"] != "ok"], [])
        self.assertEqual(status, OK)
        for check in "node camera frames watchdog devices clock power temperature room".split():
            self.assertIn(check, [f["check"] for f in found])

    def change(self, state, check, *words, files=None, remove=(), node=None, options=()):
        machine = Machine()
        for path, text in (files or {}).items():
            machine.write(path, text)
        for path in remove:
            (machine.root / path).unlink()
        status, found = doctor(node or self.node, machine, *options)
        self.expect(found, check, state, *words)
        self.assertEqual(status, OK if state == "ok" else WRONG)

    def test_the_machine(self):
        throttled = "sys/devices/platform/soc/soc:firmware/get_throttled"
        heat = "sys/class/thermal/thermal_zone0/temp"
        self.change("warning", "clock", "not synchronised",
                    remove=["run/systemd/timesync/synchronized"])
        self.change("fault", "power", "too low now", files={throttled: "50005\n"})
        self.change("warning", "power", "too low since", files={throttled: "10000\n"})
        self.change("warning", "power", "slowed down now", files={throttled: "4\n"})
        self.change("warning", "power", "slowed down since", files={throttled: "40000\n"})
        self.change("warning", "temperature", "81.2", files={heat: "81200\n"})
        self.change("fault", "temperature", "85.0", files={heat: "85000\n"})
        self.change("warning", "room", "% free", options=["--free", "100"])
        self.change("warning", "devices", "knows no camera", remove=["dev/media0"])
        # A turn of the loop takes more than a microsecond.
        self.change("warning", "watchdog", "longest turn",
                    files={"proc/7/environ": "WATCHDOG_USEC=1\0"})

    def test_who_holds_the_camera(self):
        machine = Machine()
        machine.process(99, "rpicam-vid", ["/dev/null", "/dev/media0"])
        status, found = doctor(self.node, machine)
        self.expect(found, "devices", "warning", "/dev/media0", "rpicam-vid", "99")
        self.assertEqual(status, WRONG)

    def test_a_device_that_the_node_may_not_open(self):
        machine = Machine()
        media = machine.root / "dev/media0"
        media.chmod(0o660)
        group = media.stat().st_gid
        for groups, state in ((f"5 {group} 7", "ok"), ("5 7", "fault")):
            machine.write("proc/7/status", f"Name:\tpinhole\nUid:\t4711\t0\nGroups:\t{groups} \nX:\t1\n")
            self.expect(doctor(self.node, machine)[1], "devices", state, "/dev/media0")

    def test_who_has_the_line(self):
        settings = {"etc/pinhole/pinhole.ini": "[camera]\nline = no\n[trigger]\nline = GPIO17\n"}
        gpio = "sys/kernel/debug/gpio"
        row = "gpiochip0: GPIOs 512-569:\n gpio-522 (GPIO10              )\n gpio-529 (GPIO17              |%s) in  hi IRQ\n"
        self.change("ok", "trigger", "GPIO17", files={**settings, gpio: row % "pinhole-trigger "})
        self.change("fault", "trigger", "GPIO17", '"w1-gpio"', files={**settings, gpio: row % "w1-gpio "})
        self.change("fault", "trigger", "nobody has GPIO1,",
                    files={"etc/pinhole/pinhole.ini": "[trigger]\nline=GPIO1\n", gpio: row % "x"})

    def test_who_can_connect(self):
        row = "   0: %s:1D17 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0\n"
        for address, words in (("00000000", "every machine"), ("0100007F", "this machine only"),
                               ("0A01A8C0", "one of this machine's addresses")):
            machine = Machine()
            machine.process(8, "pinhole", ["socket:[4242]"])
            machine.write("proc/net/tcp", "header\n" + row % address)
            self.expect(doctor(self.node, machine)[1], "listening", "ok", "7447", words)

    def test_drawn_pictures_and_losses(self):
        with Node("--set", "jpeg.frame_bytes_max=16K", "--set", "jpeg.quality_min=100", "--quality",
                  "100", "--width", "1280", "--height", "720", "--set", "store.memory=64M") as node:
            status, found = doctor(node, Machine())
            while not any(f["check"] == "frames" and f["state"] == "warning" for f in found):
                status, found = doctor(node, Machine())
            self.expect(found, "camera", "warning", "drawn")
            self.expect(found, "frames", "warning", "did not fit into frame_bytes_max")
            self.assertEqual(status, WRONG)

    def test_a_camera_that_is_gone(self):
        with Node(script="open-fail 1000000\n") as node:
            status, found = doctor(node, Machine())
            self.expect(found, "camera", "fault", "delivers no frames")
            self.assertEqual(status, WRONG)

    def test_no_node(self):
        status, found = doctor("127.0.0.1:1", Machine())
        self.expect(found, "node", "fault", "127.0.0.1:1")
        self.expect(found, "clock", "ok")
        self.assertEqual(status, NO_NODE)

    def test_text_for_people(self):
        run = subprocess.run([f"{BUILD}/pinholectl", "-n", "127.0.0.1:1", "doctor", "--root", Machine().root],
                             capture_output=True, text=True, timeout=120)
        self.assertRegex(run.stdout, r"(?m)^fault +node +no node answers at 127.0.0.1:1\n +-> systemctl")
        run = subprocess.run([f"{BUILD}/pinholectl", "doctor", "--free", "101"], capture_output=True,
                             text=True, timeout=120)
        self.assertEqual(run.returncode, USAGE)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
