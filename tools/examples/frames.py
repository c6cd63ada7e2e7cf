#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Frames in Python:  frames.py [ADDRESS [FRAMES]]  (the package is tools/python/pinhole)."""
import sys

import pinhole

address = sys.argv[1] if len(sys.argv) > 1 else None
left = int(sys.argv[2]) if len(sys.argv) > 2 else 5

with pinhole.Camera(address, policy="every", on_event=lambda event: print(event.name)) as camera:
    camera.ExposureAuto = "Off"
    camera.ExposureTime = 8000
    print("gain", camera.features["Gain"], "of", camera.features.info("Gain").max)
    for frame in camera:
        picture = frame.decode("bgr", scale=(1, 2))
        print(frame.sequence, frame.timestamp_ns, picture.shape, len(frame.jpeg), "bytes")
        left -= 1
        if left == 0:
            break
    camera.stop()
    camera.TriggerSource = "Software"
    camera.TriggerMode = "On"
    trigger = camera.trigger()
    for frame in camera:
        if frame.trigger_id == trigger:
            frame.save("still.jpg")
            break
