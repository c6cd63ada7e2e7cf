# SPDX-License-Identifier: MIT
"""What the gateway adds: its CPU time per frame beside the least that passing it on takes, and node and
gateway together beside µStreamer.

Environment: WEB_REFERENCE, another build's pinhole-web, to compare the gateway with; USTREAMER, a
µStreamer's path (default: the one that is installed)."""

import contextlib
import os
import shutil
import struct
import subprocess
import time

from common import BUILD, folder, free_port, median, process_cpu_ns, ROUNDS, say, started
from node import Encoder, Node
from peers import Reader, tables_of

FRAMES = 50  # once through the photographs


class Clients:
    """HTTP clients of a multipart stream. The first one counts frames, the others only take them. `tls` is
    the SSL context of HTTPS."""

    def __init__(self, port, count, tls=None):
        self.reader = Reader(port)
        if tls:
            self.reader.socket = tls.wrap_socket(self.reader.socket, server_hostname="127.0.0.1")
        self.reader.socket.sendall(f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        self.reader.start()
        self.others = [subprocess.Popen(["curl", "-sk", "-o", "/dev/null", f"http{'s' if tls else ''}://"
                                         f"127.0.0.1:{port}/stream"]) for _ in range(count - 1)]
        started.extend(self.others)

    def stop(self):
        self.reader.socket.close()
        for other in self.others:
            other.kill()
            other.wait()


def measure(pids, port, count, tls=None):
    """CPU ms per frame of each process, and bytes per frame, while so many clients read."""
    clients = Clients(port, count, tls)
    reader = clients.reader
    reader.wait(20)
    first, before = len(reader.begins), [process_cpu_ns(pid) for pid in pids]
    reader.wait(first + FRAMES)
    after, last = [process_cpu_ns(pid) for pid in pids], len(reader.begins)
    clients.stop()
    octets = (reader.begins[last - 1] - reader.begins[first]) / (last - 1 - first)
    return [(b - a) / 1e6 / (last - first) for a, b in zip(before, after)], octets


def snapshot_tables(port):
    """The quantiser tables in use."""
    return tables_of(subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/snapshot"], check=True,
                                    capture_output=True).stdout)


class Gateway:
    def __init__(self, node, program, *options):
        self.port = free_port()
        self.process = subprocess.Popen([program, "--node", node.address, "--listen",
                                         f"127.0.0.1:{self.port}", *options], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        started.append(self.process)
        scheme = "https" if "--tls-key" in options else "http"
        subprocess.run(["curl", "-skf", "-o", "/dev/null", "--retry", "100", "--retry-delay", "1",
                        "--retry-connrefused", f"{scheme}://127.0.0.1:{self.port}/snapshot"], check=True)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


class Forward:
    """In place of a gateway: a bare loop that reads each frame and writes it to each client."""

    def __init__(self, node, count):
        self.port = free_port()
        self.process = subprocess.Popen([f"{BUILD}/tests/bench/bench_forward", node.address, str(self.port), str(count)],
                                        stderr=subprocess.DEVNULL)
        started.append(self.process)

    def stop(self):
        self.process.kill()
        self.process.wait()


def spread(values):
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def gateway():
    programs = {"pinhole-web": f"{BUILD}/pinhole-web"}
    if os.environ.get("WEB_REFERENCE"):
        programs["reference"] = os.environ["WEB_REFERENCE"]
    say(f"\ngateway, CPU ms per frame of its process alone, 1080p YUV420 at 30 frames/s, {ROUNDS} alternating "
        f"runs of {FRAMES} frames; bare: a loop that reads each frame and writes it to each client" +
        ("" if len(programs) > 1 else "; WEB_REFERENCE=PATH adds another build's pinhole-web"))
    node = Node(1920, 1080, framerate=30, count_heap=False)
    for count in (1, 4):
        makers = {name: lambda program=program: Gateway(node, program) for name, program in programs.items()}
        makers["bare"] = lambda count=count: Forward(node, count)
        found = {name: [] for name in makers}
        for _ in range(ROUNDS):
            for name, make in makers.items():
                web = make()
                found[name].append(measure([web.process.pid], web.port, count)[0][0])
                web.stop()
        line = f"{count} HTTP clients: " + ", ".join(f"{n} {spread(v)}" for n, v in found.items())
        for name in [name for name in found if name != "pinhole-web"]:
            ratios = [a / b for a, b in zip(found["pinhole-web"], found[name])]
            line += f"; to {name} {median(found['pinhole-web']) / median(found[name]):.2f}, pairs " \
                    f"{min(ratios):.2f} to {max(ratios):.2f}"
        say(line)
    node.stop()


# ---- µStreamer ----

class UStreamer:
    """µStreamer with the camera of fake_v4l2.so, which shows five photographs in turn."""

    def __init__(self, program, width, height, pictures):
        self.port, self.cost_path = free_port(), f"{folder}/v4l2-cost"
        device = f"{folder}/video"
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.cost_path)
        with open(device, "w", encoding="ascii"):
            pass
        environment = os.environ | {
            "LD_PRELOAD": os.path.abspath(f"{BUILD}/tests/fake_v4l2.so"), "FAKE_V4L2_PATH": device,
            "FAKE_V4L2_PICTURES": pictures, "FAKE_V4L2_SIZE": f"{width}x{height}",
            "FAKE_V4L2_FRAMERATE": "30", "FAKE_V4L2_COST": self.cost_path}
        self.process = subprocess.Popen(
            [program, "--device", device, "--resolution", f"{width}x{height}", "--format", "YUYV",
             "--quality", "80", "--buffers", "5", "--port", str(self.port)], env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(self.process)

    def feed_ms(self):
        """CPU ms a frame that the fake camera took."""
        with open(self.cost_path, "rb") as file:
            frames, cost_ns = struct.unpack("<QQ", file.read(16))
        return cost_ns / max(1, frames) / 1e6

    def stop(self):
        self.process.kill()
        self.process.wait()


LIMITS = {(1920, 1): 0.42, (1920, 4): 0.32, (1280, 24): 0.18}


def ustreamer(width, height):
    program = os.environ.get("USTREAMER") or shutil.which("ustreamer")
    if not program:
        say("µStreamer is not installed: make bench PEERS=1, or USTREAMER=PATH")
        return
    version = subprocess.run([program, "--version"], check=True, capture_output=True,
                             text=True).stdout.strip()
    pictures = f"{folder}/yuyv-{width}"
    writer = Encoder(f"raw {pictures}", width, height, "YUYV")
    writer.run(50)
    writer.stop()
    say(f"\nnode and gateway beside µStreamer {version}, {width}x{height} YUYV, 4:2:0, quality 80, 30 frames/s; CPU "
        f"ms per frame of whole processes, {ROUNDS} alternating runs of {FRAMES} frames")
    node = Node(width, height, "YUYV", framerate=30, count_heap=False)
    web = Gateway(node, f"{BUILD}/pinhole-web")
    for count in [clients for wide, clients in LIMITS if wide == width]:
        own, theirs, ratios, feeds, octets, tables = [], [], [], [], [], ()
        for _ in range(ROUNDS):
            peer = UStreamer(program, width, height, pictures)
            node.pause()
            (cost,), their_octets = measure([peer.process.pid], peer.port, count)
            their_tables = snapshot_tables(peer.port)
            feeds.append(peer.feed_ms())
            peer.stop()
            node.resume()
            time.sleep(0.5)
            costs, our_octets = measure([node.process.pid, web.process.pid], web.port, count)
            own.append(sum(costs))
            theirs.append(cost)
            ratios.append(own[-1] / cost)
            octets.append(our_octets / their_octets)
            tables = snapshot_tables(web.port), their_tables
        say(f"{count:2} HTTP clients: node + gateway {spread(own)}, µStreamer {spread(theirs)}; ratio of medians "
            f"{median(own) / median(theirs):.2f} (<= {LIMITS[width, count]:.2f}), of pairs {min(ratios):.2f} "
            f"to {max(ratios):.2f}; bytes a frame {median(octets):.2f} x; quantiser tables "
            f"{'equal' if tables[0] == tables[1] else 'DIFFER'}; the feed took {1e3 * median(feeds):.0f} µs of µStreamer's")
    web.stop()
    node.stop()
    say("the feed: µStreamer's buffers hold the photographs already, as from a camera with DMA, and a timer "
        "says when; the node's replay camera is part of its figure")
