#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The image for a day of its own time: log, /run, overlay and memory do not grow. The emulator counts
instructions instead of its clock, and skips the time in which its processor would only wait.

HOURS=N   of the machine's time (24)
Last line: "N passed, N failed"."""

import os
import subprocess
import sys
import tempfile

from machine import Card, Machine, run_steps

HOURS = int(os.environ.get("HOURS", "24"))
FRAMES_PER_HOUR = 720
# What is there in KiB, and how much more the last hour may have than the second.
GROWTH_KIB = {"anonymous": 1024, "log": 1024, "run": 256, "overlay": 256, "kernel": 4096}
REPORT = r"""
anonymous() { awk '$1 == "AnonPages:" {print $2}' /proc/meminfo; }
kernel() { awk '$1 == "Slab:" {print $2}' /proc/meminfo; }
log() { du -sk /run/log/journal | cut -f1; }
run() { du -skx --exclude=log/journal --exclude=overlay /run | cut -f1; }
overlay() { du -sk /run/overlay/upper | cut -f1; }
for hour in $(seq %d); do
    sleep 3600
    echo hour $hour anonymous $(anonymous) log $(log) run $(run) overlay $(overlay) kernel $(kernel)
done
"""


def samples(machine, key):
    """One for each hour, from one command that runs in the machine."""
    found = []
    with subprocess.Popen(machine.ssh_command(REPORT % HOURS, key), stdout=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL) as report:
        for line in report.stdout:
            print(f"     {line.rstrip()}", flush=True)
            words = line.split()
            found.append({name: int(value) for name, value in zip(words[::2], words[1::2])})
    assert [sample["hour"] for sample in found] == list(range(1, HOURS + 1)), "the machine has stopped"
    return found


def counter(machine, name):
    status, output, errors = machine.ctl("stats")
    assert status == 0, errors
    return next(int(line.split()[1]) for line in output.splitlines() if line.startswith(name + " "))


def day(folder):
    card = Card(folder)
    card.set_up(framerate=FRAMES_PER_HOUR / 3600)
    key = card.allow_ssh()
    with Machine(card, skips_idle=True) as machine:
        machine.wait_frames()
        before = counter(machine, "pinhole_frames_captured_total")
        found = samples(machine, key)
        frames = counter(machine, "pinhole_frames_captured_total") - before
        print(f"     {frames} frames in {HOURS} hours", flush=True)
        assert frames >= HOURS * FRAMES_PER_HOUR * 0.99, "frames are missing"
        machine.wait_frames()
    for name, allowed in GROWTH_KIB.items():
        assert found[-1][name] <= found[1][name] + allowed, f"{name} has grown"


def main():
    with tempfile.TemporaryDirectory(prefix="pinhole-day-") as folder:
        def a_day_without_growth():
            day(folder)
        return run_steps(a_day_without_growth)


sys.exit(main())
