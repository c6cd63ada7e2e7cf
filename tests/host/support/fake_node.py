# SPDX-License-Identifier: MIT
"""A node that says whatever a test wants, over the protocol of net/SPEC.md."""

import base64
import socket
import struct
import threading
import time
from typing import Any, Callable

HELLO, SUBSCRIBE, FRAME, EVENT, FEATURES, GET, SET, TRIGGER, STATS, PING, ERROR, PROVE = \
    range(1, 13)
REPLY = 1

# 32x16 pixels.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcp"
    "LDAxNDQ0Hyc5PTgyPC4zNDL/2wBDAQkJCQwLDBgNDRgyIRwhMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIy"
    "MjIyMjIyMjIyMjIyMjL/wAARCAAQACADASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAABQYH/8QAGBAAAgMAAAAAAAAA"
    "AAAAAAAAAAMFIjH/xAAWAQEBAQAAAAAAAAAAAAAAAAAFBAb/xAAZEQACAwEAAAAAAAAAAAAAAAAABQMhMWH/2gAMAwEAAhED"
    "EQA/AM3RBZQTRB5QuEQeUE0QWULZWvQRe7yyHRBZQTRBZQuEQWUE0QWUC5WvTcr3eWf/2Q==")
# The same in grey.
JPEG_GREY = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcp"
    "LDAxNDQ0Hyc5PTgyPC4zNDL/wAALCAAQACABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAABwj/xAAWEAADAAAAAAAAAAAAAAAA"
    "AAAABUL/2gAIAQEAAD8AG08iAnkQE8iAnkj9PIgJ5EBPIgJ5P//Z")


def padded_jpeg(size: int) -> bytes:
    """A valid JPEG of `size` bytes, or up to 3 more, made long by comments."""
    comments = b""
    while (missing := size - len(JPEG) - len(comments)) > 0:
        text = b" " * max(0, min(missing - 4, 60000))
        comments += b"\xff\xfe" + struct.pack(">H", 2 + len(text)) + text
    return JPEG[:2] + comments + JPEG[2:]


def message(kind: int, payload: bytes, tag: int = 0, flags: int = 0) -> bytes:
    return struct.pack("<4sBBHII", b"PINH", 1, kind, flags, len(payload), tag) + payload


class FakeNode:
    """Frames at a rate from a thread of its own per client. Use as a context."""

    def __init__(self, name: bytes = b"fake", features: bytes = b"", stats: bytes = b"",
                 jpeg: bytes = JPEG, frames_per_second: float = 20.0, refusal: bytes = b"no",
                 clock_offset_ns: int = 0, boot_id: int = 7,
                 get: bytes = b"",
                 realtime_ns: Callable[[int], int] = lambda count: time.time_ns(),
                 sequence_next: int = 1) -> None:
        self.name, self.features, self.stats, self.jpeg = name, features, stats, jpeg
        self.period_s, self.refusal, self.boot_id = 1 / frames_per_second, refusal, boot_id
        self.get = get
        self.clock_offset_ns, self.realtime_ns = clock_offset_ns, realtime_ns
        self.sequence_next, self.is_answering = sequence_next, True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.ended = False
        self.clients: list[socket.socket] = []
        self.over: list[socket.socket] = []  # those that the other side has closed
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

    def dial(self, address: tuple[str, int], source: str = "") -> socket.socket:
        """Dials out, as a node with an uplink does, and is a node on that connection."""
        client = socket.create_connection(address, source_address=(source, 0) if source else None)
        self.clients.append(client)
        threading.Thread(target=self._serve, args=(client,), daemon=True).start()
        return client

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
                if not self.is_answering:
                    continue
                with lock:
                    client.sendall(self._answer(kind, asked, tag))
                if kind == SUBSCRIBE:
                    boot_id, start = struct.unpack_from("<QQ", asked, 8)
                    threading.Thread(target=self._stream, daemon=True,
                                     args=(client, lock, boot_id, start)).start()
        except OSError:
            pass
        finally:
            self.over.append(client)

    def _hello(self) -> bytes:
        fixed = struct.pack("<HBBIQIHHQQQQII", 64, 1, 1, 4096, self.boot_id, 64 << 20, 16, 200, 1,
                            self.sequence_next,
                            self.now_ns(), time.time_ns(), 0, 5000)
        return fixed + b"DeviceUserID=" + self.name + b"\nDeviceModelName=M\nDeviceFirmwareVersion=0\n"

    def _answer(self, kind: int, asked: bytes, tag: int) -> bytes:
        replies = {SUBSCRIBE: b"", FEATURES: self.features, STATS: self.stats, PING: asked,
                   GET: asked.strip() + b"=" + self.get + b"\n", TRIGGER: struct.pack("<Q", 1)}
        if kind == SET and self.refusal == b"":  # taken, with whatever GET says in force
            return message(kind, asked, tag, REPLY)
        if kind in replies:
            return message(kind, replies[kind], tag, REPLY)
        return message(ERROR, struct.pack("<HHI", 8, 9, 0) + self.refusal, tag, REPLY)

    def frame(self, sequence: int, jpeg: bytes | None = None, trigger_id: int = 0) -> bytes:
        """A FRAME as it is sent."""
        taken_ns = self.now_ns()
        fixed = struct.pack(
            "<HBBIQQQIHHQQ7I4IIQQqBBhI", 136, 1, 80, 0, self.boot_id, sequence, sequence,
            sequence & 0xFFFFFFFF, 32, 16, taken_ns, self.realtime_ns(sequence), 1000, 1000, 1000, 0, 0, 0, 0,
            0, 0, 0, 0, 0, trigger_id, taken_ns if trigger_id else 0, 0, 1 if trigger_id else 0, 1,
            0, 0)
        return message(FRAME, fixed + (self.jpeg if jpeg is None else jpeg))

    def event(self, kind: int, sequence: int, first: int = 0, last: int = 0,
              text: bytes = b"") -> bytes:
        """An EVENT as it is sent. Kinds: 1 GAP, 4 FEATURES, 6 BOOT."""
        return message(EVENT, struct.pack("<HBBBBHQQQQQQQII", 72, kind, 0, 0, 0, 0, self.boot_id,
                                          sequence, self.now_ns(), time.time_ns(), first, last, 0,
                                          0, 0) + text)

    def _stream(self, client: socket.socket, lock: threading.Lock, _boot_id: int,
                _start: int) -> None:
        count = 0
        try:
            while not self.ended:
                count += 1
                with lock:
                    client.sendall(self.frame(count))
                time.sleep(self.period_s)
        except OSError:
            pass


class ScriptedNode(FakeNode):
    """A node whose records are `script(node, send, boot_id, start)`: what the subscriber asked for,
    and a function that sends it bytes."""

    def __init__(self, script: Callable[..., None], **options: Any) -> None:
        self.script = script
        super().__init__(**options)

    def _stream(self, client: socket.socket, lock: threading.Lock, boot_id: int,
                start: int) -> None:
        def send(data: bytes) -> None:
            with lock:
                client.sendall(data)
        try:
            self.script(self, send, boot_id, start)
        except OSError:
            pass
