#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Circles among files and folders. One file leads to another that it includes, and a source to the
one that defines what it calls (the symbols are read with nm from the objects in $BUILD).

No circle may lie among the files of app/ and its folders, nor between folders. Within the other
folders a circle may have as many files as LARGEST says; each is printed. `--all` prints every edge,
`--self-test` shows that the rules can fail."""

import os
import re
import subprocess
import sys
from pathlib import Path

TOPS = ("app", "hal", "net", "tools")
# The largest circle that a folder has; lower a number when its circle has become smaller.
LARGEST = {"hal/libcamera": 4, "tools/ctl": 2, "tools/mqtt": 6}


def includes(root):
    """(from, to) of each include of an own header."""
    for top in TOPS:
        for path in sorted(Path(root, top).rglob("*")):
            if path.suffix in (".c", ".cpp", ".h", ".hpp", ".def"):
                for header in re.findall(r'^\s*#\s*include "([^"]+)"', path.read_text(encoding="utf-8"), re.M):
                    yield str(path.relative_to(root)), header


def calls(symbols):
    """(from, to) of each symbol that one object uses and another defines; `symbols` are lines of
    `nm -A`: file:address kind name."""
    defined, used = {}, []
    for line in symbols:
        file, kind, name = re.fullmatch(r"(.*?):\s*(?:[0-9a-f]+)? *(\w) (\S+)", line).groups()
        if kind in "TDBRCV":
            defined[name] = file
        elif kind == "U":
            used.append((file, name))
    return [(file, defined[name]) for file, name in used if name in defined]


def circles(edges):
    """The strongly connected components of more than one member (Tarjan)."""
    following = {}
    for start, end in edges:
        if start != end:
            following.setdefault(start, set()).add(end)
    number, low, stack, found = {}, {}, [], []

    def visit(node):
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(following.get(node, ())):
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(following):
        if node not in number:
            visit(node)
    return found


def folder(file):
    return os.path.dirname(file)


def judge(edges):
    """Yields (is it a fault, sentence)."""
    for circle in circles((folder(a), folder(b)) for a, b in edges):
        yield True, f"circle between folders: {', '.join(circle)}"
        for a, b in sorted(set(edges)):
            if folder(a) != folder(b) and {folder(a), folder(b)} <= set(circle):
                yield True, f"  {a} -> {b}"
    app = [edge for edge in edges if all(file.startswith("app/") for file in edge)]
    for circle in circles(app):
        yield True, f"circle of {len(circle)} files in app/: {', '.join(circle)}"
    for place in sorted({folder(a) for a, _ in edges if not a.startswith("app")}):
        for circle in circles(edge for edge in edges if {folder(edge[0]), folder(edge[1])} == {place}):
            names = ", ".join(os.path.basename(file) for file in circle)
            yield (len(circle) > LARGEST.get(place, 0),
                   f"circle of {len(circle)} files in {place}, {LARGEST.get(place, 0)} allowed: {names}")


def self_test():
    ring = [("app/a", "app/b"), ("app/b", "app/x/c"), ("app/x/c", "app/a")]
    samples = [(2, ring),  # among files, and between the two folders
               (1, [("app/a", "app/b"), ("app/b", "app/a")]),
               (1, [("net/wire", "hal/a"), ("hal/b", "net/c")]),
               (0, [("net/wire", "hal/a"), ("hal/a", "hal/b")]),
               (1, [("hal/a", "hal/b"), ("hal/b", "hal/a")]),
               (0, [("hal/libcamera/a", "hal/libcamera/b"), ("hal/libcamera/b", "hal/libcamera/a")]),
               (1, [(f"hal/libcamera/{i}", f"hal/libcamera/{(i + 1) % 5}") for i in range(5)]),
               (1, calls(["net/server/a.c:00 T a", "net/server/a.c: U b", "app/b.c:00 T b", "app/b.c: U a"]))]
    wrong = [edges for expected, edges in samples
             if sum(fault and line[0] != " " for fault, line in judge(edges)) != expected]
    print(*wrong, f"self-test: {len(wrong)} of {len(samples)} samples judged wrongly", sep="\n")
    return bool(wrong)


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    objects = Path(os.environ.get("BUILD", "build/release"), "obj")
    sources = {str(objects / source.with_suffix(".o")): source
               for top in TOPS for source in sorted(Path(top).rglob("*.c*"))}
    compiled = [name for name in sources if Path(name).exists()]  # what this build leaves out has none
    if not compiled:
        print(f"no objects in {objects}: build first")
        return 1
    listing = subprocess.run(["nm", "-A", *compiled], capture_output=True, text=True, check=True)
    symbols = [line.partition(":") for line in listing.stdout.splitlines()]
    edges = list(includes(".")) + calls(f"{sources[name]}:{rest}" for name, _, rest in symbols)
    if "--all" in sys.argv:
        print(*(f"{a} -> {b}" for a, b in sorted(set(edges)) if a != b), sep="\n")
    faults = 0
    for fault, line in judge(edges):
        faults += fault
        print(line if fault else f"warning: {line}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
