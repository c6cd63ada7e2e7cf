# SPDX-License-Identifier: MIT
"""MQTT for tests: a client of 3.1.1 and 5 in a page, brokers on loopback, and the bridge."""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from pinhole_node import BUILD, PATIENCE_S, free_port, wait_for

PROGRAM = f"{BUILD}/pinhole-mqtt"
# A tree of another release: the bridge runs in it, with that release's libraries. /mnt is this folder.
ROOT = os.environ.get("MQTT_ROOT")

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = \
    1, 2, 3, 4, 8, 9, 12, 13, 14


def skip_unless(*programs):
    """Ends the test as skipped when one of the programs is not installed."""
    for program in programs:
        if shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin") is None and \
                not os.path.exists(program):
            print(f"skipped: {program} is not there")
            sys.exit(77)


# --- the protocol -------------------------------------------------------------------------------

def put_text(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">H", len(data)) + data


def put_length(value):
    out = b""
    while True:
        value, digit = divmod(value, 128)
        out += bytes([digit | (128 if value else 0)])
        if not value:
            return out


def put_packet(kind, body, flags=0):
    return bytes([kind << 4 | flags]) + put_length(len(body)) + body


def take_length(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def take_text(data, at):
    size = struct.unpack_from(">H", data, at)[0]
    return data[at + 2:at + 2 + size], at + 2 + size


def take_properties(data, at):
    """{identifier: value}; user properties as a dictionary under 38. Returns it and the end."""
    size, at = take_length(data, at)
    end, out = at + size, {38: {}}
    while at < end:
        kind, at = data[at], at + 1
        if kind == 38:
            name, at = take_text(data, at)
            value, at = take_text(data, at)
            out[38][name.decode()] = value.decode()
        elif kind in (3, 8, 9, 18, 21, 22, 26, 28, 31):
            out[kind], at = take_text(data, at)
        elif kind in (2, 17, 24, 39):
            out[kind], at = struct.unpack_from(">I", data, at)[0], at + 4
        elif kind in (19, 33, 34, 35):
            out[kind], at = struct.unpack_from(">H", data, at)[0], at + 2
        elif kind == 11:
            out[kind], at = take_length(data, at)
        else:
            out[kind], at = data[at], at + 1
    return out, end


class Message:
    """A message that came. `properties` is {} under 3.1.1."""

    def __init__(self, flags, body, version):
        topic, at = take_text(body, 0)
        self.topic, self.qos, self.retain = topic.decode(), flags >> 1 & 3, bool(flags & 1)
        self.identifier, self.properties = 0, {}
        if self.qos:
            self.identifier, at = struct.unpack_from(">H", body, at)[0], at + 2
        if version == 5:
            self.properties, at = take_properties(body, at)
        self.payload, self.received = body[at:], time.time()

    @property
    def json(self):
        return json.loads(self.payload)


class Closed(Exception):
    """The broker closed the connection, or refused it."""


class Link:
    """One connection: whole packets in and out. Blocking."""

    def __init__(self, port, client_id, version=4, clean=True, user=None, password=None,
                 host="127.0.0.1"):
        self.version, self.buffer = version, b""
        self.socket = socket.create_connection((host, port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        flags = (2 if clean else 0) | (128 if user else 0) | (64 if password else 0)
        body = put_text("MQTT") + bytes([version, flags]) + struct.pack(">H", 0)
        if version == 5:  # a session that outlives the connection
            body += b"\0" if clean else b"\x05\x11" + struct.pack(">I", 86400)
        body += put_text(client_id) + (put_text(user) if user else b"")
        body += put_text(password) if password else b""
        self.send(CONNECT, body)
        kind, _, body = self.receive()
        if kind != CONNACK or body[1] != 0:
            raise Closed(f"CONNACK {body!r}")

    def send(self, kind, body, flags=0):
        self.socket.sendall(put_packet(kind, body, flags))

    def fill(self, size):
        while len(self.buffer) < size:
            chunk = self.socket.recv(262144)
            if not chunk:
                raise Closed("end of stream")
            self.buffer += chunk

    def receive(self):
        self.fill(2)
        while True:
            try:
                size, at = take_length(self.buffer, 1)
                break
            except IndexError:
                self.fill(len(self.buffer) + 1)
        self.fill(at + size)
        first, body = self.buffer[0], self.buffer[at:at + size]
        self.buffer = self.buffer[at + size:]
        return first >> 4, first & 15, body

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Subscriber:
    """Keeps what comes. With clean=False it is a session that connects again until it is closed."""

    def __init__(self, port, *filters, version=4, clean=True, client_id=None, qos=1, keep=True,
                 **login):
        self.port, self.filters, self.version, self.clean = port, filters, version, clean
        self.id = client_id or f"test-{os.getpid()}-{id(self):x}"
        self.qos, self.login, self.keep = qos, login, keep
        self.messages, self.counts, self.is_closed, self.is_ready = [], {}, False, False
        self.link, self.identifier, self.on_message = None, 0, None
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        wait_for("a subscription", lambda: self.is_ready)

    def _run(self):
        while not self.is_closed:
            try:
                self._serve()
            except (OSError, Closed):
                if self.clean:
                    return
                time.sleep(0.1)

    def _serve(self):
        link = Link(self.port, self.id, self.version, self.clean, **self.login)
        self.link = link
        extra = b"\0" if self.version == 5 else b""
        link.socket.settimeout(None)
        link.send(SUBSCRIBE, struct.pack(">H", 1) + extra + b"".join(
            put_text(each) + bytes([self.qos]) for each in self.filters), 2)
        while True:
            kind, flags, body = link.receive()
            if kind == SUBACK:
                self.is_ready = True
            elif kind == PUBLISH:
                self._take(Message(flags, body, self.version), link)

    def _take(self, message, link):
        with self.lock:
            if self.keep:
                self.messages.append(message)
            self.counts[message.topic] = self.counts.get(message.topic, 0) + 1
        if self.on_message:
            self.on_message(message)
        if message.qos:
            link.send(PUBACK, struct.pack(">H", message.identifier))

    def publish(self, topic, payload, qos=0, retain=False, properties=b""):
        """`properties` as bytes, MQTT 5 only."""
        self.identifier = self.identifier % 60000 + 2
        body = put_text(topic) + (struct.pack(">H", self.identifier) if qos else b"")
        if self.version == 5:
            body += put_length(len(properties)) + properties
        body += payload if isinstance(payload, bytes) else payload.encode()
        self.link.send(PUBLISH, body, qos << 1 | retain)

    def of(self, ending):
        """The messages whose topic ends in that."""
        with self.lock:
            return [m for m in self.messages if m.topic.endswith(ending)]

    def wait(self, ending, count=1, seconds=PATIENCE_S):
        return wait_for(f"{count} messages on {ending}, have {self.counts}", lambda: (
            found if len(found := self.of(ending)) >= count else None), seconds)

    def close(self):
        self.is_closed = True
        if self.link:
            self.link.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- brokers ------------------------------------------------------------------------------------

class Process:
    """A program whose output is kept in a file of its folder."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pinhole-mqtt-")
        self.process = None
        self.log_path = os.path.join(self.folder.name, "log")

    def path(self, name, text=None):
        path = os.path.join(self.folder.name, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def run(self, *command, env=None, cwd=None):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, env=env, cwd=cwd)

    @property
    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_log(self, pattern, seconds=PATIENCE_S):
        def look():
            match = re.search(pattern, self.log)
            if match is None and self.process.poll() is not None:
                match = re.search(pattern, self.log)
                assert match, f"ended with {self.process.returncode}, no {pattern!r}:\n{self.log}"
            return match
        try:
            return wait_for(pattern, look, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log[-3000:]}") from None

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return self.process.wait(PATIENCE_S) if self.process else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.end()
        except subprocess.TimeoutExpired:
            self.kill()
        self.folder.cleanup()


class Mosquitto(Process):
    """mosquitto on loopback; `lines` are more of its configuration, {folder} its own."""

    def __init__(self, lines="", anonymous=True, files=None, root=None):
        super().__init__()
        self.port, self.root = free_port(), root
        for name, text in (files or {}).items():
            self.path(name, text)
        self.path("conf", f"listener {self.port} 127.0.0.1\nuser root\nallow_anonymous "
                          f"{str(anonymous).lower()}\n" + lines.format(folder=self.folder.name))
        self.start()

    def start(self):
        program = ["chroot", self.root] if self.root else []
        self.run(*program, "/usr/sbin/mosquitto", "-c", self.path("conf"))
        wait_for("mosquitto listens", lambda: can_connect(self.port))
        return self


PERSISTENT = ("persistence true\npersistence_location {folder}/\nautosave_on_changes true\n"
              "autosave_interval 1\nmax_queued_messages 0\nmax_inflight_messages 100\n")


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def takes_mqtt(port):
    """Is a connection with 3.1.1 accepted?"""
    try:
        link = Link(port, f"probe-{os.getpid()}-{port}")
        link.send(DISCONNECT, b"")
        link.close()
        return True
    except (OSError, Closed):
        return False


class Bridge(Process):
    """pinhole-mqtt between a broker's port and nodes ("NAME=ADDRESS")."""

    def __init__(self, port, *arguments, config=None, env=None):
        super().__init__()
        self.arguments = ["--port", str(port), *arguments]
        if config is not None:
            self.arguments += ["--config", self.path("bridge.ini", config)]
        self.environment = os.environ | (env or {})
        self.start()

    def start(self):
        inside = ["chroot", ROOT, f"/mnt/{PROGRAM}"] if ROOT else [PROGRAM]
        self.run(*inside, *self.arguments, env=self.environment)
        return self

    def resident_bytes(self):
        """Private memory: without the pages of libraries and of the program."""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="ascii") as file:
            return sum(int(size) * 1024 for size in
                       re.findall(r"^Private_(?:Clean|Dirty): +(\d+)", file.read(), re.M))


def frame_header(payload):
    """The fields of `payload = header`, and the JPEG: an own reading of the README's table."""
    magic, size, flags, realtime_ns, jpeg_bytes, width, height, boot, sequence, trigger = \
        struct.unpack_from("<4sHHQIHHQQQ", payload)
    assert magic == b"PINF" and size == 48 and len(payload) == size + jpeg_bytes
    return {"flags": flags, "realtime_ns": realtime_ns, "width": width, "height": height,
            "boot_id": f"{boot:016x}", "sequence": sequence, "trigger_id": trigger}, payload[size:]


class RabbitMQ(Process):
    """RabbitMQ with its MQTT plugin, as a node of its own on loopback. `cookie` and `epmd` are a
    cluster's; `root` is a tree of another release, entered by chroot."""

    def __init__(self, lines="", cookie=None, epmd=None, root=None):
        super().__init__()
        self.root = root
        self.port, self.amqp, self.dist = free_port(), free_port(), free_port()
        self.epmd = epmd or free_port()
        self.name = f"pinhole{self.port}@localhost"
        home = self.path("home")
        os.mkdir(home)
        cookie_path = self.path("home/.erlang.cookie", cookie or "pinholepinhole")
        os.chmod(cookie_path, 0o400)
        self.path("plugins", "[rabbitmq_mqtt].\n")
        self.path("rabbitmq.conf",
                  f"listeners.tcp.1 = 127.0.0.1:{self.amqp}\n"
                  f"mqtt.listeners.tcp.1 = 127.0.0.1:{self.port}\nmqtt.allow_anonymous = true\n"
                  "log.console = true\nlog.console.level = info\n" + lines)
        folder = self.folder.name
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": home,
            "RABBITMQ_NODENAME": self.name, "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia", "RABBITMQ_LOG_BASE": f"{folder}/log.d",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins", "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "ERL_EPMD_PORT": str(self.epmd), "RABBITMQ_DIST_PORT": str(self.dist),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none", "RABBITMQ_USE_LONGNAME": "false",
            "RABBITMQ_FEATURE_FLAGS_FILE": f"{folder}/feature_flags"}
        self.start()

    def command(self, name, *arguments):
        inner = [f"/usr/lib/rabbitmq/bin/{name}", *arguments]
        return ["chroot", self.root, *inner] if self.root else inner

    def start(self):
        # What crashes leaves a dump in its folder.
        self.run(*self.command("rabbitmq-server"), env=self.environment, cwd=self.folder.name)
        return self.wait_listening()

    def wait_listening(self):
        wait_for("RabbitMQ takes MQTT", lambda: takes_mqtt(self.port), 180)
        return self

    def control(self, *arguments):
        done = subprocess.run(self.command("rabbitmqctl", "-n", self.name, *arguments),
                              capture_output=True, text=True, env=self.environment, timeout=120,
                              check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kill(self):
        """The emulator is a child of a shell."""
        subprocess.run(["pkill", "-9", "-P", str(self.process.pid)], check=False)
        super().kill()

    def __exit__(self, *arguments):
        for child in subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True,
                                    text=True, check=False).stdout.split():
            try:
                os.kill(int(child), signal.SIGTERM)
            except ProcessLookupError:
                pass
        super().__exit__(*arguments)
        subprocess.run(self.command("../../../bin/epmd", "-port", str(self.epmd), "-kill"),
                       capture_output=True, env=self.environment, check=False)


class Nats(Process):
    """nats-server with its MQTT listener, alone or as one of a cluster. `routes` are the others'
    cluster ports."""

    def __init__(self, lines="", name="one", routes=(), cluster=None, root=None, files=None,
                 wait=True):
        super().__init__()
        self.root, self.name, self.port = root, name, free_port()
        self.client_port, self.cluster = free_port(), cluster
        for file, text in (files or {}).items():
            self.path(file, text)
        text = (f"server_name: {name}\nlisten: 127.0.0.1:{self.client_port}\n"
                f"jetstream {{ store_dir: {self.folder.name}/store }}\n"
                f"mqtt {{ listen: 127.0.0.1:{self.port} }}\nmax_payload: 8MB\n")
        if cluster:
            text += (f"cluster {{ name: pinhole, listen: 127.0.0.1:{cluster}, routes: ["
                     + ", ".join(f"nats://127.0.0.1:{port}" for port in routes) + "] }\n")
        self.path("conf", text + lines.format(folder=self.folder.name))
        self.start(wait)

    def start(self, wait=True):
        program = ["chroot", self.root] if self.root else []
        self.run(*program, "/usr/sbin/nats-server", "-c", self.path("conf"))
        return self.wait_listening() if wait else self

    def wait_listening(self):
        """A member of a cluster listens for MQTT when the cluster has a leader."""
        wait_for("NATS takes MQTT", lambda: takes_mqtt(self.port), 120)
        return self


class FakeBroker:
    """A broker that says what a test wants. `versions` it speaks; `refusal` is how it meets others:
    "close", "connack" (unsupported protocol version) or "old" (a CONNACK of 3.1.1). `reason(topic)`
    is the reason code of a PUBACK; None: the connection is closed instead."""

    def __init__(self, versions=(4, 5), refusal="close", reason=lambda topic: 0):
        self.versions, self.refusal, self.reason = versions, refusal, reason
        self.attempts, self.topics, self.links = [], [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                link = self.listener.accept()[0]
            except OSError:
                return
            self.links.append(link)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, near):
        link = Link.__new__(Link)
        link.socket, link.buffer = near, b""
        try:
            self._connect(link)
            while True:
                self._answer(link, *link.receive())
        except (OSError, Closed):
            near.close()

    def _connect(self, link):
        _, _, body = link.receive()
        link.version = body[6]
        self.attempts.append(link.version)
        is_known = link.version in self.versions
        if not is_known and self.refusal == "close":
            raise Closed()
        code = 0 if is_known or self.refusal == "old" else 132
        extra = b"\0" if link.version == 5 and self.refusal != "old" else b""
        link.send(CONNACK, bytes([0, code]) + extra)
        if not is_known and self.refusal == "old":
            raise Closed()

    def _answer(self, link, kind, flags, body):
        if kind == SUBSCRIBE:
            link.send(SUBACK, body[:2] + (b"\0" if link.version == 5 else b"") + b"\1")
        elif kind == PINGREQ:
            link.send(PINGRESP, b"")
        elif kind == PUBLISH:
            message = Message(flags, body, link.version)
            self.topics.append(message.topic)
            reason = self.reason(message.topic)
            if reason is None:
                raise Closed()
            if message.qos:
                code = bytes([reason, 0]) if link.version == 5 else b""
                link.send(PUBACK, struct.pack(">H", message.identifier) + code)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in (self.listener, *self.links):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()


def make_certificates(folder):
    """ca.pem, server.pem/.key for 127.0.0.1, client.pem/.key, and another CA, other.pem."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "30", "-subj",
                f"/CN={name}")
    for name, address in (("server", "IP:127.0.0.1"), ("client", "DNS:camera"),
                          ("stranger", "IP:127.0.0.9")):
        with open(f"{folder}/{name}.ext", "w", encoding="ascii") as file:
            file.write(f"subjectAltName={address}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-days", "30", "-extfile", f"{name}.ext")
