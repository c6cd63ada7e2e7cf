# SPDX-License-Identifier: MIT
"""The real node over real sockets: subscribers fast and slow, broken links, the service manager."""

import os
import selectors
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from pinhole_node import Node, run_cases  # noqa: E402
import pinhole_wire as wire  # noqa: E402

# A receiving kernel says nothing of what was read until its buffer of 128 KiB is all but empty: at
# 10 kB/s that takes 13 s of the default deadline of 20 s. Here the same at four times the speed.
SLOW_BYTES_PER_S, DEADLINE_MS, SLOW_S = 40000, 5000, 11


def follow(client, count, last=None):
    """Reads so many frames; records must follow each other without a hole."""
    frames = []
    while len(frames) < count:
        record = client.next()
        assert last is None or record.sequence == last + 1, (last, record)
        last = record.sequence
        if record.type == wire.FRAME:
            frames.append(record)
    return frames, last


def test_frames_are_numbered_whole_and_described():
    with Node() as node, wire.Client(node.address) as client:
        client.subscribe(start=wire.FROM_NEXT)
        frames, _ = follow(client, 60)
        for before, frame in zip(frames, frames[1:]):
            assert frame.frame_id == before.frame_id + 1
            assert frame.timestamp_ns > before.timestamp_ns
        for frame in frames:
            assert (frame.width, frame.height, frame.format) == (320, 240, 1)
            assert frame.boot_id == client.hello.boot_id
            assert frame.data[:2] == b"\xff\xd8" and frame.data[-2:] == b"\xff\xd9"
            assert len(frame.data) <= client.hello.frame_bytes_max
            assert 20 <= frame.quality <= 80
            assert frame.acquired_us <= frame.encode_start_us <= frame.encoded_us
            assert frame.encoded_us <= frame.queued_us, frame


def test_slow_and_stopped_readers_do_not_disturb_the_others():
    with Node("--set", "camera.framerate=30", "--set", f"server.send_deadline_ms={DEADLINE_MS}") as node:
        fast = [wire.Client(node.address) for _ in range(2)]
        slow, stopped = wire.Client(node.address), wire.Client(node.address)
        for client in fast:
            client.subscribe(wire.EVERY, wire.FROM_NEXT)
        slow.subscribe(wire.LATEST)
        stopped.subscribe(wire.EVERY)
        got = {client: [] for client in fast}
        done = threading.Event()

        def read_fast(client):
            last = None
            while not done.is_set():
                frames, last = follow(client, 1, last)
                got[client] += frames

        threads = [threading.Thread(target=read_fast, args=(client,)) for client in fast]
        for thread in threads:
            thread.start()
        end = time.monotonic() + SLOW_S
        while time.monotonic() < end:
            slow.buffer += slow.socket.recv(SLOW_BYTES_PER_S // 20)
            time.sleep(0.05)
        stats = stats_of(node)
        done.set()
        for thread in threads:
            thread.join()
        assert stats['pinhole_clients_dropped_total{reason="slow"}'] == 1
        busy = stats['pinhole_frames_dropped_total{reason="busy"}']
        assert busy * 10 < stats["pinhole_frames_captured_total"]  # the machine may be busy
        node.wait_log(rf"dropped, took no byte for {DEADLINE_MS} ms \(got \d+ frames\)")
        for client in fast:
            assert len(got[client]) > 100 and not sum(frame.skipped for frame in got[client])
        check_slow(slow)
        for client in (*fast, slow, stopped):
            client.close()


def stats_of(node):
    with wire.Client(node.address) as client:
        return client.stats()


def check_slow(client):
    """What the slow one has so far is whole, and skips are counted exactly."""
    frames = []
    while len(client.buffer) >= 16 and len(client.buffer) >= 16 + int.from_bytes(
            client.buffer[8:12], "little"):
        record = client.receive()
        if record.type == wire.FRAME:
            frames.append(record)
    assert len(frames) >= 5
    for before, frame in zip(frames, frames[1:]):
        assert frame.skipped == frame.frame_id - before.frame_id - 1
    assert sum(frame.skipped for frame in frames) > 30


def reconnect(node, client, last, pause_s):
    """Breaks the link for a while and resumes after the last record."""
    boot_id = client.hello.boot_id
    client.close()
    time.sleep(pause_s)
    client = wire.Client(node.address)
    client.subscribe(wire.EVERY, last + 1, boot_id)
    return client


def test_a_broken_link_loses_nothing_while_history_holds():
    with Node() as node:
        client = wire.Client(node.address)
        client.subscribe(start=wire.FROM_NEXT)
        _, last = follow(client, 20)
        client = reconnect(node, client, last, 3)
        behind = client.hello.sequence_next - last
        assert behind > 30, behind
        frames, last = follow(client, behind + 20, last)
        client = reconnect(node, client, last, 0)
        follow(client, 20, last)
        assert not any(frame.skipped for frame in frames)
        client.close()


def test_a_link_broken_for_longer_is_one_exact_gap():
    with Node("--set", "store.memory=4M", "--set", "server.clients_max=4", "--set",
              "camera.framerate=200") as node:
        client = wire.Client(node.address)
        client.subscribe(start=wire.FROM_NEXT)
        _, last = follow(client, 20)
        boot_id = client.hello.boot_id
        client.close()
        with wire.Client(node.address) as watcher:
            while watcher.stats()["pinhole_records_evicted_total"] < last + 50:
                time.sleep(0.1)
        client = wire.Client(node.address)
        client.subscribe(wire.EVERY, last + 1, boot_id)
        gap = client.next()
        assert gap.type == wire.EVENT and gap.kind == wire.GAP, gap
        assert gap.first == last + 1 and gap.last >= last + 50 and gap.sequence == gap.last, gap
        follow(client, 50, gap.last)
        assert client.stats()["pinhole_gaps_total"] == 1
        client.close()


def test_another_boot_is_announced():
    with Node() as node, wire.Client(node.address) as client:
        client.subscribe(wire.EVERY, 5000, boot_id=client.hello.boot_id ^ 1)
        boot = client.next()
        assert boot.type == wire.EVENT and boot.kind == wire.BOOT, boot
        frames, _ = follow(client, 5)
        assert frames[0].frame_id == 1


def test_unix_socket_alone():
    with Node("--set", "server.socket=/dev/null", listen=None, wait=False) as node:
        assert node.wait() == 1  # what is no socket is not replaced
        assert "/dev/null" in node.log and os.path.exists("/dev/null")
        node.process.returncode = 0  # as far as the end of `with` is concerned
    path = f"/tmp/pinhole-test-{os.getpid()}.socket"
    with Node("--set", f"server.socket={path}", "--listen", "", listen="") as node:
        with wire.Client(path) as client:
            client.subscribe()
            follow(client, 5)
    assert not os.path.exists(path)


def test_sigterm_sends_the_last_frame_whole_and_exits_0():
    with Node() as node:
        clients = [wire.Client(node.address) for _ in range(3)]
        lasts = []
        for client in clients:
            client.subscribe(start=wire.FROM_NEXT)
            lasts.append(follow(client, 5)[1])
        node.process.terminate()
        ends = set()
        for client, last in zip(clients, lasts):
            try:
                while True:
                    record = client.next()
                    assert record.sequence == last + 1
                    last = record.sequence
            except EOFError:
                assert not client.buffer, "the last message is not whole"
            ends.add(last)
            client.close()
        assert len(ends) == 1, ends  # all of them got the log to its end
        assert node.wait() == 0
        assert "draining" in node.log


def test_every_signal_that_ends_it_drains():
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        with Node() as node, wire.Client(node.address) as client:
            client.subscribe(wire.EVERY)
            client.next_frame()
            node.process.send_signal(signal.SIGUSR1)
            node.wait_log(f"signal {signal.SIGUSR1.value} does nothing")
            node.process.send_signal(signal.SIGUSR2)
            node.wait_log(f"signal {signal.SIGUSR2.value} does nothing")
            client.next_frame()
            node.process.send_signal(number)
            assert node.wait() == 0, (number, node.log)
            assert f"signal {number.value}, draining" in node.log and "ended" in node.log


def test_the_bit_rate_binds_free_running_frames_alone():
    """At the quality's floor frames are left out and counted; a trigger still gets its frame."""
    with Node("--set", "jpeg.quality=80", "--set", "jpeg.quality_min=80", "--set",
              "jpeg.bit_rate=200000") as node, wire.Client(node.address) as client:
        client.subscribe(wire.EVERY)
        first = client.next_frame()
        sent, last = len(first.data), first
        while last.timestamp_ns - first.timestamp_ns < 5 * 10**9:
            last = client.next_frame()
            sent += len(last.data)
        seconds = (last.timestamp_ns - first.timestamp_ns) / 1e9
        # One second and one frame may be owed at the end, and the first frame counts.
        assert sent <= 200000 / 8 * (seconds + 1) + 3 * len(last.data), (sent, seconds)
        left_out = client.stats()['pinhole_frames_dropped_total{reason="bit_rate"}']
        assert left_out > 100, left_out
        client.set(TriggerMode="On", TriggerSource="Software")
        for _ in range(10):
            number = client.trigger()
            frame = client.until(lambda r: r.type == wire.FRAME and r.trigger_id)
            assert frame.trigger_id == number


def test_service_manager_hears_ready_alive_and_stopping():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = f"/tmp/pinhole-test-{os.getpid()}.notify"
        manager.bind(path)
        manager.settimeout(wire.SILENCE_S)
        try:
            with Node(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"}) as node:
                assert manager.recv(1000).startswith(b"READY=1")
                start = time.monotonic()
                for _ in range(6):
                    assert manager.recv(1000) == b"WATCHDOG=1"
                # The first comes at once, then one each half of the interval.
                assert time.monotonic() - start > 4.9 * 0.2
                node.process.terminate()
                last = b""
                while last != b"STOPPING=1":
                    last = manager.recv(1000)
                    assert last in (b"WATCHDOG=1", b"STOPPING=1")
        finally:
            os.unlink(path)


def test_connections_come_and_go_while_it_streams():
    with Node() as node, wire.Client(node.address) as client:
        client.subscribe(start=wire.FROM_NEXT)
        half = [socket.create_connection(node.address) for _ in range(5)]
        for connection in half:
            connection.send(b"PINH\1")
        selector = selectors.DefaultSelector()
        refused = 0
        for _ in range(1000):
            with socket.create_connection(node.address) as connection:
                selector.register(connection, selectors.EVENT_READ)
                assert selector.select(wire.SILENCE_S)
                # HELLO, or FULL when those before have not been noticed as gone yet.
                refused += connection.recv(6)[5] == wire.ERROR
                selector.unregister(connection)
        follow(client, 100)
        stats = client.stats()
        assert stats["pinhole_clients_accepted_total"] >= 1000 - refused
        for connection in half:
            connection.close()


def test_pools_tell_how_full_they_have_been():
    with Node() as node, wire.Client(node.address) as client:
        with wire.Client(node.address) as other:
            client.subscribe(start=1)
            for _ in range(3):
                client.next_frame()
            other.get()
        stats = client.stats()
        size = {k: v for k, v in stats.items() if k.startswith("pinhole_pool_size{")}
        used = {k.replace("used_max", "size"): v for k, v in stats.items()
                if k.startswith("pinhole_pool_used_max{")}
        assert len(size) >= 9 and set(size) == set(used), stats
        assert all(0 <= used[name] <= size[name] for name in size), (size, used)
        assert used['pinhole_pool_size{pool="connections"}'] == 2
        assert used['pinhole_pool_size{pool="frame store: blocks"}'] >= 3


if __name__ == "__main__":
    run_cases(globals())
