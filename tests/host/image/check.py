#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The image, as it is, in an emulated machine: settings edited on its boot partition from outside,
pictures through the network, a mistake in the settings, the serial console, power cuts. Each stop is a
cut: the emulator is killed.

CUTS=N      how often the power is cut (50), in turns while it starts and while it streams
SEED=N      of the random moments; it is printed
Last line: "N passed, N failed"."""

import os
import random
import re
import sys
import tempfile
import time

from machine import CARD_MIB, MIB, NAME, PATIENCE_S, Card, Machine, run_steps, wait_for

CUTS = int(os.environ.get("CUTS", "50"))
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
PASSWORD = "a good long one"


class Check:
    """The steps in order; each stands on those before it."""

    def __init__(self, folder):
        self.random = random.Random(SEED)
        begin = time.monotonic()
        self.card = Card(folder)
        print(f"     the image unpacked to a card: {time.monotonic() - begin:.0f} s", flush=True)
        self.root = self.card.digest(2)
        self.data_bytes = self.card.partition(4)[1]
        self.start_s, self.serial, self.key, self.ssh_key = 0.0, None, None, None

    def status(self):
        return self.card.read("pinhole-status.txt").decode()

    def check_systems(self):
        """They are clean, and the root has its bytes still."""
        self.card.check_boot()
        self.card.check_data()
        assert self.card.digest(2) == self.root, "the root was written"

    def check_identity(self, machine):
        """It is the same one."""
        assert machine.feature("DeviceUserID") == NAME
        assert machine.feature("DeviceSerialNumber") == self.serial
        wait_for("the same SSH key", lambda: machine.ssh_key() == self.ssh_key, PATIENCE_S)

    def first_start(self):
        """The settings of the boot partition are used, the data partition has grown."""
        self.card.set_up()
        self.card.edit("pinhole-network.ini", "network", hostname="line1")
        with Machine(self.card) as machine:
            self.start_s = machine.wait_frames()
            print(f"     first start to pictures: {self.start_s:.0f} s", flush=True)
            begin = time.monotonic()
            assert machine.feature("DeviceUserID") == NAME
            machine.wait_frames(1)
            print(f"     found by its name, one more picture: {time.monotonic() - begin:.1f} s", flush=True)
            assert machine.ssh_key() == "", "SSH answers, though nobody gave a key"
            wait_for("the data partition has grown", lambda: sum(self.card.partition(4)) == CARD_MIB * MIB,
                     PATIENCE_S)
            self.serial = machine.feature("DeviceSerialNumber")
        assert "pinhole.ini: good, in use." in self.status(), self.status()
        assert "pinhole-network.ini: good, in use." in self.status(), self.status()
        assert self.card.partition(4)[1] > self.data_bytes
        self.check_systems()

    def mistake(self):
        """It is named with its line, and the last good settings stay in use. SSH answers who has a key."""
        good = self.card.read("pinhole.ini")
        self.card.write("pinhole.ini", b"[node]\r\nname = mistaken\r\n[jpeg]\r\nqualty = 80\r\n")
        self.key = self.card.allow_ssh()
        with Machine(self.card) as machine:
            machine.wait_frames()
            assert machine.feature("DeviceUserID") == NAME
            self.ssh_key = wait_for("SSH answers", machine.ssh_key, PATIENCE_S)
        sentence = "pinhole.ini: NOT used. pinhole.ini:4: there is no key 'qualty' in [jpeg]"
        assert sentence in self.status() and "the last good one stays in use" in self.status(), self.status()
        self.check_systems()
        self.card.write("pinhole.ini", good)

    def rescue(self):
        """Nobody logs in on the serial console until pinhole-network.ini has a password."""
        with Machine(self.card) as machine:
            machine.wait_frames()
            for password in "", PASSWORD:
                assert "incorrect" in machine.log_in(password), machine.log()[-1000:]
        self.card.edit("pinhole-network.ini", "console", password=PASSWORD)
        with Machine(self.card) as machine:
            machine.wait_frames()
            assert "incorrect" in machine.log_in("another one"), machine.log()[-1000:]
            assert re.search(r"[\r\n]0[\r\n]", machine.log_in(PASSWORD)), machine.log()[-1000:]
            machine.wait_frames()
        self.check_systems()

    def late_udev(self):
        """Once on a busy machine udev's daemon ended before it had answered, and the kernel panicked."""
        script = "#!/bin/sh\nudevadm control --exit\nexit 1\n"
        with Machine(self.card, early_files={"scripts/init-bottom/udev": script}) as machine:
            machine.wait_frames()
            self.check_identity(machine)
        self.check_systems()

    def raspberry_pi(self):
        """The same card in a Raspberry Pi 3: its device tree, its SD host, its serial port, a network adapter
        at its USB port. QEMU's USB host fails at times when this machine is busy: three starts, then."""
        assert any(self.starts_on_raspberry_pi() for _ in range(3)), "the kernel found no network adapter"
        self.check_systems()

    def starts_on_raspberry_pi(self):
        """False: the kernel found no adapter."""
        with Machine(self.card, board="raspi3b") as machine:
            wait_for("a login", lambda: "login:" in machine.log(), PATIENCE_S)
            if "QEMU USB Network Device" not in machine.log():
                return False
            print(f"     start to pictures: {machine.wait_frames():.0f} s", flush=True)
            self.check_identity(machine)
            assert re.search(r"[\r\n]0[\r\n]", machine.log_in(PASSWORD)), machine.log()[-1000:]
            assert "Raspberry Pi 3 Model B" in machine.ssh("cat /proc/device-tree/model", self.key)[1]
        return True

    def cuts(self):
        """After each one it streams again, with the same identity, its file systems clean."""
        for cut in range(CUTS):
            with Machine(self.card) as machine:
                if cut % 2 == 0:
                    seconds = machine.wait_frames()
                    self.check_identity(machine)
                    moment = seconds + self.random.uniform(0, 10)
                else:
                    moment = self.random.uniform(0, self.start_s)
                wait_for("the moment", lambda m=machine, s=moment: m.age() > s, PATIENCE_S)
            self.check_systems()
            print(f"     cut {cut + 1} {moment:.1f} s after the start", flush=True)
        assert "pinhole.ini: good, in use." in self.status(), self.status()


def main():
    print(f"SEED={SEED} CUTS={CUTS}", flush=True)
    with tempfile.TemporaryDirectory(prefix="pinhole-image-") as folder:
        check = Check(folder)
        return run_steps(check.first_start, check.mistake, check.rescue, check.late_udev, check.cuts,
                         check.raspberry_pi)


sys.exit(main())
