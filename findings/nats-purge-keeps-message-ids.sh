#!/bin/bash
# SPDX-License-Identifier: MIT
# What JetStream does with a message whose id it has seen, when the stream has been purged since. It is
# why tools/relay/README.md says to wait after a purge.
#
# Seen with Debian 12's nats-server 2.9.10-1+b3: three messages with ids, then a purge of the whole
# stream. The same three again are acknowledged as duplicates, with the sequences of messages that are
# not there. The stream stays empty. An acknowledgement with a sequence is no proof that a message is
# stored; one that begins anew after a purge loses what it sends within the window of duplicates (two
# minutes by default). A fourth id is stored.
# Downloads the package into a temporary folder; python3 is there. Fails if any of this changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'kill %1 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq nats-server=2.9.10-1+b3
dpkg-deb -x nats-server_*.deb root
root/usr/sbin/nats-server --addr 127.0.0.1 --port -1 --ports_file_dir "$folder" --jetstream \
    --store_dir "$folder/store" >log 2>&1 &

cat >ask.py <<'END'
import glob, json, socket, time
until = time.monotonic() + 20
while not (found := glob.glob("*.ports")):
    assert time.monotonic() < until, "the server does not start"
    time.sleep(0.1)
time.sleep(0.2)
with open(found[0]) as file:
    port = int(json.load(file)["nats"][0].rsplit(":", 1)[1])
link = socket.create_connection(("127.0.0.1", port), 10)
lines = link.makefile("rb")
version = json.loads(lines.readline()[5:])["version"]
link.sendall(b'CONNECT {"verbose":false,"headers":true}\r\nSUB answer 1\r\n')

def ask(subject, data=b"", message_id=None):
    head = f"NATS/1.0\r\nNats-Msg-Id: {message_id}\r\n\r\n".encode() if message_id else b""
    verb = f"HPUB {subject} answer {len(head)} {len(head + data)}" if head else f"PUB {subject} answer {len(data)}"
    link.sendall(verb.encode() + b"\r\n" + head + data + b"\r\n")
    while not (line := lines.readline()).startswith(b"MSG"):
        assert line, "the server has gone"
    return json.loads(lines.read(int(line.split()[-1]) + 2))

def publish(number):
    answer = ask("s.x", b"data", f"id-{number}")
    return answer["seq"], "duplicate" if answer.get("duplicate") else "stored"

ask("$JS.API.STREAM.CREATE.S", json.dumps({
    "name": "S", "subjects": ["s.*"], "storage": "file", "retention": "limits", "discard": "old",
    "num_replicas": 1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_consumers": -1}).encode())
print(f"nats-server {version}")
print("first:", [publish(n) for n in (1, 2, 3)])
print("purged:", ask("$JS.API.STREAM.PURGE.S")["purged"])
print("again:", [publish(n) for n in (1, 2, 3)])
print("messages:", ask("$JS.API.STREAM.INFO.S")["state"]["messages"])
print("another:", [publish(4)])
print("messages:", ask("$JS.API.STREAM.INFO.S")["state"]["messages"])
END
python3 ask.py >seen

cat >expected <<'END'
nats-server 2.9.10
first: [(1, 'stored'), (2, 'stored'), (3, 'stored')]
purged: 3
again: [(1, 'duplicate'), (2, 'duplicate'), (3, 'duplicate')]
messages: 0
another: [(4, 'stored')]
messages: 1
END
cat seen
diff expected seen
