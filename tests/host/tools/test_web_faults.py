#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each call of the gateway that can fail, failed once: it does not crash, leak or hang, no answer says
200 that is not right, and the next request is answered as ever.
PINHOLE_WEB_FULL=1: every site, once failing and for ever; else a part of them."""

import base64
import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from fake_node import JPEG_GREY, SET, FakeNode  # noqa: E402
from faults import fail_each  # noqa: E402
from pinhole_node import BUILD, run_cases, wait_for  # noqa: E402

FULL = os.environ.get("PINHOLE_WEB_FULL") == "1"
SITES_TRIED = 10**6 if FULL else 12
HANG_S = 60
SANITIZERS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:")
FEATURES = b"Gain\t1\tFloat\t\t0\t10\t0\trw\t\tgain\nTriggerMode\tOff\tEnum\t\t\t\t\trw\tOff|On\tmode\n"
MARK = b"X-Pinhole: 1\r\n"
BASIC = b"Authorization: Basic %s\r\n" % base64.b64encode(b"anna:a password")
USERS = tempfile.NamedTemporaryFile()


class Node(FakeNode):
    """A node that notes which settings it was asked for."""

    def __init__(self):
        self.was_set = []
        super().__init__(name=b"cam", features=FEATURES, stats=b"node_frames_total 5\n", refusal=b"",
                         jpeg=JPEG_GREY)

    def _answer(self, kind, asked, tag):
        if kind == SET:
            self.was_set.append(asked)
        return super()._answer(kind, asked, tag)

    def hang_up(self):
        for client in self.clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def ask(port, method, path, headers=b"", body=b"", enough=b"", patience_s=HANG_S):
    """Status, headers and body; None: the gateway closed. `enough` ends an answer without end."""
    request = b"%s %s HTTP/1.0\r\nHost: 127.0.0.1\r\n%sContent-Length: %d\r\n\r\n" % (
        method, path, headers, len(body))
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), HANG_S) as link:
            link.settimeout(patience_s)
            link.sendall(request + body)
            while not (enough and answer.count(enough) >= 3):
                chunk = link.recv(65536)
                if not chunk:
                    break
                answer += chunk
    except (ConnectionError, BrokenPipeError):
        pass
    except TimeoutError as error:
        if patience_s == HANG_S:
            raise AssertionError(f"no answer to {path.decode()} in {HANG_S} s") from error
    head, _, rest = answer.partition(b"\r\n\r\n")
    match = re.match(rb"HTTP/1.\d (\d+) ", head)
    return (int(match.group(1)), head, rest) if match else (None, b"", b"")


def asset(name):
    with open(f"tools/web/page/{name}", "rb") as file:
        return file.read()


def is_state(body, has_features):
    """What the gateway does not know it says."""
    state = json.loads(body)
    node, frame = state["node"], state["frame"]
    return (node["name"] == "cam" or not node["connected"]) and \
        (frame is None or frame["bytes"] == len(JPEG_GREY)) and has_features == ("features" in state) and \
        len(state.get("features", ())) == (2 if has_features and state["features_version"] else 0)


def check_of(node):
    """Every kind of request, and whether an answer of 200 is right."""
    form = b"Content-Type: application/x-www-form-urlencoded\r\n"
    return (
        (b"GET", b"/", b"", b"", lambda body: body == asset("index.html")),
        (b"GET", b"/app.js", b"", b"", lambda body: body == asset("app.js")),
        (b"GET", b"/snapshot", b"", b"", lambda body: body == JPEG_GREY),
        (b"GET", b"/snapshot", BASIC, b"", lambda body: body == JPEG_GREY),
        (b"GET", b"/snapshot?fresh=1", b"", b"", lambda body: body == JPEG_GREY),
        (b"GET", b"/state", b"", b"", lambda body: is_state(body, True)),
        (b"GET", b"/state?brief=1", b"", b"", lambda body: is_state(body, False)),
        (b"GET", b"/metrics", b"", b"",
         lambda body: (b"node_frames_total 5\n" in body) ==
         (b"\npinhole_web_node_scraped 1\n" in body) and b"\npinhole_web_streams " in body),
        (b"GET", b"/healthz", b"", b"", lambda body: body == b"ok\n"),
        (b"GET", b"/stream", b"", b"", lambda body: body.count(JPEG_GREY) >= 2),
        (b"GET", b"/snapshot?components=3", b"", b"", lambda body: body.count(b"\xff\xda") == 3),
        (b"GET", b"/stream?components=3", b"", b"", lambda body: body.count(b"\xff\xda") >= 6),
        (b"POST", b"/features", form + MARK, b"Gain=2&TriggerMode=On",
         lambda body: node.was_set[-1].splitlines() == [b"Gain=2", b"TriggerMode=On"]),
        (b"POST", b"/features", MARK, b'{"Gain":3}', lambda body: node.was_set[-1].strip() == b"Gain=3"),
        (b"POST", b"/login", MARK, b'{"name":"anna","password":"a password"}',
         lambda body: json.loads(body) == {"user": "anna"}),
        (b"POST", b"/trigger", MARK, b"", lambda body: json.loads(body) == {"trigger_id": 1}),
    )


def refused(port):
    """What is never answered with 200."""
    for method, path, headers, body in ((b"GET", b"/nothing", b"", b""), (b"OPTIONS", b"/", b"", b""),
                                        (b"POST", b"/trigger", b"", b""),
                                        (b"GET", b"/?action=command", b"", b""),
                                        (b"POST", b"/features", MARK, b"x" * 70000)):
        status = ask(port, method, path, headers, body)[0]
        assert status != 200, (method, path, status)


def ask_all(node, port, is_lasting=False):
    """Asks for everything once. What was not answered with 200. A stream without frames waits."""
    others = []
    for method, path, headers, body, is_right in check_of(node):
        node.was_set.append(b"")
        is_stream = path.startswith(b"/stream")
        status, head, got = ask(port, method, path, headers, body,
                                b"--boundarydonotcross" if is_stream else b"",
                                1 if is_stream and is_lasting else HANG_S)
        length = re.search(rb"Content-Length: (\d+)", head)
        if status != 200 or (is_stream and is_lasting) or (length and int(length.group(1)) > len(got)):
            others.append((path, status, got[:200]))
        else:
            assert is_right(got), f"{path.decode()}: 200 with {got[:300]!r}"
    refused(port)
    return others


class Run:
    """One gateway with one node, from its start to its end."""

    def __init__(self, program, environment):
        self.errors = tempfile.TemporaryFile()
        self.node = Node()
        self.process = subprocess.Popen(
            [f"{BUILD}/{program}", "-v", "--node", self.node.address, "--listen", "127.0.0.1:0",
             "--users", USERS.name, "--anonymous", "control"],
            stdout=subprocess.PIPE, stderr=self.errors, stdin=subprocess.DEVNULL, text=True,
            env=os.environ | environment)
        self.killer = threading.Timer(3 * HANG_S, self.process.kill)
        self.killer.start()
        match = re.search(r":(\d+)/", self.process.stdout.readline())
        self.port = match and int(match.group(1))

    @property
    def log(self):
        return os.pread(self.errors.fileno(), 1 << 20, 0).decode(errors="replace")

    def wait_ready(self):
        wait_for("frames", lambda: self.process.poll() is not None or
                 ask(self.port, b"GET", b"/healthz")[0] == 200, HANG_S)

    def end(self):
        self.process.terminate()
        status = self.process.wait(HANG_S)
        self.killer.cancel()
        self.process.stdout.close()
        self.node.__exit__()
        assert not any(said in self.log for said in SANITIZERS), self.log
        return status


def play(environment, is_lasting=False):
    """The whole script."""
    run = Run("tests/pinhole-web-faulty", environment)
    try:
        if run.port is not None and not is_lasting:
            run.wait_ready()
            ask_all(run.node, run.port)
            run.node.hang_up()
            time.sleep(0.1)
            run.wait_ready()
            others = ask_all(run.node, run.port)  # the fault is over
            assert not others or "FAIL_SITE" in environment and len(others) == 1, others
        elif run.port is not None:
            ask_all(run.node, run.port, is_lasting)
    finally:
        status = run.end()
    # It may refuse to start, and says why then.
    assert status == 0 or (status in (1, 2) and run.log), (status, run.log)
    assert status == 0 or run.port is None or is_lasting, (status, run.log)


def fail(place, site, is_lasting):
    """One run with that fault; the sites that it came by."""
    name = os.path.join(place, f"{site}-{is_lasting}")
    fault = {"FAIL_SITE": site, "FAIL_SITES": name} | ({"FAIL_ALWAYS": "1"} if is_lasting else {})
    play(fault, is_lasting)
    with open(name, encoding="ascii") as file:
        return file.read().split()


def test_each_call_fails_once():
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([f"{BUILD}/pinhole-web", "--add-user", "anna", "--role", "view", "--users",
                        f"{place}/users"], input=b"a password\n", check=True)
        shutil.copyfile(f"{place}/users", USERS.name)
        play({"FAIL_SITES": f"{place}/all"})
        with open(f"{place}/all", encoding="ascii") as file:
            known = file.read().split()
        step = (len(known) + SITES_TRIED - 1) // SITES_TRIED
        waiting = [(site, lasting) for site in known[::step] for lasting in (False, True)
                   if FULL or not lasting]
        seen, tried, faults = fail_each(known, waiting, functools.partial(fail, place), FULL)
        print(f"{seen} sites, {tried} runs, {faults} faults")
        assert tried > 8 and not faults


if __name__ == "__main__":
    run_cases({name: case for name, case in globals().items()
               if not sys.argv[1:] or name in sys.argv[1:]})
