#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The form of the newest commits: a subject of at most 72 characters, "module: what changes", and a
body that says why. Older ones than BASE had no such rule. `--self-test` shows that it can fail."""

import re
import subprocess
import sys

BASE = "898f960"
NEWEST = 50
SUBJECT = re.compile(r"[a-z][\w./-]*(, [\w./-]+)*: \S.*[^.\s]")


def git(*arguments):
    return subprocess.run(["git", *arguments], capture_output=True, text=True)


def faults(subject, body):
    if len(subject) > 72:
        yield f"{len(subject)} characters in the subject, over 72"
    if not SUBJECT.fullmatch(subject):
        yield 'the subject is not "module: what changes", without a full stop'
    if not body.strip():
        yield "no body says why"


def self_test():
    samples = [(0, "server: drop idle connections first", "Places run out.\n"),
               (1, "server: drop idle connections first", "\n"),
               (1, "Drop idle connections first", "Places run out.\n"),
               (1, "server: drop idle connections first.", "Places run out.\n"),
               (1, "server: " + "drop " * 12 + "connections", "Places run out.\n"),
               (0, "net, tools/web: read the clock in one place", "It was read in four.\n")]
    wrong = [sample for sample in samples if len(list(faults(*sample[1:]))) != sample[0]]
    print(*wrong, f"self-test: {len(wrong)} of {len(samples)} samples judged wrongly", sep="\n")
    return bool(wrong)


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if git("rev-parse", "HEAD").returncode:
        print("not a git checkout: no commits to look at")
        return 0
    # A shallow clone may not reach back to it.
    has_base = git("merge-base", "--is-ancestor", BASE, "HEAD").returncode == 0
    log = git("log", "--no-merges", f"-{NEWEST}", "--format=%h%x1f%s%x1f%b%x1e",
              f"{BASE}..HEAD" if has_base else "HEAD")
    found = 0
    for commit in filter(str.strip, log.stdout.split("\x1e")):
        name, subject, body = commit.strip("\n").split("\x1f")
        for fault in faults(subject, body):
            print(f"{name} {subject}: {fault}")
            found += 1
    return bool(found or log.returncode)


if __name__ == "__main__":
    sys.exit(main())
