# SPDX-License-Identifier: MIT
"""One connection to a node that is made again when it breaks. A call that times out in the midst of
a message goes on with it the next time."""

from __future__ import annotations

import collections
import hmac
import os
import random
import socket
import struct
import time
from typing import Callable, Deque, Optional, Tuple, Union

from . import _address, _key
from ._position import LATEST, NONE, Position, Record, Wish, own_event, pack
from ._records import EventKind, read_event, read_frame
from .errors import Denied, clean, refusal

HELLO, SUBSCRIBE, FRAME, EVENT, FEATURES, GET, SET, TRIGGER, STATS, PING, ERROR, PROVE, \
    AUTH = range(1, 14)
_HEADER = struct.Struct("<4sBBHII")
_HELLO = struct.Struct("<HBBIQIHHQQ")
_CHALLENGE_AT, _CHALLENGE_END = 72, 104
_UNKNOWN_TYPE = 6
_LENGTH_MAX = 64 << 20
_BACKOFF_S, _BACKOFF_MAX_S, _GOOD_AFTER_S = 0.1, 5.0, 5.0
_PROGRESS_BYTES = 1024  # fewer of a message in the time of silence are silence
_RECORDS_AHEAD, _RECORDS_PER_S = 4096, 20000  # what a node publishes at most after HELLO


class Link:
    """Sends requests and queues records. `find` turns the user's address into one to connect to."""

    def __init__(self, address: str, find: Callable[[str], str], timeout: float,
                 reconnect: bool, silence: Optional[float],
                 key: Optional[Union[str, "os.PathLike[str]"]] = None) -> None:
        self._key = None if key is None else _key.read_key(key)
        self.address, self._find, self.timeout, self._reconnect = address, find, timeout, reconnect
        self._silence = silence
        self._heard, self._heard_bytes, self._asked = 0.0, 0, 0.0
        self._log_end, self._note = 0, ""
        self.records: Deque[Record] = collections.deque()
        self.boot_id = 0
        self.hello: dict[str, str] = {}
        self.features_changed = True
        self.position: Optional[Position] = None
        self._socket: Optional[socket.socket] = None
        self._broken: Optional[Exception] = None
        self._retry_at, self._attempts, self._up_since, self._tag = 0.0, 0, 0.0, 0
        self._resume_tag = 0
        self._begin_message()
        self._connect()

    def close(self) -> None:
        """Ends the connection for good."""
        self._broken = ConnectionError("closed")
        self._drop()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._begin_message()

    def fileno(self) -> int:
        """The socket, or -1."""
        return self._socket.fileno() if self._socket is not None else -1

    # --- the link ------------------------------------------------------------------------------

    def _connect(self) -> None:
        address, deadline = self._find(self.address), time.monotonic() + self.timeout
        self._socket = _address.connect(address, self.timeout)
        try:
            self._greet(deadline)
        except Exception:
            self._drop()
            raise

    def _greet(self, deadline: float) -> None:
        message = self._receive(deadline)
        if message is None:
            raise TimeoutError(f"{self.address}: no greeting came: is it a Pinhole node?")
        kind, _, payload = message
        if kind == ERROR:
            raise ConnectionRefusedError(f"{self.address}: {clean(self._text(payload))}")
        if kind != HELLO or len(payload) < _HELLO.size:
            raise ConnectionError(f"{self.address}: this is not a Pinhole node")
        _, low, high, _, self.boot_id, _, _, _, oldest, self._log_end = _HELLO.unpack_from(payload)
        if low > 1 or high < 1:
            raise ConnectionError(f"{self.address} speaks protocol versions {low} to {high}")
        self.hello = dict(line.split("=", 1) for line in self._text(payload).splitlines()
                          if "=" in line)
        if self._key is not None:
            self._prove(self._key, payload, deadline)
        self.features_changed = True
        self._up_since = time.monotonic()
        self._note_progress()
        self._note = ""
        if self.position is not None and self.position.restart(self.boot_id, oldest, self._log_end):
            self._note = "the node's log is shorter than what came before: taken up from its beginning"
        if self.position is None:
            self._send(PING, b"")  # says that someone is there
        else:
            self._resume_tag = self._send(SUBSCRIBE, self.position.subscribe())
            self.position.resume()

    def _prove(self, key: bytes, hello: bytes, deadline: float) -> None:
        """Proves the key to the node, and demands the same of it."""
        old = f"{self.address}: the node's software is older than keys"
        if int.from_bytes(hello[:2], "little") < _CHALLENGE_END:
            raise ConnectionError(old)
        challenge, nonce = hello[_CHALLENGE_AT:_CHALLENGE_END], os.urandom(_key.NONCE_BYTES)
        about = (self.boot_id, self.hello.get("DeviceUserID", ""))
        self._send(AUTH, nonce + _key.prove(key, b"PINHOLE AUTH 1", challenge, nonce, *about))
        message = self._receive(deadline)
        while message is not None and message[0] not in (AUTH, ERROR):
            message = self._receive(deadline)
        if message is None:
            raise TimeoutError(f"{self.address}: the node does not answer AUTH")
        kind, _, payload = message
        if kind == ERROR:
            code = int.from_bytes(payload[2:4], "little")
            raise ConnectionError(old) if code == _UNKNOWN_TYPE else \
                Denied(code, f"{self.address}: {clean(self._text(payload))}")
        if not hmac.compare_digest(payload[8:], _key.prove(key, b"PINHOLE NODE 1", nonce, challenge,
                                                           *about)):
            raise Denied(0, f"{self.address}: the node does not know the key")

    def _break(self, why: Exception) -> None:
        """The link is broken: to be made again, or the end."""
        self._drop()
        if not self._reconnect:
            self._broken = why
            raise why
        if time.monotonic() - self._up_since > _GOOD_AFTER_S:
            self._attempts = 0
        self._plan_retry()
        last = self.records[-1] if self.records else None
        if last is not None and last.sequence == 0 and getattr(last, "kind", 0) == \
                EventKind.RECONNECTED:
            self.records.pop()  # that link went unseen: both breaks are one
        else:
            self.records.append(own_event(EventKind.DISCONNECTED, self.boot_id, 0, 0, str(why)))

    def _plan_retry(self) -> None:
        self._attempts += 1
        top = min(_BACKOFF_S * 2 ** min(self._attempts, 6), _BACKOFF_MAX_S)
        self._retry_at = time.monotonic() + random.uniform(_BACKOFF_S, top)

    def _mend(self, deadline: float) -> bool:
        """True when the link is up."""
        if self._broken is not None:
            raise self._broken
        if self._socket is not None:
            return True
        wait = min(self._retry_at, deadline) - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        if time.monotonic() < self._retry_at:
            return False
        try:
            self._connect()
        except (OSError, ValueError, Denied):
            self._plan_retry()
            return False
        self.records.append(own_event(EventKind.RECONNECTED, self.boot_id, 0, 0, self._note))
        return True

    # --- messages ------------------------------------------------------------------------------

    def _begin_message(self) -> None:
        self._buffer, self._filled = bytearray(_HEADER.size), 0
        self._head: Optional[Tuple[int, int]] = None  # type and tag while the payload comes

    def _fill(self, deadline: float) -> bool:
        """Reads the buffer full. False: not yet, and the time is up."""
        assert self._socket is not None
        view = memoryview(self._buffer)
        while self._filled < len(view):
            left = deadline - time.monotonic()
            self._socket.settimeout(max(left, 0))
            try:
                got = self._socket.recv_into(view[self._filled:])
            except (TimeoutError, socket.timeout, BlockingIOError):
                if left > 0:
                    continue
                return False
            self._heard_bytes += got
            if self._heard_bytes >= _PROGRESS_BYTES:
                self._note_progress()
            if got == 0:
                raise ConnectionResetError(f"{self.address}: the node closed the link")
            self._filled += got
        return True

    def _receive(self, deadline: float) -> Optional[Tuple[int, int, bytes]]:
        """The next message as type, tag and payload."""
        if self._head is None:
            if not self._fill(deadline):
                return None
            magic, version, kind, _, length, tag = _HEADER.unpack(self._buffer)
            if magic != b"PINH" or version != 1 or length > _LENGTH_MAX:
                raise ConnectionError(f"{self.address}: what came is not the Pinhole protocol")
            self._head, self._buffer, self._filled = (kind, tag), bytearray(length), 0
        if not self._fill(deadline):
            return None
        (kind, tag), payload = self._head, bytes(self._buffer)
        self._begin_message()
        self._note_progress()
        return kind, tag, payload

    def _note_progress(self) -> None:
        self._heard, self._heard_bytes, self._asked = time.monotonic(), 0, 0.0

    def _check_silence(self) -> None:
        """Asks a node that has been silent for long; TimeoutError when it did not answer that."""
        now = time.monotonic()
        if self._silence is None or now < max(self._heard, self._asked) + self._silence:
            return
        if self._asked:
            raise TimeoutError(f"{self.address}: the node does not answer PING: nothing but "
                               f"{self._heard_bytes} bytes came in {now - self._heard:.1f} s")
        self._asked = now
        self._send(PING, b"")

    def _check_possible(self, record: Record) -> None:
        """A node publishes records one after the other: none can be far beyond HELLO's end."""
        ahead = _RECORDS_AHEAD + (time.monotonic() - self._up_since + 1) * _RECORDS_PER_S
        last = Position.span(record)[1]
        if record.boot_id == self.boot_id and last >= self._log_end + ahead:
            raise ConnectionError(f"{self.address}: record {last} came, but the log ended at "
                                  f"{self._log_end} when the link was made")

    @staticmethod
    def _text(payload: bytes) -> str:
        text = payload[int.from_bytes(payload[:2], "little"):].decode("utf-8", "replace")
        return clean(text, keeps_lines=True)

    def _send(self, kind: int, payload: bytes) -> int:
        assert self._socket is not None
        self._tag = self._tag % 0xffffffff + 1
        self._socket.settimeout(self.timeout)
        self._socket.sendall(_HEADER.pack(b"PINH", 1, kind, 0, len(payload), self._tag) + payload)
        return self._tag

    def _take(self, kind: int, tag: int, payload: bytes) -> None:
        """A message that answers no request."""
        if kind in (FRAME, EVENT) and self.position is not None:
            record = read_frame(payload) if kind == FRAME else read_event(payload)
            if getattr(record, "kind", 0) in (EventKind.FEATURES, EventKind.CAMERA, EventKind.BOOT):
                self.features_changed = True
            self._check_possible(record)
            self._attempts = 0
            self.records.extend(self.position.accept(record))
        elif kind == ERROR and tag in (0, self._resume_tag):
            raise ConnectionError(f"{self.address}: {clean(self._text(payload))}")

    def step(self, deadline: float) -> None:
        """Receives one message, or mends the link, or lets the time pass."""
        if not self._mend(deadline):
            return
        try:
            message = self._receive(deadline)
            if message is not None:
                self._take(*message)
            self._check_silence()
        except (OSError, struct.error) as why:
            self._break(why)

    def drain(self) -> None:
        """Takes what has come already, within bounds."""
        for _ in range(64):
            if self._socket is None:
                return
            before = len(self.records)
            self.step(0)
            if len(self.records) == before:
                return

    def request(self, kind: int, payload: bytes = b"") -> bytes:
        """Sends a request and returns its answer."""
        deadline = time.monotonic() + self.timeout
        self.drain()
        while not self._mend(deadline):
            if time.monotonic() >= deadline:
                raise ConnectionError(f"{self.address}: the link is down; reconnecting")
        try:
            tag = self._send(kind, payload)
            while True:
                message = self._receive(deadline)
                if message is None:
                    raise TimeoutError(f"{self.address}: no reply; it may have been carried out")
                if message[1] != tag:
                    self._take(*message)
                elif message[0] == ERROR:
                    raise refusal(int.from_bytes(message[2][2:4], "little"),
                                  clean(self._text(message[2])))
                else:
                    return message[2]
        except (OSError, struct.error) as why:
            if not isinstance(why, TimeoutError) or kind == SUBSCRIBE:
                self._break(why)
            raise

    def request_text(self, kind: int, payload: bytes = b"") -> str:
        """The same for an answer that is text. What is no UTF-8 in it is replaced."""
        return self.request(kind, payload).decode("utf-8", "replace")

    def subscribe(self, wish: Wish) -> None:
        """Changes what is sent; NONE stops it."""
        reply = self.request(SUBSCRIBE, pack(wish, wish.boot_id, wish.from_sequence))
        start = int.from_bytes(reply[:8], "little") if len(reply) >= 8 else 0
        self.position = None if wish.policy == NONE else Position(wish, self.boot_id, start)
        self.records = collections.deque(r for r in self.records
                                         if getattr(r, "kind", 0) >= EventKind.DISCONNECTED)


__all__ = ["LATEST", "Link"]
