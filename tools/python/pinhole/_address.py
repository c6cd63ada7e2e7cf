# SPDX-License-Identifier: MIT
"""From "host", "host:port", "[v6]:port" and "unix:/path" to a connected socket."""

from __future__ import annotations

import concurrent.futures
import os
import socket
import threading
import time
from typing import Any, Dict, List, Tuple

PORT = 7447
_Where = Tuple[int, str, int]  # the process, as no thread outlives a fork; host and port
_lookups: Dict[_Where, "concurrent.futures.Future[List[Any]]"] = {}  # those under way
_lookups_lock = threading.Lock()


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


def _run_lookup(where: _Where, future: "concurrent.futures.Future[List[Any]]") -> None:
    try:
        future.set_result(socket.getaddrinfo(*where[1:], type=socket.SOCK_STREAM))
    except Exception as why:  # pylint: disable=broad-except
        future.set_exception(why)
    with _lookups_lock:
        del _lookups[where]


def _look_up(host: str, port: int, timeout: float) -> List[Any]:
    """Calls getaddrinfo() in a thread of its own: it has no time-out and cannot be stopped. A call
    that stops waiting leaves the thread to end by itself. A later call waits for the same one."""
    where = os.getpid(), host, port
    with _lookups_lock:
        if where not in _lookups:
            future: "concurrent.futures.Future[List[Any]]" = concurrent.futures.Future()
            threading.Thread(target=_run_lookup, args=(where, future), daemon=True).start()
            _lookups[where] = future
        future = _lookups[where]
    try:
        return future.result(timeout)
    except concurrent.futures.TimeoutError:
        raise TimeoutError(f"{host}: the name was not found in time") from None


def _connect_to_host(host: str, port: int, timeout: float) -> socket.socket:
    """socket.create_connection() within one time-out for the name and all its addresses."""
    deadline = time.monotonic() + timeout
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, found in _look_up(host, port, timeout):
        try:
            link = socket.socket(family, kind, protocol)
            try:
                link.settimeout(max(deadline - time.monotonic(), 0.001))
                link.connect(found)
                return link
            except OSError:
                link.close()
                raise
        except OSError as why:
            failure = why
    raise failure


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
    link = _connect_to_host(*split(address), timeout)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A node that vanished without a word is noticed after 10 + 3 * 5 s.
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return link
