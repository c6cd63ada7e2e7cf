# SPDX-License-Identifier: MIT
"""Frames from Pinhole camera nodes.

    import pinhole

    with pinhole.Camera("192.168.0.20") as camera:
        camera.ExposureTime = 8000
        for frame in camera:
            picture = frame.array         # NumPy, height x width x RGB
            print(frame.sequence, picture.shape, len(frame.jpeg))

Nothing but Python's standard library is needed; arrays want NumPy and one of libturbojpeg, OpenCV
and Pillow. A broken link is made again and resumed at the next record; what is lost all the same
comes as an event with its range. Units and meaning of every field: net/SPEC.md.
"""

from ._find import Node, enumerate_nodes
from ._records import Event, EventKind, Frame, FrameFlags
from .camera import Camera
from .errors import (BadValue, Denied, PinholeError, ReadOnly, Refused, Unavailable,
                     UnknownFeature)
from .features import Feature, Features

__version__ = "0.2.0"
__all__ = ["BadValue", "Camera", "Denied", "Event", "EventKind", "Feature", "Features", "Frame",
           "FrameFlags", "Node", "PinholeError", "ReadOnly", "Refused", "Unavailable", "UnknownFeature",
           "enumerate_nodes"]
