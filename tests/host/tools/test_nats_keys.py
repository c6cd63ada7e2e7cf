#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Users of a fleet's hub, with a key for each node: a stolen card reaches its own camera's subjects
and nothing else. Hub and leaves are real servers. Leaves have keys from nats-server 2.10 on; an older
one shows what the hub refuses to a client with such a key."""

import base64
import json
import os
import re
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from fake_node import JPEG  # noqa: E402
from gateway import Gateway  # noqa: E402
from mqtt import skip_unless  # noqa: E402
from nats import (HUB_STREAM, PROGRAM, STREAM, Client, Feeder, Server, create_stream,  # noqa: E402
                  is_old, print_config)
from nkey import Key  # noqa: E402
from pinhole_node import BUILD, free_port, run_cases, wait_for  # noqa: E402

SOON_S = 1.5  # for answers that must not come


class Hub(Server):
    """With users: fleet, and these leaves."""

    def __init__(self, *names):
        self.keys = tempfile.TemporaryDirectory()
        self.leaf_port, self.port = free_port(), free_port()
        super().__init__(self.config(names), port=self.port)
        self.wait()

    def config(self, names):
        return print_config(
            "hub", *names, "--keys-folder", f"{self.keys.name}/keys", "--client-port",
            str(self.port), "--leaf-port", str(self.leaf_port), "--store-dir", "{folder}/s",
            "--sync-interval", "" if is_old() else "always")

    def restart(self, *names):
        """With these leaves only."""
        self.kill()
        self.path("conf", self.config(names).replace("{folder}", self.folder.name))
        self.start().wait()

    def key_file(self, name):
        return f"{self.keys.name}/keys/{name}.nkey"

    def client(self, name, **more):
        return Client(self.port, key=Key(self.key_file(name)), **more)

    def gather(self, *names, key="fleet"):
        return subprocess.run([PROGRAM, "--server", self.url, "--nkey-file", self.key_file(key),
                               "--gather", *names], capture_output=True, text=True, check=False)

    def record(self, key):
        """What a recorder says in one second."""
        with tempfile.TemporaryDirectory() as folder:
            return subprocess.run([f"{BUILD}/pinhole-rec", "--from", self.url, "--nkey-file",
                                   self.key_file(key), "--group", "line", "--seconds", "1", "-o",
                                   folder], capture_output=True, text=True, check=False).stderr

    def leaf(self, name, has_key=True):
        port = free_port()
        # What is included is looked for from the configuration's folder on.
        key = ("--nkey-file", "../" * 20 + self.key_file(name)) if has_key else ()
        return Server(print_config("leaf", name, "--client-port", str(port), "--peers",
                                   f"127.0.0.1:{self.leaf_port}", "--store-dir", "{folder}/s",
                                   *key), port=port).wait()


def page_says(hub, state, *options):
    """What the page of the fleet tells of its stream, once it is in that state."""
    with Gateway("", "--fleet", hub.url, *options) as page:
        def look():
            stream = json.loads(page.get("/fleet").body)["stream"]
            return stream if stream["state"] == state and "yet" not in stream["why"] else None
        return wait_for(f"state {state}", look)["why"]


def complaints(client, *lines):
    """What the server says against these lines of the protocol."""
    client.socket.sendall("".join(f"{line}\r\n" for line in (*lines, "PING")).encode())
    found = []
    while True:
        line = client.file.readline()
        assert line, "the server has closed"
        if line.startswith(b"-ERR"):
            found.append(line.decode().strip())
        elif line.startswith(b"PING"):
            client.socket.sendall(b"PONG\r\n")
        elif line.startswith(b"PONG"):
            return found


def publish(subject):
    return f"PUB {subject} 2\r\n{{}}"


FOREIGN_PUBLISH = [
    "pinhole.belt.frame", "pinhole.belt.relay.claim", "pinhole.belt.relay.health", "pinhole.belt.hub.source.S.x",
    f"$JS.API.STREAM.MSG.GET.{STREAM}", f"$JS.API.DIRECT.GET.{STREAM}",
    f"$JS.API.CONSUMER.CREATE.{STREAM}", f"$JS.API.CONSUMER.CREATE.{STREAM}.x.pinhole.belt.frame",
    f"$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.x", f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.x",
    "$JS.API.STREAM.CREATE.x", f"$JS.API.STREAM.UPDATE.{STREAM}", f"$JS.API.STREAM.DELETE.{STREAM}",
    "$JS.API.STREAM.LIST", f"$JS.hub.API.STREAM.MSG.GET.{STREAM}",
    f"$JS.belt.API.STREAM.MSG.GET.{STREAM}", f"$JS.belt.API.CONSUMER.CREATE.{STREAM}",
    "$KV.pinhole-rec-line.belt", "_INBOX.x", "anything"]
FOREIGN_SUBSCRIBE = ["pinhole.belt.frame", "pinhole.belt.>", "pinhole.*.frame", "pinhole.>", ">",
                     "_INBOX.>", "$JSC.>", "$JS.>", "$JS.belt.API.>", "$KV.>", "pinhole.gate.>"]


def test_the_page_is_a_user_too():
    with Hub("gate") as hub, hub.client("fleet") as client:
        create_stream(client)
        page_says(hub, "live", "--nkey-file", hub.key_file("fleet"))
        assert "refuses the credentials" in page_says(hub, "away")


def test_keys_are_made_once():
    with tempfile.TemporaryDirectory() as folder:
        arguments = "hub", "gate", "line 1.5", "--keys-folder", f"{folder}/keys"
        first = print_config(*arguments)
        files = sorted(os.listdir(f"{folder}/keys"))
        assert files == ["fleet.nkey", "gate.nkey", "line_201_2e5.nkey"], files
        keys = [Key(f"{folder}/keys/{name}") for name in files]
        assert all(key.public in first and key.seed not in first for key in keys), first
        assert len({key.seed for key in keys}) == 3
        assert all(stat.S_IMODE(os.stat(f"{folder}/keys/{name}").st_mode) == 0o600
                   for name in files)
        assert print_config(*arguments) == first
        with open(f"{folder}/keys/gate.nkey", "w", encoding="ascii") as file:
            file.write(keys[0].seed[:-1] + "\n")
        for wrong in (arguments, ("hub", "gate"), ("hub", "--keys-folder", folder),
                      ("hub", "fleet", "--keys-folder", folder)):
            done = subprocess.run([PROGRAM, "--print-nats-config", *wrong], capture_output=True,
                                  text=True, check=False)
            assert done.returncode != 0 and not done.stdout and done.stderr, done
        done = subprocess.run([PROGRAM, "--nkey-file", f"{folder}/keys/gate.nkey", "--gather", "a"],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "has no seed of a user" in done.stderr, done


def test_refused_at_the_hub():
    with Hub("gate", "belt") as hub, hub.client("fleet") as fleet, hub.client("gate") as gate:
        create_stream(fleet)
        fleet.publish("pinhole.belt.frame", b"not for gate")
        assert complaints(gate, publish("pinhole.gate.frame")) == []
        assert wait_for("the own record", lambda: fleet.api(f"STREAM.INFO.{STREAM}")
                        ["state"]["last_seq"] == 2)
        for subject in FOREIGN_PUBLISH:
            said = complaints(gate, publish(subject))
            api = subject.replace("$JS.hub.", "$JS.")  # the hub's own domain
            assert len(said) == 1 and f'Violation for Publish to "{api}"' in said[0], said
        for subject in FOREIGN_SUBSCRIBE:
            said = complaints(gate, f"SUB {subject} 7")
            assert len(said) == 1 and f'Violation for Subscription to "{subject}"' in said[0], said
        assert fleet.api(f"STREAM.INFO.{STREAM}")["state"]["last_seq"] == 2
        # The user of recorders may all of that.
        for subject in FOREIGN_SUBSCRIBE:
            assert complaints(fleet, f"SUB {subject} 7", "UNSUB 7") == [], subject
        fleet.api(f"STREAM.MSG.GET.{STREAM}", last_by_subj="pinhole.belt.frame")
        try:
            Client(hub.port).close()
            raise AssertionError("the hub takes a client without a key")
        except OSError as error:
            assert "Authorization Violation" in str(error), error
        done = hub.gather("gate", "belt")
        assert done.returncode == 0, done
        assert ("under other cameras' names" in done.stderr) == is_old(), done
        # A key that the hub does not know, and one without the right.
        with open(hub.key_file("thief"), "w", encoding="ascii") as file, \
                Hub("gate") as other, open(other.key_file("gate"), encoding="ascii") as key:
            file.write(key.read())
        said = hub.record("fleet")
        assert "connected" in said and "cannot" not in said, said
        assert "the server refuses the credentials" in hub.record("thief")
        done = hub.gather("gate", key="thief")
        assert done.returncode == 1 and "the server refuses the credentials" in done.stderr, done
        done = hub.gather("gate", key="gate")
        assert done.returncode == 1 and "Permissions Violation" in done.stderr, done


def attempts(leaf):
    """What clients at a leaf get from the hub for requests that are not its own."""
    got = {}
    for subject in (f"$JS.hub.API.STREAM.MSG.GET.{HUB_STREAM}", "$JS.hub.API.STREAM.LIST",
                    f"$JS.hub.API.CONSUMER.CREATE.{HUB_STREAM}",
                    f"$JS.belt.API.STREAM.MSG.GET.{STREAM}",
                    f"$JS.belt.API.CONSUMER.CREATE.{STREAM}"):
        body = {"seq": 1} if "GET" in subject else \
            {"stream_name": subject.rsplit(".", 1)[1], "config": {
                "deliver_subject": "stolen", "ack_policy": "none"}} if "CREATE" in subject else {}
        with Client(leaf.port, timeout_s=SOON_S) as client:
            try:
                _, data = client.request(subject, json.dumps(body).encode() if body else b"")
            except TimeoutError:
                continue
        if data:
            got[subject] = data
    return got


def of_hub(fleet, name):
    """Sequences of the records that the hub has under this name."""
    found = []
    for number in range(1, fleet.api(f"STREAM.INFO.{HUB_STREAM}")["state"]["last_seq"] + 1):
        message = fleet.api(f"STREAM.MSG.GET.{HUB_STREAM}", seq=number)["message"]
        if message["subject"] == f"pinhole.{name}.frame":
            headers = base64.b64decode(message["hdrs"]).decode()
            found.append(int(re.search("Pinhole-Sequence: ([0-9]+)", headers).group(1)))
    return found


def test_leaves():
    if is_old():
        print("this nats-server has no keys for leaves: this case is left out")
        return
    with Hub("gate", "belt") as hub, hub.client("fleet") as fleet, \
            hub.leaf("gate") as gate_leaf, hub.leaf("belt") as belt_leaf, \
            hub.leaf("gate", has_key=False) as nobody_leaf, \
            Client(gate_leaf.port) as gate, Client(belt_leaf.port) as belt, \
            hub.client("fleet") as asker:
        asker.inbox = "$JSC.R"  # where leaves may answer
        create_stream(gate)
        create_stream(belt)
        for name in ("gate", "belt"):  # else the hub looks for the leaf's stream again much later
            wait_for("the leaf's link", lambda n=name: asker.request(f"$JS.{n}.API.INFO")[1])
        assert hub.gather("gate", "belt").returncode == 0
        assert complaints(gate, "SUB pinhole.belt.> 7") == []
        Feeder(gate, JPEG, "gate", boot=0xa).run(1, 3)
        Feeder(belt, JPEG, "belt", boot=0xb).run(1, 3)
        wait_for("gate's records", lambda: of_hub(fleet, "gate") == [1, 2, 3])
        wait_for("belt's records", lambda: of_hub(fleet, "belt") == [1, 2, 3])
        # What passes the same link later has arrived: so has what was before it.
        _, data = asker.request(f"$JS.gate.API.STREAM.INFO.{STREAM}")
        assert json.loads(data)["state"]["messages"] == 3, data
        gate.socket.sendall(b"PING\r\n")
        assert gate.file.readline() == b"PONG\r\n", "belt's record came to gate"
        # What a relay tells of its node comes, and of another's does not.
        with hub.client("fleet") as listener:
            listener.listen("pinhole.*.relay.health")
            wait_for("the leaf hands it on", lambda: asker.request("$JS.gate.API.INFO")[1])
            gate.tell("pinhole.belt.relay.health", b"forged")
            gate.tell("pinhole.gate.relay.health", b"own")
            assert listener.hear() == b"own"
        # A record that claims to be another camera's comes under the own name.
        Feeder(gate, JPEG, "belt", boot=0xbad).put(99)
        wait_for("the forged record", lambda: of_hub(fleet, "gate") == [1, 2, 3, 99])
        assert of_hub(fleet, "belt") == [1, 2, 3]
        for leaf in (gate_leaf, nobody_leaf):
            assert attempts(leaf) == {}
        assert belt.api(f"STREAM.INFO.{STREAM}")["state"]["messages"] == 3
        assert of_hub(fleet, "belt") == [1, 2, 3]
        # As a counter-check: these questions have answers.
        _, data = asker.request(f"$JS.belt.API.STREAM.MSG.GET.{STREAM}", b'{"seq": 1}')
        assert "message" in json.loads(data), data
        # A key that is no longer named is of no use, and the others remain.
        hub.restart("belt")
        gate_leaf.wait_log("Authorization Violation")
        Feeder(belt, JPEG, "belt", boot=0xb).run(4, 4)
        with hub.client("fleet") as later:
            wait_for("belt's record", lambda: of_hub(later, "belt") == [1, 2, 3, 4])
        assert "Authorization Violation" not in belt_leaf.log


if __name__ == "__main__":
    skip_unless("nats-server", PROGRAM)
    run_cases(globals())
