#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The receivers of tools/mqtt/examples/ get each picture byte for byte: C behind mosquitto_sub,
Python with paho, and MicroPython's with the interface of umqtt.simple."""

import importlib.util
import os
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support"), HERE]

# pylint: disable=wrong-import-position
import pinhole_wire as wire  # noqa: E402
from mqtt import PROGRAM, Bridge, Mosquitto, skip_unless  # noqa: E402
from pinhole_node import Node, run_cases, wait_for  # noqa: E402

EXAMPLES = "tools/mqtt/examples"
PHOTOS = os.environ.get("PINHOLE_PHOTOS", "")
COUNT = 5


def address_of(node):
    return f"127.0.0.1:{node.address[1]}"


class Watcher:
    """{sequence: JPEG} of all frames, by an independent client of the node."""

    def __init__(self, node):
        self.frames, self.client = {}, wire.Client(node.address)
        self.client.subscribe(policy=wire.EVERY)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            while True:
                record = self.client.next()
                if record.type == wire.FRAME:
                    self.frames[record.sequence] = record.data
        except (OSError, EOFError):
            pass

    def check(self, sequence, jpeg):
        wait_for(f"picture {sequence} of the node", lambda: sequence in self.frames)
        assert self.frames[sequence] == bytes(jpeg), f"picture {sequence} differs"


def make_node():
    """Photographs where there are some, else the drawn scene."""
    if os.path.isdir(PHOTOS):
        return Node("--framerate", "10", camera=f"replay:{PHOTOS}", small=False)
    print(f"no photographs in PINHOLE_PHOTOS={PHOTOS}")
    return Node()


def bed(case):
    with Mosquitto() as broker, make_node() as node, \
            Bridge(broker.port, "--payload", "header", f"cam={address_of(node)}") as bridge:
        bridge.wait_log("connected to the broker")
        watcher = Watcher(node)
        try:
            case(broker, watcher, bridge.folder.name)
        finally:
            watcher.client.close()


def test_c():
    def case(broker, watcher, folder):
        program = f"{folder}/frame_header"
        subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-o", program,
                        f"{EXAMPLES}/frame_header.c"], check=True)
        for _ in range(COUNT):
            message = subprocess.run(
                ["mosquitto_sub", "-p", str(broker.port), "-t", "pinhole/cam/frame", "-C", "1", "-N"],
                check=True, stdout=subprocess.PIPE).stdout
            done = subprocess.run([program, f"{folder}/picture.jpg"], input=message, check=True,
                                  capture_output=True)
            with open(f"{folder}/picture.jpg", "rb") as file:
                watcher.check(int(done.stdout.split()[3]), file.read())
        done = subprocess.run([program], input=message[:-1], capture_output=True, check=False)
        assert done.returncode == 1, "a cut message was taken"
    skip_unless("mosquitto_sub")
    bed(case)


def test_python():
    def case(broker, watcher, folder):
        os.mkdir(f"{folder}/pictures")
        subprocess.run(["/usr/bin/python3", f"{EXAMPLES}/receive.py", "127.0.0.1", str(broker.port),
                        "pinhole/cam/frame", str(COUNT), f"{folder}/pictures"], check=True,
                       stdout=subprocess.DEVNULL, timeout=60)
        names = os.listdir(f"{folder}/pictures")
        assert len(names) == COUNT, names
        for name in names:
            with open(f"{folder}/pictures/{name}", "rb") as file:
                watcher.check(int(name[:-4]), file.read())
    if subprocess.run(["/usr/bin/python3", "-c", "import paho.mqtt"], capture_output=True,
                      check=False).returncode != 0:
        print("not checked: python3-paho-mqtt is not there")
        return
    bed(case)


def test_micropython():
    def case(broker, watcher, _folder):
        spec = importlib.util.spec_from_file_location("receiver",
                                                      f"{EXAMPLES}/receive_micropython.py")
        receiver = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(receiver)
        seen = []
        receiver.receive("127.0.0.1", b"pinhole/cam/frame",
                         lambda fields, jpeg: seen.append((fields[3], jpeg)), broker.port, COUNT)
        assert len(seen) == COUNT
        for sequence, jpeg in seen:
            watcher.check(sequence, jpeg)
    bed(case)


if __name__ == "__main__":
    skip_unless(PROGRAM, "mosquitto")
    run_cases(globals())
