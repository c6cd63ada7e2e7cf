# SPDX-License-Identifier: MIT
"""The image in an emulated machine: its card, its power, its serial console, its ports."""

import hashlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from pinhole_node import BUILD, free_port, passes, run, wait_for  # noqa: E402

MIB = 1 << 20
PATIENCE_S = int(os.environ.get("PINHOLE_PATIENCE_S", "600"))  # an emulated start takes one minute
SECTOR = 512
IMAGE = os.environ.get("IMAGE", "build/image/pinhole-virt.img")
CARD_MIB = 4096
NAME = "line 1, camera 3"
# What a board has. The watchdog of the first counts seconds of this machine, which may be busy: it is
# there, and does nothing. QEMU restarts the second as soon as its watchdog is started
# (findings/qemu-raspi3b-watchdog.sh), so it has none.
BOARDS = {
    "virt": "-M virt -cpu cortex-a72 -smp 2 -serial chardev:console "
            "-drive file={card},format=raw,if=none,id=card -device virtio-blk-pci,drive=card "
            "-device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci "
            "-device i6300esb -action watchdog=none",
    "raspi3b": "-M raspi3b -serial null -serial chardev:console -drive file={card},format=raw,if=sd "
               "-device usb-net,netdev=net -dtb {dtb}",
}
DTB = "bcm2837-rpi-3-b.dtb"
SSH_OPTIONS = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
               "-o", "LogLevel=ERROR", "-o", "ServerAliveInterval=20")


class Card:
    """A copy of the image on a card that has room to spare."""

    def __init__(self, folder):
        self.path, self.folder = os.path.join(folder, "card"), folder
        subprocess.run(["zstd", "-dq", IMAGE + ".zst", "-o", self.path], check=True)
        os.truncate(self.path, CARD_MIB * MIB)

    def partition(self, number):
        """First byte and length."""
        with open(self.path, "rb") as file:
            file.seek(446 + 16 * (number - 1) + 8)
            entry = file.read(8)
        return tuple(int.from_bytes(entry[i:i + 4], "little") * SECTOR for i in (0, 4))

    def digest(self, number, length=None):
        """Of a partition, or of its first bytes."""
        start, size = self.partition(number)
        length = size if length is None else length
        digest = hashlib.sha256()
        with open(self.path, "rb") as file:
            file.seek(start)
            while length:
                piece = file.read(min(length, 4 * MIB))
                digest.update(piece)
                length -= len(piece)
        return digest.hexdigest()

    @staticmethod
    def check(*command, allowed=(0,)):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode in allowed, done.stdout

    def check_boot(self):
        """The boot partition has nothing to mend."""
        self.check("fsck.fat", "-n", self.copy(1))

    def check_data(self):
        """A cut leaves a journal to replay, nothing else to mend."""
        data = self.copy(4)
        self.check("e2fsck", "-p", data, allowed=(0, 1))
        self.check("e2fsck", "-fn", data)

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

    def set_up(self, framerate=5):
        """A camera that draws, and pictures for everybody."""
        self.edit("pinhole.ini", "node", name=NAME)
        self.edit("pinhole.ini", "camera", camera="fake", width=640, height=480, framerate=framerate)
        self.edit("pinhole.ini", "server", anonymous="view")

    def allow_ssh(self):
        """Path of a new key, which its network settings have."""
        key = os.path.join(self.folder, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with open(key + ".pub", encoding="ascii") as file:
            self.edit("pinhole-network.ini", "ssh", key=file.read().strip())
        return key


class Machine:
    """Has the card in it and is switched on. cut() cuts the power. It plays the Raspberry Pi's firmware,
    which the emulator lacks: config.txt, or once tryboot.txt, names the folder to start from."""

    def __init__(self, card, board="virt", clock="utc", skips_idle=False, early_files=None):
        """`skips_idle`: its time is that of its instructions, and leaps when the processor would only wait.
        `early_files`: the text of programs that take the place of those of the initramfs."""
        self.card, self.board, self.clock, self.early_files = card, board, clock, early_files or {}
        self.processors = ("-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=3,sleep=off") \
            if skips_idle else ("-accel", "tcg,thread=multi")
        self.port, self.ssh_port = free_port(), free_port()
        self.log_path, self.console_path, self.errors_path = (
            os.path.join(card.folder, name) for name in ("console.log", "console", "errors"))
        self.switch_on("config.txt")

    def load(self, config):
        """Paths of kernel, initramfs and device tree that a file of the firmware names, and the command line."""
        settings = self.card.read(config).decode()
        prefix, kernel = (re.search(rf"(?m)^{key}=(.*)$", settings).group(1) for key in ("os_prefix", "kernel"))
        initramfs = re.search(r"(?m)^initramfs (\S+) followkernel$", settings).group(1)
        paths = [os.path.join(self.card.folder, name) for name in ("kernel", "initramfs", "dtb")]
        for path, file_name in zip(paths, (kernel, initramfs, DTB)):
            with open(path, "wb") as file:
                file.write(self.card.read(prefix + file_name))
        with open(paths[1], "ab") as file:
            file.write(bytes(-file.tell() % 4) + self.pack_early_files())
        words = self.card.read(prefix + "cmdline.txt").decode().strip()
        return *paths, words + (" module_blacklist=bcm2835_wdt" if self.board == "raspi3b" else "")

    def switch_on(self, config):
        """Starts what that file names."""
        kernel, initramfs, dtb, words = self.load(config)
        self.start = time.monotonic()
        with open(self.errors_path, "wb") as errors:  # a line for each packet that a USB network cannot take yet
            self.process = subprocess.Popen([
                "qemu-system-aarch64", "-m", "1G", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-rtc", f"base={self.clock}",
                "-chardev",
                f"socket,id=console,path={self.console_path},server=on,wait=off,logfile={self.log_path}",
                "-kernel", kernel, "-initrd", initramfs, "-append", words,
                "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:7447,"
                f"hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22",
                *BOARDS[self.board].format(card=self.card.path, dtb=dtb).split(), *self.processors],
                stdin=subprocess.DEVNULL, stderr=errors)

    def pack_early_files(self):
        """An archive that the kernel unpacks over the initramfs."""
        if not self.early_files:
            return b""
        with tempfile.TemporaryDirectory(dir=self.card.folder) as folder:
            for name, text in self.early_files.items():
                path = os.path.join(folder, name)
                os.makedirs(os.path.dirname(path))
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                os.chmod(path, 0o755)
            return subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input="\n".join(self.early_files).encode(),
                                  cwd=folder, check=True, stdout=subprocess.PIPE).stdout

    def is_off(self):
        """A restart, too, switches it off."""
        return self.process.poll() is not None

    def restart(self):
        """Once it is off: what the firmware does then. Only a restart that asks for it tries, and once."""
        asked = "reboot: Restarting system with command '0 tryboot'" in self.log()
        self.switch_on("tryboot.txt" if asked else "config.txt")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()

    def cut(self):
        self.process.kill()
        self.process.wait()

    def log(self):
        """What the emulator said, and the machine."""
        text = ""
        for path in self.errors_path, self.log_path:
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    text += file.read()
        return text

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
            for _ in range(3):  # login begins anew when a minute has passed
                console.sendall(b"root\r")
                answer = until("Password:", "login:")
                if "timed out" not in answer:
                    break
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
            assert not self.is_off(), "the machine is off:\n" + self.log()[-3000:]
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

    def ssh_command(self, command, key):
        """What runs a command in it, as root."""
        return ["ssh", *SSH_OPTIONS, "-i", key, "-p", str(self.ssh_port), "root@127.0.0.1", command]

    def ssh(self, command, key):
        """Exit status and output of a command."""
        done = subprocess.run(self.ssh_command(command, key), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout

    def scp(self, path, target, key):
        subprocess.run(["scp", "-q", *SSH_OPTIONS, "-i", key, "-P", str(self.ssh_port), path,
                        "root@127.0.0.1:" + target], check=True)

    def feature(self, name):
        status, output, errors = self.ctl("get", name)
        assert status == 0, errors
        return output.strip()

    def ssh_key(self):
        """Its SSH host key, or nothing."""
        result = subprocess.run(["ssh-keyscan", "-T", "20", "-t", "ed25519", "-p", str(self.ssh_port), "127.0.0.1"],
                                capture_output=True, text=True, check=False)
        return result.stdout.split()[-1] if result.stdout.strip() else ""


def run_steps(*steps):
    """In order, until one fails: each stands on those before it. Returns the exit status."""
    passed = 0
    while passed < len(steps) and passes(steps[passed].__name__, steps[passed]):
        passed += 1
    failed = int(passed < len(steps))
    print(f"{passed} passed, {failed} failed")
    return failed
