# SPDX-License-Identifier: MIT
"""A tiny client of the Pinhole protocol for tests: what net/SPEC.md says, in the standard library."""

import socket
import struct
import time

HELLO, SUBSCRIBE, FRAME, EVENT, FEATURES, GET, SET, TRIGGER, STATS, PING, ERROR, PROVE, \
    AUTH = range(1, 14)
LATEST, EVERY = 1, 2
FROM_NEWEST, FROM_NEXT = 0, 2**64 - 1
TRIGGERED_ONLY, NO_EVENTS = 1, 2
GAP, TRIGGER_EVENT, CAMERA, FEATURES_EVENT, FRAME_LOST, BOOT = range(1, 7)
EVENT_NAMES = "NONE", "GAP", "TRIGGER", "CAMERA", "FEATURES", "FRAME_LOST", "BOOT"
ABSENT, STREAMING, STALLED, RECONFIGURED = range(4)
MATCHED, MISSED, OVERRUN, FAILED = range(1, 5)
OUTCOMES = "NONE", "MATCHED", "MISSED", "OVERRUN", "FAILED"
(MALFORMED, VERSION, TOO_LARGE, FULL, TIMEOUT, UNKNOWN_TYPE, UNKNOWN_FEATURE, READ_ONLY, BAD_VALUE,
 UNAVAILABLE, SLOW, DENIED) = range(1, 13)
TORN, RESTARTED = 2, 8
SILENCE_S = 30  # no test waits for one message longer than this

FIELDS = {
    HELLO: ("<HBBIQIHHQQQQIIB7s32s", "fixed_bytes version_min version_max message_bytes_max boot_id "
            "frame_bytes_max clients_max command_rate_max sequence_oldest sequence_next "
            "monotonic_ns realtime_ns flags send_deadline_ms role reserved challenge"),
    FRAME: ("<HBBIQQQIHHQQIIIIIIIIIIIIQQqBBhI", "fixed_bytes format quality flags boot_id sequence "
            "frame_id sensor_sequence width height timestamp_ns realtime_ns exposure_us gain_milli "
            "digital_gain_milli frame_duration_us colour_temperature_k lux_milli "
            "lens_position_milli acquired_us encode_start_us encoded_us queued_us skipped "
            "trigger_id edge_ns exposure_delta_ns trigger_source encodes burst_index reserved"),
    EVENT: ("<HBBBBHQQQQQQQII", "fixed_bytes kind trigger_source outcome camera_state reserved "
            "boot_id sequence monotonic_ns realtime_ns first last edge_ns flags sensor_sequence"),
    ERROR: ("<HHI", "fixed_bytes code flags"),
}


class Message:
    """One message; its fixed fields are attributes, what follows them is `data`."""

    def __init__(self, kind, flags, tag, payload):
        self.type, self.is_reply, self.tag, self.data = kind, bool(flags & 1), tag, payload
        if kind in FIELDS:
            layout, names = FIELDS[kind]
            values = struct.unpack_from(layout, payload)
            for name, value in zip(names.split(), values):
                # The message's own type and flags go before those of its payload.
                setattr(self, name if name != "flags" else "field_flags", value)
            self.data = payload[values[0]:]

    @property
    def text(self):
        return self.data.decode()

    @property
    def lines(self):
        """`Name=value` lines as a dict."""
        return dict(line.split("=", 1) for line in self.text.splitlines())

    def __repr__(self):
        shown = {k: v for k, v in vars(self).items() if k not in ("data", "realtime_ns")}
        return f"{shown} {self.data[:80]}"


class Refused(Exception):
    """An ERROR in answer to a request."""

    def __init__(self, message):
        super().__init__(message.text)
        self.code, self.text = message.code, message.text


class Client:
    """One connection. Records that arrive while a reply is waited for are kept for next()."""

    def __init__(self, address, receive_buffer=0):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
        else:
            self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(SILENCE_S)
        self.socket.connect(address)
        self.buffer, self.records, self.tag = bytearray(), [], 0
        self.hello = self.receive()
        if self.hello.type == ERROR:
            raise Refused(self.hello)
        assert self.hello.type == HELLO, self.hello

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def read(self, count):
        while len(self.buffer) < count:
            got = self.socket.recv(1 << 18)
            if not got:
                raise EOFError("the node closed the connection")
            self.buffer += got
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def receive(self):
        """The next message, whatever it is."""
        magic, version, kind, flags, length, tag = struct.unpack("<4sBBHII", self.read(16))
        assert magic == b"PINH" and version == 1, (magic, version)
        return Message(kind, flags, tag, self.read(length))

    def send(self, kind, payload=b"", tag=0):
        self.socket.sendall(struct.pack("<4sBBHII", b"PINH", 1, kind, 0, len(payload), tag)
                            + payload)

    def request(self, kind, payload=b""):
        self.tag += 1
        self.send(kind, payload, self.tag)
        while True:
            message = self.receive()
            if not message.is_reply:
                self.records.append(message)
                continue
            assert message.tag == self.tag, message
            if message.type == ERROR:
                raise Refused(message)
            return message

    def subscribe(self, policy=EVERY, start=FROM_NEWEST, boot_id=0, filters=0, interval_us=0):
        self.request(SUBSCRIBE, struct.pack("<HBBIQQ", 24, policy, filters, interval_us, boot_id,
                                            start))

    def next(self):
        """The next record (FRAME or EVENT)."""
        return self.records.pop(0) if self.records else self.receive()

    def next_frame(self):
        return self.until(lambda record: record.type == FRAME)

    def until(self, wanted, seen=None, limit_s=SILENCE_S):
        """The first record for which wanted(record) holds; the others are appended to `seen`."""
        deadline = time.monotonic() + limit_s
        while True:
            record = self.next()
            if seen is not None:
                seen.append(record)
            if wanted(record):
                return record
            assert time.monotonic() < deadline, f"did not come; last was {record}"

    def event(self, kind, seen=None, **fields):
        """The next EVENT of this kind with these fields."""
        return self.until(lambda r: r.type == EVENT and r.kind == kind and
                          all(getattr(r, k) == v for k, v in fields.items()), seen)

    def get(self, *names):
        return self.request(GET, "\n".join(names).encode()).lines

    def set(self, **values):
        lines = "".join(f"{name}={value}\n" for name, value in values.items())
        return self.request(SET, lines.encode()).lines

    def trigger(self):
        return struct.unpack("<Q", self.request(TRIGGER).data)[0]

    def stats(self):
        """Metrics as a dict of "name{labels}" to float."""
        lines = self.request(STATS).text.splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in lines if not line.startswith("#")}
