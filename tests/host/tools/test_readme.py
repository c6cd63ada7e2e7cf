#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The commands of README.md work as they are written. The links of all documents lead somewhere,
and the files that they name exist. What installs is left out; players and curl are test_sdk_examples.py's."""

import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[".."] * 3))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tests", "host", "support"))
from pinhole_node import BUILD, Node, run_cases  # noqa: E402

# What makes the endless ones end.
ENDS_BY_ITSELF = {"watch": "--seconds 2 --count 3", "grab": "--count 2", "pinhole-rec": "--seconds 2",
                  "pinhole --config": "--check-config"}


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        return file.read()


def commands():
    """Each command of the shell blocks, its continuation lines joined, without comments."""
    for block in re.findall(r"^```sh\n(.*?)^```", read("README.md"), re.M | re.S):
        for line in re.sub(r"(\\|\|)\n\s*", lambda mark: mark.group(1).strip("\\") + " ", block).splitlines():
            if re.match(r"(pinhole|pinholectl|pinhole-rec) ", line):
                yield re.sub(r"\s+#.*", "", line)


def run(command, folder):
    print("    " + command, flush=True)
    environment = os.environ | {"PATH": os.path.abspath(BUILD) + ":" + os.environ["PATH"]}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout + done.stderr


def test_commands():
    seen = set()
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        key = run("HOME=$PWD pinholectl keygen", folder).strip()
        address = f"{node.address[0]}:{node.address[1]}"
        for command in commands():
            seen.add(command.split()[0])
            command = command.replace("raspberrypi.local", address).replace("--count 0", "")
            command = re.sub(r"\bpinholectl (?!-n)", f"pinholectl -n {address} ", command)
            command = command.replace("/etc/pinhole/key", key)
            # This machine's node has no key.
            command = re.sub(r"--(node-)?key-file ~/.config/pinhole/key", "", command)
            command = command.replace("sudo tee /etc/pinhole/pinhole.ini", "tee node.ini")
            for word, ending in ENDS_BY_ITSELF.items():
                if re.search(rf"(^| ){word} ", command):
                    command += " " + ending
            run(command, folder)
        for name in ("node.ini", "pinhole.ini"):
            run(f"pinhole --config {name} --check-config", folder)
        assert any(name.endswith(".jpg") for name in os.listdir(os.path.join(folder, "pictures")))
        assert os.listdir(os.path.join(folder, "recordings", "gate"))
    assert seen == {"pinhole", "pinholectl", "pinhole-rec"}, seen


def pages():
    """Also where there is no git and no history, as in a package's build."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in ("build", ".git")]
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in files if name.endswith(".md")]
    return found


def test_links_lead_somewhere():
    anchors = {page: {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
                      for title in re.findall(r"^#+ (.*)", read(page), re.M)} for page in pages()}
    wrong = []
    for page in pages():
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", read(page), flags=re.M | re.S)):
            if re.match(r"https?:|mailto:", target):
                continue
            path, _, anchor = target.partition("#")
            path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(os.path.join(ROOT, path)) or anchor and anchor not in anchors.get(path, {anchor}):
                wrong.append(f"{page}: {target}")
    assert not wrong, wrong


def test_named_files_exist():
    """Paths of the source tree in code spans. NAME and stars stand for something."""
    wrong = []
    for page in pages():
        for path in re.findall(r"`((?:app|board|debian|hal|net|tests|tools)/[\w./-]*\w/?)`", read(page)):
            if "NAME" not in path and not os.path.exists(os.path.join(ROOT, path)):
                wrong.append(f"{page}: {path}")
    assert not wrong, wrong


run_cases(globals())
