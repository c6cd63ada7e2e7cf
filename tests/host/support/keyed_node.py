# SPDX-License-Identifier: MIT
"""A node that gives programs of this machine nothing without a key."""

import os
import tempfile

from pinhole_node import Node

VIEW_KEY, CONTROL_KEY, WRONG_KEY = b"key to see pictures", b"key to control all", b"a key of no node"


def write_key(folder, name, key, mode=0o600):
    """A key's file, and its path."""
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(key)
    os.chmod(path, mode)
    return path


def bad_keys(folder):
    """Files that hold no key or secret: each with its path, and what is said of it."""
    for name, key, mode, said in (("short", b"0123456789abcde\n", 0o600, "16 to 128 bytes"),
                                  ("long", b"x" * 129, 0o600, "16 to 128 bytes"),
                                  ("open", b"x" * 32, 0o644, "everybody can read or write it")):
        yield write_key(folder, name, key, mode), said
    yield os.path.join(folder, "absent"), "No such file"


class KeyedNode(Node):
    """`server.local = none`, with two keys. `view`, `control` and `wrong` are paths of key files."""

    def __init__(self, *arguments, **options):
        self.keys = tempfile.TemporaryDirectory(prefix="pinhole-test-keys-")
        self.view = write_key(self.keys.name, "view", VIEW_KEY)
        self.control = write_key(self.keys.name, "control", CONTROL_KEY + b"\n")
        self.wrong = write_key(self.keys.name, "wrong", WRONG_KEY)
        super().__init__("--set", "server.local=none", "--set", f"server.view_key_file={self.view}",
                         "--set", f"server.control_key_file={self.control}", *arguments, **options)

    def __exit__(self, *why):
        super().__exit__(*why)
        self.keys.cleanup()
