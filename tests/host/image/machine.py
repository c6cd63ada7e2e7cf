# SPDX-License-Identifier: MIT
"""The image in an emulated machine: its card, its power, its serial console, its ports."""

import hashlib
import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from pinhole_node import BUILD, free_port, run, wait_for  # noqa: E402

MIB = 1 << 20
PATIENCE_S = int(os.environ.get("PINHOLE_PATIENCE_S", "600"))  # an emulated start takes one minute
SECTOR = 512


class Card:
    """A copy of the image on a card that has room to spare."""

    def __init__(self, image, folder, mib):
        self.path, self.folder = os.path.join(folder, "card"), folder
        subprocess.run(["cp", "--sparse=always", image, self.path], check=True)
        os.truncate(self.path, mib * MIB)

    def partition(self, number):
        """First byte and length."""
        with open(self.path, "rb") as file:
            file.seek(446 + 16 * (number - 1) + 8)
            entry = file.read(8)
        return tuple(int.from_bytes(entry[i:i + 4], "little") * SECTOR for i in (0, 4))

    def digest(self, number):
        """Of all bytes of a partition."""
        start, length = self.partition(number)
        digest = hashlib.sha256()
        with open(self.path, "rb") as file:
            file.seek(start)
            while length:
                piece = file.read(min(length, 4 * MIB))
                digest.update(piece)
                length -= len(piece)
        return digest.hexdigest()

    def copy(self, number):
        """Of a partition, in a file of its own."""
        start, length = self.partition(number)
        path = os.path.join(self.folder, f"partition{number}")
        if os.path.exists(path):
            os.unlink(path)
        subprocess.run(["dd", f"if={self.path}", f"of={path}", "bs=1M", "conv=sparse", "status=none",
                        "iflag=skip_bytes,count_bytes", f"skip={start}", f"count={length}"], check=True)
        os.truncate(path, length)
        return path

    def read(self, name):
        """A file of the boot partition, as another computer sees it."""
        where = f"{self.path}@@{self.partition(1)[0]}"
        return subprocess.run(["mtype", "-i", where, "::" + name], check=True,
                              capture_output=True).stdout

    def write(self, name, data):
        where = f"{self.path}@@{self.partition(1)[0]}"
        subprocess.run(["mcopy", "-o", "-i", where, "-", "::" + name], input=data, check=True)

    def edit(self, file, section, **values):
        """Sets keys of a section that are there, in a comment perhaps."""
        head, mark, text = self.read(file).decode().partition(f"[{section}]")
        for key, value in values.items():
            text, count = re.subn(rf"(?m)^(; )?{key} = .*$", f"{key} = {value}", text, count=1)
            assert count == 1, f"{file} has no {key}"
        self.write(file, (head + mark + text).encode())


class Machine:
    """Has the card in it and is switched on. stop() cuts the power."""

    def __init__(self, card, memory="1G"):
        self.card, self.start = card, time.monotonic()
        self.port, self.ssh_port = free_port(), free_port()
        self.log_path = os.path.join(card.folder, "console.log")
        self.console_path = os.path.join(card.folder, "console")
        for name in "vmlinuz", "initrd.img":
            with open(os.path.join(card.folder, name), "wb") as file:
                file.write(card.read(name))
        self.process = subprocess.Popen([
            "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-accel", "tcg,thread=multi",
            "-smp", "2", "-m", memory, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-chardev", f"socket,id=console,path={self.console_path},server=on,wait=off,logfile={self.log_path}",
            "-serial", "chardev:console",
            "-kernel", os.path.join(card.folder, "vmlinuz"),
            "-initrd", os.path.join(card.folder, "initrd.img"),
            "-append", card.read("cmdline.txt").decode().strip(),
            "-drive", f"file={card.path},format=raw,if=none,id=card",
            "-device", "virtio-blk-pci,drive=card", "-device", "virtio-rng-pci",
            # It counts seconds of this machine, which may be busy: it is there, and does nothing.
            "-device", "i6300esb", "-action", "watchdog=none",
            "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:7447,"
            f"hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22",
            "-device", "virtio-net-pci,netdev=net,romfile="], stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()

    def cut(self):
        self.process.kill()
        self.process.wait()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_in(self, password):
        """What the serial console answers to root and this password, up to a prompt or the next login."""
        with socket.socket(socket.AF_UNIX) as console:
            console.settimeout(PATIENCE_S)
            console.connect(self.console_path)

            def until(*wanted):
                text = ""
                while not any(text.rstrip().endswith(end) for end in wanted):
                    piece = console.recv(4096).decode(errors="replace")
                    assert piece, "the machine is off:\n" + text[-3000:]
                    text += piece
                return text
            console.sendall(b"\r")
            until("login:")
            console.sendall(b"root\r")
            answer = until("Password:", "login:")
            assert answer.rstrip().endswith("Password:"), answer
            console.sendall(password.encode() + b"\r")
            answer = until("login:", ":~#")
            if answer.rstrip().endswith("#"):
                console.sendall(b"id -u; exit\r")
                answer = until("login:")
            return answer

    def age(self):
        return time.monotonic() - self.start

    def ctl(self, *arguments):
        return run("-n", f"127.0.0.1:{self.port}", "--timeout", "20", *arguments,
                   program=f"{BUILD}/pinholectl")

    def wait_frames(self, count=3):
        """Waits until it streams, and returns the seconds since it was switched on."""
        output = os.path.join(self.card.folder, "frames")

        def grab():
            assert self.process.poll() is None, "the machine is off:\n" + self.log()[-3000:]
            return self.ctl("grab", "--count", str(count), "--replace", "-o", output + "/")[0] == 0
        os.makedirs(output, exist_ok=True)
        try:
            wait_for("frames", grab, PATIENCE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}; the console's end:\n{self.log()[-3000:]}") from None
        for name in os.listdir(output):
            with open(os.path.join(output, name), "rb") as file:
                assert file.read(3) == b"\xff\xd8\xff", "no JPEG"
        return self.age()

    def feature(self, name):
        status, output, errors = self.ctl("get", name)
        assert status == 0, errors
        return output.strip()

    def ssh_key(self):
        """Its SSH host key, or nothing."""
        result = subprocess.run(["ssh-keyscan", "-T", "20", "-t", "ed25519", "-p", str(self.ssh_port), "127.0.0.1"],
                                capture_output=True, text=True, check=False)
        return result.stdout.split()[-1] if result.stdout.strip() else ""
