#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Nodes that dial in: who may, under which name, who takes over from whom, and what a node that
lies can do to a recording."""

import hmac
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
import pinhole_wire as wire  # noqa: E402
from fake_node import ERROR, PROVE, FakeNode, ScriptedNode, message  # noqa: E402
from keyed_node import bad_keys, write_key  # noqa: E402
from pinhole_node import BUILD, Node, free_port, run, run_cases, wait_for  # noqa: E402
from recording import Recorder, Recording, count_lines  # noqa: E402

GAP = 1


def listening(folder, *options):
    port = free_port()
    recorder = Recorder(folder, "--listen", f"127.0.0.1:{port}", *options)
    recorder.wait_log("listening")
    return recorder, ("127.0.0.1", port)


def frames_from(first, count, then=lambda send: None):
    """A script that sends so many frames from `first` or from where they are wanted."""
    def script(node, send, boot_id, start):
        begin = start if boot_id == node.boot_id and start not in (0, 2**64 - 1) else first
        for sequence in range(begin, first + count):
            send(node.frame(sequence))
        then(send)
    return script


def dial_in_vain(node, port):
    """The recorder closes the connection."""
    link = node.dial(port)
    wait_for("the connection's end", lambda: any(link is each for each in node.over))


def sequences(folder, boot_id=7):
    return [f["sequence"] for f in Recording(folder).frames if f["boot_id"] == f"{boot_id:016x}"]


def test_silent_camera_is_not_taken_over():
    """A triggered camera may send nothing for hours: it is asked, answers, and stays."""
    with tempfile.TemporaryDirectory() as folder, \
            ScriptedNode(frames_from(1, 3), name=b"gate") as camera, \
            ScriptedNode(frames_from(1, 3), name=b"gate", boot_id=8) as rival, \
            ScriptedNode(frames_from(1, 3), name=b"gate", boot_id=7) as twin:
        recorder, port = listening(folder)
        camera.dial(port)
        wait_for("frames", lambda: count_lines(f"{folder}/gate") == 3)
        time.sleep(5.5)  # more silence than a live camera was once allowed
        # Not even a node that knows the camera's boot id.
        for intruder, said in ((rival, "another node of that name"), (twin, "the node answers")):
            dial_in_vain(intruder, port)
            recorder.wait_log(said)
        recorder.stop()
        assert sequences(f"{folder}/gate") == [1, 2, 3] and not sequences(f"{folder}/gate", 8)


def test_dead_link_is_taken_over():
    with tempfile.TemporaryDirectory() as folder, \
            ScriptedNode(frames_from(1, 3), name=b"gate") as camera, \
            ScriptedNode(frames_from(1, 6), name=b"gate", sequence_next=4) as again:
        recorder, port = listening(folder)
        camera.dial(port)
        wait_for("frames", lambda: count_lines(f"{folder}/gate") == 3)
        camera.is_answering = False
        again.dial(port)
        wait_for("frames", lambda: count_lines(f"{folder}/gate") == 6)
        assert "does not answer any more" in recorder.log
        recorder.stop()
        Recording(f"{folder}/gate").check(probe=False)


def test_gap_beyond_the_log_is_refused():
    """One GAP far ahead would make all that the camera records later something already seen."""
    def poison(send):
        send(liar.event(GAP, 10**12, first=4, last=10**12))

    with tempfile.TemporaryDirectory() as folder, \
            ScriptedNode(frames_from(1, 3, poison), name=b"gate") as liar, \
            ScriptedNode(frames_from(1, 8), name=b"gate", sequence_next=4) as camera:
        recorder, port = listening(folder)
        dial_in_vain(liar, port)
        recorder.wait_log("a GAP up to record 1000000000000 came, but the log ended at")
        camera.dial(port)
        wait_for("frames", lambda: count_lines(f"{folder}/gate") == 8)
        recorder.stop()
        assert sequences(f"{folder}/gate") == list(range(1, 9))
        Recording(f"{folder}/gate").check(probe=False)


def test_recording_ahead_of_the_log_is_put_right():
    """A HELLO that lied, and a GAP to match. The camera's own HELLO shows it, after a restart of
    the recorder too."""
    def poison(send):
        send(liar.event(GAP, 10**12, first=4, last=10**12))

    with tempfile.TemporaryDirectory() as folder, \
            ScriptedNode(frames_from(1, 3, poison), name=b"gate", sequence_next=10**13) as liar, \
            ScriptedNode(frames_from(4, 5), name=b"gate", sequence_next=4) as camera:
        recorder, port = listening(folder)
        link = liar.dial(port)
        wait_for("the GAP", lambda: count_lines(f"{folder}/gate", "missing") == 1)
        link.close()
        recorder.stop(4)
        recorder, port = listening(folder)
        camera.dial(port)
        wait_for("frames", lambda: count_lines(f"{folder}/gate") == 8)
        assert "the node's log ends before 4" in recorder.log
        recorder.stop()
        assert sequences(f"{folder}/gate") == list(range(1, 9))
        corrected = [line for s in Recording(f"{folder}/gate").segments for line in s.lines
                     if line["type"] == "corrected"]
        assert [(line["last"], line["boot_id"]) for line in corrected] == [(3, f"{7:016x}")]


def test_boot_that_comes_back_is_not_recorded_twice():
    """A, B, A: also when the recorder is started anew between."""
    with tempfile.TemporaryDirectory() as folder, \
            ScriptedNode(frames_from(1, 5), name=b"gate", boot_id=0xA, sequence_next=6) as one, \
            ScriptedNode(frames_from(1, 4), name=b"gate", boot_id=0xB, sequence_next=5) as two, \
            ScriptedNode(lambda node, send, *_: [send(node.frame(n)) for n in range(1, 9)],
                         name=b"gate", boot_id=0xA, sequence_next=9) as back:
        for restarts in (False, True):
            place = f"{folder}/{restarts}"
            recorder, port = listening(place)
            for number, (node, enough) in enumerate(((one, 5), (two, 9), (back, 12))):
                if restarts and number > 0:
                    recorder.stop(0, 4)
                    recorder, port = listening(place)
                link = node.dial(port)
                wait_for("frames", lambda n=enough, p=place: count_lines(f"{p}/gate") >= n)
                link.close()
            recorder.stop(0, 4)
            assert sequences(f"{place}/gate", 0xA) == list(range(1, 9)), restarts
            assert sequences(f"{place}/gate", 0xB) == list(range(1, 5)), restarts
            assert "5 records came though they were recorded" in recorder.log, recorder.log
            Recording(f"{place}/gate").check(probe=False)


def test_invented_names_leave_again():
    """64 names that nobody comes back for do not keep the 65th camera out."""
    with tempfile.TemporaryDirectory() as folder:
        recorder, port = listening(folder)
        for number in range(70):
            with FakeNode(name=f"invented {number}".encode(), boot_id=number + 1,
                          frames_per_second=1000) as node:
                node.dial(port)
                wait_for("a frame", lambda n=number: count_lines(f"{folder}/invented {n}") > 0)
        recorder.stop(0, 4)
        assert "not recorded" not in recorder.log
        frames = sum(len(Recording(f"{folder}/{name}").frames) for name in os.listdir(folder)
                     if not name.startswith("."))
        assert f"{frames} frames of" in recorder.log, (frames, recorder.log[-300:])


def test_one_address_leaves_places_to_others():
    """Living cameras of one address, more than there are places, do not keep another's out."""
    with tempfile.TemporaryDirectory() as folder, FakeNode(name=b"gate") as gate:
        recorder, port = listening(folder)
        nodes = [ScriptedNode(frames_from(1, 1), name=f"invented {n}".encode(), boot_id=n + 100)
                 for n in range(40)]
        for node in nodes:
            node.dial(port, "127.0.0.2")
        recorder.wait_log("32 cameras dial in from that address")
        wait_for("refusals", lambda: sum(len(node.over) for node in nodes) == 8)
        gate.dial(port, "127.0.0.3")
        wait_for("frames", lambda: count_lines(f"{folder}/gate") > 3)
        # One that dials again while its connection is taken to be alive is no camera more.
        again = next(node for node in nodes if not node.over)
        again.dial(port, "127.0.0.2")
        recorder.wait_log("refused 127.0.0.2 port")
        recorder.wait_log("the node answers on the connection that it has")
        recorder.stop()
        for node in nodes:
            node.__exit__()


def test_one_address_leaves_connections_to_others():
    """Connections that say nothing are closed after seconds. Until then another gets in."""
    with tempfile.TemporaryDirectory() as folder, FakeNode(name=b"gate") as gate:
        recorder, port = listening(folder)
        silent = [socket.create_connection(port, source_address=("127.0.0.2", 0))
                  for _ in range(200)]
        recorder.wait_log("refused 127.0.0.2 port")
        assert "too many connections from that address" in recorder.log, recorder.log
        gate.dial(port, "127.0.0.3")
        wait_for("frames", lambda: count_lines(f"{folder}/gate") > 0)
        assert recorder.log.count("refused") < 200  # said once a second
        for link in silent:
            link.close()
        recorder.stop()


class ProvingNode(FakeNode):
    """A node that knows a secret, and computes its proof as SPEC.md says."""

    def __init__(self, secret, **options):
        self.secret = secret
        super().__init__(**options)

    def _answer(self, kind, asked, tag):
        if kind != PROVE:
            return super()._answer(kind, asked, tag)
        text = b"PINHOLE PROVE 1\n" + asked + struct.pack("<Q", self.boot_id) + self.name
        return message(PROVE, hmac.digest(self.secret, text, "sha256"), tag, 1)


def refusal(kind):
    """Answers PROVE as a node does that cannot: ERROR with this code."""
    class Unable(FakeNode):
        def _answer(self, asked_kind, asked, tag):
            if asked_kind != PROVE:
                return super()._answer(asked_kind, asked, tag)
            return message(ERROR, struct.pack("<HHI", 8, kind, 0) + b"no secret here", tag, 1)
    return Unable


def test_secret():
    """Only who knows it is recorded. A node of ours, one as SPEC.md says, and those that cannot."""
    secret = b"correct horse battery staple"
    with tempfile.TemporaryDirectory() as place:
        folder = f"{place}/out"
        recorder, port = listening(folder, "--uplink-secret",
                                   write_key(place, "theirs", secret + b"\n"))
        with ProvingNode(secret, name=b"gate") as gate, \
                ProvingNode(secret + b"r", name=b"wrong") as wrong, \
                refusal(6)(name=b"old") as old, refusal(10)(name=b"unset") as unset, \
                Node("--uplink", "%s:%d" % port, "--set", "node.name=belt", "--uplink-secret",
                     write_key(place, "ours", secret)):
            gate.dial(port)
            for node, said in ((wrong, "the node does not know the secret"),
                               (old, "software is older than uplink secrets"),
                               (unset, "no secret here")):
                dial_in_vain(node, port)
                recorder.wait_log(said)
            for name in ("gate", "belt"):
                wait_for("frames", lambda n=name: count_lines(f"{folder}/{n}") > 3)
        recorder.stop(0, 4)
        assert {n for n in os.listdir(folder) if n[0] != "."} == {"gate", "belt"}
        assert "staple" not in recorder.log


def test_secret_goes_to_the_uplink_alone():
    """A stranger who connects to the node gets no proof that it could pass on."""
    with tempfile.TemporaryDirectory() as place:
        path = write_key(place, "secret", b"0123456789abcdef")
        with Node("--uplink", f"127.0.0.1:{free_port()}", "--uplink-secret", path) as node:
            with wire.Client(node.address) as client:
                client.send(PROVE, bytes(32), tag=5)
                answer = client.receive()
                assert answer.type == ERROR and "not dialled" in answer.text, answer


def test_secret_file_must_be_good():
    with tempfile.TemporaryDirectory() as place:
        for path, said in bad_keys(place):
            done = subprocess.run([f"{BUILD}/pinhole-rec", "-o", f"{place}/out", "--listen",
                                   "127.0.0.1:0", "--uplink-secret", path], capture_output=True,
                                  text=True, check=False)
            assert done.returncode == 2 and said in done.stderr, (path, done)
            arguments = ("--uplink", "127.0.0.1:1", "--uplink-secret", path, "--camera", "fake")
            for more in (("--check-config",), ()):
                status, _, log = run(*arguments, *more)
                assert status == 2 and said in log, (path, more, status, log)


def test_a_name_without_records_makes_no_folder():
    with tempfile.TemporaryDirectory() as folder, \
            ScriptedNode(lambda *_: None, name=b"invented") as node:
        recorder, port = listening(folder)
        node.dial(port)
        recorder.wait_log("invented: dialled in")
        recorder.stop()
        assert os.listdir(folder) == [".pinhole-rec.lock"]


def test_allow():
    with tempfile.TemporaryDirectory() as folder, \
            FakeNode(name=b"gate") as gate, FakeNode(name=b"belt", boot_id=8) as belt:
        recorder, port = listening(folder, "--allow", "10.0.0.0/8")
        dial_in_vain(gate, port)
        recorder.wait_log("refused 127.0.0.1 port")
        assert recorder.log.count("not in --allow") == 1
        recorder.stop(3)
        recorder, port = listening(folder, "--allow", "gate=127.0.0.0/8", "--allow", "belt=::1")
        gate.dial(port)
        dial_in_vain(belt, port)
        recorder.wait_log("belt: refused 127.0.0.1 port")
        wait_for("frames", lambda: count_lines(f"{folder}/gate") > 3)
        recorder.stop()
        assert not os.path.exists(f"{folder}/belt")


def test_names_outside_ascii():
    """Names that differ stay different, whatever they are made of."""
    names = ("相机一", "相机二", "Tür ä", "Tür ö", "gate 1", "gate_1", "a/b", "a%2Fb", ".hidden",
             "-o", "bell\x07")
    files = {"相机一", "相机二", "Tür ä", "Tür ö", "gate 1", "gate_1", "a%2Fb", "a%252Fb",
             "%2Ehidden", "%2Do", "bell "}  # the library replaces control characters
    with tempfile.TemporaryDirectory() as folder:
        recorder, port = listening(folder)
        nodes = [FakeNode(name=name.encode(), boot_id=number + 1)
                 for number, name in enumerate(names)]
        for node in nodes:
            node.dial(port)
        wait_for("all folders", lambda: all(count_lines(f"{folder}/{f}") > 2 for f in files))
        recorder.stop()
        for node in nodes:
            node.__exit__()
        assert set(os.listdir(folder)) == files | {".pinhole-rec.lock"}
        assert "refused" not in recorder.log and "\x07" not in recorder.log


def test_equal_names_get_the_serial_number():
    with tempfile.TemporaryDirectory() as folder, \
            FakeNode(name=b"gate", get=b"S1") as one, \
            FakeNode(name=b"gate", get=b"S2", boot_id=8) as two:
        for order in ((one, two), (two, one)):
            recorder, port = listening(folder)
            before = {name: count_lines(f"{folder}/{name}") for name in ("gate", "gate@S2")}
            order[0].dial(port)
            if order[0] is one:  # the name is his who comes first, and stays his
                wait_for("frames of the first", lambda: count_lines(f"{folder}/gate") > 0)
            order[1].dial(port)
            wait_for("frames of both", lambda b=before: all(
                count_lines(f"{folder}/{name}") > b[name] + 2 for name in b))
            recorder.stop(0, 4)
        for name, boot_id in (("gate", 7), ("gate@S2", 8)):
            assert {f["boot_id"] for f in Recording(f"{folder}/{name}").frames} == \
                {f"{boot_id:016x}"}, name


def test_hung_node_is_said():
    """No record and no answer: a sentence, and a line in the sidecar."""
    with tempfile.TemporaryDirectory() as folder, \
            ScriptedNode(frames_from(1, 3), name=b"gate") as node:
        recorder, port = listening(folder)
        node.dial(port)
        wait_for("frames", lambda: count_lines(f"{folder}/gate") == 3)
        node.is_answering = False
        recorder.wait_log("gate: the node does not answer")
        node.is_answering = True
        recorder.wait_log("gate: the node answers again")
        recorder.stop()
        states = [line["state"] for s in Recording(f"{folder}/gate").segments for line in s.lines
                  if line["type"] == "link"]
        assert states == ["stalled", "up"], states


def test_a_byte_now_and_then_is_no_answer():
    """A frame that drips: bytes come, but never a record."""
    def drip(node, send, *_):
        send(node.frame(1))
        frame = node.frame(2)
        for at in range(len(frame) - 1):
            send(frame[at:at + 1])
            time.sleep(0.5)

    with tempfile.TemporaryDirectory() as folder, ScriptedNode(drip, name=b"gate") as node:
        recorder, port = listening(folder)
        node.dial(port)
        wait_for("a frame", lambda: count_lines(f"{folder}/gate") == 1)
        node.is_answering = False
        recorder.wait_log("gate: the node does not answer")
        recorder.stop()


def test_connections_that_say_nothing():
    with tempfile.TemporaryDirectory() as folder, FakeNode(name=b"gate") as node:
        recorder, port = listening(folder)
        silent = [socket.create_connection(port) for _ in range(20)]
        node.dial(port)
        wait_for("frames", lambda: count_lines(f"{folder}/gate") > 3)
        assert all(link.recv(4096) == b"" for link in silent)
        recorder.stop()


if __name__ == "__main__":
    run_cases({name: case for name, case in globals().items()
               if not sys.argv[1:] or name in sys.argv[1:]})
