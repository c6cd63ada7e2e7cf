# SPDX-License-Identifier: MIT
"""What Home Assistant's documentation says of MQTT discovery, as a check of messages.

Sources, as of 2025: https://www.home-assistant.io/integrations/mqtt/ (device discovery payload,
discovery topic, origin), and for each platform /integrations/PLATFORM.mqtt/."""

import re

TOPIC = re.compile(r"^(?P<prefix>[^+#]+?)/device/(?:[a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config$")

TEXT, TEMPLATE, NUMBER, LIST = str, str, (int, float), list

# Options that every platform has.
COMMON = {"platform": TEXT, "unique_id": TEXT, "name": TEXT, "entity_category": TEXT, "icon": TEXT,
          "enabled_by_default": bool, "json_attributes_topic": TEXT,
          "json_attributes_template": TEMPLATE, "default_entity_id": TEXT, "encoding": TEXT,
          "qos": int, "entity_picture": TEXT}
COMMAND = {"command_topic": TEXT, "command_template": TEMPLATE, "retain": bool}
STATE = {"state_topic": TEXT, "value_template": TEMPLATE}

# Platform: (its own options, those that are required).
PLATFORMS = {
    "image": ({"image_topic": TEXT, "url_topic": TEXT, "content_type": TEXT,
               "image_encoding": TEXT, "url_template": TEMPLATE}, set()),
    "camera": ({"topic": TEXT, "image_encoding": TEXT}, {"topic"}),
    "button": ({**COMMAND, "device_class": TEXT, "payload_press": TEXT}, {"command_topic"}),
    "sensor": ({**STATE, "device_class": TEXT, "state_class": TEXT, "unit_of_measurement": TEXT,
                "expire_after": int, "force_update": bool, "options": LIST,
                "suggested_display_precision": int}, {"state_topic"}),
    "number": ({**STATE, **COMMAND, "device_class": TEXT, "min": NUMBER, "max": NUMBER,
                "step": NUMBER, "mode": TEXT, "unit_of_measurement": TEXT, "optimistic": bool,
                "payload_reset": TEXT}, {"command_topic"}),
    "select": ({**STATE, **COMMAND, "options": LIST, "optimistic": bool},
               {"command_topic", "options"}),
}
DEVICE = {"configuration_url": TEXT, "connections": LIST, "hw_version": TEXT,
          "identifiers": (list, str), "manufacturer": TEXT, "model": TEXT, "model_id": TEXT,
          "name": TEXT, "serial_number": TEXT, "suggested_area": TEXT, "sw_version": TEXT,
          "via_device": TEXT}
ORIGIN = {"name": TEXT, "sw_version": TEXT, "support_url": TEXT}
AVAILABILITY = {"topic": TEXT, "payload_available": TEXT, "payload_not_available": TEXT,
                "value_template": TEMPLATE}
ROOT = {"device": dict, "origin": dict, "components": dict, "availability": list,
        "availability_mode": TEXT, "availability_topic": TEXT, "state_topic": TEXT,
        "command_topic": TEXT, "qos": int, "encoding": TEXT}
STATE_CLASSES = {"measurement", "measurement_angle", "total", "total_increasing"}


def check_options(where, options, allowed, required=()):
    for name, value in options.items():
        assert name in allowed, f"{where}: there is no option {name}"
        kind = allowed[name]
        assert isinstance(value, kind) and (kind is bool or not isinstance(value, bool)), \
            f"{where}: {name} is {value!r}"
        if name.endswith("topic"):
            check_topic(where, value)
        if name.endswith("template"):
            assert value.count("{{") == value.count("}}") >= 1, (where, value)
    for name in required:
        assert name in options, f"{where}: {name} is missing"


def check_topic(where, topic):
    assert topic and not set(topic) & set("+#\0"), f"{where}: {topic!r} is no topic to publish on"


def check_component(identifier, component):
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", identifier), identifier
    own, required = PLATFORMS[component["platform"]]
    check_options(identifier, component, COMMON | own, required | {"platform", "unique_id"})
    assert component.get("entity_category", "config") in ("config", "diagnostic"), component
    if component["platform"] == "sensor":
        assert component.get("entity_category") != "config", "a sensor is no configuration"
        assert component.get("state_class", "total") in STATE_CLASSES, component
        if component.get("device_class") == "timestamp":
            assert "unit_of_measurement" not in component and "state_class" not in component
    if component["platform"] == "image":
        assert ("image_topic" in component) != ("url_topic" in component), component
    if component["platform"] == "number":
        assert component["min"] < component["max"] and component.get("step", 1) >= 0.001, component
        assert component.get("mode", "auto") in ("auto", "box", "slider"), component
    if component["platform"] == "select":
        assert component["options"] and all(isinstance(o, str) for o in component["options"])


def check(topic, payload):
    """A device discovery message, unabbreviated."""
    assert TOPIC.match(topic), topic
    check_options("the message", payload, ROOT, ("device", "origin", "components"))
    check_options("device", payload["device"], DEVICE)
    assert payload["device"].get("identifiers") or payload["device"].get("connections")
    check_options("origin", payload["origin"], ORIGIN, ("name",))
    assert not ("availability" in payload and "availability_topic" in payload)
    for each in payload.get("availability", []):
        check_options("availability", each, AVAILABILITY, ("topic",))
    identifiers = [c["unique_id"] for c in payload["components"].values()]
    assert len(set(identifiers)) == len(identifiers), "a unique_id twice"
    assert payload["components"], "no component"
    for identifier, component in payload["components"].items():
        check_component(identifier, component)
