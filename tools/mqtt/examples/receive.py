#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Receives pictures of `payload = header` with Debian's python3-paho-mqtt and writes them to files:
    receive.py HOST PORT TOPIC COUNT FOLDER"""

import struct
import sys

import paho.mqtt.client as mqtt


def read_header(message):
    """The header's fields and the JPEG. ValueError: it is no picture with a header."""
    if len(message) < 48 or message[:4] != b"PINF":
        raise ValueError("no picture with a header")
    size, flags, realtime_ns, jpeg_bytes, width, height, boot_id, sequence, trigger_id = \
        struct.unpack_from("<HHQIHHQQQ", message, 4)
    if len(message) != size + jpeg_bytes:
        raise ValueError("the picture is cut")
    fields = {"flags": flags, "realtime_ns": realtime_ns, "width": width, "height": height,
              "boot_id": f"{boot_id:016x}", "sequence": sequence, "trigger_id": trigger_id}
    return fields, message[size:]


def main():
    host, port, topic, count, folder = sys.argv[1:]
    left = int(count)

    def on_message(client, _user, message):
        nonlocal left
        if left == 0:
            return
        fields, jpeg = read_header(message.payload)
        with open(f"{folder}/{fields['sequence']}.jpg", "wb") as file:
            file.write(jpeg)
        print(fields, flush=True)
        left -= 1
        if left == 0:
            client.disconnect()

    # paho 2 asks which generation of callbacks is meant; 1.6 does not know the question.
    version = getattr(mqtt, "CallbackAPIVersion", None)
    client = mqtt.Client(version.VERSION2) if version else mqtt.Client()
    client.on_message = on_message
    client.connect(host, int(port))
    client.subscribe(topic)
    client.loop_forever()


if __name__ == "__main__":
    main()
