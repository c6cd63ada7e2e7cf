# SPDX-License-Identifier: MIT
"""Receives pictures of `payload = header` on a MicroPython board with umqtt.simple
(`mpremote mip install umqtt.simple`). A message is in memory as a whole: keep payload_max small."""

try:
    import ustruct as struct
except ImportError:
    import struct

from umqtt.simple import MQTTClient


def read_header(message):
    """(realtime_ns, width, height, sequence, trigger_id) and the JPEG without a copy of it."""
    if len(message) < 48 or message[:4] != b"PINF":
        raise ValueError("no picture with a header")
    size, _, realtime_ns, jpeg_bytes, width, height, _, sequence, trigger_id = \
        struct.unpack_from("<HHQIHHQQQ", message, 4)
    if len(message) != size + jpeg_bytes:
        raise ValueError("the picture is cut")
    return (realtime_ns, width, height, sequence, trigger_id), memoryview(message)[size:]


def receive(host, topic, on_picture, port=1883, count=None):
    """Calls on_picture(fields, jpeg) for each picture, `count` times or for ever."""

    def on_message(_topic, message):
        on_picture(*read_header(message))

    client = MQTTClient(b"micropython", host, port)
    client.set_callback(on_message)
    client.connect()
    client.subscribe(topic)
    while count is None or count > 0:
        client.wait_msg()
        count = None if count is None else count - 1
    client.disconnect()
