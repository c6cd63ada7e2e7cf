# SPDX-License-Identifier: MIT
"""Peers that encode the same raw frames: GStreamer and ffmpeg."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

from common import (BUILD, folder, free_port, median, process_cpu_ns, ROUND, ROUNDS, say,
                    started, WARMUP)
from node import Encoder, Node


class Reader(threading.Thread):
    """Reads a raw MJPEG stream and notes where frames begin. In the bench's process, never in the
    peer's."""

    def __init__(self, port):
        super().__init__(daemon=True)
        for _ in range(200):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.05)
        else:
            sys.exit(f"bench: nobody listens on port {port}")
        self.begins, self.head = [], b""

    def run(self):
        rest, octets = b"", 0
        with contextlib.suppress(OSError):
            while data := self.socket.recv(1 << 20):
                if len(self.head) < 4096:
                    self.head += data[:4096]
                joined = rest + data
                at = joined.find(b"\xff\xd8\xff")
                while at >= 0:
                    self.begins.append(octets - len(rest) + at)
                    at = joined.find(b"\xff\xd8\xff", at + 3)
                rest = joined[-2:]
                octets += len(data)

    def wait(self, frames):
        while len(self.begins) <= frames:
            time.sleep(0.002)
            if not self.is_alive():
                sys.exit("bench: a peer has ended")


def tables_of(jpeg):
    """The quantiser tables of the first frame in a stream."""
    found, at = [], jpeg.index(b"\xff\xd8") + 2
    while jpeg[at] == 0xff and jpeg[at + 1] != 0xda:
        length = jpeg[at + 2] << 8 | jpeg[at + 3]
        if jpeg[at + 1] == 0xdb:
            body = jpeg[at + 4:at + 2 + length]
            found += [(body[i] & 15, body[i + 1:i + 65]) for i in range(0, len(body), 65)]
        at += 2 + length
    return dict(found)


def measure_peer(command, port):
    """CPU ms per frame, bytes per frame and tables, over two rounds through the photographs;
    `port` 0: the feed alone, paced, no output."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    started.append(process)
    reader, frames = None, 2 * ROUND
    if port:
        reader = Reader(port)
        reader.start()
        reader.wait(WARMUP)
    else:
        time.sleep(1.0)
    cpu = process_cpu_ns(process.pid)
    if reader:
        reader.wait(WARMUP + frames)
    else:
        time.sleep(frames / 30)
    cpu = process_cpu_ns(process.pid) - cpu
    process.kill()
    process.wait()
    begins = reader.begins if reader else [0] * (WARMUP + frames + 1)
    return {"cpu_ms": cpu / frames / 1e6, "tables": tables_of(reader.head) if reader else None,
            "bytes": (begins[WARMUP + frames] - begins[WARMUP]) / frames}


def natural_order(table):
    zigzag = sorted(range(64), key=lambda i: (i // 8 + i % 8, i % 8 if (i // 8 + i % 8) % 2 == 0
                                              else i // 8))
    out = [0] * 64
    for position, natural in enumerate(zigzag):
        out[natural] = table[position]
    return ",".join(str(value) for value in out)


FFMPEG = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin"]


def ffmpeg_encoder(tables):
    return ["-vf", "scale=in_range=pc:out_range=pc", "-c:v", "mjpeg", "-pix_fmt", "yuvj422p",
            "-qmin", "8", "-qmax", "8", "-q:v", "8", "-intra_matrix", natural_order(tables[0]),
            "-chroma_intra_matrix", natural_order(tables[1])]


def finer_tables(tables, video, octets):
    """The quantiser tables with which ffmpeg's frames have as many octets: these, times a factor
    that is searched for."""
    low, high, found = 0.5, 1.0, tables
    for _ in range(7):
        factor = (low + high) / 2
        found = {i: bytes(max(1, round(step * factor)) for step in table)
                 for i, table in tables.items()}
        out = subprocess.run([*FFMPEG, *video, *ffmpeg_encoder(found), "-f", "mjpeg", "pipe:1"],
                             check=True, capture_output=True).stdout
        low, high = (factor, high) if len(out) / ROUND > octets else (low, factor)
    return found


def compare(tables, ours):
    pairs = [pair for i in (0, 1) for pair in zip(tables.get(i, ()), ours[i])]
    if len(pairs) != 128 or any(step > our for step, our in pairs):
        return "DIFFER"
    return "equal" if all(step == our for step, our in pairs) else "finer"


def peer_commands(width, height, raw, tables, octets):
    """Peers as {name: (program, command, port)}, and what each program's reading alone takes."""
    # One file per frame, in the page cache, read over and over.
    feed = (f"multifilesrc location={raw}/%03d.raw start-index=0 stop-index={ROUND - 1} loop=true "
            f"! rawvideoparse format=yuy2 width={width} height={height} framerate=30/1 "
            "! identity sync=true").split()
    video = ["-f", "rawvideo", "-pix_fmt", "yuyv422", "-video_size", f"{width}x{height}",
             "-framerate", "30", "-i", f"{raw}/all.raw"]
    ffmpeg = [*FFMPEG, "-re", "-stream_loop", "-1", *video]
    port = [free_port() for _ in range(4)]
    finer = finer_tables(tables, video, octets) if shutil.which("ffmpeg") else tables

    def listen(number):
        return ["-f", "mjpeg", f"tcp://127.0.0.1:{number}?listen=1"]

    return {
        "GStreamer": ("gst-launch-1.0", [
            "gst-launch-1.0", "-q", *feed, "!", "jpegenc", f"quality={PEER_QUALITY}", "!",
            "tcpserversink", "host=127.0.0.1", f"port={port[0]}"], port[0]),
        "ffmpeg": ("ffmpeg", ffmpeg + ffmpeg_encoder(tables) + listen(port[1]), port[1]),
        "ffmpeg, as large": ("ffmpeg", ffmpeg + ffmpeg_encoder(finer) + listen(port[2]), port[2]),
        # At its cheapest: one thread, the standard's Huffman tables instead of a frame's own.
        "ffmpeg, 1 thread": ("ffmpeg", ffmpeg + ffmpeg_encoder(tables) + [
            "-threads", "1", "-huffman", "default"] + listen(port[3]), port[3]),
    }, {"gst-launch-1.0": ["gst-launch-1.0", "-q", *feed, "!", "fakesink"],
        "ffmpeg": ffmpeg + ["-c", "copy", "-f", "null", "-"]}


def first_frame(node):
    path = f"{folder}/frame"
    subprocess.run([f"{BUILD}/pinholectl", "-n", node.address, "grab", "-o", path], check=True,
                   stdout=subprocess.DEVNULL)
    with open(path, "rb") as file:
        return file.read()


PEER_LIMITS = {"gst-launch-1.0": 0.70, "ffmpeg": 0.35}
# ffmpeg's first quantiser step is 8 whatever the matrix says; at this quality libjpeg's is too, for
# luma and chroma, so all 128 steps can be equal. Its rounding is its own, towards zero, and
# takes a tenth of the bytes away; with finer steps it has as many bytes instead.
PEER_QUALITY = 76


def peers(width, height):
    say(f"\npeers, {width}x{height} YUYV to 4:2:2, quality {PEER_QUALITY}, 30 frames/s, one TCP "
        "reader; the feed is the peer's reading of raw frames from the page cache")
    raw = f"{folder}/raw-{width}"
    os.makedirs(raw)
    writer = Encoder(f"raw {raw}/all.raw", width, height, "YUYV")
    writer.run(ROUND)
    writer.stop()
    with open(f"{raw}/all.raw", "rb") as whole:
        for index in range(ROUND):
            with open(f"{raw}/{index:03d}.raw", "wb") as one:
                one.write(whole.read(2 * width * height))
    node = Node(width, height, "YUYV", "422", framerate=30, quality=PEER_QUALITY)
    octets = node.subscribe(1, frames=ROUND)["bytes"]
    tables = tables_of(first_frame(node))
    commands, feed_commands = peer_commands(width, height, raw, tables, octets)
    commands = {name: c for name, c in commands.items() if shutil.which(c[0])}
    if not commands:
        say("neither GStreamer nor ffmpeg is installed: make bench PEERS=1")
    own, found = [], {name: [] for name in commands}
    feeds = {program: [] for program, _, _ in commands.values()}
    for _ in range(ROUNDS if commands else 0):
        node.resume()
        own.append(node.subscribe(1, frames=2 * ROUND))
        node.pause()
        for name, (_, command, port) in commands.items():
            found[name].append(measure_peer(command, port))
        for program, runs in feeds.items():
            runs.append(measure_peer(feed_commands[program], 0))
    node.stop()
    ours = median(r["cpu_ms"] for r in own) if own else 0
    for name, runs in found.items():
        cpu = median(r["cpu_ms"] for r in runs)
        feed = median(r["cpu_ms"] for r in feeds[commands[name][0]])
        limit = PEER_LIMITS[commands[name][0]]
        say(f"{name:16} {cpu:6.2f} ms; node {ours:5.2f} = {ours / cpu:.2f} x (<= "
            f"{limit:.2f}); its feed alone {feed:5.2f}, without it "
            f"{ours / (cpu - feed):.2f} x; quantiser tables "
            f"{compare(runs[-1]['tables'], tables)}, "
            f"bytes/ours {median(r['bytes'] for r in runs) / median(r['bytes'] for r in own):.3f}")
