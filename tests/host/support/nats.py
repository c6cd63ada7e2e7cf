# SPDX-License-Identifier: MIT
"""NATS for tests: servers on loopback, a client in a page, the relay, and what its stream holds."""

import base64
import json
import os
import re
import socket
import subprocess
import sys

import pinhole_wire as wire
from mqtt import Process, can_connect
from pinhole_node import BUILD, PATIENCE_S, free_port, wait_for

PROGRAM = f"{BUILD}/pinhole-relay"
STREAM, HUB_STREAM = "pinhole", "fleet"


def is_old():
    """Is nats-server older than 2.10? It knows neither `sync_interval: always` nor keys of leaves."""
    text = subprocess.run(["nats-server", "-v"], capture_output=True, text=True, check=True).stdout
    return tuple(int(n) for n in text.split("v")[-1].split(".")[:2]) < (2, 10)


class Server(Process):
    """nats-server on loopback, started again on the same port and folder. `config` is its file's
    text with {folder}; without it JetStream has what `lines` leave at the defaults."""

    def __init__(self, config=None, lines="", port=None, has_jetstream=True):
        super().__init__()
        self.port = port or free_port()
        store = 'jetstream { store_dir: "{folder}/js" }\n' if has_jetstream else ""
        text = config or f"host: 127.0.0.1\nport: {self.port}\n{store}{lines}"
        self.conf = self.path("conf", text.replace("{folder}", self.folder.name))
        self.start()

    def start(self):
        self.run("nats-server", "-c", self.conf)
        return self

    def wait(self):
        wait_for("nats-server listens", lambda: can_connect(self.port))
        return self

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"


class Error(Exception):
    """JetStream said no."""

    def __init__(self, error):
        super().__init__(error.get("description"))
        self.code = error.get("err_code")


class Client:
    """One connection: requests, and publishing with headers. Blocking."""

    def __init__(self, port, user=None, password=None, key=None, timeout_s=PATIENCE_S):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.file = self.socket.makefile("rb")
        info = json.loads(self.file.readline().removeprefix(b"INFO "))
        options = {"verbose": False, "headers": True, "no_responders": True, "protocol": 1}
        if user:
            options |= {"user": user, "pass": password}
        if key:
            options |= {"nkey": key.public, "sig": key.sign(info["nonce"].encode())}
        self.inbox = f"_INBOX.test{os.getpid()}.{id(self)}"
        self.count = 0
        self.socket.sendall(f"CONNECT {json.dumps(options)}\r\nPING\r\n".encode())
        self.until(b"PONG")

    def until(self, wanted):
        """The next line that begins so; answers PING meanwhile."""
        while True:
            line = self.file.readline()
            if not line or line.startswith(b"-ERR"):
                raise OSError(f"the server ended the connection: {line!r}")
            if line.startswith(b"PING"):
                self.socket.sendall(b"PONG\r\n")
            elif line.startswith(wanted):
                return line

    def request(self, subject, payload=b"", headers=None):
        """Headers and payload of the answer to this request."""
        if self.count == 0:
            self.socket.sendall(f"SUB {self.inbox}.* 1\r\n".encode())
        self.count += 1
        reply = f"{self.inbox}.{self.count}"
        if headers:
            head = "NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
            size = f"{len(head)} {len(head) + len(payload)}"
            self.socket.sendall(f"HPUB {subject} {reply} {size}\r\n{head}".encode() + payload +
                                b"\r\n")
        else:
            self.socket.sendall(f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload +
                                b"\r\n")
        while True:
            parts = self.until((b"MSG", b"HMSG")).split()
            total = int(parts[-1])
            data = self.file.read(total + 2)[:total]
            head = int(parts[-2]) if parts[0] == b"HMSG" else 0
            if parts[1].decode() == reply:
                return data[:head], data[head:]

    def api(self, subject, **members):
        """JetStream's answer as a dictionary."""
        head, data = self.request(f"$JS.API.{subject}", json.dumps(members).encode() if members
                                  else b"")
        if not data:
            raise Error({"description": head.decode(), "err_code": 503})
        answer = json.loads(data)
        if "error" in answer:
            raise Error(answer["error"])
        return answer

    def last(self, stream, subject):
        """A subject's last message, asked for only where there are messages."""
        if self.api(f"STREAM.INFO.{stream}")["state"]["last_seq"] == 0:
            raise Error({"description": "there is no message yet", "err_code": 10037})
        return self.api(f"STREAM.MSG.GET.{stream}", last_by_subj=subject)["message"]

    def publish(self, subject, payload, **headers):
        """Into a stream; returns its answer."""
        _, data = self.request(subject, payload,
                               {k.replace("_", "-"): v for k, v in headers.items()})
        return json.loads(data)

    def tell(self, subject, payload):
        """Publishes for whoever listens now; no answer."""
        self.socket.sendall(f"PUB {subject} {len(payload)}\r\n".encode() + payload + b"\r\nPING\r\n")
        self.until(b"PONG")

    def listen(self, subject):
        """From now on hear() has what is published there; this connection does nothing else."""
        self.socket.sendall(f"SUB {subject} 2\r\nPING\r\n".encode())
        self.until(b"PONG")

    def hear(self):
        """The next message, waited for."""
        size = int(self.until((b"MSG", b"HMSG")).split()[-1])
        return self.file.read(size + 2)[:size]

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def create_stream(client, **more):
    """A stream as the relay makes it, but for these members. Returns its configuration."""
    config = {"name": STREAM, "subjects": ["pinhole.*.*"], "storage": "file", "num_replicas": 1,
              "retention": "limits", "discard": "old", "max_msgs": -1, "max_bytes": -1,
              "max_age": 0, "max_msg_size": -1, "max_consumers": -1} | more
    client.api(f"STREAM.CREATE.{STREAM}", **config)
    return config


class Stored:
    """A message of the stream: its headers, and the record that it is."""

    def __init__(self, message):
        self.stream_sequence, self.subject = message["seq"], message["subject"]
        lines = base64.b64decode(message.get("hdrs", "")).decode().split("\r\n")[1:]
        self.headers = dict(line.split(": ", 1) for line in lines if line)
        data = base64.b64decode(message.get("data", ""))
        magic, _, kind, flags, size, tag = wire.struct.unpack_from("<4sBBHII", data)
        assert magic == b"PINH" and len(data) == 16 + size, (magic, size, len(data))
        self.payload = data[16:]
        self.record = wire.Message(kind, flags, tag, self.payload)
        record, headers = self.record, self.headers
        self.boot_id, self.last = record.boot_id, record.sequence
        is_gap = kind == wire.EVENT and record.kind == wire.GAP
        self.first = record.first if is_gap else record.sequence
        assert headers["Nats-Msg-Id"] == f"{self.boot_id:016x}:{self.last}", headers
        assert headers["Pinhole-Boot"] == f"{self.boot_id:016x}", headers
        assert headers["Pinhole-Sequence"] == str(self.last), headers
        assert headers.get("Pinhole-First", str(self.last)) == str(self.first), headers
        assert headers["Pinhole-Time"] == str(record.realtime_ns), headers
        if kind == wire.FRAME:
            assert headers.get("Pinhole-Trigger", "0") == str(record.trigger_id), headers
            assert ("Pinhole-Clock" in headers) == (not record.field_flags & 1), headers
        is_trigger = kind == wire.EVENT and record.kind == wire.TRIGGER_EVENT
        assert headers.get("Pinhole-Event") == (
            wire.EVENT_NAMES[record.kind] if kind == wire.EVENT else None), headers
        assert headers.get("Pinhole-Outcome") == (
            wire.OUTCOMES[record.outcome] if is_trigger else None), headers
        if is_trigger:
            assert headers["Pinhole-Trigger"] == str(record.first), headers
            assert headers.get("Pinhole-Trigger-Last", str(record.first)) == str(record.last), headers
        wanted = "frame" if kind == wire.FRAME else \
            "trigger" if record.kind == wire.TRIGGER_EVENT else "event"
        assert self.subject.split(".")[0::2] == ["pinhole", wanted], self.subject

    @property
    def is_gap(self):
        return self.record.type == wire.EVENT and self.record.kind == wire.GAP

    @property
    def is_boot(self):
        return self.record.type == wire.EVENT and self.record.kind == wire.BOOT


def read_stream(client, stream=STREAM):
    """All messages of a stream, oldest first; none when there is no stream yet."""
    try:
        state = client.api(f"STREAM.INFO.{stream}")["state"]
    except Error as error:
        if error.code != 10059:
            raise
        return []
    out = []
    for sequence in range(max(1, state["first_seq"]), state["last_seq"] + 1):
        try:
            out.append(Stored(client.api(f"STREAM.MSG.GET.{stream}", seq=sequence)["message"]))
        except Error as error:
            assert error.code == 10037, error  # deleted
    return out


def check_whole(stored):
    """Each record of each boot once, or told by one GAP; the same for what a boot left untold.
    Returns {(boot, sequence): message} of the records, and the number of records told as lost."""
    records, boots, lost = {}, {}, 0
    for message in stored:
        if message.is_boot:
            continue
        ranges = boots.setdefault(message.boot_id, [])
        ranges.append((message.first, message.last))
        if message.is_gap:
            lost += message.last - message.first + 1
        else:
            records[message.boot_id, message.last] = message
    ends = {m.headers["Pinhole-Former-Boot"]: m.record.first for m in stored if m.is_boot}
    for boot, ranges in boots.items():
        expected = 1
        for first, last in sorted(ranges):
            assert first == expected, f"boot {boot:016x}: {expected} expected, then {first}..{last}"
            expected = last + 1
        # What a reboot has cut off begins where the records end.
        assert ends.get(f"{boot:016x}", expected) == expected, (ends, expected)
    return records, lost


def node_records(address):
    """What a node retains now: {(boot, sequence): payload} and the GAP before it, if any."""
    with wire.Client(address) as client:
        end = client.hello.sequence_next
        boot = client.hello.boot_id
        client.subscribe(policy=wire.EVERY, start=1)
        records, last = {}, 0
        while last + 1 < end:
            record = client.next()
            last = record.sequence
            if record.type == wire.FRAME or record.kind != wire.GAP:
                records[boot, last] = record
        return records


def is_same(one, other):
    """Are both the same record? Two fields of FRAME are of the subscriber, not of the record."""
    def fields(record):
        return {k: v for k, v in vars(record).items() if k not in ("queued_us", "skipped", "tag")}
    return fields(one) == fields(other)


class Relay(Process):
    """pinhole-relay between a server and a node's address."""

    def __init__(self, url, address, *arguments, name="gate", env=None, program=PROGRAM):
        super().__init__()
        self.command = [program, "--server", url, *arguments,
                        f"{name}={address[0]}:{address[1]}"]
        self.environment = os.environ | (env or {})
        self.start()

    def start(self):
        self.run(*self.command, env=self.environment)
        return self

    def end(self):
        """SIGTERM; unless it was killed the exit status must be 0 (under sanitizers: no leak)."""
        status = super().end()
        assert status in (0, -9), f"exit status {status}:\n{self.log}"
        return status

    def said(self, sentence):
        return self.log.count(sentence)

    def private_bytes(self):
        """Memory of its own, without the files it maps."""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="ascii") as file:
            return int(re.search(r"^Anonymous: +(\d+)", file.read(), re.M).group(1)) * 1024


def publish_loop(folder, *arguments):
    """What the bare loop tests/host/fleet/publish_loop.c prints; its program stays in the folder."""
    program = f"{folder}/publish_loop"
    if not os.path.exists(program):
        subprocess.run(["cc", "-O2", "-o", program, "tests/host/fleet/publish_loop.c", "-lnats"], check=True)
    return float(subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.PIPE,
                                text=True).stdout)


def print_config(*arguments):
    """What --print-nats-config prints."""
    return subprocess.run([PROGRAM, "--print-nats-config", *arguments], check=True, text=True,
                          stdout=subprocess.PIPE, stderr=sys.stderr).stdout


class Feeder:
    """Puts records of a node into the stream as a relay does, one by one."""

    def __init__(self, client, jpeg, name="gate", boot=0xabc):
        self.client, self.jpeg, self.name, self.boot = client, jpeg, name, boot
        self.behind, self.sent = 0, {}

    def publish(self, kind, what, sequence, values, data, **headers):
        """A record under pinhole.NODE.`what`, with the headers that all have."""
        layout, names = wire.FIELDS[kind]
        values = {"fixed_bytes": wire.struct.calcsize(layout), "boot_id": self.boot} | values
        body = wire.struct.pack(layout, *(values.get(n, 0) for n in names.split())) + data
        payload = wire.struct.pack("<4sBBHII", b"PINH", 1, kind, 0, len(body), 0) + body
        answer = self.client.publish(
            f"pinhole.{self.name}.{what}", payload, Nats_Msg_Id=f"{self.boot:016x}:{sequence}",
            Pinhole_Boot=f"{self.boot:016x}", Pinhole_Sequence=sequence, Pinhole_Behind=self.behind,
            Pinhole_Settled=headers.pop("settled", sequence), **headers)
        assert "seq" in answer, answer
        return answer["seq"]

    def put(self, sequence, settled=None, trigger=0, boot=None, realtime_ns=10**18):
        """A frame, stored behind all before `settled` (all before itself). Its JPEG is its own."""
        self.boot = boot or self.boot
        jpeg = self.jpeg + sequence.to_bytes(8, "big")
        time_ns = realtime_ns + sequence * 10**9
        more = {"Pinhole_Trigger": trigger} if trigger else {}
        self.publish(wire.FRAME, "frame", sequence,
                     {"format": 1, "sequence": sequence, "frame_id": sequence, "width": 16, "height": 16,
                      "timestamp_ns": sequence * 10**7, "trigger_id": trigger, "realtime_ns": time_ns},
                     jpeg, settled=sequence if settled is None else settled, Pinhole_Time=time_ns, **more)
        self.sent[f"{self.boot:016x}", sequence] = jpeg
        return self

    def put_triggers(self, sequence, outcome, first, last):
        """Triggers without a picture."""
        more = {"Pinhole_Trigger_Last": last} if last != first else {}
        self.publish(wire.EVENT, "trigger", sequence,
                     {"kind": wire.TRIGGER_EVENT, "sequence": sequence, "outcome": outcome, "first": first,
                      "last": last}, b"", Pinhole_Event="TRIGGER", Pinhole_Trigger=first,
                     Pinhole_Outcome=wire.OUTCOMES[outcome], **more)
        return self

    def put_gap(self, first, last):
        """The node has lost these records."""
        more = {"Pinhole_First": first} if last != first else {}
        self.publish(wire.EVENT, "event", last, {"kind": wire.GAP, "sequence": last, "first": first,
                                                 "last": last}, b"", Pinhole_Event="GAP", **more)
        return self

    def put_boot(self, boot):
        """The node has restarted: an event without a sequence. What follows is of that boot."""
        former, self.boot = self.boot, boot
        self.publish(wire.EVENT, "event", 0, {"kind": wire.BOOT}, b"", settled=0, Pinhole_Event="BOOT",
                     Pinhole_Former_Boot=f"{former:016x}")
        return self

    def run(self, first, last):
        for sequence in range(first, last + 1):
            self.put(sequence)
        return self
