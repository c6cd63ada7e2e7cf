#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Home Assistant's discovery: messages as its documentation wants them, topics that have what they
promise, removal of a node."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
import home_assistant  # noqa: E402
from mqtt import PROGRAM, Bridge, Mosquitto, Subscriber, skip_unless  # noqa: E402
from pinhole_node import Node, run_cases, wait_for  # noqa: E402

DISCOVERY = ("--discovery-prefix", "homeassistant", "--state-interval-s", "1")
CONTROL = ("--allow-set", "yes", "--allow-trigger", "yes")
NODE = ("--set", "camera.shutter_us=3000")


def address_of(node):
    return f"127.0.0.1:{node.address[1]}"


def rendered(template, payload):
    """What Home Assistant makes of our templates: one member of the JSON."""
    name = re.fullmatch(r"{{ value_json\.(\w+)(?: \| default\(none\))? }}", template).group(1)
    return payload.get(name)


def announced(sink):
    """The device's message that stays: the first one has removals, if there are any."""
    def find():
        for message in sink.of("/config"):
            home_assistant.check(message.topic, message.json)
            if not any(map(home_assistant.is_removal, message.json["components"].values())):
                return message
        return None
    return wait_for("a discovery message", find)


def test_messages():
    with Mosquitto() as broker, Node(*NODE) as node, Subscriber(broker.port, "#") as sink, \
            Bridge(broker.port, *DISCOVERY, *CONTROL, f"my cam={address_of(node)}"):
        message = announced(sink)
        assert message.topic == "homeassistant/device/pinhole/my_20cam/config", message.topic
        components = message.json["components"]
        assert {c["platform"] for c in components.values()} == set(home_assistant.PLATFORMS)
        for name in ("ExposureTime", "Gain", "TriggerMode", "ExposureAuto"):
            assert name in components, components.keys()
        sink.wait("/state", 1)
        for component in components.values():
            check_topics(sink, component)
        state = sink.of("/state")[-1].json
        assert rendered(message.json["availability"][0]["value_template"], state) == "online"
        number = components["ExposureTime"]
        sink.publish(number["command_topic"], "2500")
        wait_for("the new value", lambda: any(
            rendered(number["value_template"], m.json) == 2500 for m in sink.of("/features")))
        select = components["TriggerMode"]
        sink.publish(select["command_topic"], "On")
        wait_for("trigger mode", lambda: any(
            rendered(select["value_template"], m.json) == "On" for m in sink.of("/features")))
        sink.publish(components["trigger"]["command_topic"], "PRESS")
        assert sink.wait("/trigger")[0].json["outcome"] == "MATCHED"
        wait_for("its count", lambda: any(m.json.get("triggers_matched") == 1
                                          for m in sink.of("/state")))
        with Subscriber(broker.port, "homeassistant/#") as late:
            assert late.wait("/config")[0].retain


def check_topics(sink, component):
    """What is promised on a topic comes there."""
    for name in ("image_topic", "topic"):
        if name in component:
            picture = sink.wait(component[name])[0].payload
            assert picture[:2] == b"\xff\xd8", component
    if component["platform"] in ("number", "select"):
        value = rendered(component["value_template"], sink.wait("/features")[0].json)
        if component["platform"] == "number":
            assert component["min"] <= value <= component["max"], (component, value)
        else:
            assert value in component["options"], (component, value)


def test_without_control():
    """What is not allowed is not offered; bare pictures only."""
    with Mosquitto() as broker, Node() as node, Subscriber(broker.port, "homeassistant/#") as sink, \
            Bridge(broker.port, *DISCOVERY, "--payload", "header", f"cam={address_of(node)}"):
        message = announced(sink)
        platforms = {c["platform"] for c in message.json["components"].values()}
        assert platforms == {"sensor"}, platforms


def test_components_are_removed():
    """What an earlier start announced and this one does not is removed, once and without trace."""
    with Mosquitto() as broker, Node(*NODE) as node:
        names = f"cam={address_of(node)}"
        with Subscriber(broker.port, "homeassistant/#") as sink, \
                Bridge(broker.port, *DISCOVERY, *CONTROL, names):
            before = announced(sink).json["components"]
        with Subscriber(broker.port, "homeassistant/#") as sink:
            sink.wait("/config")
            with Bridge(broker.port, *DISCOVERY, names):
                sink.wait("/config", 3)
        first, last = sink.of("/config")[1:3]
        home_assistant.check(first.topic, first.json)
        removed = {name: c["platform"] for name, c in first.json["components"].items()
                   if home_assistant.is_removal(c)}
        kept = last.json["components"]
        assert not any(map(home_assistant.is_removal, kept.values())), kept
        gone = {name: c["platform"] for name, c in before.items() if name not in kept}
        assert gone and gone.items() <= removed.items(), (gone, removed)
        with Subscriber(broker.port, "homeassistant/#") as late:
            assert late.wait("/config")[0].json == last.json


def test_preview_is_the_picture():
    with Mosquitto() as broker, Node() as node, Subscriber(broker.port, "homeassistant/#") as sink, \
            Bridge(broker.port, *DISCOVERY, "--preview-width", "160", f"cam={address_of(node)}"):
        components = announced(sink).json["components"]
        assert components["image"]["image_topic"] == "pinhole/cam/preview"


def test_removed():
    """A node that is no longer in the settings is removed at the next start, with what it left."""
    with Mosquitto() as broker, Node() as node:
        nodes = [f"{name}={address_of(node)}" for name in ("one", "two.5")]
        with Bridge(broker.port, *DISCOVERY, *nodes), \
                Subscriber(broker.port, "homeassistant/#") as sink:
            sink.wait("/config", 2)
        with Bridge(broker.port, *DISCOVERY, "--client-id", "other", f"three={address_of(node)}"), \
                Subscriber(broker.port, "homeassistant/#") as sink:
            sink.wait("/three/config")
        with Bridge(broker.port, *DISCOVERY, nodes[0]) as bridge:
            bridge.wait_log("two_2e5: removed from Home Assistant")
        with Subscriber(broker.port, "homeassistant/#", "pinhole/+/state") as late:
            late.wait("/one/config")
            late.wait("/three/config")
            assert {m.topic.split("/")[-2] for m in late.of("/config")} == {"one", "three"}
            assert "pinhole/two_2e5/state" not in {m.topic for m in late.of("/state")}


if __name__ == "__main__":
    skip_unless(PROGRAM, "mosquitto")
    run_cases(globals())
