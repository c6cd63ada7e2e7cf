# SPDX-License-Identifier: MIT
"""From "host", "host:port", "[v6]:port" and "unix:/path" to a connected socket."""

from __future__ import annotations

import socket
from typing import Tuple

PORT = 7447


def split(address: str) -> Tuple[str, int]:
    """Host and port. More than one colon without brackets is an IPv6 address."""
    host, port = address, ""
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"address {address!r}: write [address]:port")
        port = rest[1:]
    elif address.count(":") == 1:
        host, _, port = address.partition(":")
        if not port:
            raise ValueError(f"address {address!r}: the port must be 1 to 65535")
    if not host:
        raise ValueError(f"address {address!r} has no host")
    if port and not (port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"address {address!r}: the port must be 1 to 65535")
    return host, int(port or PORT)


def connect(address: str, timeout: float) -> socket.socket:
    """A connected socket."""
    if address.startswith("unix:"):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(timeout)
        try:
            link.connect(address[5:])
        except OSError:
            link.close()
            raise
        return link
    link = socket.create_connection(split(address), timeout)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A node that vanished without a word is noticed after 10 + 3 * 5 s.
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return link
