# SPDX-License-Identifier: MIT
"""What can go wrong. A link that is broken is a ConnectionError, no answer a TimeoutError."""

from __future__ import annotations


class PinholeError(Exception):
    """Base of what this package raises for itself."""


class Refused(PinholeError):
    """The node refused a request; the text is its own sentence."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class UnknownFeature(Refused, KeyError, AttributeError):
    """The node has no feature of that name."""

    def __str__(self) -> str:  # KeyError's would be quoted
        return str(self.args[0])


class ReadOnly(Refused):
    """The feature cannot be set."""


class BadValue(Refused, ValueError):
    """Not a value that the feature takes."""


class Unavailable(Refused):
    """Understood, but not now: no camera, or TriggerMode is Off."""


class Denied(Refused):
    """Above what this connection may do, or one side does not know the key."""


_CONTROLS = {code: " " for code in (*range(0x20), *range(0x7f, 0xa0))}
_CONTROLS_BUT_LINES = {code: " " for code in _CONTROLS if code != ord("\n")}


def clean(text: str, keeps_lines: bool = False) -> str:
    """Text from a node, safe to print: control characters could drive a terminal or forge a line of
    a log."""
    return text.translate(_CONTROLS_BUT_LINES if keeps_lines else _CONTROLS)


def refusal(code: int, text: str) -> Refused:
    """The exception for an ERROR message."""
    kinds = {7: UnknownFeature, 8: ReadOnly, 9: BadValue, 10: Unavailable, 12: Denied}
    return kinds.get(code, Refused)(code, text)
