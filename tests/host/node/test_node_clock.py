# SPDX-License-Identifier: MIT
"""Whether the wall clock is synchronised, as the kernel says it, denies it, or does not answer."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from pinhole_node import Node, run_cases  # noqa: E402
from recording import WallClock  # noqa: E402
import pinhole_wire as wire  # noqa: E402

SYNCHRONIZED = 1  # of a frame's flags


def wait_for_flag(client, wanted):
    """The node asks once a second."""
    client.until(lambda r: r.type == wire.FRAME and bool(r.field_flags & SYNCHRONIZED) == wanted)


def test_frames_say_what_the_kernel_says():
    clock = WallClock(is_synchronized=True)
    with Node(environment=clock.environment) as node, wire.Client(node.address) as client:
        client.subscribe()
        wait_for_flag(client, True)
        clock.set(0, False)
        wait_for_flag(client, False)
        clock.set(0, True)
        wait_for_flag(client, True)
        assert "adjtimex" not in node.log, node.log


def test_a_denied_question_is_said_once():
    clock = WallClock(is_synchronized=-1)
    with Node(environment=clock.environment) as node, wire.Client(node.address) as client:
        client.subscribe()
        node.wait_log(r"adjtimex.*Operation not permitted.*not known")
        wait_for_flag(client, False)
        time.sleep(2.5)  # two more questions
        assert node.log.count("adjtimex") == 1, node.log


if __name__ == "__main__":
    run_cases(globals())
