#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the golden files: one message of each kind, byte for byte as net/SPEC.md says, made with
Python's struct module and nothing of the project's own code. tests/host/unit/test_wire.c has the same
values and compares both ways. Run only when the protocol gains a message; a diff in an existing
file is a break with every client out there.
"""
import struct
from pathlib import Path

HERE = Path(__file__).parent
REPLY = 1


def message(name, kind, payload=b"", flags=0, tag=0):
    header = struct.pack("<4sBBHII", b"PINH", 1, kind, flags, len(payload), tag)
    (HERE / f"{name}.bin").write_bytes(header + payload)


def event(name, kind, source, outcome, camera, sequence, first, last, edge, sensor, text):
    fixed = struct.pack("<HBBBBHQQQQQQQII", 72, kind, source, outcome, camera, 0,
                        0x1122334455667788, sequence, 5_000_000_000, 1_795_000_000_000_000_000,
                        first, last, edge, 0, sensor)
    message(name, 4, fixed + text)


message("hello", 1, struct.pack(
    "<HBBIQIHHQQQQIIB7x32s", 104, 1, 1, 4096, 0x1122334455667788, 2097152, 16, 100, 41, 1042,
    5_000_000_000, 1_795_000_000_000_000_000, 1, 10000, 2, bytes(range(32))) +
    b"DeviceUserID=gate 7\nDeviceModelName=imx296\nDeviceFirmwareVersion=0.1.0\n")
message("subscribe_request", 2, struct.pack(
    "<HBBIQQ", 24, 2, 1, 100000, 0x1122334455667788, 1043), 0, 0xA1B2C3D4)
message("subscribe_reply", 2, struct.pack("<Q", 1043), REPLY, 0xA1B2C3D4)
message("frame", 3, struct.pack(
    "<HBBIQQQIHHQQIIIIIIIIIIIIQQqBBhI", 136, 1, 80, 0x11, 0x1122334455667788, 1043, 1000, 70000,
    1456, 1088, 5_000_000_000, 1_795_000_000_000_000_000, 8000, 1500, 1001, 33333, 5600, 120500,
    2000, 900, 1200, 6200, 6300, 3, 17, 4_999_000_000, -7_000_123, 3, 2, -1, 0) +
    b"\xff\xd8\xff\xd9")
event("event_gap", 1, 0, 0, 0, 900, 41, 900, 0, 0, b"")
event("event_trigger", 2, 3, 3, 0, 1044, 18, 20, 4_999_500_000, 0, b"edge came too early")
event("event_camera", 3, 0, 0, 2, 1045, 0, 0, 0, 0, b"no frame for 2 s")
event("event_features", 4, 0, 0, 0, 1046, 0, 0, 0, 0, b"Gain=2\nExposureTime=5000\n")
event("event_frame_lost", 5, 0, 0, 0, 1047, 0, 0, 0, 70004, b"does not fit at quality 20")
event("event_boot", 6, 0, 0, 0, 0, 0, 0, 0, 0, b"the node has restarted")
message("features_request", 5, b"", 0, 2)
message("features_reply", 5, b"Width\t1456\tInteger\tpixels\t64\t4096\t2\trw\t\tColumns\n"
        b"GainAuto\tOff\tEnum\t\t\t\t\trw\tOff|Once|Continuous\t\n", REPLY, 2)
message("get_request", 6, b"Width\nHeight", 0, 3)
message("get_reply", 6, b"Width=1456\nHeight=1088\n", REPLY, 3)
message("set_request", 7, b"Gain=2\nGainAuto=Off", 0, 4)
message("set_reply", 7, b"Gain=2\nGainAuto=Off\n", REPLY, 4)
message("trigger_request", 8, b"", 0, 5)
message("trigger_reply", 8, struct.pack("<Q", 0x0102030405060708), REPLY, 5)
message("stats_request", 9, b"", 0, 6)
message("stats_reply", 9, b"# TYPE pinhole_clients gauge\npinhole_clients 2\n", REPLY, 6)
message("ping_request", 10, b"abcdefgh", 0, 7)
message("ping_reply", 10, b"abcdefgh", REPLY, 7)
message("auth_request", 13, bytes(range(64)), 0, 8)
message("auth_reply", 13, struct.pack("<B7x32s", 3, bytes(range(32))), REPLY, 8)
message("error_denied", 11, struct.pack("<HHI", 8, 12, 0) + b"SET needs the role control", REPLY, 4)
message("error", 11, struct.pack("<HHI", 8, 9, 0) + b"Gain: 99 is above 16", REPLY, 4)
message("error_closing", 11, struct.pack("<HHI", 8, 3, 1) + b"length 5000 is above 4096", 0, 0)
