# SPDX-License-Identifier: MIT
"""A node's features: values by name, with type, range, unit and choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, Iterator, MutableMapping, Optional, Tuple, Union

from .errors import UnknownFeature

Value = Union[int, float, bool, str]


@dataclass
class Feature:
    """One feature as the node described it; `value` is the one of that moment."""

    name: str
    value: str
    type: str  # "Integer", "Float", "Boolean", "Enum", "String", "Command"
    unit: str
    min: Optional[float]
    max: Optional[float]
    increment: Optional[float]
    writable: bool
    readable: bool
    choices: Tuple[str, ...]
    help: str

    def read(self, text: str) -> Value:
        """A value's text in the feature's type. ConnectionError when it is none of that type."""
        try:
            if self.type == "Integer":
                return int(float(text)) if "." in text or "e" in text else int(text)
            if self.type == "Float":
                return float(text)
        except (ValueError, OverflowError):
            raise ConnectionError(f"{self.name}: the node says {text[:64]!r}, which is no "
                                  f"{self.type}") from None
        return text == "1" if self.type == "Boolean" else text


def _number(text: str) -> Optional[float]:
    try:
        return float(text)
    except ValueError:
        return None  # no limit, or none that can be read


def parse(text: str) -> Dict[str, Feature]:
    """A FEATURES reply."""
    found = {}
    for line in text.splitlines():
        field = (line.split("\t") + [""] * 10)[:10]
        found[field[0]] = Feature(
            field[0], field[1], field[2], field[3], _number(field[4]), _number(field[5]),
            _number(field[6]), "w" in field[7], "r" in field[7],
            tuple(field[8].split("|")) if field[8] else (), field[9])
    return found


def write(value: Value) -> str:
    """A value as text for the wire."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return repr(value) if isinstance(value, float) else str(value)


class Features(MutableMapping[str, Value]):
    """`features["Gain"]` asks the node, `features["Gain"] = 2` tells it; iterating gives names."""

    def __init__(self, known: Callable[[], Dict[str, Feature]], get: Callable[[str], str],
                 set_lines: Callable[[str], None]) -> None:
        self._known, self._get, self._set_lines = known, get, set_lines

    def info(self, name: str) -> Feature:
        """Type, range, unit, access and choices of one feature."""
        try:
            return self._known()[name]
        except KeyError:
            raise UnknownFeature(7, f"{name}: no such feature") from None

    def set(self, **values: Value) -> None:
        """Sets several: all of them, or none when one is refused."""
        self._set_lines("".join(f"{name}={write(value)}\n" for name, value in values.items()))

    def __getitem__(self, name: str) -> Value:
        return self.info(name).read(self._get(name))

    def __setitem__(self, name: str, value: Value) -> None:
        self._set_lines(f"{name}={write(value)}\n")

    def __delitem__(self, name: str) -> None:
        raise TypeError("features cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return (name for name, feature in self._known().items() if feature.readable)

    def __len__(self) -> int:
        return sum(1 for _ in self)
