# SPDX-License-Identifier: MIT
"""What Home Assistant's documentation says of MQTT discovery, as a check of messages.

Sources, as of Home Assistant 2026.6, each of https://www.home-assistant.io/integrations/ :
    mqtt/#discovery-topic               TOPIC
    mqtt/#device-discovery-payload      ROOT, REQUIRED, removal of a component
    mqtt/#discovery-payload             ORIGIN
    PLATFORM.mqtt/                      PLATFORMS, COMMON, DEVICE, AVAILABILITY, and what excludes
                                        what; button's and image's as of 2024.12
    sensor/#device-class, and developers.home-assistant.io/docs/core/entity/sensor
                                        STATE_CLASSES, what a timestamp may not have"""

import re

TOPIC = re.compile(r"^(?P<prefix>[^+#]+?)/device/(?:[a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config$")

TEXT, TEMPLATE, NUMBER, LIST = str, str, (int, float), list

AVAILABLE = {"availability": LIST, "availability_mode": TEXT, "availability_topic": TEXT,
             "availability_template": TEMPLATE}
# Options that every platform has. `device` and `origin` stand at the root alone.
COMMON = {**AVAILABLE, "platform": TEXT, "unique_id": TEXT, "name": (str, type(None)),
          "default_entity_id": TEXT, "enabled_by_default": bool, "encoding": TEXT,
          "entity_category": TEXT, "entity_picture": TEXT, "icon": TEXT,
          "json_attributes_topic": TEXT, "json_attributes_template": TEMPLATE}
COMMAND = {"command_topic": TEXT, "command_template": TEMPLATE, "qos": int, "retain": bool}
STATE = {"state_topic": TEXT, "value_template": TEMPLATE}
PAYLOADS = {"payload_available": TEXT, "payload_not_available": TEXT}

# Platform: (its own options, those that are required).
PLATFORMS = {
    "image": ({"image_topic": TEXT, "url_topic": TEXT, "content_type": TEXT,
               "image_encoding": TEXT, "url_template": TEMPLATE}, set()),
    "camera": ({"topic": TEXT, "image_encoding": TEXT}, {"topic"}),
    "button": ({**COMMAND, **PAYLOADS, "device_class": TEXT, "payload_press": TEXT},
               {"command_topic"}),
    "sensor": ({**STATE, **PAYLOADS, "device_class": TEXT, "state_class": TEXT,
                "unit_of_measurement": TEXT, "expire_after": int, "force_update": bool,
                "last_reset_value_template": TEMPLATE, "options": LIST, "qos": int,
                "suggested_display_precision": int}, {"state_topic"}),
    "number": ({**STATE, **COMMAND, "device_class": TEXT, "min": NUMBER, "max": NUMBER,
                "step": NUMBER, "mode": TEXT, "unit_of_measurement": TEXT, "optimistic": bool,
                "payload_reset": TEXT, "message_expiry_interval": dict}, {"command_topic"}),
    "select": ({**STATE, **COMMAND, "options": LIST, "optimistic": bool,
                "message_expiry_interval": dict}, {"command_topic", "options"}),
}
DEVICE = {"configuration_url": TEXT, "connections": LIST, "hw_version": TEXT,
          "identifiers": (list, str), "manufacturer": TEXT, "model": TEXT, "model_id": TEXT,
          "name": TEXT, "serial_number": TEXT, "suggested_area": TEXT, "sw_version": TEXT,
          "via_device": TEXT}
ORIGIN = {"name": TEXT, "sw_version": TEXT, "support_url": TEXT}
AVAILABILITY = {**PAYLOADS, "topic": TEXT, "value_template": TEMPLATE}
ROOT = {**AVAILABLE, "device": dict, "origin": dict, "components": dict, "state_topic": TEXT,
        "command_topic": TEXT, "qos": int, "encoding": TEXT}
REQUIRED = ("device", "origin", "components")
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


def check_sensor(sensor):
    # The page: only "diagnostic".
    assert sensor.get("entity_category", "diagnostic") == "diagnostic", sensor
    assert sensor.get("state_class", "total") in STATE_CLASSES, sensor
    if sensor.get("device_class") == "timestamp":
        assert "unit_of_measurement" not in sensor and "state_class" not in sensor, sensor
    if "last_reset_value_template" in sensor:
        assert sensor.get("state_class") == "total", sensor
    if "options" in sensor:
        assert sensor["options"] and sensor.get("device_class") == "enum", sensor
        assert "unit_of_measurement" not in sensor and "state_class" not in sensor, sensor


def is_removal(component):
    """Nothing but its platform: the component is removed."""
    return set(component) == {"platform"}


def check_component(identifier, component):
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", identifier), identifier
    own, required = PLATFORMS[component["platform"]]
    if is_removal(component):
        return
    check_options(identifier, component, COMMON | own, required | {"platform", "unique_id"})
    assert component.get("entity_category", "config") in ("config", "diagnostic"), component
    check_availability(component)
    if component["platform"] == "sensor":
        check_sensor(component)
    if component["platform"] == "image":
        assert ("image_topic" in component) != ("url_topic" in component), component
        assert not ("url_topic" in component and "content_type" in component), component
    if component["platform"] == "number":
        assert component["min"] < component["max"] and component.get("step", 1) >= 0.001, component
        assert component.get("mode", "auto") in ("auto", "box", "slider"), component
    if component["platform"] == "select":
        assert all(isinstance(o, str) for o in component["options"])


def check_availability(options):
    assert not ("availability" in options and "availability_topic" in options), options
    assert options.get("availability_mode", "latest") in ("all", "any", "latest"), options
    for each in options.get("availability", []):
        check_options("availability", each, AVAILABILITY, ("topic",))


def check(topic, payload):
    """A device discovery message, unabbreviated."""
    assert TOPIC.match(topic), topic
    check_options("the message", payload, ROOT, REQUIRED)
    check_options("device", payload["device"], DEVICE, ("name",))
    assert payload["device"].get("identifiers") or payload["device"].get("connections")
    check_options("origin", payload["origin"], ORIGIN, ("name",))
    check_availability(payload)
    assert payload["components"], "no component"
    identifiers = [c["unique_id"] for c in payload["components"].values() if not is_removal(c)]
    assert len(set(identifiers)) == len(identifiers), "a unique_id twice"
    for identifier, component in payload["components"].items():
        check_component(identifier, component)
