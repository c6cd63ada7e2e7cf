# SPDX-License-Identifier: MIT
"""The node with the replay camera, and the encoders that it is compared with, as processes."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

from common import (BUILD, EACH, folder, FRAMERATE, FRAMES, photographs, QUALITY, started,
                    STORE_BYTES, WARMUP)


class Node:
    """The node with the replay camera, watched from outside."""

    def __init__(self, width, height, pixel="YUV420", chroma="420", framerate=FRAMERATE, tool=(),
                 count_heap=True, settings=(), quality=QUALITY, program=(f"{BUILD}/pinhole",)):
        self.socket = f"{folder}/socket"
        self.heap = f"{folder}/heap" if count_heap else ""
        self.log = open(f"{folder}/log", "w+", encoding="utf-8")
        command = [*tool, *program, "--camera", "replay:" + photographs(width),
                   "--width", str(width), "--height", str(height), "--framerate", str(framerate),
                   "--format", pixel, "--quality", str(quality), "--listen", "127.0.0.1:0",
                   "--socket", self.socket, "--set", f"store.memory={STORE_BYTES}",
                   "--set", f"jpeg.chroma={chroma}", "--set", "camera.stall_timeout_ms=3600000",
                   "--set", "server.send_deadline_ms=600000"]
        for setting in settings:
            command += ["--set", setting]
        environment = dict(os.environ)
        if count_heap:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.heap)
            environment |= {"LD_PRELOAD": f"{BUILD}/tests/count_heap.so",
                            "COUNT_HEAP_FILE": self.heap}
        self.process = subprocess.Popen(command, stderr=self.log, env=environment)
        started.append(self.process)
        self.address = "127.0.0.1:" + self.wait(r"listening on tcp .*:(\d+)")
        self.album_bytes = int(self.wait(r"photographs of .* in (\d+) bytes"))
        self.wait(r"(camera streaming)")
        subprocess.run([f"{BUILD}/pinholectl", "-n", self.address, "--timeout", "60", "set",
                        f"ReplayFrames={EACH}"], check=True, stdout=subprocess.DEVNULL)

    def text(self):
        with open(self.log.name, encoding="utf-8") as log:
            return log.read()

    def wait(self, pattern):
        for _ in range(3000):
            match = re.search(pattern, self.text())
            if match:
                return match.group(1)
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        sys.exit("bench: the node did not start:\n" + self.text())

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def subscribe(self, count, unix=False, frames=FRAMES, tool=()):
        """Runs `count` subscribers; returns what bench_client printed."""
        address = "unix:" + self.socket if unix else self.address
        command = [*tool, f"{BUILD}/tests/bench/bench_client", address, str(self.process.pid), str(count),
                   str(WARMUP), str(frames)] + ([self.heap] if self.heap else [])
        result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        result["cpu_ms"] = result["cpu_ns"] / result["frames"] / 1e6
        return result

    def metric(self, name):
        text = subprocess.run([f"{BUILD}/pinholectl", "-n", self.address, "stats"], check=True,
                              capture_output=True, text=True).stdout
        match = re.search(re.escape(name) + r"[ =]+([0-9.e+-]+)", text)
        return float(match.group(1)) if match else float("nan")

    def anonymous_kib(self):
        """Beyond the store and the replayed pictures: the node's own, and that of its libraries
        (their writable data and the heap that they alone use)."""
        own, libraries, name = -(STORE_BYTES + self.album_bytes) / 1024, 0, ""
        with open(f"/proc/{self.process.pid}/smaps", encoding="utf-8") as smaps:
            for line in smaps:
                if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                    name = (line.split(maxsplit=5) + [""])[5].strip()
                elif line.startswith("Anonymous:"):
                    kib = int(line.split()[1])
                    if ".so" in name or name == "[heap]":
                        libraries += kib
                    else:
                        own += kib
        return own, libraries

    def stop(self):
        self.resume()
        self.process.terminate()
        self.process.wait(timeout=120)
        self.log.close()


def planar(pixel):
    """What the references encode in a format's place."""
    return pixel if pixel == "GREY" else "YUV420"


class Encoder:
    """bench_encode: encodes batches when told to; stopped in between."""

    def __init__(self, kind, width, height, pixel="YUV420", framerate=FRAMERATE, tool=()):
        command = [*tool, f"{BUILD}/tests/bench/bench_encode", *kind.split(), photographs(width), pixel,
                   str(width), str(height), str(framerate), str(QUALITY)]
        self.stderr = open(f"{folder}/encoder-log", "w+", encoding="utf-8")
        environment = dict(os.environ) | {"BENCH_EACH": str(EACH)}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.stderr, text=True, env=environment)
        started.append(self.process)

    def run(self, frames=FRAMES):
        self.process.stdin.write(f"{frames}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            return None
        result = json.loads(line)
        result["cpu_ms"] = result["cpu_ns"] / result["frames"] / 1e6
        result["bytes"] /= result["frames"]
        return result

    def stop(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(timeout=300)
