#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`make bench TLS=1`: what TLS takes. The gateway by plain HTTP, by HTTPS, and by plain HTTP behind stunnel;
the node by plain TCP, and by its Unix socket behind stunnel. CPU time per frame, handshakes, and the
gateway's memory. All have one certificate, of the key that the gateway's page makes."""

import concurrent.futures
import re
import socket
import ssl
import subprocess
import threading
import time

from common import BUILD, folder, FRAMES, free_port, make_photographs, median, ROUNDS, run, say, started, WARMUP
from node import Node
from web import Gateway, measure, spread

HANDSHAKES, CLIENTS = 300, 16
RECONNECTS = (0, 100, 1000, 2000, 3000)


def cpu_ns(pid):
    """Of the process, with its threads that have ended: the clock that clock_getcpuclockid() names."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def make_pair():
    with open("tools/web/README.md", encoding="utf-8") as file:
        command = re.findall(r"```\n(openssl req.*?)```", file.read(), re.S)[0]
    subprocess.run(["sh", "-ec", command], cwd=folder, capture_output=True, check=True)


def context():
    return ssl.create_default_context(cafile=f"{folder}/certificate.pem")


class Stunnel:
    """TLS to and from `connect`: the camera's side, or the client's."""

    def __init__(self, connect, is_client=False):
        self.port = free_port()
        side = f"client = yes\nCAfile = {folder}/certificate.pem\nverifyPeer = yes\n" if is_client else \
            f"cert = {folder}/certificate.pem\nkey = {folder}/key.pem\n"
        with open(f"{folder}/stunnel-{self.port}", "w", encoding="ascii") as file:
            file.write(f"foreground = yes\npid =\nsyslog = no\ndebug = err\n[pinhole]\naccept = 127.0.0.1:{self.port}\n"
                       f"connect = {connect}\nsslVersionMin = TLSv1.3\n{side}")
        self.process = subprocess.Popen(["stunnel4", file.name], stderr=subprocess.DEVNULL)
        started.append(self.process)
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Way:
    """One way from the pictures to an HTTP client: the processes whose time counts."""

    def __init__(self, node, is_https=False, has_stunnel=False):
        pair = ("--tls-certificate", f"{folder}/certificate.pem", "--tls-key", f"{folder}/key.pem")
        self.web = Gateway(node, f"{BUILD}/pinhole-web", *(pair if is_https else ()))
        self.tunnel = Stunnel(f"127.0.0.1:{self.web.port}") if has_stunnel else None
        self.port = self.tunnel.port if has_stunnel else self.web.port
        self.tls = context() if is_https or has_stunnel else None
        self.pids = [self.web.process.pid] + ([self.tunnel.process.pid] if has_stunnel else [])

    def stop(self):
        if self.tunnel:
            self.tunnel.stop()
        self.web.stop()


WAYS = {"plain": {}, "HTTPS": {"is_https": True}, "behind stunnel": {"has_stunnel": True}}


def line_of(found):
    """Medians, and ratios to the first."""
    (base, first), *others = found.items()
    line = f"{base} {spread(first)}"
    for name, values in others:
        line += f", {name} {spread(values)}: {median(values) / median(first):.2f}"
    return line


def gateway_frames(node):
    say(f"gateway, CPU ms per frame of its process (and stunnel's), 1080p YUV420 at 30 frames/s, {ROUNDS} "
        "alternating runs; ratios to plain")
    for count in (1, 4):
        found = {name: [] for name in WAYS}
        for _ in range(ROUNDS):
            for name, how in WAYS.items():
                way = Way(node, **how)
                found[name].append(sum(measure(way.pids, way.port, count, way.tls)[0]))
                way.stop()
        say(f"{count} clients: {line_of(found)}")


def client(address, pid, tunnel, count):
    """CPU ms per frame of the node and of stunnel, with the handshakes of the clients."""
    before = cpu_ns(tunnel)
    done = subprocess.run([f"{BUILD}/tests/bench/bench_client", address, str(pid), str(count), str(WARMUP),
                           str(FRAMES)], check=True, capture_output=True, text=True)
    found = re.search(r'"frames": (\d+).*"cpu_ns": (\d+)', done.stdout)
    frames = int(found.group(1))
    return (int(found.group(2)) / frames + (cpu_ns(tunnel) - before) / (frames + WARMUP)) / 1e6


def node_frames(node):
    outer = Stunnel(node.socket)
    inner = Stunnel(f"127.0.0.1:{outer.port}", is_client=True)
    say(f"\nthe node's clients, CPU ms per frame, {ROUNDS} alternating runs: the whole node (its encode too), by "
        "plain TCP, and with stunnel in front of its Unix socket")
    for count in (1, 4):
        found = {"plain TCP": [], "with stunnel": []}
        for _ in range(ROUNDS):
            for name, address in zip(found, (node.address, f"127.0.0.1:{inner.port}")):
                found[name].append(client(address, node.process.pid, outer.process.pid, count))
        say(f"{count} clients: {line_of(found)}; more by "
            f"{median(found['with stunnel']) - median(found['plain TCP']):.2f} ms")
    inner.stop()
    outer.stop()


def shake(port, tls, count):
    """Full handshakes, none resumed; the server says a byte only when it is asked."""
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port)) as plain:
            # As browsers and curl do. Else the request waits for the server's delayed acknowledgement.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                with tls.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
                    secure.sendall(b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                    while secure.recv(65536):
                        pass
            else:
                plain.sendall(b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                while plain.recv(65536):
                    pass


def handshakes(node):
    node.pause()  # its frames would be counted too
    say(f"\nconnections with one small request, {HANDSHAKES} by two clients at once: CPU ms of gateway (and stunnel) "
        "for each, and how many a second with the clients on the same machine")
    found, rates = {name: [] for name in WAYS}, {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, how in WAYS.items():
            node.resume()
            way = Way(node, **how)
            node.pause()
            before, since = sum(map(cpu_ns, way.pids)), time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                for job in [pool.submit(shake, way.port, way.tls, HANDSHAKES // 2) for _ in range(2)]:
                    job.result()
            rates[name].append(HANDSHAKES / (time.monotonic() - since))
            found[name].append((sum(map(cpu_ns, way.pids)) - before) / 1e6 / HANDSHAKES)
            way.stop()
    node.resume()
    say(line_of(found))
    say("a second: " + ", ".join(f"{name} {median(values):.0f}" for name, values in rates.items()))


def anonymous_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"Anonymous: +(\d+)", file.read()).group(1))


class Stream:
    """One client that reads all that comes, and counts pictures."""

    def __init__(self, port, tls):
        plain = socket.create_connection(("127.0.0.1", port))
        self.socket = tls.wrap_socket(plain, server_hostname="127.0.0.1")
        self.socket.sendall(b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        self.pictures = 0
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            while data := self.socket.recv(1 << 16):
                self.pictures += data.count(b"\xff\xd8\xff")
        except OSError:
            pass

    def wait(self, pictures):
        while self.pictures < pictures:
            time.sleep(0.01)

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()


def memory():
    node = Node(640, 480, framerate=4, count_heap=False)
    way = Way(node, is_https=True)
    streams, done, line = [Stream(way.port, way.tls) for _ in range(CLIENTS)], 0, []
    for wanted in RECONNECTS:
        while done < wanted:
            streams.pop(0).stop()
            streams.append(Stream(way.port, way.tls))
            done += 1
        values = []
        for _ in range(ROUNDS):
            for stream in streams:
                stream.wait(stream.pictures + 1)
            values.append(anonymous_kib(way.pids[0]))
        line.append(f"{median(values):.0f} KiB after {wanted} ({min(values)} to {max(values)})")
    say(f"\nanonymous memory of the gateway with {CLIENTS} HTTPS clients of 480p pictures, by reconnects: " +
        ", ".join(line))
    for stream in streams:
        stream.stop()
    way.stop()
    node.stop()


def main():
    make_photographs()
    make_pair()
    node = Node(1920, 1080, framerate=30, count_heap=False)
    gateway_frames(node)
    node_frames(node)
    handshakes(node)
    node.stop()
    memory()


if __name__ == "__main__":
    run(main)
