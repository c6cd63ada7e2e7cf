#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads frames from a Pinhole node with nothing but Python's standard library: prints one line a
frame and saves the last one as last.jpg. net/SPEC.md has every field; the structures below are its
tables, little-endian ('<'), up to the last field that is used here."""
import argparse
import socket
import struct

HEADER = struct.Struct("<4sBBHII")  # magic, version, type, flags, length, tag
SUBSCRIBE = struct.Struct("<HBBIQQ")  # fixed_bytes, policy, filter, interval, boot, from
FRAME = struct.Struct("<HBBIQQQIHHQ")  # fixed_bytes, format, quality ... up to timestamp_ns
HELLO_TYPE, SUBSCRIBE_TYPE, FRAME_TYPE, EVENT_TYPE, ERROR_TYPE = 1, 2, 3, 4, 11
LATEST, EVERY = 1, 2


def receive(stream):
    """The next message as (type, payload)."""
    head = stream.read(HEADER.size)
    if len(head) < HEADER.size:
        raise ConnectionError("the node closed the connection")
    magic, _version, kind, _flags, length, _tag = HEADER.unpack(head)
    if magic != b"PINH":
        raise ConnectionError("this is not a Pinhole node")
    return kind, stream.read(length)


def text_of(payload):
    """The text after the fixed fields; the first two bytes say where those end."""
    return payload[int.from_bytes(payload[:2], "little"):].decode("utf-8", "replace")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("node", metavar="HOST[:PORT]", nargs="?", default="127.0.0.1")
    parser.add_argument("count", metavar="COUNT", nargs="?", type=int, default=10)
    wish = parser.parse_args()
    host, _, port = wish.node.partition(":")
    count = max(1, wish.count)
    with socket.create_connection((host, int(port or 7447)), timeout=10) as link:
        stream = link.makefile("rb")
        request = SUBSCRIBE.pack(SUBSCRIBE.size, LATEST, 0, 0, 0, 0)
        link.sendall(HEADER.pack(b"PINH", 1, SUBSCRIBE_TYPE, 0, len(request), 1) + request)
        while count > 0:
            kind, payload = receive(stream)
            if kind == FRAME_TYPE:
                fixed, _, quality, _, _, _, frame_id, _, width, height, _ = FRAME.unpack_from(payload)
                jpeg = payload[fixed:]
                print(f"frame {frame_id}: {width}x{height}, {len(jpeg)} bytes, quality {quality}")
                count -= 1
            elif kind in (HELLO_TYPE, EVENT_TYPE):
                print(text_of(payload).strip())
            elif kind == ERROR_TYPE:
                raise SystemExit("the node said: " + text_of(payload))
    with open("last.jpg", "wb") as file:
        file.write(jpeg)


if __name__ == "__main__":
    main()
