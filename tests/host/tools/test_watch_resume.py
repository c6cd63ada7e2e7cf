#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`pinholectl watch --triggers --resume FILE`, killed again and again, leaves out no trigger."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, "tests/host/support")
from pinhole_node import BUILD, Node  # noqa: E402

KILLS = 4


class Resume(unittest.TestCase):
    def setUp(self):
        # A timer faster than the camera: matched and overrun triggers take turns.
        self.node = Node("--set", "trigger.mode=On", "--set", "trigger.source=Timer", "--set",
                         "trigger.timer_period_ms=5", "--set", "trigger.timeout_ms=60000")
        self.addCleanup(self.node.stop)
        self.file = os.path.join(self.node.folder.name, "position")

    def watch(self, *arguments):
        host, port = self.node.address
        return subprocess.Popen([f"{BUILD}/pinholectl", "--node", f"{host}:{port}", "watch",
                                 "--triggers", "--json", *arguments], stdout=subprocess.PIPE,
                                text=True)

    @staticmethod
    def ids(lines):
        """(id, outcome) of each trigger in the output; a line that the kill has cut counts not."""
        found = []
        for line in lines:
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            if record.get("event") == "TRIGGER":
                found += [(i, record["outcome"]) for i in range(record["first"], record["last"] + 1)]
            elif "trigger_id" in record:
                found.append((record["trigger_id"], record["outcome"]))
            elif record.get("event") == "GAP":
                raise AssertionError(line)
        return found

    def test_none_is_left_out(self):
        seen = []
        for _ in range(KILLS):
            with self.watch("--resume", self.file) as watcher:
                lines = [watcher.stdout.readline() for _ in range(20)]
                watcher.send_signal(signal.SIGKILL)
                seen += self.ids(lines + watcher.stdout.read().splitlines())
            time.sleep(0.2)
        with self.watch("--resume", self.file, "--count", "60") as watcher:
            seen += self.ids(watcher.stdout.read().splitlines())
        self.assertEqual(watcher.returncode, 0)

        outcomes = dict(seen)
        self.assertEqual(sorted(outcomes), list(range(min(outcomes), max(outcomes) + 1)))
        # A busy machine may lack the time to encode one: that is an outcome, too.
        self.assertEqual(set(outcomes.values()) - {"FAILED"}, {"MATCHED", "OVERRUN"})
        # What was printed when the kill came may be printed again, once per kill and record.
        repeats = [i for i, outcome in seen if outcome == "MATCHED"]
        self.assertLessEqual(len(repeats) - len(set(repeats)), KILLS)

    def test_a_file_of_something_else_is_not_touched(self):
        path = self.node.write("other", "precious data\n")
        with self.watch("--resume", path) as watcher:
            self.assertEqual(watcher.stdout.read(), "")
        self.assertEqual(watcher.returncode, 1)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "precious data\n")


if __name__ == "__main__":
    unittest.main()
