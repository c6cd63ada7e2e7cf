# SPDX-License-Identifier: MIT
"""Frames and events as the user sees them, and from bytes to them."""

from __future__ import annotations

import enum
import struct
import time
from dataclasses import dataclass
from typing import Any, Optional, Tuple

from . import _jpeg
from .errors import clean


class FrameFlags(enum.IntFlag):
    """Frame.flags."""

    CLOCK_SYNCHRONIZED = 1
    TORN = 2
    NO_SENSOR_CLOCK = 4
    RESTARTED = 8
    STROBE_COVERED = 16
    STROBE_MISSED = 32


class EventKind(enum.IntEnum):
    """Event.kind; the last two are this package's own."""

    GAP = 1
    TRIGGER = 2
    CAMERA = 3
    FEATURES = 4
    FRAME_LOST = 5
    BOOT = 6
    DISCONNECTED = 128
    RECONNECTED = 129


@dataclass
class Frame:
    """One JPEG and all that is known of it."""

    jpeg: bytes
    boot_id: int
    sequence: int
    frame_id: int
    sensor_sequence: int
    width: int
    height: int
    quality: int
    flags: FrameFlags
    timestamp_ns: int
    realtime_ns: int
    exposure_us: int
    gain: float
    digital_gain: float
    frame_duration_us: int
    colour_temperature_k: int
    lux: float
    lens_position: float
    acquired_us: int
    encode_start_us: int
    encoded_us: int
    queued_us: int
    skipped: int  # frames left out for this subscriber since the last one
    trigger_id: int  # 0 = none
    edge_ns: int
    exposure_delta_ns: int
    trigger_source: int
    encodes: int
    burst_index: int
    received_ns: int  # this host's time.monotonic_ns()
    lost: Optional[range] = None  # records in which frames before this one are missing

    @property
    def array(self) -> Any:
        """The picture as a NumPy array, height x width x RGB."""
        return self.decode()

    def decode(self, pixels: str = "rgb", scale: Tuple[int, int] = (1, 1)) -> Any:
        """The picture as a NumPy array: "grey" (height x width), "rgb", "bgr", "rgba", "bgra";
        scaled by any of libjpeg's n/8 from 1/8 to 2 when libturbojpeg is there."""
        return _jpeg.decode(self.jpeg, pixels, scale)

    def save(self, path: str) -> None:
        """Writes the JPEG to a file."""
        with open(path, "wb") as file:
            file.write(self.jpeg)


@dataclass
class Event:
    """What happened that is no frame. GAP: records first..last are lost. TRIGGER: triggers
    first..last have no image. BOOT: the node has restarted; `first` is the first record of its
    former log that did not come, if there were more (0 = not known)."""

    kind: int
    boot_id: int
    sequence: int
    monotonic_ns: int
    realtime_ns: int
    first: int = 0
    last: int = 0
    edge_ns: int = 0
    sensor_sequence: int = 0
    trigger_source: int = 0
    outcome: int = 0
    camera_state: int = 0
    text: str = ""

    @property
    def name(self) -> str:
        """"GAP", "TRIGGER" ...; "?" when a newer node has another."""
        return EventKind(self.kind).name if self.kind in list(EventKind) else "?"


_FRAME = struct.Struct("<HBBIQQQIHHQQIIIIIIIIIIIIQQqBBh")
_EVENT = struct.Struct("<HBBBBHQQQQQQQII")


def _fixed(layout: struct.Struct, payload: bytes) -> Tuple[Tuple[Any, ...], int]:
    """The fields as far as the sender knows them (0 beyond), and where the rest begins."""
    end = int.from_bytes(payload[:2], "little")
    if not 2 <= end <= len(payload):
        raise ConnectionError("a malformed message came")
    return layout.unpack_from(payload[:end].ljust(layout.size, b"\0")), end


def read_frame(payload: bytes) -> "Frame | Event":
    """A FRAME's payload. A format that is not known is an event that there was a frame."""
    fields, end = _fixed(_FRAME, payload)
    (_, form, quality, flags, boot, sequence, frame_id, sensor, width, height, stamp, real, exposure,
     gain, digital, duration, kelvin, lux, lens, acquired, begun, encoded, queued, skipped, trigger,
     edge, delta, source, encodes, burst) = fields
    if form != 1:
        return Event(EventKind.FRAME_LOST, boot, sequence, stamp, real, sensor_sequence=sensor,
                     text="the frame has a format that this version of the package does not know")
    return Frame(payload[end:], boot, sequence, frame_id, sensor, width, height, quality,
                 FrameFlags(flags & 63), stamp, real, exposure, gain / 1000, digital / 1000,
                 duration, kelvin, lux / 1000, lens / 1000, acquired, begun, encoded, queued,
                 skipped, trigger, edge, delta, source, encodes, burst, time.monotonic_ns())


def read_event(payload: bytes) -> Event:
    """An EVENT's payload."""
    fields, end = _fixed(_EVENT, payload)
    (_, kind, source, outcome, state, _, boot, sequence, stamp, real, first, last, edge, _,
     sensor) = fields
    return Event(kind, boot, sequence, stamp, real, first, last, edge, sensor, source, outcome, state,
                 clean(payload[end:].decode("utf-8", "replace"), keeps_lines=True))
