# SPDX-License-Identifier: MIT
"""A camera: iterate over it for frames."""

from __future__ import annotations

import collections
import os
import time
from types import TracebackType
from typing import Any, Callable, Deque, Dict, Iterator, Optional, Type, Union

from . import _find, _link
from ._position import EVERY, FROM_NEWEST, FROM_NEXT, LATEST, NONE, Record, Wish
from ._records import Event, Frame
from .features import Feature, Features, Value, parse

_EVENTS_KEPT = 1000


class Camera:
    """One connection to one node. Not for several threads at a time.

    `address` is "host", "host:port", "[v6]:port", "unix:/path" or "id:NAME"; without it
    $PINHOLE_NODE, or 127.0.0.1. `policy` "latest" gives fresh frames and skips those there was no
    time for; "every" gives each retained record in order, and what is gone as GAP events.
    `from_sequence` is a number, "newest" or "next". Events are kept in `events`, the last 1,000 of
    them, and given to `on_event` if that is set.

    After `silence` seconds without a message the node is asked by PING. Without an answer for as
    long again, the link is broken. A message at less than 1 KiB in that time counts as silence.
    None never asks. Only a call that waits notices it.

    `key` is the file with the node's key (`pinholectl keygen`). Both sides prove that they know it:
    Denied is raised if one does not.

    Features are attributes: `camera.ExposureTime = 8000`; `camera.features` is a mapping of them.
    """

    def __init__(self, address: Optional[str] = None, *, policy: str = "latest",
                 triggered_only: bool = False, no_events: bool = False, interval_us: int = 0,
                 from_sequence: Union[int, str] = "newest", boot_id: int = 0, timeout: float = 3.0,
                 reconnect: bool = True, silence: Optional[float] = 10.0,
                 on_event: Optional[Callable[[Event], None]] = None,
                 key: Optional[Union[str, "os.PathLike[str]"]] = None) -> None:
        starts = {"newest": FROM_NEWEST, "next": FROM_NEXT}
        if policy not in ("latest", "every"):
            raise ValueError(f"policy must be 'latest' or 'every', not {policy!r}")
        if isinstance(from_sequence, str) and from_sequence not in starts:
            raise ValueError("from_sequence must be a number, 'newest' or 'next'")
        start = starts[from_sequence] if isinstance(from_sequence, str) else from_sequence
        self._wish = Wish(EVERY if policy == "every" else LATEST, triggered_only, no_events,
                          interval_us, start, boot_id)
        self._known: Dict[str, Feature] = {}
        self.events: Deque[Event] = collections.deque(maxlen=_EVENTS_KEPT)
        self.on_event = on_event
        self._link = _link.Link(address or os.environ.get("PINHOLE_NODE") or "127.0.0.1",
                                _find.resolve, timeout, reconnect, silence, key)
        self.features = Features(self._features, self._get, self._set_lines)

    # --- what the node is ----------------------------------------------------------------------

    @property
    def id(self) -> str:
        """DeviceUserID."""
        return self._link.hello.get("DeviceUserID", "")

    @property
    def model(self) -> str:
        """DeviceModelName: the camera."""
        return self._link.hello.get("DeviceModelName", "")

    @property
    def boot_id(self) -> int:
        """Changes when the node restarts."""
        return self._link.boot_id

    def fileno(self) -> int:
        """For select(); after next(0) has returned None."""
        return self._link.fileno()

    def close(self) -> None:
        """Ends the connection."""
        self._link.close()

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    # --- frames and events ---------------------------------------------------------------------

    def start(self) -> None:
        """Begins the flow; iterating and next() do it by themselves."""
        if self._link.position is None:
            self._link.subscribe(self._wish)

    def stop(self) -> None:
        """Stops the flow. The connection stays, and start() begins again."""
        self._link.subscribe(Wish(NONE))

    def next(self, timeout: Optional[float] = None) -> Optional[Record]:
        """The next Frame or Event, or None when there is none within `timeout` seconds (None waits
        for ever)."""
        self.start()
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while not self._link.records:
            # A look at a time, so that a link which is mended meanwhile is waited for as well.
            self._link.step(min(deadline, time.monotonic() + 1))
            if not self._link.records and time.monotonic() >= deadline:
                return None
        record = self._link.records.popleft()
        if isinstance(record, Event):
            self.events.append(record)
            if self.on_event is not None:
                self.on_event(record)
        return record

    def frame(self, timeout: Optional[float] = None) -> Frame:
        """The next frame. TimeoutError when none comes in time."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            record = self.next(None if deadline is None else max(deadline - time.monotonic(), 0))
            if isinstance(record, Frame):
                return record
            if record is None:
                raise TimeoutError(f"no frame within {timeout} s")

    def __iter__(self) -> Iterator[Frame]:
        while True:
            yield self.frame()

    def records(self) -> Iterator[Record]:
        """Frames and events, in the order of the node's log."""
        while True:
            record = self.next()
            if record is not None:
                yield record

    # --- requests ------------------------------------------------------------------------------

    def _features(self) -> Dict[str, Feature]:
        hears = self._link.position is not None and not self._wish.no_events
        if hears:
            self._link.drain()
        if not self._known or self._link.features_changed or not hears:
            self._link.features_changed = False
            self._known = parse(self._link.request_text(_link.FEATURES))
        return self._known

    def _get(self, name: str) -> str:
        return self._link.request_text(_link.GET, name.encode()).strip("\n").partition("=")[2]

    def _set_lines(self, lines: str) -> None:
        self._link.request(_link.SET, lines.encode())
        self._link.features_changed = True

    def __getattr__(self, name: str) -> Value:
        if not name[:1].isupper():
            raise AttributeError(f"a Camera has no {name!r}")
        return self.features[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name[:1].isupper():
            self.features[name] = value
        else:
            super().__setattr__(name, value)

    def trigger(self, frames: Optional[int] = None) -> int:
        """Software trigger; returns its id, which its frame or event will carry. With `frames`, so
        many answer it (sets AcquisitionBurstFrameCount, which stays so)."""
        if frames is not None and self.features["AcquisitionBurstFrameCount"] != frames:
            self.features["AcquisitionBurstFrameCount"] = frames
        return int.from_bytes(self._link.request(_link.TRIGGER)[:8], "little")

    def stats(self) -> str:
        """The node's counters in Prometheus text exposition format."""
        return self._link.request_text(_link.STATS)

    def ping(self) -> float:
        """Round trip in seconds."""
        begin = time.monotonic()
        self._link.request(_link.PING, b"pinhole")
        return time.monotonic() - begin
