# SPDX-License-Identifier: MIT
"""How late frames are at subscribers, and at the first one after a start."""

import contextlib
import os
import subprocess
import time

from common import BUILD, can_be_first, folder, median, ROUND, ROUNDS, say, SIZES, started, WARMUP
from node import Encoder, Node


def latency():
    """Each at real-time priority where that may be, so that nothing else on the machine comes
    before it. The reference does without all that a node does: bare encode, one blocking call a
    reader."""
    first = ("chrt", "-f", "10") if can_be_first() else ()
    say(f"latency, ms; medians of {ROUNDS} alternating runs of {6 * ROUND} frames" +
        (" at real-time priority" if first else ", at normal priority: other work enters"))
    say("reference: bare encode, then a plain send() to each of as many readers; over: the node's "
        "p99 less the reference's encode p99")
    say("                        --------- reference --------   ------------ node -------------")
    say("                        encode         beyond encode            beyond its encode (<= 0.50)")
    say("size       subscribers     p99    p99    p50    p99      p50    p99    p50    p99"
        "   over (<= 0.50)")
    for width, height in SIZES[-2:]:
        node = Node(width, height, tool=first, count_heap=False)
        for count in (1, 4):
            plain = Encoder(f"send {count}", width, height, tool=first)
            runs, references = [], []
            for _ in range(ROUNDS):
                node.resume()
                runs.append(node.subscribe(count, frames=6 * ROUND, tool=first))
                node.pause()
                plain.run(WARMUP)
                references.append(plain.run(6 * ROUND))
            plain.stop()
            line = f"{width}x{height:<5} {count:11} "
            for results, parts in ((references, ("encode_p99", "latency_p99")),
                                   (runs, ("latency_p50", "latency_p99"))):
                for what in (*parts, "beyond_p50", "beyond_p99"):
                    line += f" {median(r[what] for r in results):6.2f}"
                line += "  "
            over = (median(r["latency_p99"] for r in runs) -
                    median(r["encode_p99"] for r in references))
            say(f"{line}{over:5.2f}")
        node.stop()


def slow_readers():
    first = ("chrt", "-f", "10") if can_be_first() else ()
    node = Node(1920, 1080, framerate=30, tool=first, count_heap=False)
    without, with_slow = [], []
    for _ in range(ROUNDS):
        without.append(node.subscribe(1, tool=first))
        slow = [subprocess.Popen([f"{BUILD}/tests/bench/bench_client", node.address, "slow", rate])
                for rate in ("10000", "0")]
        time.sleep(0.5)
        with_slow.append(node.subscribe(1, tool=first))
        for process in slow:
            process.kill()
            process.wait()
    node.stop()
    say("a subscriber's latency beyond the encode, 1080p, p50 / p99 ms: alone " +
        " / ".join(f"{median(r[k] for r in without):.2f}" for k in ("beyond_p50", "beyond_p99")) +
        "; beside one reading 10 kB/s and one stopped " +
        " / ".join(f"{median(r[k] for r in with_slow):.2f}" for k in ("beyond_p50", "beyond_p99")))


def hand_over():
    """From libcamera's thread to the loop, where libcamera has a camera; make check-libcamera
    measures it with its virtual one."""
    say(subprocess.run([f"{BUILD}/tests/kernel/test_camera_libcamera_recovery", "--bench"], check=False,
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                       text=True).stdout.strip() or "hand-over: this build has no libcamera")


def first_frame(options):
    """Milliseconds from the start of a node to a frame on disk, by a client that starts when the node's
    socket is there."""
    path = f"{folder}/early"
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
    begin = time.monotonic()
    node = subprocess.Popen([f"{BUILD}/pinhole", *options, "--listen", "", "--socket", path],
                            stderr=subprocess.DEVNULL)
    started.append(node)
    while not os.path.exists(path):
        time.sleep(0.0005)
    subprocess.run([f"{BUILD}/pinholectl", "-n", f"unix:{path}", "grab", "--replace", "-o", f"{folder}/first"],
                   check=True, stdout=subprocess.DEVNULL)
    taken = 1e3 * (time.monotonic() - begin)
    node.terminate()
    node.wait(timeout=60)
    return taken


def first_frame_after_start():
    taken = [first_frame(["--camera", "fake", "--framerate", "30"]) for _ in range(max(5, ROUNDS))]
    say(f"from start to the first frame in a client, fake camera at 30 frames/s: {median(taken):.0f} ms "
        f"(<= 60), {min(taken):.0f} to {max(taken):.0f}")
