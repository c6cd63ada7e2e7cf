# SPDX-License-Identifier: MIT
"""A node that says whatever a test wants, over the protocol of net/SPEC.md."""

import base64
import socket
import struct
import threading
import time
from typing import Callable

HELLO, SUBSCRIBE, FRAME, EVENT, FEATURES, GET, SET, TRIGGER, STATS, PING, ERROR = range(1, 12)
REPLY = 1

# 32x16 pixels.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVG"
    "ZIhlbXd7gYKBTmCNl4x9lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8"
    "fHx8fHx8fHx8fHx8fHx8fHz/wAARCAAQACADASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAABQQD/8QAFxAAAwEA"
    "AAAAAAAAAAAAAAAAAAIEYf/EABYBAQEBAAAAAAAAAAAAAAAAAAQDBf/EABcRAAMBAAAAAAAAAAAAAAAAAAACBAP/2gAM"
    "AwEAAhEDEQA/AAkkwoSTBZJMKEkwq1APGsISTChJMF0kw3STA7UGzjWf/9k=")


def padded_jpeg(size: int) -> bytes:
    """A valid JPEG of at least `size` bytes, made long by comments."""
    comments = b""
    while len(JPEG) + len(comments) < size:
        comments += b"\xff\xfe" + struct.pack(">H", 60002) + b" " * 60000
    return JPEG[:2] + comments + JPEG[2:]


def message(kind: int, payload: bytes, tag: int = 0, flags: int = 0) -> bytes:
    return struct.pack("<4sBBHII", b"PINH", 1, kind, flags, len(payload), tag) + payload


class FakeNode:
    """Frames at a rate from a thread of its own per client. Use as a context."""

    def __init__(self, name: bytes = b"fake", features: bytes = b"", stats: bytes = b"",
                 jpeg: bytes = JPEG, frames_per_second: float = 20.0, refusal: bytes = b"no",
                 clock_offset_ns: int = 0, boot_id: int = 7,
                 get: bytes = b"",
                 realtime_ns: Callable[[int], int] = lambda count: time.time_ns()) -> None:
        self.name, self.features, self.stats, self.jpeg = name, features, stats, jpeg
        self.period_s, self.refusal, self.boot_id = 1 / frames_per_second, refusal, boot_id
        self.get = get
        self.clock_offset_ns, self.realtime_ns = clock_offset_ns, realtime_ns
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.ended = False
        self.clients: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "FakeNode":
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True
        for each in (self.listener, *self.clients):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()

    def _accept(self) -> None:
        while not self.ended:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def now_ns(self) -> int:
        """The clock of this node's machine."""
        return time.monotonic_ns() + self.clock_offset_ns

    def _serve(self, client: socket.socket) -> None:
        lock = threading.Lock()
        try:
            client.sendall(message(HELLO, self._hello()))
            buffered = b""
            while True:
                while len(buffered) < 16 or len(buffered) < 16 + struct.unpack_from("<I", buffered, 8)[0]:
                    chunk = client.recv(65536)
                    if not chunk:
                        return
                    buffered += chunk
                kind, length, tag = buffered[5], *struct.unpack_from("<II", buffered, 8)
                asked, buffered = buffered[16:16 + length], buffered[16 + length:]
                with lock:
                    client.sendall(self._answer(kind, asked, tag))
                if kind == SUBSCRIBE:
                    threading.Thread(target=self._stream, args=(client, lock), daemon=True).start()
        except OSError:
            pass

    def _hello(self) -> bytes:
        fixed = struct.pack("<HBBIQIHHQQQQII", 64, 1, 1, 4096, self.boot_id, 64 << 20, 16, 200, 1, 1,
                            self.now_ns(), time.time_ns(), 0, 5000)
        return fixed + b"DeviceUserID=" + self.name + b"\nDeviceModelName=M\nDeviceFirmwareVersion=0\n"

    def _answer(self, kind: int, asked: bytes, tag: int) -> bytes:
        replies = {SUBSCRIBE: b"", FEATURES: self.features, STATS: self.stats, PING: b"",
                   GET: asked.strip() + b"=" + self.get + b"\n", TRIGGER: struct.pack("<Q", 1)}
        if kind in replies:
            return message(kind, replies[kind], tag, REPLY)
        return message(ERROR, struct.pack("<HHI", 8, 9, 0) + self.refusal, tag, REPLY)

    def _stream(self, client: socket.socket, lock: threading.Lock) -> None:
        count = 0
        try:
            while not self.ended:
                count += 1
                taken_ns = self.now_ns()
                frame = struct.pack(
                    "<HBBIQQQIHHQQ7I4IIQQqBBhI", 136, 1, 80, 0, self.boot_id, count, count, count,
                    32, 16, taken_ns, self.realtime_ns(count), 1000, 1000, 1000, 0, 0, 0, 0,
                    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0)
                with lock:
                    client.sendall(message(FRAME, frame + self.jpeg))
                time.sleep(self.period_s)
        except OSError:
            pass
