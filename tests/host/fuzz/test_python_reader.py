# SPDX-License-Identifier: MIT
"""The Python package on what a broken or hostile node sends: a good conversation, changed at random.

Each conversation has a seed, which a finding names: `test_python_reader.py --seed N` plays it alone.
`make test` plays the first few hundred, `make fuzz` goes on for SECONDS and says how much of the
package's reading side was reached. A finding is an exception that the package does not promise, or
one that takes longer than its time-out allows."""

import argparse
import os
import random
import signal
import socket
import struct
import sys
import time
import traceback

ROOT = os.path.join(os.path.dirname(__file__), "..", "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tools", "python"))
import pinhole  # noqa: E402
from pinhole import _address, _find, errors  # noqa: E402

HELLO, SUBSCRIBE, FRAME, EVENT, FEATURES, GET, SET, TRIGGER, STATS, PING, ERROR = range(1, 12)
BOOT = 0x1122334455667788
PACKAGE = os.path.realpath(os.path.join(ROOT, "tools", "python", "pinhole"))
FILES = ("_link.py", "_records.py", "_position.py", "features.py", "camera.py", "errors.py")
TIMEOUT_S, HANG_S = 0.01, 30  # a machine that is busy is not a hang
# What the documents promise: a broken link, no answer, a refusal.
PROMISED = (OSError, errors.PinholeError)
RUNS, NODE = 300, "127.0.0.1:7447"

TABLE = (b"DeviceModelName\tcam\tString\t\t\t\t\tro\t\tThe camera\n"
         b"Width\t640\tInteger\tpx\t2\t8192\t2\trw\t\tWidth\n"
         b"Gain\t2.5\tFloat\tdB\t1\t16\t0.1\trw\t\tGain\n"
         b"GainAuto\tOff\tEnum\t\t\t\t\trw\tOff|Once|Continuous\tMode\n"
         b"ReverseX\t1\tBoolean\t\t\t\t\trw\t\tMirror\nTriggerSoftware\t\tCommand\t\t\t\t\two\t\tGo\n")


def message(kind, payload, tag=0):
    flags = 1 if tag else 0
    return struct.pack("<4sBBHII", b"PINH", 1, kind, flags, len(payload), tag) + payload


def hello():
    fixed = struct.pack("<HBBIQIHHQQQQII", 64, 1, 1, 4096, BOOT, 64 << 20, 16, 200, 1, 9, 10**9,
                        10**18, 0, 5000)
    return message(HELLO, fixed + b"DeviceUserID=gate\nDeviceModelName=M\n")


def frame(sequence, form=1):
    fixed = struct.pack("<HBBIQQQIHHQQIIIIIIIIIIIIQQqBBhI", 136, form, 80, 0, BOOT, sequence,
                        sequence, sequence, 32, 16, 10**9, 10**18, 1000, 1000, 1000, 0, 0, 0, 0, 0,
                        0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0)
    return message(FRAME, fixed + b"\xff\xd8 a picture \xff\xd9")


def event(kind, sequence, first=0, last=0, boot=BOOT):
    fixed = struct.pack("<HBBBBHQQQQQQQII", 72, kind, 1, 1, 1, 0, boot, sequence, 10**9, 10**18,
                        first, last, 0, 0, 0)
    return message(EVENT, fixed + "ein Grund äöü".encode())


def conversation():
    """What the node sends when talk() below connects, and after each of its requests, which the
    package numbers from 1."""
    log = [message(SUBSCRIBE, struct.pack("<Q", 1), 2), frame(1), event(1, 3, 2, 3), frame(4),
           event(2, 5, 1, 2), event(3, 6), frame(7, form=9), frame(8), event(4, 9),
           event(6, 1, boot=BOOT + 1), frame(10)]
    table, ping = message(FEATURES, TABLE, 3), message(PING, b"", 1)
    answers = [(GET, b"Width=640\n"), (GET, b"Gain=2.5\n"), (SET, b"Gain=2\n"),
               (TRIGGER, struct.pack("<Q", 5)), (STATS, b"pinhole_frames_total 5\n"),
               (PING, b"pinhole")]
    return ([[hello()], [ping], log, [table]] +
            [[message(kind, payload, tag)] for tag, (kind, payload) in enumerate(answers, 4)] +
            [[message(ERROR, struct.pack("<HHI", 8, code, 0) + b"Colour: refused", tag)]
             for tag, code in enumerate((7, 8, 9, 10, 1), 10)])


NUMBERS = (0, 1, 2, 7, 8, 23, 24, 63, 64, 71, 72, 135, 136, 255, 256, 0x7fff, 0x8000, 0xffff,
           0x7fffffff, 0x80000000, 0xffffffff, 2**63 - 1, 2**63, 2**64 - 1)
TEXTS = (b"\xff", b"\xc3\x28", b"\0", b"\n", b"\t\t\t", b"=", b"nan", b"inf", b"-", b"1e999", b"9" * 5000,
         "\u2028".encode(), b"\xed\xa0\x80", b"%s", b"Width\t", b"Integer")


def mutate_bytes(chance, data):
    data = bytearray(data)
    at = chance.randrange(len(data) + 1)
    what = chance.randrange(6)
    if what == 0 and data:
        data[at % len(data)] ^= 1 << chance.randrange(8)
    elif what == 1:
        number = chance.choice(NUMBERS)
        size = chance.choice((1, 2, 4, 8))
        data[at:at + size] = (number & (1 << 8 * size) - 1).to_bytes(size, "little")
    elif what == 2:
        del data[at:at + chance.randrange(1, 40)]
    elif what == 3:
        data[at:at] = chance.choice(TEXTS)
    elif what == 4:
        data[at:at] = chance.randbytes(chance.randrange(1, 40))
    else:
        data[at:at + chance.randrange(8)] = chance.choice(TEXTS)
    return bytes(data)


def mutate(seed):
    """A changed conversation, as the bytes of each turn; seed 0 changes nothing."""
    chance = random.Random(seed)
    turns = conversation()
    for _ in range(chance.choice((1, 1, 2, 4, 8)) if seed else 0):
        turn = chance.choice(turns)
        at = chance.randrange(len(turn)) if turn else 0
        what = chance.randrange(8)
        if what == 0 or not turn:
            turn.insert(at, chance.choice(chance.choice(conversation())))
        elif what == 1:
            del turn[at]
        elif what == 2:  # anywhere, the header too
            turn[at] = mutate_bytes(chance, turn[at])
        else:  # within the payload, and the header says its length
            head, payload = turn[at][:16], mutate_bytes(chance, turn[at][16:])
            turn[at] = head[:8] + struct.pack("<I", len(payload)) + head[12:] + payload
    return [b"".join(turn) for turn in turns]


class NodeSocket(socket.socket):
    """The package's end of a connection to a node that takes its next turn after each request."""

    def begin(self, node, turns):
        self.node, self.turns = node, turns
        self.take_turn()

    def take_turn(self):
        if self.turns:
            self.node.sendall(self.turns.pop(0))

    def sendall(self, *arguments):
        super().sendall(*arguments)
        self.take_turn()


def attempt(step):
    try:
        return step()
    except PROMISED:
        return None


def talk():
    """What a user does. Every step may fail in a promised way, and the next goes on."""
    camera = attempt(lambda: pinhole.Camera(NODE, policy="every", timeout=TIMEOUT_S,
                                            reconnect=False))
    if camera is None:
        return
    with camera:
        for _ in range(12):
            if attempt(lambda: camera.next(TIMEOUT_S)) is None:
                break
        attempt(lambda: [camera.features.info(name) for name in camera.features])
        attempt(lambda: camera.features["Width"])
        attempt(lambda: camera.Gain)
        attempt(lambda: camera.features.set(Gain=2))
        for step in (camera.trigger, camera.stats, camera.ping, camera.ping, camera.ping,
                     camera.trigger, camera.stats, camera.stop):
            attempt(step)
        assert isinstance(camera.id, str) and isinstance(camera.model, str)
        assert all(isinstance(event.text, str) and event.name for event in camera.events)


def play(seed):
    """One conversation. None, or what went wrong."""
    pair = socket.socketpair()
    theirs, ours = pair[0], NodeSocket(fileno=pair[1].detach())
    with theirs:
        ours.begin(theirs, mutate(seed))
        _address.connect = lambda address, timeout: ours
        _find.resolve = lambda address: address
        signal.alarm(HANG_S)
        try:
            talk()
        except TimeoutError:
            return f"seed {seed}: hangs"
        except Exception:  # pylint: disable=broad-except
            return f"seed {seed}:\n{traceback.format_exc()}"
        finally:
            signal.alarm(0)
            ours.close()
    return None


class Coverage:
    """Lines of the package that were run, of those that could be."""

    def __init__(self):
        self.seen, self.known = set(), {}
        self.paths = {os.path.join(PACKAGE, name) for name in FILES}

    def trace(self, stack, what, _):
        name = stack.f_code.co_filename
        path = self.known.get(name) or self.known.setdefault(name, os.path.realpath(name))
        if path not in self.paths:
            return None
        if what == "line":
            self.seen.add((path, stack.f_lineno))
        return self.trace

    def report(self):
        lines = set()
        for path in self.paths:
            with open(path, encoding="utf-8") as file:
                pending = [compile(file.read(), path, "exec")]
            while pending:
                code = pending.pop()
                inner = [each for each in code.co_consts if hasattr(each, "co_lines")]
                pending += inner
                if code.co_name != "<module>" and code.co_flags & 2:  # a function's, not a class's
                    lines |= {(path, line) for *_, line in code.co_lines()
                              if line and line != code.co_firstlineno}
        return f"{100 * len(self.seen & lines) / len(lines):.2f}% of the lines of {' '.join(FILES)}"


def on_alarm(*_):
    raise TimeoutError("hangs")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, on_alarm)
    coverage = Coverage()
    if options.seconds:
        sys.settrace(coverage.trace)
    begin, findings, played = time.monotonic(), [], 0
    seed = options.seed if options.seed is not None else 0
    while not findings and (time.monotonic() - begin < options.seconds if options.seconds
                            else played < (1 if options.seed is not None else RUNS)):
        finding = play(seed)
        findings += [finding] if finding else []
        seed, played = seed + 1, played + 1
    sys.settrace(None)
    for finding in findings:
        print(finding)
    reached = f"; {coverage.report()}" if options.seconds else ""
    print(f"{played} conversations played{reached}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
