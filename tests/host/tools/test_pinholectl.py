#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pinholectl and the Python example against a real node with the fake camera."""

import json
import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from fake_node import FakeNode  # noqa: E402

BUILD = Path(os.environ.get("BUILD", "build/release")).resolve()
EXAMPLE = Path("tools/python/read_frames.py").resolve()
COMMANDS = "list watch grab get set features trigger stats ping doctor keygen".split()
PATIENCE_S = 60


class Node:
    """A node with a small picture at 100 frames per second, on a TCP port of its own."""

    def __init__(self, *options, port=0):
        self.folder = tempfile.TemporaryDirectory()
        config = Path(self.folder.name, "node.ini")
        config.write_text("[camera]\ncamera = fake\nwidth = 320\nheight = 240\nframerate = 100\n"
                          f"[server]\nlisten = 127.0.0.1:{port}\nsocket =\n")
        self.process = subprocess.Popen([BUILD / "pinhole", "--config", config, *options],
                                        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        said = b""
        while not (match := re.search(rb"listening on tcp (127\.0\.0\.1:(\d+))\n", said)):
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError("the node does not listen: " + said.decode())
            said += line
        self.address, self.port = match[1].decode(), int(match[2])
        # Its log must not fill the pipe.
        self.reader = threading.Thread(target=self.process.stderr.read, daemon=True)
        self.reader.start()

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        self.reader.join(PATIENCE_S)
        self.process.stderr.close()
        self.folder.cleanup()


class CuttingProxy:
    """Passes connections on to the node and cuts each after so many bytes of the node's."""

    def __init__(self, port, cut_bytes):
        self.port_behind, self.cut_bytes, self.cuts = port, cut_bytes, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self.port_behind)) as node:
                self.pass_on(client, node)

    def pass_on(self, client, node):
        left = self.cut_bytes
        while left > 0:
            ready, _, _ = select.select([client, node], [], [], PATIENCE_S)
            for source in ready:
                try:
                    data = source.recv(min(left, 65536) if source is node else 65536)
                    (client if source is node else node).sendall(data)
                except OSError:
                    return
                if not data:
                    return
                left -= len(data) if source is node else 0
        self.cuts += 1

    def close(self):
        self.listener.close()


def ctl(*arguments, node=None, code=0, text=True):
    """Runs pinholectl to its end; returns stdout. `node` None: the class's node, by environment."""
    environment = dict(os.environ, PINHOLE_NODE=node or Test.node.address)
    done = subprocess.run([BUILD / "pinholectl", *arguments], env=environment, text=text,
                          capture_output=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
    if done.returncode != code:
        raise AssertionError(f"{arguments}: exit {done.returncode} instead of {code}: {done.stderr}")
    ctl.stderr = done.stderr
    return done.stdout


def start(*arguments, **options):
    environment = dict(os.environ, PINHOLE_NODE=Test.node.address)
    return subprocess.Popen([BUILD / "pinholectl", *arguments], env=environment, text=True,
                            stdin=subprocess.DEVNULL, **options)


def objects(output):
    return [json.loads(line) for line in output.splitlines()]


def is_jpeg(data):
    return data[:3] == b"\xff\xd8\xff" and data[-2:] == b"\xff\xd9"


class Test(unittest.TestCase):
    node = None

    @classmethod
    def setUpClass(cls):
        cls.node = Node()

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        ctl("set", "TriggerMode=Off", "ReverseX=0")

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def test_list(self):
        deadline = time.monotonic() + PATIENCE_S
        while "not streaming" in (line := ctl("list")) and time.monotonic() < deadline:
            time.sleep(0.05)  # the camera starts anew after some settings
        for part in (self.node.address, "320x240@100", "streaming"):
            self.assertIn(part, line)
        one, = objects(ctl("list", "--json", self.node.address))
        self.assertEqual((one["width"], one["height"]), ("320", "240"))
        # A dead node does not hide a living one.
        output = ctl("list", "127.0.0.1:1", self.node.address, code=3)
        self.assertIn("320x240@100", output)
        self.assertIn("127.0.0.1:1", ctl.stderr)

    def test_get_set_features(self):
        self.assertEqual(ctl("get", "Width"), "320\n")
        self.assertEqual(ctl("get", "Width", "Height"), "Width=320\nHeight=240\n")
        ctl("set", "ImageCompressionQuality=70", "ReverseX=1")
        self.assertEqual(ctl("get", "ImageCompressionQuality", "ReverseX"),
                         "ImageCompressionQuality=70\nReverseX=1\n")
        # All or nothing, and the node's own words.
        ctl("set", "ImageCompressionQuality=60", "Width=-4", code=1)
        self.assertIn("Width", ctl.stderr)
        self.assertEqual(ctl("get", "ImageCompressionQuality"), "70\n")
        ctl("get", "NoSuchThing", code=1)
        self.assertIn("NoSuchThing", ctl.stderr)
        ctl("set", "DeviceModelName=x", code=1)
        features = {f["name"]: f for f in objects(ctl("features", "--json"))}
        self.assertEqual(features["ReverseX"]["type"], "Boolean")
        self.assertFalse(features["DeviceModelName"]["writable"])
        self.assertEqual(len(ctl("features").splitlines()), len(features))
        self.assertEqual(len(ctl("get").splitlines()), len(features))

    def test_grab_files(self):
        ctl("grab", "-o", f"{self.folder}/one.jpg")
        self.assertTrue(is_jpeg((self.folder / "one.jpg").read_bytes()))
        grabbed = objects(ctl("grab", "--json", "-c", "30", "-p", "every", "-o",
                              f"{self.folder}/%06d-%q-%t-%%.jpg"))
        ids = [g["frame_id"] for g in grabbed]
        self.assertEqual(ids, list(range(ids[0], ids[0] + 30)))
        for g in grabbed:
            name = "%06d-%d-0-%%.jpg" % (g["frame_id"], g["sequence"])
            self.assertEqual(Path(g["file"]).name, name)
            data = (self.folder / name).read_bytes()
            self.assertEqual(len(data), g["bytes"])
            self.assertTrue(is_jpeg(data))
        self.assertEqual(len(self.files()), 31)  # and no temporary file

    def test_grab_elsewhere(self):
        name, = ctl("grab", "-o", self.folder).split()
        self.assertRegex(Path(name).name, r"^pinhole-[0-9a-f]{16}-\d{6,}\.jpg$")
        self.assertTrue(is_jpeg(ctl("grab", "-o", "-", text=False)))
        ctl("grab", "-o", "/nonexistent/x.jpg", code=1)
        self.assertIn("/nonexistent/x.jpg", ctl.stderr)
        first = objects(ctl("grab", "--json", "-o", f"{self.folder}/x"))[0]["sequence"]
        again, = objects(ctl("grab", "--json", "--replace", "-o", f"{self.folder}/x", "--from",
                             str(first)))
        self.assertEqual(again["sequence"], first)
        for pattern in ("%s", "%", "%5", "%n", "%100d"):
            ctl("grab", "-o", pattern, code=2)

    def test_grab_keeps_the_pictures_of_other_boots_and_nodes(self):
        seen = set()
        node = Node()
        try:
            for _ in range(2):
                names = ctl("grab", "-p", "every", "-f", "1", "-c", "3", "-o", f"{self.folder}/",
                            node=node.address).split()
                self.assertEqual(len(set(names) - seen), 3)
                seen |= set(names)
                node.stop()
                node = Node(port=node.port)  # its frames are numbered from 1 again
            other = ctl("grab", "-p", "every", "-c", "3", "-f", "1", "-o", f"{self.folder}/",
                        node=node.address).split()
            self.assertEqual(len(seen | set(other)), 9)
        finally:
            node.stop()
        self.assertEqual(len(self.files()), 9)

    def test_grab_replaces_nothing_that_it_has_not_written(self):
        mine = self.folder / "mine.jpg"
        mine.write_text("precious")
        ctl("grab", "-o", mine, code=1)
        self.assertIn(f"'{mine}' exists; --replace", ctl.stderr)
        self.assertEqual(mine.read_text(), "precious")
        ctl("grab", "-c", "3", "--replace", "-o", mine)
        self.assertTrue(is_jpeg(mine.read_bytes()))
        # With a field in the name the picture gets another one, and that is said.
        (self.folder / "7-0.jpg").write_text("precious")
        for _ in range(2):
            names = ctl("grab", "-c", "2", "-o", f"{self.folder}/7-%t.jpg").split()
            self.assertEqual(ctl.stderr.count("7-0.jpg' exists; the picture is in"), 2)
        self.assertEqual([Path(name).name for name in names], ["7-0~4.jpg", "7-0~5.jpg"])
        self.assertEqual((self.folder / "7-0.jpg").read_text(), "precious")
        self.assertEqual(self.files(),
                         ["7-0.jpg", *(f"7-0~{n}.jpg" for n in range(2, 6)), "mine.jpg"])

    def test_grab_at_an_interval(self):
        grabbed = objects(ctl("grab", "--json", "-c", "4", "--interval", "0.25", "--wait", "5", "-o",
                              f"{self.folder}/%d.jpg"))
        times = [g["timestamp_ns"] for g in grabbed]
        self.assertTrue(all(b - a >= 250_000_000 for a, b in zip(times, times[1:])), times)
        ctl("grab", "--interval", "5000", code=2)
        self.assertIn("--interval takes at most 4294 seconds", ctl.stderr)

    def test_grab_makes_the_folder(self):
        for _ in range(2):  # made, then found
            name, = ctl("grab", "-o", f"{self.folder}/new/").split()
            self.assertEqual(Path(name).parent, self.folder / "new")
        for folder in (f"{self.folder}/a/b/", f"{name}/"):  # one level, and none in a file
            ctl("grab", "-o", folder, code=1)
            self.assertIn(f"cannot make the folder '{folder}': ", ctl.stderr)
        self.assertEqual(self.files(), ["new"])
        # Nothing is left behind of a node that is away.
        ctl("-n", "127.0.0.1:1", "grab", "-o", f"{self.folder}/none/", code=3)
        self.assertEqual(self.files(), ["new"])

    def test_grab_leaves_what_is_no_file(self):
        fifo = f"{self.folder}/fifo"
        os.mkfifo(fifo)
        got = []
        reader = threading.Thread(target=lambda: got.append(open(fifo, "rb").read()))
        reader.start()
        ctl("grab", "-o", fifo)
        reader.join(PATIENCE_S)
        self.assertTrue(is_jpeg(got[0]))
        self.assertTrue(stat.S_ISFIFO(os.stat(fifo).st_mode))

    def test_grab_waits_for_new(self):
        ctl("set", "TriggerMode=On", "TriggerSource=Software")
        ctl("grab", "-o", f"{self.folder}/x", "--new", "--wait", "0.3", code=4)
        self.assertIn("no frame within 0.3 s", ctl.stderr)
        self.assertEqual(self.files(), [])

    def test_triggers(self):
        ctl("set", "TriggerMode=On", "TriggerSource=Software")
        with start("watch", "--triggers", "--json", "-c", "5", stdout=subprocess.PIPE) as watch:
            # The watcher sees what comes after it has subscribed: trigger until it has had enough.
            triggered = []
            deadline = time.monotonic() + PATIENCE_S
            while watch.poll() is None and time.monotonic() < deadline:
                triggered += [o["trigger_id"] for o in objects(ctl("trigger", "--json"))]
            seen = [o for o in objects(watch.stdout.read()) if o.get("event") != "FEATURES"]
        self.assertEqual(watch.returncode, 0)
        ids = []
        for one in seen:
            self.assertIn(one["outcome"], ("MATCHED", "OVERRUN", "MISSED"))
            self.assertEqual(one["source"], "Software")
            ids += [one["trigger_id"]] if "trigger_id" in one else \
                list(range(one["first"], one["last"] + 1))
        self.assertGreaterEqual(len(ids), 5)
        self.assertEqual(sorted(ids), list(range(min(ids), min(ids) + len(ids))))  # each once
        self.assertTrue(set(ids) <= set(triggered))
        ctl("set", "TriggerMode=Off")
        ctl("trigger", code=1)
        self.assertIn("TriggerMode", ctl.stderr)

    def test_watch_sums_triggers_up(self):
        ctl("set", "TriggerMode=On", "TriggerSource=Software")
        before = int(ctl("trigger"))  # ended before the watcher comes: not its business
        deadline = time.monotonic() + PATIENCE_S
        while sum(o["value"] for o in objects(ctl("stats", "--json"))
                  if o["name"] == "pinhole_triggers_total") < before and time.monotonic() < deadline:
            time.sleep(0.05)
        with start("watch", "--triggers", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watch:
            fired, lines = 0, []
            while not select.select([watch.stdout], [], [], 0.05)[0]:
                fired += len(ctl("trigger").split())
            for burst in (1, 1, 1, 1, 8):
                last = int((ids := ctl("trigger", "-c", str(burst)).split())[-1])
                fired += len(ids)
                ended = 0
                while ended < last:
                    lines.append(watch.stdout.readline())
                    ended = int(re.findall(r"triggers? (?:\d+ to )?(\d+)", lines[-1])[0])
            watch.send_signal(signal.SIGINT)
            more, said = watch.communicate(timeout=PATIENCE_S)
        self.assertEqual((watch.returncode, more), (0, ""))
        title, source, exposure, published = said.strip().splitlines()
        self.assertEqual(title, "Triggers while watching:")
        total, *outcomes = map(int, re.fullmatch(
            r"Software +(\d+)  MATCHED (\d+)  MISSED (\d+)  OVERRUN (\d+)  FAILED (\d+)",
            source).groups())
        self.assertEqual(sum(outcomes), total)
        seen = sum(int(b or a) - int(a) + 1 for a, b in re.findall(
            r"^(?:TRIGGER: )?triggers? (\d+)(?: to (\d+))?", "".join(lines), re.M))
        self.assertGreaterEqual(outcomes[0], 4)
        self.assertTrue(12 <= seen <= total <= fired, (seen, total, fired))
        for line, what in ((exposure, "exposure"), (published, "published")):
            count, bars = re.fullmatch(rf"edge to {what} +(\d+)  p50 \S+ \S+.*  p99 \S+ \S+.* "
                                       r"\|([ ▁▂▃▄▅▆▇█]+)\| \d+ (?:us|ms|s)", line).groups()
            self.assertEqual(int(count), outcomes[0])
            self.assertIn("█", bars)
            self.assertNotIn(" ", (bars[0], bars[-1]))
        # Nothing of it where scripts read, nor without a trigger.
        ctl("watch", "--triggers", "-s", "0.1")
        self.assertEqual(ctl.stderr, "")

    def test_watch(self):
        line = ctl("watch", "-c", "20").splitlines()[-1]
        self.assertRegex(line, r"[\d.]+ fps .* kB/frame .* Mbit/s .* capture to here [\d.]+ ms")
        self.assertNotIn("\r", line)
        sums = [o for o in objects(ctl("watch", "--json", "-s", "0.5")) if "fps" in o]
        self.assertGreater(sums[-1]["frames"], 0)
        self.assertEqual(sums[-1]["left_out_for_bit_rate"], 0)

    def test_watch_shows_that_the_bit_rate_binds(self):
        node = Node("--set", "jpeg.quality_min=80", "--set", "jpeg.bit_rate=200000")
        try:
            watches = [start("-n", node.address, *options, "watch", stdout=subprocess.PIPE)
                       for options in ((), ("--json",))]
            for watch, pattern in zip(watches, (r"left out for the bit rate [1-9]",
                                                r'"left_out_for_bit_rate": ?[1-9]')):
                while "fps" not in (line := watch.stdout.readline()):
                    self.assertNotEqual(line, "")
                self.assertRegex(line, pattern)
            for watch in watches:
                watch.send_signal(signal.SIGINT)
                watch.communicate()
        finally:
            node.stop()

    def test_names_by_a_clock_that_steps(self):
        # The third picture was taken an hour before the second by the node's clock.
        step_ns = 3600 * 10**9
        start_ns = 1_800_000_000 * 10**9
        with FakeNode(realtime_ns=lambda n: start_ns + n * 10**6 - step_ns * (n > 2)) as node:
            names = ctl("grab", "-p", "every", "-c", "4", "-o", f"{self.folder}/%T.jpg",
                        node=node.address).split()
        self.assertEqual(len(set(names)), 4)
        self.assertEqual(ctl.stderr.count("clock is not synchronised"), 1)
        self.assertEqual(re.findall(r"set back by (\S+) s before frame (\d+)", ctl.stderr),
                         [("3599.999", "3")])

    def test_nothing_of_the_node_drives_the_terminal(self):
        bad = b"\x1b[2Jforged\r\x7f\xc2\x9b\x9b"
        row = b"Name\tv" + bad + b"\tString\t\t\t\t\trw\t\thelp" + bad + b"\n"
        stats = b"# HELP m " + bad + b"\nm 1\n"
        with FakeNode(name=b"n" + bad, features=row, stats=stats, refusal=b"no" + bad,
                      get=b"\x1b[2J\xc2\x9b\x9b") as node:
            for arguments, code in ((["list"], 0), (["features"], 0), (["get"], 0), (["get", "Name"], 0),
                                    (["stats"], 0), (["stats", "--json"], 0), (["list", "--json"], 0),
                                    (["features", "--json"], 0), (["set", "Name=1"], 1),
                                    (["get", "--json", "Name"], 0)):
                shown = ctl(*arguments, node=node.address, code=code) + ctl.stderr
                if "--json" in arguments:
                    shown = shown.replace("\x7f", "")  # JSON keeps it; a terminal ignores it
                self.assertRegex(shown, r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$", arguments)
                self.assertNotEqual(shown, "")

    def test_interrupts(self):
        for arguments in (["watch"], ["grab", "-c", "0", "--replace", "-o", f"{self.folder}/x"]):
            for number in (signal.SIGINT, signal.SIGTERM):
                with start(*arguments, stdout=subprocess.PIPE) as process:
                    self.assertTrue(process.stdout.readline())
                    process.send_signal(number)
                    process.stdout.read()
                self.assertEqual(process.returncode, 0)
        self.assertEqual(self.files(), ["x"])

    def test_set_says_what_is_in_force(self):
        ctl("set", "ExposureAuto=Off", "ExposureTime=2000")
        self.assertEqual(ctl.stderr, "")
        row = b"AcquisitionFrameRate\t28.4\tFloat\tHz\t0.01\t28.4\t\trw\t\thelp\n"
        with FakeNode(refusal=b"", get=b"28.4", features=row) as node:
            ctl("set", "AcquisitionFrameRate=60", node=node.address)
            self.assertEqual(ctl.stderr, "pinholectl: AcquisitionFrameRate: 60 was asked, 28.4 is in "
                                         "force (0.01..28.4)\n")
            ctl("set", "AcquisitionFrameRate=28.40", node=node.address)
            self.assertEqual(ctl.stderr, "")
        ctl("set", "ExposureTime=500000", code=1)
        self.assertIn("AcquisitionFrameRate", ctl.stderr)

    def test_watch_says_that_the_node_hangs(self):
        node = Node()
        try:
            with start("-n", node.address, "--timeout", "0.5", "watch", stdout=subprocess.PIPE) as watch:
                while "fps" not in watch.stdout.readline():
                    pass
                node.process.send_signal(signal.SIGSTOP)
                while "DISCONNECTED" not in (line := watch.stdout.readline()):
                    self.assertNotEqual(line, "")
                self.assertRegex(line, "DISCONNECTED: .*(answer|silent|PING)")
                watch.send_signal(signal.SIGINT)
                watch.stdout.read()
        finally:
            node.process.send_signal(signal.SIGCONT)
            node.stop()

    def test_watch_on_a_terminal(self):
        master, slave = pty.openpty()
        process = start("watch", stdout=slave)
        os.close(slave)
        shown = b""
        while shown.count(b"\r\x1b[K") < 2:  # refreshed in place
            ready, _, _ = select.select([master], [], [], PATIENCE_S)
            self.assertTrue(ready)
            shown += os.read(master, 4096)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE_S), 0)
        os.close(master)
        self.assertNotIn(b"fps\n", shown)

    def test_stats_and_ping(self):
        self.assertIn("\npinhole_frames_captured_total ", ctl("stats"))
        samples = objects(ctl("stats", "--json"))
        names = [s["name"] for s in samples]
        self.assertIn("pinhole_clients", names)
        self.assertTrue(any(s.get("labels", "").startswith("le=") for s in samples))
        self.assertEqual(len(objects(ctl("ping", "--json", "-c", "3", "-i", "0.01"))), 3)

    def test_usage(self):
        for arguments in ([], ["frob"], ["watch", "--frob"], ["grab", "x"], ["set"], ["set", "Width"],
                          ["grab", "-c", "x"], ["grab", "-p", "some"], ["watch", "-s", "0"],
                          ["trigger", "-c", "0"], ["ping", "x:y:z", "-i", "-1"]):
            ctl(*arguments, code=2)
            self.assertTrue(ctl.stderr.strip())
        # A stray address is not passed over: it would ask the default node in its place.
        for command in ("doctor", "ping", "stats", "trigger", "watch"):
            ctl(command, "192.0.2.1", code=2)
            self.assertIn(f"{command} takes no argument '192.0.2.1'", ctl.stderr)
        ctl("-n", "127.0.0.1:99999", "ping", code=2)
        ctl("-n", "http://127.0.0.1:7447", "ping", code=2)
        self.assertIn("leave out the scheme (http://)", ctl.stderr)
        for command in COMMANDS:
            self.assertIn(command, ctl("--help"))
            self.assertIn("Usage: pinholectl " + command, ctl(command, "--help"))
        self.assertRegex(ctl("--version"), r"^pinholectl \d+\.\d+\.\d+\n$")

    def test_no_node(self):
        ctl("-n", "127.0.0.1:1", "ping", code=3)
        self.assertIn("refused", ctl.stderr)
        ctl("ping", "--node", f"unix:{self.folder}/none", code=3)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = "127.0.0.1:%d" % silent.getsockname()[1]
            ctl("ping", "-n", address, "--timeout", "0.2", code=3)
            self.assertIn("greeting", ctl.stderr)

    def test_cut_links_lose_nothing(self):
        proxy = CuttingProxy(self.node.port, 300_000)
        self.addCleanup(proxy.close)
        output = ctl("-n", proxy.address, "grab", "--json", "-p", "every", "-c", "300", "--new",
                     "-o", f"{self.folder}/x")
        ids = [g["frame_id"] for g in objects(output)]
        self.assertEqual(ids, list(range(ids[0], ids[0] + 300)))
        # Each break told once; the last cut may fall behind the last frame wanted.
        breaks = len(re.findall(r"\bDISCONNECTED", ctl.stderr))
        self.assertGreater(breaks, 1)
        self.assertEqual(len(re.findall(r"\bRECONNECTED", ctl.stderr)), breaks)
        self.assertLessEqual(breaks, proxy.cuts)
        self.assertNotIn("GAP", ctl.stderr)

    def test_node_restart(self):
        node = Node()
        try:
            environment = dict(os.environ, PINHOLE_NODE=node.address)
            with subprocess.Popen([BUILD / "pinholectl", "grab", "--json", "-p", "every", "-c", "0",
                                   "-o", f"{self.folder}/x"], env=environment, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as grab:
                before = json.loads(grab.stdout.readline())
                node.stop()
                node = Node(port=node.port)
                boot = before["boot_id"]
                while boot == before["boot_id"]:
                    last = json.loads(grab.stdout.readline())
                    boot = last["boot_id"]
                grab.send_signal(signal.SIGINT)
                said = grab.communicate(timeout=PATIENCE_S)[1]
            self.assertEqual(last["frame_id"], 1)  # the new log from its start
            self.assertEqual([word for word in re.findall("[A-Z]{3,}", said)
                              if word in ("DISCONNECTED", "RECONNECTED", "BOOT", "GAP")],
                             ["DISCONNECTED", "RECONNECTED", "BOOT"])
        finally:
            node.stop()

    def test_python_example(self):
        done = subprocess.run([sys.executable, EXAMPLE, self.node.address, "3"], cwd=self.folder,
                              text=True, capture_output=True, timeout=PATIENCE_S, check=True)
        self.assertEqual(len(re.findall(r"^frame \d+: 320x240, \d+ bytes", done.stdout, re.M)), 3)
        self.assertTrue(is_jpeg((self.folder / "last.jpg").read_bytes()))
        self.assertLessEqual(len(EXAMPLE.read_text().splitlines()), 60)

    def test_python_example_usage(self):
        for arguments, code in ((["--help"], 0), (["-h"], 0), (["x", "y"], 2),
                                (["a", "1", "c"], 2), (["--frob"], 2)):
            done = subprocess.run([sys.executable, EXAMPLE, *arguments], cwd=self.folder, text=True,
                                  capture_output=True, timeout=PATIENCE_S, check=False)
            self.assertEqual(done.returncode, code, arguments)
            self.assertIn("read_frames.py [-h] [HOST[:PORT]] [COUNT]", done.stdout + done.stderr)
            self.assertNotIn("Traceback", done.stderr)
        self.assertEqual(self.files(), [])


if __name__ == "__main__":
    if not (BUILD / "pinhole").exists():
        print(f"{BUILD}/pinhole is not built")
        sys.exit(1)
    unittest.main()
