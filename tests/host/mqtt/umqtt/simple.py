# SPDX-License-Identifier: MIT
"""The part of umqtt.simple's interface that tools/mqtt/examples/ uses, for a CPython without it."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))

from mqtt import PUBLISH, Link, Message, put_text, struct  # noqa: E402


class MQTTClient:
    """Blocking, QoS 0, one message at a time."""

    def __init__(self, client_id, server, port):
        self.id, self.server, self.port = client_id, server, port
        self.link = self.callback = None

    def set_callback(self, callback):
        self.callback = callback

    def connect(self):
        self.link = Link(self.port, self.id, host=self.server)

    def subscribe(self, topic):
        self.link.send(8, struct.pack(">H", 1) + put_text(topic) + b"\0", 2)
        self.link.receive()

    def wait_msg(self):
        while True:
            kind, flags, body = self.link.receive()
            if kind == PUBLISH:
                message = Message(flags, body, 4)
                self.callback(message.topic.encode(), message.payload)
                return

    def disconnect(self):
        self.link.close()
