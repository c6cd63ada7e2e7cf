# SPDX-License-Identifier: MIT
"""Starts and stops the node for tests: own folder, ephemeral port, small and fast by default."""

import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
BUILD = os.environ.get("BUILD", "build/release")
PROGRAM = f"{BUILD}/pinhole"
START_S = 120  # under sanitizers on a busy machine
PATIENCE_S = int(os.environ.get("PINHOLE_PATIENCE_S", "120"))  # for what should take a moment
SMALL = ("--set", "camera.width=320", "--set", "camera.height=240", "--set",
         "camera.framerate=60", "--set", "jpeg.frame_bytes_max=128K", "--set", "store.memory=8M")


def wait_for(what, condition, seconds=PATIENCE_S):
    """Returns the condition's value as soon as it is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(0.02)
    return value


def cpu_s(*pids):
    """CPU time of processes with all their threads."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total / 1e9


def free_port():
    """A port for a server that comes and goes: the kernel gives none of these to a connection that
    leaves, so it is still free when the server comes back."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first_of_kernel = int(file.read().split()[0])
    while True:
        port = random.randrange(min(10000, first_of_kernel - 1), first_of_kernel)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue  # taken


class Node:
    """`pinhole` with these arguments. `script` is a fault script of the fake camera, `config` the
    text of a config file; `small` adds options for small fast frames before `arguments`. `prefix`
    runs it, e.g. in a namespace; `program` is a copy of it."""

    def __init__(self, *arguments, script=None, config=None, camera=None, listen="127.0.0.1:0",
                 small=True, environment=None, wait=True, prefix=(), program=PROGRAM):
        self.folder = tempfile.TemporaryDirectory(prefix="pinhole-test-")
        command = [*prefix, program]
        if config is not None:
            command += ["--config", self.write("pinhole.ini", config)]
        if script is not None:
            camera = "fake:" + self.write("faults", script)
        command += ["--camera", camera or "fake"]
        if listen is not None:
            command += ["--listen", listen]
        command += [*(SMALL if small else ()), *arguments]
        self.log_path = os.path.join(self.folder.name, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL,
                                            env=os.environ | (environment or {}))
        self.address = None
        if wait and listen:
            port = self.wait_log(r"listening on tcp .*:(\d+)").group(1)
            self.address = ("127.0.0.1", int(port))
        elif wait:
            self.wait_log("listening on unix")

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    @property
    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_log(self, pattern):
        """Waits for a line of the log that has `pattern` in it; returns the match."""
        deadline = time.monotonic() + START_S
        while True:
            ended = self.process.poll()
            match = re.search(pattern, self.log)
            if match:
                return match
            if ended is not None:
                raise AssertionError(f"ended with {ended}, no {pattern!r} in:\n{self.log}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {pattern!r} in:\n{self.log}")
            time.sleep(0.01)

    def wait(self):
        """The exit status."""
        return self.process.wait(START_S)

    def stop(self):
        """SIGTERM; the exit status must be 0."""
        if self.process.poll() is None:
            self.process.terminate()
        status = self.wait()
        assert status == 0, f"exit status {status}, log:\n{self.log}"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.process.kill()
            self.process.wait()
            print(f"the node's log:\n{self.log[-4000:]}", file=sys.stderr)
        else:
            self.stop()
        self.folder.cleanup()


def run(*arguments, program=PROGRAM):
    """Runs the node to its end; returns exit status, stdout and stderr."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=START_S, check=False)
    return done.returncode, done.stdout, done.stderr


TOLD_OF_FAILURES = []  # functions that give the text of a log, of the case that runs


def passes(name, case):
    """Runs a case, and says whether it passed."""
    start = time.monotonic()
    TOLD_OF_FAILURES.clear()
    try:
        case()
        print(f"ok   {name} ({time.monotonic() - start:.1f} s)", flush=True)
        return True
    except Exception:  # pylint: disable=broad-except
        import traceback
        traceback.print_exc()
        for log in TOLD_OF_FAILURES:
            print(log()[-4000:], file=sys.stderr)
        print(f"FAIL {name}", flush=True)
        return False


def run_cases(cases):
    """Runs every function of a test module whose name begins with test_, says how many passed, and
    exits with the result."""
    passed = failed = 0
    for name, case in list(cases.items()):
        if not name.startswith("test_") or not callable(case):
            continue
        if passes(name, case):
            passed += 1
        else:
            failed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
