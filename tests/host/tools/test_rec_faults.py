#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each call of the recorder that can fail, failed once: it does not crash, leak or hang, it does not
say that all was recorded when it was not, and the next start finds a recording in order.
PINHOLE_REC_FULL=1: every site, once failing and for ever; else a part of them."""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from fake_node import ScriptedNode  # noqa: E402
from faults import fail_each  # noqa: E402
from pinhole_node import free_port, run_cases  # noqa: E402
from recording import BUILD, FULL, Recording, has_avformat  # noqa: E402

RECORDS, BEFORE = 12, 6  # of the node, and of those what an earlier run has recorded
FEATURES = 4
SITES_TRIED = 10**6 if FULL else 40
HANG_S = 60
SANITIZERS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:")


def script(node, send, _boot_id, start):
    """Frames with events between, from where they are wanted; then silence."""
    for sequence in range(max(start, 1), node.sequence_next):
        send(node.event(FEATURES, sequence, text=b"x") if sequence % 5 == 0
             else node.frame(sequence))
        time.sleep(0.02)


def run(program, folder, arguments, environment=None):
    """Exit code and log."""
    done = subprocess.run([f"{BUILD}/{program}", "-o", folder, *arguments], capture_output=True,
                          text=True, errors="replace", timeout=HANG_S, check=False,
                          stdin=subprocess.DEVNULL, env=os.environ | (environment or {}))
    log = done.stderr
    assert not any(said in log for said in SANITIZERS), log
    assert done.returncode in (0, 1, 3, 4), (done.returncode, log)
    return done.returncode, log


class Scene:
    """One way to use the recorder, on a folder that has something to recover and to delete."""

    def __init__(self, place, container, listens):
        self.place, self.container, self.listens = place, container, listens
        self.count = 0
        os.makedirs(f"{place}/start")
        self.record(f"{place}/start", "pinhole-rec", last=BEFORE)
        segments = Recording(f"{place}/start/cam").segments
        for suffix in (".jsonl", os.path.splitext(segments[-1].media)[1] or ""):
            os.rename(segments[-1].stem + suffix, segments[-1].stem + suffix + ".part")

    def record(self, folder, program, environment=None, last=RECORDS):
        with ScriptedNode(script, name=b"cam", sequence_next=last + 1) as node:
            arguments = ["-c", self.container, "-s", "0.1", "--quota-bytes", "100K", "--seconds",
                         "0.8" if self.listens else "0.5"]
            if not self.listens:
                return run(program, folder, [*arguments, f"cam={node.address}"], environment)
            port = free_port()
            with concurrent.futures.ThreadPoolExecutor() as pool:
                result = pool.submit(run, program, folder, [*arguments, "--listen",
                                                            f"127.0.0.1:{port}"], environment)
                for _ in range(20):
                    try:
                        node.dial(("127.0.0.1", port))
                        break
                    except OSError:
                        time.sleep(0.05)
                return result.result()

    def sites(self):
        """All that a run without a fault reaches."""
        folder = self.copy()
        self.record(folder, "tests/pinhole-rec-faulty", {"FAIL_SITES": f"{folder}.sites"})
        with open(f"{folder}.sites", encoding="ascii") as file:
            return file.read().split()

    def copy(self):
        self.count += 1
        folder = f"{self.place}/{self.count}"
        shutil.copytree(f"{self.place}/start", folder)
        return folder

    def fail(self, site, is_lasting):
        """One run with that fault, one without; returns new sites on the way."""
        folder = self.copy()
        fault = {"FAIL_SITE": site, "FAIL_SITES": f"{folder}.sites"}
        if is_lasting:
            fault["FAIL_ALWAYS"] = "1"
        try:
            code, log = self.record(folder, "tests/pinhole-rec-faulty", fault)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{site}: hangs: {error.stderr}") from error
        if code == 0:
            assert "0 missing, 0 dropped" in log, (site, log)
        # The next start has the disk and the memory that the fault took.
        run("pinhole-rec", folder, ["--seconds", "0.1", f"cam=127.0.0.1:{free_port()}"])
        done = subprocess.run([f"{BUILD}/pinhole-rec", "check", folder], capture_output=True,
                              text=True, timeout=HANG_S, check=False)
        assert done.returncode in (0, 2), (site, done.stdout, log)
        if code == 0:
            self.check_all_there(folder, site, log)
        with open(f"{folder}.sites", encoding="ascii") as file:
            found = file.read().split()
        shutil.rmtree(folder)
        return found

    def check_all_there(self, folder, site, log):
        """It said that nothing is missing: so all that came is there, without a hole."""
        lines = [line for segment in Recording(f"{folder}/cam").segments for line in segment.lines]
        records = [line for line in lines if line.get("sequence", 0) > BEFORE]
        frames = sum(record["type"] == "frame" for record in records)
        sequences = [record["sequence"] for record in records]
        said = int(re.search(r"(\d+) frames of", log).group(1))
        # A fault during recovery can cut frames of before, which this run then gets again.
        assert frames <= said <= frames + BEFORE, (site, frames, log)
        assert sequences == list(range(BEFORE + 1, BEFORE + 1 + len(records))), \
            (site, sequences, log)


def fail_container(container, listens):
    with tempfile.TemporaryDirectory() as place:
        scene = Scene(place, container, listens)
        known = scene.sites()
        step = (len(known) + SITES_TRIED - 1) // SITES_TRIED
        # jansson itself does not survive a heap that stays empty while it reads.
        waiting = [(site, lasting) for site in known[::step] for lasting in (False, True)
                   if not lasting or (FULL and not site.startswith("json@"))]
        seen, tried, faults = fail_each(known, waiting, scene.fail, FULL)
        print(f"{container}{', listening' * listens}: {seen} sites, {tried} runs, {faults} faults")
        assert tried > 20 and not faults


def test_matroska():
    fail_container("matroska" if has_avformat() else "jpeg", False)


def test_listening_to_a_folder_of_jpegs():
    fail_container("jpeg", True)


if __name__ == "__main__":
    run_cases({name: case for name, case in globals().items()
               if not sys.argv[1:] or name in sys.argv[1:]})
