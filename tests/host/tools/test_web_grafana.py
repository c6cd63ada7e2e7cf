#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The dashboard for Grafana: its structure, and that each metric and label that it asks for is in
what a gateway says."""

import json
import os
import re
import subprocess
import sys
import unittest
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from gateway import BUILD, Gateway, Node  # noqa: E402
from pinhole_node import free_port  # noqa: E402

PATH = os.path.join(os.path.dirname(__file__), "../../../tools/web/grafana-pinhole.json")
# What Prometheus adds: of a target, of a scrape, of a histogram.
ADDED = {"node", "job", "instance", "le"}
SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? \S+$', re.M)
SELECTOR = re.compile(r'\b(pinhole_\w+)(?:\{([^}]*)\})?')


def samples(text: str) -> dict[str, dict[str, set[str]]]:
    """The labels of each metric, with their values."""
    found: dict[str, dict[str, set[str]]] = {}
    for name, labels in SAMPLE.findall(text):
        here = found.setdefault(name, {})
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            here.setdefault(label, set()).add(value)
    return found


def with_expressions(dashboard: Any) -> list[tuple[str, str]]:
    """Each query, with the text of its legend."""
    return [(target["expr"], target["legendFormat"]) for panel in dashboard["panels"]
            for target in panel["targets"]] + [
                (variable["definition"], "") for variable in dashboard["templating"]["list"]
                if variable["type"] == "query"]


def faults(dashboard: Any, known: dict[str, dict[str, set[str]]]) -> list[str]:
    """What the dashboard asks for that nobody says."""
    out = []
    for expression, legend in with_expressions(dashboard):
        names = SELECTOR.findall(expression)
        out += [f"no metric in {expression}"] * (not names)
        labels = set().union(*(known.get(name, {}) for name, _ in names)) | ADDED
        out += [f"no metric {name}" for name, _ in names if name not in known]
        for name, selector in names:
            for label, operator, value in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', selector):
                if label not in labels or (operator != "=~" and value not in known.get(name, {}).get(label, ())):
                    out.append(f"{name} has no {label}{operator}{value}")
        grouped = re.findall(r"by \(([^)]*)\)", expression)
        used = re.findall(r"\w+", " ".join(grouped)) + re.findall(r"\{\{(\w+)\}\}", legend)
        out += [f"{expression}: no label {label}" for label in used if label not in labels]
    return out


class Dashboard(unittest.TestCase):
    def setUp(self) -> None:
        with open(PATH, encoding="utf-8") as file:
            self.dashboard = json.load(file)

    def test_each_metric_is_there(self) -> None:
        with Node() as node, Gateway(node.address) as gateway:
            gateway.wait_ready()
            known = samples(gateway.get("/metrics").body.decode())
        if os.path.exists(f"{BUILD}/pinhole-web-nats.so"):
            with Gateway("", "--fleet", f"nats://127.0.0.1:{free_port()}") as fleet:
                known |= samples(fleet.get("/metrics").body.decode())
            self.assertEqual(faults(self.dashboard, known), [])
        else:
            self.assertEqual([f for f in faults(self.dashboard, known) if "pinhole_web_fleet_" not in f], [])
        # It would see a metric and a value that are not there.
        text = json.dumps(self.dashboard)
        for there, other in (("pinhole_jpeg_quality{", "pinhole_jpeg_qualities{"), ("matched", "met"),
                             ("by (outcome)", "by (result)"), ("{{how}}", "{{why}}")):
            self.assertIn(there, text)
            self.assertNotEqual(faults(json.loads(text.replace(there, other)), known), [], there)

    def test_structure(self) -> None:
        """What Grafana takes without a question: places, identities, sources."""
        board = self.dashboard
        self.assertTrue(board["title"] and board["uid"] and board["schemaVersion"] >= 36)
        self.assertNotIn("id", board, "Grafana gives it")
        variables = {variable["name"] for variable in board["templating"]["list"]}
        self.assertEqual(set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(board))) - variables, set())
        self.assertEqual(len({panel["id"] for panel in board["panels"]}), len(board["panels"]))
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            self.assertIn(panel["type"], ("stat", "timeseries"))
            self.assertTrue(panel["title"])
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertTrue(cells and max(x for x, _ in cells) < 24, panel["title"])
            self.assertFalse(cells & taken, f"{panel['title']} lies on another")
            taken |= cells
            self.assertEqual([target["refId"] for target in panel["targets"]],
                             [chr(65 + i) for i in range(len(panel["targets"]))])
            for part in (panel, *panel["targets"]):
                self.assertEqual(part["datasource"], {"type": "prometheus", "uid": "${datasource}"})
        for expression, _ in with_expressions(board):
            for one, other in ("()", "[]", "{}"):
                self.assertEqual(expression.count(one), expression.count(other), expression)


class Promtool(unittest.TestCase):
    def test_the_scrape_configuration_of_the_page(self) -> None:
        with open(os.path.join(os.path.dirname(PATH), "README.md"), encoding="utf-8") as file:
            [text] = [block for block in re.findall(r"```yaml\n(.*?)```", file.read(), re.S)
                      if "http_sd_configs" in block]
        self.assertIn("/fleet/prometheus.json", text)
        try:
            done = subprocess.run(["promtool", "check", "config", "/dev/stdin"], input=text.encode(),
                                  capture_output=True, check=False)
        except FileNotFoundError:
            self.skipTest("promtool is not installed")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
