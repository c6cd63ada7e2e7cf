# SPDX-License-Identifier: MIT
"""A strict reader of the Prometheus text exposition format 0.0.4: the client library's, which takes
much that a scraper refuses, and what the format asks beyond it."""

import math
import re

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}


def read(text: str) -> dict[str, Metric]:
    """The families by name. ValueError says what is wrong."""
    check(text.endswith("\n"), "the last line has no end")
    check_lines(text[:-1].split("\n"))
    families: dict[str, Metric] = {}
    for family in text_string_to_metric_families(text):
        # The library's name of a counter lacks the suffix.
        name = family.name + "_total" * (family.type == "counter")
        check(name not in families, f"{name} is not in one place")
        check_family(family)
        families[name] = family
    return families


def check(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def check_lines(lines: list[str]) -> None:
    """Each family is introduced by one HELP, then its TYPE; samples have single spaces."""
    helped, typed = set(), ""
    for line in lines:
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            check(name not in helped, f"HELP twice: {line}")
            helped.add(name)
            typed = ""
        elif line.startswith("# TYPE "):
            typed = line.split(" ")[2]
            check(typed in helped and line.split(" ")[3] in SUFFIXES, f"TYPE is wrong: {line}")
            check((line.split(" ")[3] == "counter") == typed.endswith("_total"),
                  f"_total is for counters: {line}")
        else:
            check(re.fullmatch(r'\w+(\{(\w+="[^"]*",?)+\})? \S+', line) is not None,
                  f"not a sample: {line}")
            check(typed != "" and line.startswith(typed), f"a sample before its TYPE: {line}")


def check_family(family: Metric) -> None:
    check(family.documentation.strip() != "", f"HELP of {family.name} says nothing")
    check(bool(family.samples), f"{family.name} has no samples")
    series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
    check(len(series) == len(set(series)), f"a series of {family.name} stands twice")
    for sample in family.samples:
        check(sample.name in [family.name + suffix for suffix in SUFFIXES[family.type]],
              f"{sample.name} is a sample of another family than {family.name}")
        check(not math.isnan(sample.value), f"{sample.name} is not a number")
        check(family.type == "gauge" or sample.value >= 0, f"{sample.name} is below 0")
    if family.type == "histogram":
        check_histogram(family)


def check_histogram(family: Metric) -> None:
    values = {sample.name: sample.value for sample in family.samples if not sample.labels}
    buckets = [(float(sample.labels["le"]), sample.value) for sample in family.samples
               if sample.name.endswith("_bucket")]
    check(bool(buckets) and buckets[-1][0] == math.inf, f"{family.name} has no bucket +Inf")
    check(buckets == sorted(buckets) and [v for _, v in buckets] == sorted(v for _, v in buckets),
          f"{family.name}: buckets out of order")
    check(values.get(family.name + "_count") == buckets[-1][1],
          f"{family.name}_count is not the last bucket")
    check(family.name + "_sum" in values, f"{family.name} has no _sum")


def value(families: dict[str, Metric], name: str) -> float:
    """Of the one sample with this name and no labels."""
    return float(next(sample.value for family in families.values() for sample in family.samples
                      if sample.name == name and not sample.labels))
