#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Updates of the image's root in an emulated machine, whose clock begins in 1970: bundles that are
refused, a good one, one whose node delivers nothing, and power cuts in the middle of both.

UPDATE_CUTS=N   how often the power is cut in a good update, and in a broken one (20 each)
SEED=N          of the random moments; it is printed
Last line: "N passed, N failed"."""

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time

from machine import IMAGE, NAME, PATIENCE_S, Card, Machine, run_steps, wait_for

CUTS = int(os.environ.get("UPDATE_CUTS", "20"))
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
PARTITIONS = {"a": 2, "b": 3}
# It runs, and has no camera.
BROKEN = "[Service]\nExecStart=\nExecStart=/usr/bin/pinhole --camera libcamera:none\n"


def make_bundle(root, bundle, board="virt", **environment):
    subprocess.run(["tools/dev/image.sh", "--bundle", board, root, bundle], check=True,
                   env={**os.environ, **environment})


class Root:
    """A root file system with a version of its own, and its bundle."""

    def __init__(self, folder, path):
        self.path = path
        self.version = self.read("/usr/lib/os-release").split("IMAGE_VERSION=")[1].split()[0]
        self.bytes = os.path.getsize(path)
        self.bundle = os.path.join(folder, self.version + ".raucb")
        with open(path, "rb") as file:
            self.digest = hashlib.file_digest(file, "sha256").hexdigest()

    def change(self, folder, version, files):
        """A copy in which the version and these files are other ones."""
        path = os.path.join(folder, version + ".ext4")
        subprocess.run(["cp", "--sparse=always", self.path, path], check=True)
        release = self.read("/usr/lib/os-release").replace(f"IMAGE_VERSION={self.version}\n",
                                                           f"IMAGE_VERSION={version}\n")
        assert version in release
        for name, text in {"/usr/lib/os-release": release, **files}.items():
            source = os.path.join(folder, "file")
            with open(source, "w", encoding="utf-8") as file:
                file.write(text)
            commands = f"rm {name}\nmkdir {os.path.dirname(name)}\nwrite {source} {name}\n"
            subprocess.run(["debugfs", "-w", "-f", "-", path], input=commands, text=True, check=True,
                           capture_output=True)
        root = Root(folder, path)
        assert root.version == version
        for name, text in files.items():
            assert root.read(name) == text
        make_bundle(path, root.bundle)
        return root

    def read(self, name):
        return subprocess.run(["debugfs", "-R", f"cat {name}", self.path], check=True, capture_output=True,
                              text=True).stdout


class Check:
    """The steps in order; each stands on those before it."""

    def __init__(self, folder):
        self.folder = folder
        self.random = random.Random(SEED)
        self.card = Card(folder)
        self.card.set_up()
        self.key = self.card.allow_ssh()
        self.old, self.new, self.broken = self.make_roots()
        self.machine, self.serial, self.ssh_key = None, None, None
        self.good_s = self.broken_s = 0.0

    def make_roots(self):
        """The image's own root, one that differs in its version, and one whose node delivers nothing."""
        path = os.path.join(self.folder, "root.ext4")
        os.rename(self.card.copy(2), path)
        geometry = dict(line.split(":", 1) for line in subprocess.run(
            ["dumpe2fs", "-h", path], check=True, capture_output=True, text=True).stdout.splitlines() if ":" in line)
        os.truncate(path, int(geometry["Block count"]) * int(geometry["Block size"]))
        old = Root(self.folder, path)
        old.bundle = IMAGE.replace(".img", ".raucb")
        broken = {"/etc/systemd/system/pinhole.service.d/broken.conf": BROKEN}
        return old, old.change(self.folder, "new", {}), old.change(self.folder, "broken", broken)

    # --- what the steps do ------------------------------------------------------------------------

    def permanent(self):
        """The folder that every start takes."""
        return self.card.read("config.txt").decode().split("os_prefix=")[1][0]

    def version(self):
        def ask():
            status, output = self.machine.ssh(". /etc/os-release; echo $IMAGE_VERSION", self.key)
            return output.strip() if status == 0 else None
        return wait_for("SSH", ask, PATIENCE_S)

    def check_running(self, *roots):
        """It streams, has its name and identity, a boot partition that is clean, and runs one of these roots,
        whole. Returns that one."""
        self.machine.wait_frames()
        assert self.machine.feature("DeviceUserID") == NAME
        assert self.machine.feature("DeviceSerialNumber") == self.serial
        version = self.version()
        assert self.machine.ssh_key() == self.ssh_key
        root = next((root for root in roots if root.version == version), None)
        assert root, f"it runs {version}"
        assert self.card.digest(PARTITIONS[self.permanent()], root.bytes) == root.digest, "the root is not whole"
        self.card.check_boot()
        return root

    def begin(self, root):
        """The user's command; it ends with the machine."""
        with open(os.path.join(self.folder, "update.log"), "w", encoding="utf-8") as log:
            return subprocess.Popen(
                self.machine.ssh_command(f"pinhole-update /data/{root.version}.raucb", self.key),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_restart(self, what):
        try:
            wait_for(what, self.machine.is_off, PATIENCE_S)
        except AssertionError as error:
            with open(os.path.join(self.folder, "update.log"), encoding="utf-8") as log:
                raise AssertionError(f"{error}\n{log.read()}\n{self.machine.log()[-3000:]}") from None
        self.machine.restart()

    def cut(self):
        """Cuts the power, and switches the machine on again."""
        self.machine.cut()
        self.card.check_data()
        self.machine.switch_on("config.txt")

    # --- the steps --------------------------------------------------------------------------------

    def refused(self):
        """Another signature, another board, a damaged bundle: a sentence each, and every start goes on as
        before. Only the damage is noticed while the root that does not run is written."""
        small = os.path.join(self.folder, "small.ext4")
        with open(small, "wb") as file:
            file.write(self.random.randbytes(1 << 20))
        foreign, other, damaged = (os.path.join(self.folder, name + ".raucb") for name in
                                   ("foreign", "other", "damaged"))
        make_bundle(small, foreign, UPDATE_KEY=os.path.join(self.folder, "foreign.key"),
                    UPDATE_CERT=os.path.join(self.folder, "foreign.pem"))
        make_bundle(small, other, board="other")
        make_bundle(small, damaged)
        with open(damaged, "r+b") as file:
            file.seek(1 << 19)
            byte = file.read(1)[0]
            file.seek(1 << 19)
            file.write(bytes([byte ^ 1]))
        self.machine = Machine(self.card, clock="1970-01-02")
        self.machine.wait_frames()
        assert self.version() == self.old.version
        self.serial, self.ssh_key = self.machine.feature("DeviceSerialNumber"), self.machine.ssh_key()
        before = [self.card.digest(number) for number in (1, 2, 3)]
        for path, sentence in ((foreign, "signature verification failed"),
                               (other, "Compatible mismatch: Expected 'pinhole-virt' but bundle manifest has "
                                "'pinhole-other'"),
                               (damaged, "Failed to copy data")):
            assert before == [self.card.digest(number) for number in (1, 2, 3)], "something has changed"
            self.machine.scp(path, "/data/refused.raucb", self.key)
            status, output = self.machine.ssh("pinhole-update /data/refused.raucb", self.key)
            assert status == 1 and sentence in output, output
            print("     " + next(line for line in output.splitlines() if "LastError" in line), flush=True)
        status, output = self.machine.ssh("rauc status mark-good other", self.key)
        assert status == 1, output
        assert before[1] == self.card.digest(2) and self.permanent() == "a"

    def good(self):
        """It is tried once, proves itself, and stays. The former root is as it was."""
        former = self.card.digest(2)
        for root in self.old, self.new, self.broken:
            self.machine.scp(root.bundle, f"/data/{root.version}.raucb", self.key)
        begin = time.monotonic()
        self.begin(self.new)
        self.wait_restart("the restart into the new root")
        assert self.permanent() == "a", "permanent before it was tried"
        print(f"     installed after {time.monotonic() - begin:.0f} s", flush=True)
        wait_for("it stays", lambda: self.permanent() == "b", PATIENCE_S)
        self.good_s = time.monotonic() - begin
        print(f"     permanent after {self.good_s:.0f} s", flush=True)
        self.check_running(self.new)
        assert self.card.digest(2) == former, "the former root was written"
        self.cut()
        self.check_running(self.new)

    def bad(self):
        """Its node delivers nothing: the machine goes back by itself."""
        begin = time.monotonic()
        self.begin(self.broken)
        self.wait_restart("the restart into the broken root")
        self.wait_restart("the restart into the former root")
        self.broken_s = time.monotonic() - begin
        print(f"     back after {self.broken_s:.0f} s", flush=True)
        self.check_running(self.new)
        assert self.permanent() == "b"

    def cuts(self, is_good):
        """After each one it starts, streams, has its identity, and runs the old root or the new one."""
        running = self.check_running(self.old, self.new)
        for number in range(CUTS):
            following = (self.old if running is self.new else self.new) if is_good else self.broken
            moment = self.random.uniform(0, self.good_s if is_good else self.broken_s)
            end = time.monotonic() + moment
            update = self.begin(following)
            while time.monotonic() < end:
                if self.machine.is_off():
                    self.machine.restart()
                time.sleep(0.05)
            self.cut()
            update.kill()
            update.wait()
            former, running = running, self.check_running(self.old, self.new)
            assert is_good or running is former
            print(f"     cut {number + 1}, {moment:.1f} s after the update to {following.version} began: "
                  f"{running.version} runs", flush=True)

    def cuts_good(self):
        """In good updates."""
        self.cuts(True)

    def cuts_broken(self):
        """In broken ones."""
        self.cuts(False)


def main():
    print(f"SEED={SEED} UPDATE_CUTS={CUTS}", flush=True)
    with tempfile.TemporaryDirectory(prefix="pinhole-update-") as folder:
        check = Check(folder)
        try:
            return run_steps(check.refused, check.good, check.bad, check.cuts_good, check.cuts_broken)
        finally:
            if check.machine:
                check.machine.cut()


sys.exit(main())
