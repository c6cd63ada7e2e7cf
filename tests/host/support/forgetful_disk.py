# SPDX-License-Identifier: MIT
"""A disk with a volatile cache: what was written since its last flush is gone when the power is cut.

The kernel's loop device sits on a file of a FUSE file system whose server is here. A flush of the loop
device is an fsync of that file, so it is seen. The disk goes on after a cut: cut() returns what a disk
would hold then, to be mounted as another one."""

import ctypes
import os
import struct
import subprocess
import tempfile
import threading

SECTOR = 512
WRITE_MAX = 128 << 10
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS = 1, 2, 3, 4, 14, 15, 16, 17
RELEASE, FSYNC, FLUSH, INIT, OPENDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 18, 20, 25, 26, 27, 29, 36, 42
ENOENT, ENOSYS, ENODEV = 2, 38, 19
ROOT, FILE = 1, 2


def why_not():
    """What lacks here; None: nothing."""
    if os.geteuid() != 0:
        return "a disk of its own needs root"
    lacks = [path for path in ("/dev/fuse", "/dev/loop-control") if not os.path.exists(path)]
    return f"there is no {lacks[0]}" if lacks else None


class ForgetfulDisk:
    """The file is at `path`. Use as a context."""

    def __init__(self, size):
        self.seen, self.stable = bytearray(size), bytearray(size)
        self.pending, self.flushes = [], 0  # (offset, data) since the last flush
        self.lock = threading.Lock()
        self.folder = tempfile.TemporaryDirectory(prefix="pinhole-disk-")
        self.path = f"{self.folder.name}/disk"
        self.fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self.fuse},rootmode=40000,user_id=0,group_id=0"
        if libc.mount(b"pinhole-disk", self.folder.name.encode(), b"fuse", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "cannot mount a FUSE file system")
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self.folder.name], check=True)
        self.thread.join()
        os.close(self.fuse)
        self.folder.cleanup()

    def cut(self, chance=None):
        """The disk after a cut now. With a random.Random some sectors of what was not flushed are on
        it, as disks write what they hold in an order of their own."""
        with self.lock:
            disk = bytearray(self.stable)
            for offset, data in self.pending if chance else ():
                for at in range(0, len(data), SECTOR):
                    if chance.random() < 0.5:
                        disk[offset + at:offset + min(at + SECTOR, len(data))] = \
                            data[at:at + SECTOR]
            return disk

    def serve(self):
        while True:
            try:
                request = os.read(self.fuse, WRITE_MAX + 4096)
            except OSError as error:
                if error.errno == ENODEV:  # unmounted
                    return
                continue
            _, code, unique, node = struct.unpack_from("<IIQQ", request)
            if code in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            answer = self.answer(code, node, request[40:])
            error = 0
            if isinstance(answer, int):
                error, answer = -answer, b""
            os.write(self.fuse, struct.pack("<IiQ", 16 + len(answer), error, unique) + answer)

    def attributes(self, node):
        mode, size = (0o40700, 0) if node == ROOT else (0o100600, len(self.seen))
        return struct.pack("<6Q10I", node, size, size // SECTOR, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0,
                           4096, 0)

    def answer(self, code, node, body):
        """Bytes, or an errno."""
        if code == INIT:
            return struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 1 << 5, 16, 12, WRITE_MAX, 1, 0, 0, 0,
                               *[0] * 7)
        if code == LOOKUP:
            if body.rstrip(b"\0") != b"disk":
                return ENOENT
            return struct.pack("<QQQQII", FILE, 0, 1 << 30, 1 << 30, 0, 0) + self.attributes(FILE)
        if code in (GETATTR, SETATTR):
            return struct.pack("<QII", 1 << 30, 0, 0) + self.attributes(node)
        if code in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, 0, 0)
        if code in (RELEASE, RELEASEDIR, FLUSH):
            return b""
        if code == STATFS:
            return bytes(80)
        if code == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return bytes(self.seen[offset:offset + size])
        if code == WRITE:
            _, offset, size = struct.unpack_from("<QQI", body)
            data = body[40:40 + size]
            with self.lock:
                self.seen[offset:offset + size] = data
                self.pending.append((offset, data))
            return struct.pack("<II", size, 0)
        if code == FSYNC:
            with self.lock:
                for offset, data in self.pending:
                    self.stable[offset:offset + len(data)] = data
                self.pending.clear()
                self.flushes += 1
            return b""
        return ENOSYS


class Mounted:
    """A file with an ext4 file system, mounted over a loop device. Use as a context: its folder."""

    def __init__(self, path, is_new=False):
        if is_new:
            subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", path],
                           check=True, stdout=subprocess.DEVNULL)
        self.folder = tempfile.TemporaryDirectory(prefix="pinhole-mounted-")
        self.device = subprocess.run(["losetup", "--find", "--show", path], check=True, text=True,
                                     capture_output=True).stdout.strip()
        try:
            subprocess.run(["mount", "-t", "ext4", self.device, self.folder.name], check=True)
        except subprocess.CalledProcessError:
            subprocess.run(["losetup", "--detach", self.device], check=True)
            raise

    def __enter__(self):
        return self.folder.name

    def __exit__(self, *_):
        subprocess.run(["umount", self.folder.name], check=True)
        subprocess.run(["losetup", "--detach", self.device], check=True)
        self.folder.cleanup()
