#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recorders that share the cameras of a stream, with a real nats-server: each record is in one
sidecar, whoever is killed; what goes wrong is one clear sentence, and is not acknowledged."""

import base64
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from fake_node import JPEG  # noqa: E402
from mqtt import skip_unless  # noqa: E402
from nats import STREAM, Client, Error, Feeder, Server, create_stream  # noqa: E402
from pinhole_node import BUILD, run_cases, wait_for  # noqa: E402
from recording import Recorder, Recording  # noqa: E402
from test_rec_disk import SmallDisk  # noqa: E402

GROUP = ("--group", "line", "--lease-seconds", "0.5", "--sync-seconds", "0.1")


def check(*folders, code):
    """What `pinhole-rec check` says of folders together."""
    done = subprocess.run([f"{BUILD}/pinhole-rec", "check", *folders], capture_output=True,
                          text=True, check=False)
    assert done.returncode == code, done
    return done.stdout


class Bench:
    """A server, a stream, folders, and recorders of one group."""

    def __init__(self, *arguments):
        self.arguments = (*GROUP, *arguments)

    def __enter__(self):
        self.server = Server().wait()
        self.nats = Client(self.server.port)
        create_stream(self.nats)
        self.folder = tempfile.TemporaryDirectory(prefix="pinhole-group-")
        self.recorders = {}
        return self

    def __exit__(self, *_):
        for recorder in self.recorders.values():
            recorder.kill()
        self.nats.close()
        self.server.kill()
        self.server.folder.cleanup()
        self.folder.cleanup()

    def path(self, name):
        return f"{self.folder.name}/{name}"

    def start(self, name, *more, program=("pinhole-rec",), environment=None):
        self.recorders[name] = Recorder(self.path(name), *program[1:], "--from", self.server.url,
                                        *self.arguments, *more, program=program[0],
                                        environment=environment)
        return self.recorders[name]

    def entry(self, camera="gate"):
        """The camera's entry: its owner, and how far it is acknowledged."""
        message = self.nats.last("KV_pinhole-rec-line", f"$KV.pinhole-rec-line.{camera}")
        return json.loads(base64.b64decode(message["data"]))

    def last(self, camera="gate"):
        """The newest record of the present boot that is acknowledged; 0 = none."""
        try:
            boots = self.entry(camera)["boots"]
        except Error:
            return 0  # no entry yet
        return boots[0]["last"] if boots else 0

    def acknowledged(self, sequence, camera="gate"):
        wait_for(f"record {sequence} acknowledged", lambda: self.last(camera) == sequence)

    def names(self):
        return sorted({os.path.basename(path) for path in glob.glob(f"{self.folder.name}/*")})

    def lines(self, camera="gate"):
        """The records' lines of all folders."""
        return [line for name in self.names()
                for segment in Recording(f"{self.path(name)}/{camera}").segments
                for line in segment.lines if line["type"] in ("frame", "event", "missing")]

    def judge(self, feeder, missing=()):
        """All that was sent is in one sidecar of all folders, byte for byte."""
        found = {}
        for name in self.names():
            for segment in Recording(f"{self.path(name)}/{feeder.name}").segments:
                for frame, data in segment.jpegs():
                    key = frame["boot_id"], frame["sequence"]
                    assert key not in found, f"{key} is in {found[key][0]} and in {name}"
                    found[key] = name, data
        assert found.keys() == feeder.sent.keys(), found.keys() ^ feeder.sent.keys()
        assert all(data == feeder.sent[key] for key, (_, data) in found.items())
        check(*(self.path(name) for name in self.names()), code=0)
        told = [(m["first"], m["last"]) for m in self.lines(feeder.name) if m["type"] == "missing"]
        assert told == list(missing), told
        return {name for name, _ in found.values()}


def test_one_dies_the_other_goes_on():
    """kill -9 in the middle: what the dead one had written and not acknowledged is recorded by the
    other, and is taken away when the dead one is back."""
    with Bench("--sync-seconds", "3600") as bench:
        feeder = Feeder(bench.nats, JPEG).run(1, 20)
        first = bench.start("a", "--sync-seconds", "0.2")
        bench.acknowledged(20)
        first.kill()  # before it does more
        bench.start("b", "--sync-seconds", "0.2").wait_log("recording behind message 20 ")
        feeder.run(21, 30)
        bench.acknowledged(30)
        bench.recorders["b"].stop()
        slow = bench.start("c")  # acknowledges nothing by itself
        feeder.run(31, 50)
        slow.wait_log("recording behind message 30 ")
        wait_for("record 50 written", lambda: b'"sequence":50,' in b"".join(
            open(path, "rb").read() for path in glob.glob(f"{bench.path('c')}/gate/*.jsonl.part")))
        assert bench.last() == 30
        slow.kill()
        heir = bench.start("d", "--sync-seconds", "0.2")
        heir.wait_log("recording behind message 30 ")
        feeder.run(51, 60)
        bench.acknowledged(60)
        for name, text in (("a", "recovered, 20 frames"), ("c", "it was not acknowledged")):
            bench.start(name).wait_log(text)
            bench.recorders[name].stop()
        heir.stop()
        assert bench.judge(feeder) == {"a", "b", "d"}


def test_one_that_was_taken_for_dead():
    """A recorder that is stopped for longer than its lease wakes up and must not acknowledge."""
    with Bench() as bench:
        feeder = Feeder(bench.nats, JPEG).run(1, 10)
        sleeper = bench.start("a")
        bench.acknowledged(10)
        sleeper.process.send_signal(signal.SIGSTOP)
        feeder.run(11, 20)
        bench.start("b").wait_log("in place of the recorder on")
        bench.acknowledged(20)
        sleeper.process.send_signal(signal.SIGCONT)
        sleeper.wait_log("has taken over")
        feeder.run(21, 30)
        bench.acknowledged(30)
        bench.recorders["b"].stop()
        bench.acknowledged(30)
        sleeper.wait_log("recording behind message 30 ")
        feeder.run(31, 40)
        bench.acknowledged(40)
        sleeper.stop()
        bench.judge(feeder)


def test_cameras_are_shared():
    """Two recorders that run write no camera both; the server is killed meanwhile."""
    with Bench("--segment-seconds", "0.5") as bench:
        feeders = [Feeder(bench.nats, JPEG, name, boot)
                   for boot, name in enumerate(("gate", "belt", "line_201"), 1)]
        for feeder in feeders:
            feeder.run(1, 10)
        bench.start("a")
        bench.start("b")
        for feeder in feeders:
            bench.acknowledged(10, feeder.name)
        bench.server.kill()
        bench.server.start().wait()
        bench.nats = Client(bench.server.port)
        for feeder in feeders:
            feeder.client = bench.nats
            feeder.run(11, 30)
        for feeder in feeders:
            bench.acknowledged(30, feeder.name)
        owners = {bench.entry(feeder.name)["owner"] for feeder in feeders}
        assert len(owners) == 2, owners
        for recorder in bench.recorders.values():
            recorder.stop()
        for feeder in feeders[:2]:
            bench.judge(feeder)
        feeders[2].name = "line 1"
        bench.judge(feeders[2])


def test_quiet_cameras_cost_little():
    """What two recorders ask of the server for cameras that send nothing: two requests a second for
    each camera's records, and the entries of the other's cameras as often as these are written."""
    with Bench("--lease-seconds", "10") as bench:
        names = [f"camera{i}" for i in range(4)]
        for boot, name in enumerate(names, 1):
            Feeder(bench.nats, JPEG, name, boot).run(1, 1)
        bench.start("a")
        bench.start("b")
        for name in names:
            bench.acknowledged(1, name)
        seen, begin = {"CONSUMER.MSG.NEXT": 0, "STREAM.MSG.GET": 0, "DIRECT.GET": 0}, time.monotonic()
        with Client(bench.server.port) as client:
            client.socket.sendall(b"SUB $JS.API.> 9\r\n")
            while (seconds := time.monotonic() - begin) < 3:
                subject = client.until(b"MSG").split()[1].decode()
                for kind in seen:
                    seen[kind] += kind in subject
        assert 0 < seen["CONSUMER.MSG.NEXT"] <= len(names) * 2 * (seconds + 1), (seen, seconds)
        assert seen["STREAM.MSG.GET"] + seen["DIRECT.GET"] <= len(names) * (seconds + 1), (seen, seconds)
        for recorder in bench.recorders.values():
            recorder.stop()


def test_order_and_holes():
    """Behind a relay that died, records are out of order: the sidecar has them in order. What the
    stream has discarded is told, and a boot that follows too."""
    with Bench() as bench:
        feeder = Feeder(bench.nats, JPEG).run(1, 5)
        for sequence, settled in ((7, 6), (9, 6), (10, 6), (6, 6), (8, 6), (11, 11)):
            feeder.put(sequence, settled)
        for sequence in (12, 15, 14, 13):
            feeder.put(sequence, 12)
        feeder.put(17, 17)  # 16 was discarded
        recorder = bench.start("a")
        bench.acknowledged(17)
        feeder.put(19, 18)  # 18 lacks, and nobody says that it does not come
        feeder.put_boot(0xdef)
        feeder.put(1, 0)  # the event is not acknowledged yet
        feeder.put(2, 1)
        bench.acknowledged(2)
        recorder.stop(4)
        numbers = [(l["boot_id"][-3:], l["sequence"]) for l in bench.lines() if l["type"] == "frame"]
        assert numbers == [("abc", n) for n in (*range(1, 16), 17, 19)] + [("def", 1), ("def", 2)]
        bench.judge(feeder, [(16, 16), (18, 18), (20, None)])


def test_full_disk():
    """Nothing is acknowledged that could not be written, and another recorder goes on."""
    with Bench() as bench, SmallDisk("8M") as small:
        if small is None:
            return
        feeder = Feeder(bench.nats, JPEG).run(1, 5)
        full = bench.start("a", "-o", small, "--container", "jpeg")
        bench.acknowledged(5)
        with open(f"{small}/filler", "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
        for sequence in range(6, 40):
            feeder.put(sequence)
        full.wait_log("it is not acknowledged, and the camera is free for another recorder")
        full.wait_log("has no room for one more camera; others wait for another recorder of group line")
        assert bench.last() < 39
        bench.start("b")
        bench.acknowledged(39)
        os.unlink(f"{small}/filler")
        full.wait_log("recovered")
        for recorder in bench.recorders.values():
            recorder.stop()
        found = {f["sequence"] for f in Recording(f"{small}/gate").frames}
        other = {f["sequence"] for f in Recording(f"{bench.path('b')}/gate").frames}
        assert not found & other and found | other == set(range(1, 40)), (found, other)


def test_folders_together():
    """`check` names what is in no folder, and what is in two."""
    with Bench() as bench:
        feeder = Feeder(bench.nats, JPEG)
        for name, first in (("a", 1), ("b", 11), ("c", 21)):
            feeder.run(first, first + 9)
            bench.start(name)
            bench.acknowledged(first + 9)
            bench.recorders[name].stop()
        feeder.put(1, boot=0xdef)
        bench.start("d")
        bench.acknowledged(1)
        bench.recorders["d"].stop(4)
        folders = [bench.path(name) for name in "abcd"]
        assert check(*folders, code=0).endswith("4 segments, 31 frames, 0 faults\n")
        assert "gate, boot 0000000000000abc: records 11 to 20 are missing\n" in \
            check(folders[0], folders[2], folders[3], code=1)
        shutil.copytree(folders[1], bench.path("copy"))
        said = check(*folders, bench.path("copy"), code=1)
        assert f"records 11 to 20 are there twice: in {folders[1]}/gate and in " \
            f"{bench.path('copy')}/gate\n" in said, said
        for folder in folders:
            check(folder, code=0)


def test_sync_fails():
    """What cannot be synced is not acknowledged: of media, of sidecar and of the folders."""
    faulty = ("tests/pinhole-rec-faulty", "--container", "jpeg", "--segment-seconds", "0")
    with Bench() as bench:
        feeder = Feeder(bench.nats, JPEG).run(1, 5)
        sites = bench.path("sites")
        bench.start("a", program=faulty, environment={"FAIL_SITES": sites})
        bench.acknowledged(5)
        bench.recorders["a"].kill()  # before it completes its segment
        with open(sites, encoding="utf-8") as file:
            syncs = [line.strip() for line in file if "sync" in line.split("@")[0]]
        os.unlink(sites)
        assert len(syncs) == 5, syncs  # two are of the folder's id and of the folder itself
        refused = 0
        for number, site in enumerate(syncs):
            name = f"b{number}"
            recorder = bench.start(name, program=faulty,
                                   environment={"FAIL_SITE": site, "FAIL_ALWAYS": "1"})
            try:
                recorder.wait_log("is not acknowledged")
                refused += 1
                assert bench.last() == 5
            except AssertionError:
                assert re.search("cannot (start|make the folder)", recorder.log), recorder.log
            recorder.kill()
            feeder.put(6 + number)
        assert refused == 3
        bench.start("c")
        bench.acknowledged(10)


def test_sentences():
    """No server, no stream, no JetStream, wrong credentials: each is said once."""
    with tempfile.TemporaryDirectory() as folder:
        def sentence(url, text, *more):
            recorder = Recorder(folder, "--from", url, *GROUP, *more)
            recorder.wait_log(text)
            recorder.stop(3)
            assert recorder.log.count(text) == 1, recorder.log

        sentence("nats://127.0.0.1:1", "no server answers")
        with Server() as server:
            sentence(server.wait().url, f"stream {STREAM}: there is no such stream")
        with Server(has_jetstream=False) as server:
            sentence(server.wait().url, "JetStream is not enabled at this server")
        with Server(lines="authorization { user: camera, password: right }\n") as server:
            wrong = server.path("wrong", "none\n")
            sentence(server.wait().url, "the server refuses the credentials", "--user", "camera",
                     "--password-file", wrong)
        for arguments in (("--from", "nats://a"), ("--group", "x"), ("--from", "nats://u:p@h",
                          "--group", "x"), ("--from", "nats://a", "--group", "x", "cam=1.2.3.4")):
            done = subprocess.run([f"{BUILD}/pinhole-rec", "-o", folder, *arguments],
                                  capture_output=True, text=True, check=False)
            assert done.returncode == 2, done


if __name__ == "__main__":
    skip_unless("nats-server", f"{BUILD}/pinhole-rec-nats.so")
    run_cases(globals())
