#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The recorder's steps on the disk, one by one: the step fails, the process ends there, or the power is
cut there. The next start finds all that was promised, nothing twice, nothing that was not sent, and tells
what is missing. PINHOLE_REC_FULL=1: at every step; else at a part of them."""

import concurrent.futures
import glob
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
import disk  # noqa: E402
from fake_node import JPEG, ScriptedNode  # noqa: E402
from pinhole_node import BUILD, run_cases, wait_for  # noqa: E402
from nats import Feeder  # noqa: E402
from recording import FULL, Recorder, Recording, can_find, has_avformat  # noqa: E402
from test_rec_group import Bench  # noqa: E402

LAST, FEATURES = 14, 4
# Now and then, so that much is at stake in between. After each record, or with segments alone, so that each
# run has equal steps.
SELDOM, ALWAYS, NEVER = (("--sync-seconds", wait) for wait in ("0.005", "0.000001", "0"))


def picture(sequence):
    """Of several pages, without a hole that could be taken for one."""
    noise = hashlib.shake_128(bytes([sequence])).digest(4000 + sequence % 5 * 1500)
    return JPEG[:2] + b"\xff\xfe" + struct.pack(">H", len(noise) + 2) + noise + JPEG[2:]


def script(node, send, _boot_id, start):
    node.asked.append(max(start, 1))
    for sequence in range(max(start, 1), node.sequence_next):
        send(node.event(FEATURES, sequence, text=b"x") if sequence % 5 == 0
             else node.frame(sequence, picture(sequence)))
        time.sleep(0.004)
    node.asked.append("all sent")


class StepsNode(ScriptedNode):
    def __init__(self, last):
        self.asked = []
        super().__init__(script, name=b"cam", sequence_next=last + 1)


def has(folder, sequence):
    for path in glob.glob(f"{folder}/cam/*.jsonl*"):
        try:
            with open(path, "rb") as file:
                if b'"sequence":%d,' % sequence in file.read():
                    return True
        except FileNotFoundError:
            pass  # renamed meanwhile
    return False


def record(folder, last, *arguments, environment=None):
    """Until all is recorded, or nothing more will be. Returns where it went on, and its log."""
    with StepsNode(last) as node:
        recorder = Recorder(folder, *arguments, f"cam={node.address}", environment=environment)
        wait_for("the records", lambda: recorder.process.poll() is not None or has(folder, last) or
                 ("all sent" in node.asked and "cannot" in recorder.log))
        if recorder.process.poll() is None:
            recorder.stop(0, 1, 4, -9)
        return node.asked[0] if node.asked else 0, recorder.log


def content(folder):
    """{path: bytes} of all files."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                found[os.path.relpath(file.name, folder)] = file.read()
    return found


def records_in(sidecar):
    """Sequences of its whole lines."""
    lines = [json.loads(line) for line in sidecar.split(b"\n")[:-1]]
    return {line["sequence"] for line in lines if line["type"] in ("frame", "event")}


def is_sidecar(path):
    return path.endswith((".jsonl", ".jsonl.part"))


def promised_by(steps, place, base):
    """Yields, before each step and after the last, the disk and the records that must not be lost. A
    sync of the camera's folder ends the handing over of a segment."""
    state = disk.Disk(place, base)
    promised = set()
    for path, node in state.files():
        if is_sidecar(path):
            promised |= records_in(node.left("all"))
    is_doubtful = False
    for what, arguments, data in steps:
        yield state, promised
        state.step(what, arguments, data)
        is_doubtful = is_doubtful or what == "lost"
        if what == "rename" and arguments[1].endswith(".jsonl.gone"):
            folder, name = state.find(arguments[1])
            promised = promised - records_in(folder.names[name].left("all"))
        if what == "sync" and not is_doubtful and (
                not arguments or state.node(*arguments) is state.root.names.get("cam")):
            for path, node in state.files():
                if is_sidecar(path):
                    promised = promised | records_in(node.left("all"))
    yield state, promised


class Scene:
    """Recordings of one kind, each judged in a folder of its own."""

    def __init__(self, place, *arguments):
        self.place, self.arguments, self.count, self.judged = place, arguments, 0, 0
        self.seen = set()

    def path(self):
        self.count += 1
        return f"{self.place}/{self.count}"

    def run(self, base=None, fail=None):
        """Records in a folder that begins as `base`. Its path and its steps."""
        folder = self.path()
        if base is None:
            os.mkdir(folder)
        else:
            shutil.copytree(base, folder)
        record(folder, LAST, *self.arguments,
               environment=disk.environment(folder, f"{folder}.steps", fail))
        steps = disk.read_steps(f"{folder}.steps")
        *_, (state, _) = promised_by(steps, folder, base)
        again = self.path()
        state.write(again, "killed")
        # What a failed sync has lost is in the kernel's memory still.
        is_lost = any(what == "lost" for what, _, _ in steps)
        assert is_lost or content(again) == content(folder), "the model of the disk is wrong"
        return folder, steps

    def judge(self, folder, promised, what, is_failure=False):
        """The next start, with a node that has everything still. What failed may be told as missing."""
        asked, log = record(folder, LAST + 2, "-c", self.arguments[1])
        try:
            assert asked > max(promised, default=0), f"goes on at {asked}, promised {promised}"
            recording = Recording(f"{folder}/cam").check(probe=False)
            lines = [line for segment in recording.segments for line in segment.lines]
            found = {line["sequence"] for line in lines if line["type"] in ("frame", "event")}
            assert promised <= found, promised - found
            assert LAST + 2 in found
            for segment in recording.segments:
                for frame, data in segment.jpegs() if segment.frames else ():
                    assert data == picture(frame["sequence"]), frame
            reasons = {line["reason"] for line in recording.missing}
            assert reasons <= ({"not written", "damaged"} if is_failure else set()), recording.missing
            done = subprocess.run([f"{BUILD}/pinhole-rec", "check", folder], check=False,
                                  capture_output=True, text=True)
            assert done.returncode == 0, done.stdout
        except (AssertionError, OSError, ValueError) as error:
            raise AssertionError(f"{what}: {error}\n{log}") from error
        self.judged += 1
        shutil.rmtree(folder)

    def states(self, steps, place, base, wanted=None):
        """What may be found after a cut at each step, once each: (what, folder, promised)."""
        for number, (state, promised) in enumerate(promised_by(steps, place, base), 1):
            if wanted is not None and number not in wanted:
                continue
            for how in disk.LEFT:
                folder = self.path()
                state.write(folder, how)
                key = hashlib.sha256(repr((sorted(content(folder).items()), sorted(promised)))
                                     .encode()).digest()
                if key in self.seen:
                    shutil.rmtree(folder)
                    continue
                self.seen.add(key)
                last = steps[number - 2][:2] if number > 1 else ""
                yield f"{how} after step {number - 1} {last}", folder, promised

    def judge_all(self, states):
        faults = []
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(self.judge, folder, promised, what)
                    for what, folder, promised in states]
            for job in jobs:
                try:
                    job.result()
                except AssertionError as error:
                    faults.append(str(error)[:1500])
        print(*faults, sep="\n")
        return len(faults)


def numbers(steps, is_wanted):
    return [number for number, step in enumerate(steps, 1) if is_wanted(*step)]


def pictures(steps):
    """The steps that write them."""
    return numbers(steps, lambda what, _, data: what == "write" and len(data) > 4000)


def cut_everywhere(container, *arguments):
    with tempfile.TemporaryDirectory() as place:
        scene = Scene(place, "-c", container, *SELDOM, *arguments)
        folder, steps = scene.run()
        assert sum(what == "sync" for what, _, _ in steps) > 5, steps
        # The same for a start that recovers what a killed recorder has left.
        writes = [number for number, step in enumerate(steps, 1) if step[0] == "write"]
        middle = writes[len(writes) // 2]
        killed, _ = scene.run(fail=(middle, "kill"))
        again, more = scene.run(base=killed)
        # Frames of which none is synced.
        whole = Scene(f"{place}/whole", "-c", container, *NEVER, *arguments)
        os.mkdir(whole.place)
        unsynced, all_steps = whole.run()
        faults = whole.judge_all(whole.states(all_steps, unsynced, None, pictures(all_steps)[1:2]))
        for ran, their, base in ((folder, steps, None), (again, more, killed)):
            renamed = [number + 1 for number in numbers(their, lambda what, *_: what == "rename")]
            faults += scene.judge_all(scene.states(their, ran, base, None if FULL else renamed[1:2]))
        print(f"{container}: {len(steps)} + {len(more)} steps, {scene.judged + whole.judged} states in order, "
              f"{faults} not")
        assert scene.judged > 3 and whole.judged > 3 and faults == 0


def fail_at(scene, number, how):
    """One step fails. The next start is judged, and one after a power cut."""
    folder, steps = scene.run(fail=(number, how))
    *_, (state, promised) = promised_by(steps, folder, None)
    scene.judge(folder, promised, f"{how} at step {number}", True)
    for left in ("synced", "no data"):
        cut = scene.path()
        state.write(cut, left)
        scene.judge(cut, promised, f"{how} at step {number}, then {left}", True)


def fail_everywhere(container, *arguments):
    with tempfile.TemporaryDirectory() as place:
        scene = Scene(place, "-c", container, *ALWAYS, *arguments)
        whole = Scene(f"{place}/whole", "-c", container, *NEVER, *arguments)
        os.mkdir(whole.place)
        (_, steps), (_, unsynced), faults = scene.run(), whole.run(), []
        tried = [(scene, number, how) for number, step in enumerate(steps, 1)
                 for how in ("EIO", "ENOSPC", "short", "kill") if how != "short" or step[0] == "write"]
        full = [(whole, number, "ENOSPC") for number in pictures(unsynced)]
        if not FULL:  # the first syncs of media, which another sync follows; a disk that is full; one of all
            media = numbers(steps, lambda what, arguments, _: what == "sync" and
                            (not arguments or ".mkv.part" in arguments[1]))
            tried = [(scene, media[0], "EIO"), tried[len(tried) // 2]]
            full = full[2:3]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for each, job in [(each[1:], pool.submit(fail_at, *each)) for each in tried + full]:
                try:
                    job.result()
                except AssertionError as error:
                    faults.append((each, str(error)[:1500]))
        for fault in faults:
            print(*fault, sep="\n")
        print(f"{container}: {len(tried + full)} failures, {len(faults)} faults")
        assert not faults


CONTAINER = "matroska" if has_avformat() else "jpeg"


def test_cut():
    cut_everywhere(CONTAINER, "--segment-bytes", "40K", "--quota-bytes", "100K")


def test_cut_jpeg():
    cut_everywhere("jpeg", "--segment-bytes", "40K")


def test_fail():
    fail_everywhere(CONTAINER, "--segment-bytes", "40K")


def test_fail_jpeg():
    if FULL:
        fail_everywhere("jpeg", "--segment-bytes", "40K")


def find(folder):
    done = subprocess.run([f"{BUILD}/pinhole-rec", "find", folder], capture_output=True, text=True, check=False,
                          env=os.environ | disk.environment(folder, f"{folder}.steps"))
    return done.returncode, done.stdout.replace(str(folder), ""), done.stderr


def test_index():
    """`find` says the same after a cut while it fills its index."""
    if not can_find():
        print("this build has no SQLite: this case is left out")
        return
    with tempfile.TemporaryDirectory() as place:
        scene = Scene(place, "-c", "jpeg", "--segment-bytes", "40K")
        base, whole, second = scene.path(), scene.path(), scene.path()
        record(base, LAST, "-c", "jpeg", "--segment-bytes", "40K")
        shutil.copytree(base, whole)
        wanted = find(whole)
        assert wanted[0] == 0 and len(wanted[1].splitlines()) > 8, wanted
        # Again, with another segment.
        record(base, LAST + 4, "-c", "jpeg")
        shutil.copytree(base, second)
        shutil.copy(f"{whole}/.pinhole-rec.index", second)
        start = scene.path()
        shutil.copytree(second, start)
        longer = find(second)
        tried = 0
        for folder, before, said in ((whole, None, wanted), (second, start, longer)):
            steps = disk.read_steps(f"{folder}.steps")
            if before is None:  # what there was before the first find
                before = scene.path()
                shutil.copytree(folder, before)
                os.unlink(f"{before}/.pinhole-rec.index")
            filled = [number for number, (_, arguments, _) in enumerate(steps, 2) if arguments[1:] and
                      arguments[1].endswith(".index")]
            for what, cut, _ in scene.states(steps, folder, before, None if FULL else [*filled[-5:-3], len(steps) + 1]):
                tried += 1
                found = find(cut)
                assert found[:2] == said[:2], (what, found, said)
        print(f"index: {tried} states")
        assert tried > 10


def test_group():
    """What a recorder of a group has told the server is on the disk: files, and the names that lead to them."""
    if shutil.which("nats-server") is None or not os.path.exists(f"{BUILD}/pinhole-rec-nats.so"):
        print("nats-server or libnats is not installed: this case is left out")
        return
    with Bench("-c", CONTAINER, "--segment-bytes", "40K") as bench:
        feeder = Feeder(bench.nats, picture(1)).run(1, 20)
        folder = bench.path("a")
        os.mkdir(folder)
        bench.start("a", environment=disk.environment(folder, bench.path("steps")))
        bench.acknowledged(20)
        feeder.run(21, 24)
        bench.acknowledged(24)
        bench.recorders["a"].stop()
        steps, told = disk.read_steps(bench.path("steps")), 0
        os.unlink(bench.path("steps"))
        state = disk.Disk(folder)
        for what, arguments, data in steps:
            state.step(what, arguments, data)
            entry = re.search(rb'\{"owner".*\}', data) if what == "send" else None
            if entry is None:
                continue
            entry = json.loads(entry.group())
            safe = {path: node.safe for path, node in state.files("safe")}
            assert len(safe.get(".pinhole-rec.id", b"")) == 16, safe.keys()
            lines = [json.loads(line) for path, sidecar in safe.items() if is_sidecar(path)
                     for line in sidecar.splitlines()]
            frames = {line["sequence"] for line in lines if line["type"] == "frame"}
            last = entry["boots"][0]["last"] if entry["boots"] else 0
            assert frames >= set(range(1, last + 1)), (last, frames)
            for path, sidecar in safe.items():
                ends = [json.loads(line).get("end", 0) for line in sidecar.splitlines()] if is_sidecar(path) else []
                media = [len(node) for name, node in safe.items() if not is_sidecar(name) and
                         name.startswith(path.split(".jsonl")[0])]
                assert CONTAINER == "jpeg" or max(ends, default=0) <= max(media, default=0), (path, ends, media)
            told = max(told, last)
        assert told == 24, told


if __name__ == "__main__":
    run_cases({name: case for name, case in globals().items()
               if not sys.argv[1:] or name in sys.argv[1:]})
