# SPDX-License-Identifier: MIT
"""Import this first in a test that needs Debian's Python packages: they belong to Debian's Python,
whichever `python3` is first. It goes on there, and skips the test when one of them is missing."""

import importlib.util
import os
import sys

DEBIANS = "/usr/bin/python3"
PACKAGES = {"cv2": "python3-opencv", "prometheus_client": "python3-prometheus-client",
            "selenium": "python3-selenium"}


def need(*modules: str) -> None:
    """Goes on in Debian's Python; exits with 77 when it lacks one of these modules."""
    if os.path.realpath(sys.executable) != os.path.realpath(DEBIANS) and os.path.exists(DEBIANS):
        os.execv(DEBIANS, [DEBIANS, *sys.argv])
    for module in modules:
        if importlib.util.find_spec(module) is None:
            print(f"skip: Debian's {PACKAGES[module]} is not installed")
            sys.exit(77)
