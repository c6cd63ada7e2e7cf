# SPDX-License-Identifier: MIT
"""A strict reader of the Prometheus text exposition format 0.0.4."""

import math
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
TYPES = {"counter", "gauge", "histogram"}
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


class Family:
    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self.samples: dict[tuple[str, str], float] = {}


def read(text: str) -> dict[str, Family]:
    """The families by name. ValueError names the first line that is wrong."""
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    families: dict[str, Family] = {}
    family, helped = None, ""
    for number, line in enumerate(text[:-1].split("\n"), 1):
        try:
            if line.startswith("# HELP "):
                name, help_text = line[7:].split(" ", 1)
                check(name not in families and name != helped, "HELP twice")
                check(re.fullmatch(NAME, name) is not None, "no metric's name")
                check(help_text.strip() != "", "HELP says nothing")
                helped, family = name, None
            elif line.startswith("# TYPE "):
                name, kind = line[7:].split(" ")
                check(name == helped, "TYPE does not follow its HELP")
                check(name not in families, "the family is not in one place")
                check(kind in TYPES, f"unknown type {kind}")
                family = families[name] = Family(name, kind)
                check((kind == "counter") == name.endswith("_total"), "_total is for counters")
            else:
                check(not line.startswith("#"), "a comment that is no HELP or TYPE")
                add_sample(family, line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}: {line}") from None
    for each in families.values():
        check(bool(each.samples), f"{each.name} has no samples")
        if each.kind == "histogram":
            check_histogram(each)
    return families


def check(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def add_sample(family: Family | None, line: str) -> None:
    match = SAMPLE.fullmatch(line)
    check(match is not None, "no sample")
    assert match is not None
    name, labels, value = match.group(1), match.group(2) or "", match.group(3)
    check(family is not None, "a sample before its TYPE")
    assert family is not None
    check(name in [family.name + suffix for suffix in SUFFIXES[family.kind]],
          f"a sample of another family than {family.name}")
    names = re.findall(r'([a-zA-Z_][a-zA-Z0-9_]*)="', labels)
    check(len(names) == len(set(names)), "a label twice")
    check((name, labels) not in family.samples, "a series twice")
    number = float(value)
    check(family.kind == "gauge" or number >= 0, "a counter below 0")
    check(not math.isnan(number), "not a number")
    family.samples[name, labels] = number


def check_histogram(family: Family) -> None:
    buckets = [(float(re.findall(r'le="([^"]+)"', labels)[0]), value)
               for (name, labels), value in family.samples.items() if name.endswith("_bucket")]
    check(bool(buckets) and buckets[-1][0] == math.inf, f"{family.name} has no bucket +Inf")
    check(buckets == sorted(buckets) and [v for _, v in buckets] == sorted(v for _, v in buckets),
          f"{family.name}: buckets out of order")
    check(family.samples.get((family.name + "_count", "")) == buckets[-1][1],
          f"{family.name}_count is not the last bucket")
    check((family.name + "_sum", "") in family.samples, f"{family.name} has no _sum")


def value(families: dict[str, Family], name: str, labels: str = "") -> float:
    return families[name].samples[name, labels]
