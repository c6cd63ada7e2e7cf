# SPDX-License-Identifier: MIT
"""The key of a node: both sides prove that they know it (net/SPEC.md, roles and AUTH)."""

from __future__ import annotations

import hmac
import os
import stat
import struct
from typing import Union

NONCE_BYTES = 32
_BYTES_MIN, _BYTES_MAX = 16, 128


def read_key(path: Union[str, "os.PathLike[str]"]) -> bytes:
    """The key in a file: its bytes without the end of its last line. ValueError if it is none."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise ValueError(f"{os.fspath(path)}: everybody can read or write it: chmod 600")
        key = file.read(_BYTES_MAX + 3)
    key = key[:-1] if key.endswith(b"\n") else key
    key = key[:-1] if key.endswith(b"\r") else key
    if not _BYTES_MIN <= len(key) <= _BYTES_MAX:
        raise ValueError(f"{os.fspath(path)}: a key has {_BYTES_MIN} to {_BYTES_MAX} bytes")
    return key


def prove(key: bytes, text: bytes, first: bytes, second: bytes, boot_id: int, name: str) -> bytes:
    """The proof over challenge and nonce; `text` is its first line."""
    about = text + b"\n" + first + second + struct.pack("<Q", boot_id) + name.encode()
    return hmac.digest(key, about, "sha256")
