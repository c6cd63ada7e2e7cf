# SPDX-License-Identifier: MIT
"""The subscriber's place in the node's log: where to resume, what is missing, what came twice."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import Any, Iterator, Optional, Tuple, Union

from ._records import Event, EventKind, Frame

NONE, LATEST, EVERY = 0, 1, 2
FROM_NEWEST, FROM_NEXT = 0, 2**64 - 1
Record = Union[Frame, Event]


@dataclass
class Wish:
    """What was subscribed to."""

    policy: int
    triggered_only: bool = False
    no_events: bool = False
    interval_us: int = 0
    from_sequence: int = FROM_NEWEST
    boot_id: int = 0

    @property
    def is_exact(self) -> bool:
        """Every record is wanted: a hole is a loss."""
        return self.policy == EVERY and not (self.triggered_only or self.no_events or
                                             self.interval_us)


class Position:
    """Follows one subscription over all links that carry it."""

    def __init__(self, wish: Wish, boot_id: int, start: int) -> None:
        self.wish, self.boot_id = wish, boot_id
        self.expected = self.floor = self.last_frame = 0
        self._told = 0  # records since the last frame which came or were in a GAP
        self.resumed = False
        self._lost: Optional[range] = None
        if wish.boot_id in (0, boot_id):
            self.expected = start
            if not start and wish.from_sequence != FROM_NEXT:
                self.expected = wish.from_sequence

    def subscribe(self) -> bytes:
        """SUBSCRIBE's payload, from the position."""
        wish, boot, start = self.wish, self.wish.boot_id, self.wish.from_sequence
        if not boot or self.expected:
            boot = self.boot_id
        if self.expected:
            # Policy `latest` too: of the frames the node sends the newest, but of the events all.
            start = self.expected
        return pack(wish, boot, start)

    def resume(self) -> None:
        """The link was made again."""
        self.floor = max(self.expected - 1, 0)
        self.resumed = True

    def restart(self, boot_id: int, oldest: int, end: int) -> bool:
        """Gives a position up that is beyond the end of the log in HELLO. True: it was."""
        is_beyond = boot_id == self.boot_id and self.expected > end
        if is_beyond:
            self._start_boot(boot_id, oldest if self.wish.policy == EVERY else 0)
        return is_beyond

    def _start_boot(self, boot_id: int, expected: int) -> None:
        self.boot_id, self.expected = boot_id, expected
        self.floor = self.last_frame = self._told = 0
        self._lost = None

    def _lose(self, first: int, last: int) -> None:
        if first and last >= first:
            before = self._lost or range(first, last + 1)
            self._lost = range(min(before.start, first), max(before.stop, last + 1))

    def accept(self, record: Record) -> Iterator[Record]:
        """What the user gets for one record that came."""
        if isinstance(record, Event) and record.kind == EventKind.BOOT:
            is_first = not self.expected and self.wish.boot_id
            record.first = self.expected
            if is_first and self.wish.from_sequence != FROM_NEXT:
                record.first = self.wish.from_sequence
            self._start_boot(record.boot_id, 1 if self.wish.policy == EVERY else 0)
            yield record
            return
        if record.boot_id != self.boot_id:
            self._start_boot(record.boot_id, 0)
        is_gap = isinstance(record, Event) and record.kind == EventKind.GAP
        first, last = self.span(record)
        if self.floor and last <= self.floor:
            return  # came over the earlier link already
        if self.wish.is_exact and self.expected and first > self.expected:
            self._lose(self.expected, first - 1)
            yield own_event(EventKind.GAP, self.boot_id, self.expected, first - 1,
                            "missing between two records that the node sent")
        if last != FROM_NEXT:
            self.expected = max(self.expected, last + 1)
        if is_gap:
            self._lose(first, last)
        if isinstance(record, Frame):
            self._note_frame(record)
        else:
            self._told += last - first + 1
        yield record

    @staticmethod
    def span(record: Record) -> Tuple[int, int]:
        """The first and last record that this one speaks of."""
        if isinstance(record, Event) and record.kind == EventKind.GAP:
            return record.first, record.last
        return record.sequence, record.sequence

    def _note_frame(self, frame: Frame) -> None:
        wish = self.wish
        is_plain = not (wish.triggered_only or wish.no_events or wish.interval_us)
        if self.resumed and wish.policy == LATEST and is_plain and self.last_frame:
            # The node counts per subscription; over a new link the count goes on here: what was not
            # told of since the last frame was frames, as all events are, by themselves or in a GAP.
            frame.skipped = max(frame.sequence - self.last_frame - self._told - 1, 0)
        if frame.skipped and self.last_frame:
            self._lose(self.last_frame + 1, frame.sequence - 1)
        frame.lost, self._lost = self._lost, None
        self.last_frame, self._told, self.resumed = frame.sequence, 0, False


def pack(wish: Wish, boot_id: int, from_sequence: int) -> bytes:
    """SUBSCRIBE's payload."""
    return struct.pack("<HBBIQQ", 24, wish.policy, wish.triggered_only | wish.no_events << 1,
                       wish.interval_us, boot_id, from_sequence)


def own_event(kind: int, boot_id: int, first: int, last: int, text: str, **fields: Any) -> Event:
    """An event that the node did not send."""
    return Event(kind, boot_id, last, time.monotonic_ns(), 0, first, last, text=text, **fields)
