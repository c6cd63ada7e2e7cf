# SPDX-License-Identifier: MIT
"""What a disk holds when a process is killed or the power is cut, from the steps that preload/disk.c has
noted. A file's bytes are safe after a sync of the file. A name is safe after a sync of its folder.
What is not safe is there, is gone, is torn, or is a hole of zeros."""

import os
import shutil

from pinhole_node import BUILD

# What is left: of names, of sidecars, of other files. A kernel writes files back in any order.
LEFT = {"killed": ("all", "all", "all"), "synced": ("safe", "safe", "safe"),
        "no data": ("all", "safe", "safe"), "torn": ("all", "torn", "torn"),
        "holes": ("all", "holes", "holes"), "pages": ("all", "all", "pages"), "lines first": ("all", "all", "holes"),
        "media first": ("all", "safe", "all")}
PAGE = 4096


def environment(folder, trace=None, fail=None):
    """For the process whose steps are noted, or of which one fails: its number, and how."""
    values = {"LD_PRELOAD": os.path.abspath(f"{BUILD}/tests/disk.so"), "DISK_FOLDER": str(folder),
              "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
    if trace is not None:
        values["DISK_TRACE"] = trace
    if fail is not None:
        values["DISK_FAIL"] = "%d %s" % fail
    return values


def read_steps(path):
    """[(what, arguments, bytes)]"""
    steps = []
    with open(path, "rb") as file:
        while line := file.readline():
            what, *arguments = line.decode().rstrip("\n").split("\t")
            size = int(arguments[-1]) if what in ("write", "send") else 0
            steps.append((what, arguments, file.read(size)))
    return steps


class File:
    def __init__(self, data=b""):
        self.safe, self.waiting = bytes(data), []  # (offset, bytes), or (size, None) cuts

    def write(self, data, changes):
        data = bytearray(data)
        for at, more in changes:
            if more is None:
                del data[at:]
                data += bytes(at - len(data))
            else:
                data += bytes(max(0, at - len(data)))
                data[at:at + len(more)] = more
        return bytes(data)

    def sync(self):
        self.safe, self.waiting = self.left("all"), []

    def lose(self):
        """The size is the file system's, the bytes are gone."""
        self.waiting = [(at, more and bytes(len(more))) for at, more in self.waiting]

    def left(self, how):
        if how == "safe":
            return self.safe
        if how == "torn" and self.waiting:
            half = len(self.waiting) // 2
            at, more = self.waiting[half]
            return self.write(self.safe, self.waiting[:half] +
                              ([] if more is None else [(at, more[:len(more) // 2])]))
        data = self.write(self.safe, self.waiting)
        if how not in ("holes", "pages"):
            return data
        # Whole pages of what was never written before: all, or each second.
        lost = bytearray(data)
        for at in range(0, len(data), PAGE) if how == "holes" else range(PAGE, len(data), 2 * PAGE):
            at, end = max(at, len(self.safe)), min(at + PAGE, len(data))
            lost[at:end] = bytes(max(0, end - at))
        return bytes(lost)


class Folder:
    def __init__(self):
        self.names, self.safe = {}, {}

    def sync(self):
        self.safe = dict(self.names)

    def lose(self):
        pass


class Disk:
    """A folder, step by step. It begins with what `base` holds, which is safe."""

    def __init__(self, place, base=None):
        self.place, self.root, self.nodes = os.path.realpath(place), Folder(), {}
        if base is not None:
            self.take(self.root, base)

    def take(self, folder, path):
        for entry in os.scandir(path):
            if entry.is_dir():
                node = Folder()
                self.take(node, entry.path)
            else:
                with open(entry.path, "rb") as file:
                    node = File(file.read())
            folder.names[entry.name] = node
        folder.sync()

    def find(self, path):
        """The folder that a path is in, and its name there."""
        parts = os.path.relpath(path, self.place).split("/")
        folder = self.root
        for part in parts[:-1]:
            folder = folder.names[part]
        return folder, parts[-1]

    def node(self, inode, path):
        """What a descriptor is of."""
        if inode not in self.nodes:
            folder, name = self.find(path)
            self.nodes[inode] = self.root if name == "." else folder.names[name]
        return self.nodes[inode]

    def step(self, what, arguments, data):
        if what in ("create", "mkdir"):
            folder, name = self.find(arguments[1])
            folder.names[name] = self.nodes[arguments[0]] = File() if what == "create" else Folder()
        elif what == "write":
            self.node(*arguments[:2]).waiting.append((int(arguments[2]), data))
        elif what == "truncate":
            self.node(*arguments[:2]).waiting.append((int(arguments[2]), None))
        elif what in ("sync", "lost"):
            for node in [self.node(*arguments)] if arguments else list(self.all(self.root)):
                node.sync() if what == "sync" else node.lose()
        elif what == "rename":
            folder, name = self.find(arguments[0])
            to, new = self.find(arguments[1])
            to.names[new] = folder.names.pop(name)
        elif what == "unlink":
            folder, name = self.find(arguments[0])
            del folder.names[name]

    def all(self, node):
        yield node
        for inner in node.names.values() if isinstance(node, Folder) else ():
            yield from self.all(inner)

    def files(self, names="all", folder=None, path=""):
        """(path from the folder on, node) of every file."""
        folder = folder or self.root
        for name, node in (folder.names if names == "all" else folder.safe).items():
            if isinstance(node, Folder):
                yield from self.files(names, node, f"{path}{name}/")
            else:
                yield path + name, node

    def folders(self, names, folder=None, path=""):
        folder = folder or self.root
        yield path
        for name, node in (folder.names if names == "all" else folder.safe).items():
            if isinstance(node, Folder):
                yield from self.folders(names, node, f"{path}{name}/")

    def write(self, target, how):
        """Makes the folder as it is found then."""
        names, sidecars, others = LEFT[how]
        shutil.rmtree(target, ignore_errors=True)
        for path in self.folders(names):
            os.makedirs(f"{target}/{path}")
        for path, node in self.files(names):
            with open(f"{target}/{path}", "wb") as file:
                file.write(node.left(sidecars if ".jsonl" in path else others))
