#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sidecars: what recovery needs of them, and what readers make of them."""

import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from pinhole_node import run_cases  # noqa: E402
from recording import Recorder, free_port  # noqa: E402

MIB = 1 << 20


def line(**members):
    return json.dumps(members, separators=(",", ":")) + "\n"


def write_unfinished(folder, bytes_wanted):
    """A sidecar of events that no recorder has completed."""
    os.makedirs(folder)
    with open(f"{folder}/00000001_x.jsonl.part", "w", encoding="utf-8") as file:
        file.write(line(type="segment", format=1, camera="cam", container="matroska",
                        media="00000001_x.mkv", boot_id="7"))
        sequence, written = 0, 0
        while written < bytes_wanted:
            sequence += 1
            written += file.write(line(type="event", kind="FEATURES", boot_id="7",
                                       sequence=sequence, text="x" * 4000))
    return sequence


def peak_memory(folder, said):
    """Bytes of memory at the most until the recorder has said that."""
    recorder = Recorder(folder, f"cam=127.0.0.1:{free_port()}")
    recorder.wait_log(said)
    with open(f"/proc/{recorder.process.pid}/status", encoding="ascii") as status:
        peak = next(int(row.split()[1]) for row in status if row.startswith("VmHWM:"))
    recorder.stop(3)
    return peak << 10


def test_recovery_reads_by_lines():
    """A sidecar larger than the memory that recovery may take."""
    with tempfile.TemporaryDirectory() as folder:
        before = peak_memory(f"{folder}/empty", "trying on")
        events = write_unfinished(f"{folder}/full/cam", 24 * MIB)
        after = peak_memory(f"{folder}/full", "trying on")
        print(f"peak without: {before >> 20} MiB, with 24 MiB of lines: {after >> 20} MiB")
        assert after - before < 12 * MIB, (before, after)
        with open(f"{folder}/full/cam/00000001_x.jsonl", encoding="utf-8") as file:
            lines = [json.loads(row) for row in file]
        assert lines[-1]["type"] == "recovered" and lines[-2]["sequence"] == events


if __name__ == "__main__":
    run_cases({name: case for name, case in globals().items()
               if not sys.argv[1:] or name in sys.argv[1:]})
