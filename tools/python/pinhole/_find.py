# SPDX-License-Identifier: MIT
"""Finding nodes: given addresses, $PINHOLE_NODES, and DNS-SD through avahi-browse."""

from __future__ import annotations

import concurrent.futures
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import Iterable, List, Optional

from . import _link
from .errors import PinholeError, Refused


@dataclass
class Node:
    """A node that was found."""

    address: str
    id: str
    serial: str
    model: str
    version: str
    boot_id: int
    is_announced: bool = False


def _announced(timeout: float) -> List[str]:
    """Addresses that avahi-browse knows of."""
    program = shutil.which("avahi-browse")
    if program is None:
        return []
    try:
        text = subprocess.run([program, "-rpt", "_pinhole._tcp"], capture_output=True, text=True,
                              timeout=timeout, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = []
    for line in text.splitlines():
        field = line.split(";")
        if len(field) > 8 and field[0] == "=":
            host = field[7]
            if host.startswith("fe80:"):
                host += "%" + field[1]
            found.append(f"[{host}]:{field[8]}" if ":" in host else f"{host}:{field[8]}")
    return found


def _ask(address: str, timeout: float, is_announced: bool) -> Optional[Node]:
    try:
        link = _link.Link(address, lambda same: same, timeout, reconnect=False, silence=None)
    except (OSError, ValueError):
        return None
    try:
        serial = link.request(_link.GET, b"DeviceSerialNumber").decode().strip().partition("=")[2]
    except (OSError, Refused):
        serial = ""
    finally:
        link.close()
    return Node(address, link.hello.get("DeviceUserID", ""), serial,
                link.hello.get("DeviceModelName", ""), link.hello.get("DeviceFirmwareVersion", ""),
                link.boot_id, is_announced)


def enumerate_nodes(addresses: Iterable[str] = (), timeout: float = 1.0) -> List[Node]:
    """The nodes that answer within `timeout` seconds: those at the addresses given, those of
    $PINHOLE_NODES (separated by commas or spaces), those that announce themselves when avahi-browse
    is installed. Each once, however many addresses it has."""
    deadline = time.monotonic() + timeout
    known = list(dict.fromkeys([*addresses,
                                *re.split(r"[,\s]+", os.environ.get("PINHOLE_NODES", ""))]))
    known = [address for address in known if address and not address.startswith("id:")]
    pool = concurrent.futures.ThreadPoolExecutor(64)
    asked = [pool.submit(_ask, address, timeout, False) for address in known]
    left = timeout * 2 / 3
    asked += [pool.submit(_ask, address, max(deadline - time.monotonic(), 0.01), True)
              for address in _announced(left) if address not in known]
    concurrent.futures.wait(asked, max(deadline - time.monotonic(), 0))
    pool.shutdown(wait=False)
    found: dict[int, Node] = {}
    for future in asked:
        node = future.result() if future.done() else None
        if node is not None:
            found.setdefault(node.boot_id, node)
    return list(found.values())


def resolve(address: str) -> str:
    """An address to connect to; "id:NAME" is looked for by DeviceUserID, then by serial number."""
    if not address.startswith("id:"):
        return address
    wanted = address[3:]
    nodes = enumerate_nodes()
    matches = [node for node in nodes if node.id == wanted] or \
        [node for node in nodes if node.serial == wanted]
    if len(matches) != 1:
        raise ConnectionError(f"{len(matches)} nodes are called {wanted!r} among the {len(nodes)} "
                              "that answer")
    return matches[0].address


__all__ = ["Node", "PinholeError", "enumerate_nodes", "resolve"]
