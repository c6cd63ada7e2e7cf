# SPDX-License-Identifier: MIT
"""What cameras do wrong, played by the fake's fault script: each is an event and a metric, and the
node goes on, or ends with a status when told to."""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from pinhole_node import Node, run_cases  # noqa: E402
import pinhole_wire as wire  # noqa: E402

# A stall is noticed after 1 s at the least by default; here sooner.
QUICK = ("--set", "camera.stall_timeout_ms=300", "--set", "camera.reopen_interval_ms=100")
RESTART = 'pinhole_camera_restarts_total{how="restart"}'
REOPEN = 'pinhole_camera_restarts_total{how="reopen"}'


class Played:
    """A node with a script, and a client that has subscribed to everything from the beginning."""

    def __init__(self, script, *arguments):
        self.node = Node(*QUICK, *arguments, script=script)
        self.client = wire.Client(self.node.address)
        self.client.subscribe(wire.EVERY, 1)
        self.records = []

    def __enter__(self):
        self.node.__enter__()
        return self

    def __exit__(self, *what):
        self.client.close()
        self.node.__exit__(*what)

    def camera(self, state):
        """Waits for the camera's next change to this state."""
        return self.client.event(wire.CAMERA, self.records, camera_state=state)

    def frames(self, count, wanted=lambda frame: True):
        """Waits for so many frames, of those wanted."""
        got = []
        while len(got) < count:
            got.append(self.client.until(lambda r: r.type == wire.FRAME and wanted(r),
                                         self.records))
        return got

    def check_log(self):
        """The log of records has no hole."""
        for i, record in enumerate(self.records):
            assert record.sequence == i + 1, (i, record)


def test_stall_is_answered_by_a_restart():
    with Played("at 20 freeze\n") as played:
        played.camera(wire.STREAMING)
        played.camera(wire.STALLED)
        before = [r for r in played.records if r.type == wire.FRAME]
        assert 0 < len(before) <= 20 and before[-1].sensor_sequence < 20
        played.camera(wire.STREAMING)
        frames = played.frames(20)
        assert frames[0].field_flags & wire.RESTARTED
        assert frames[0].frame_id == len(before) + 1
        played.check_log()
        stats = played.client.stats()
        assert stats[RESTART] == 1 and stats[REOPEN] == 0 and stats["pinhole_camera_streaming"] == 1


def test_short_stall_passes_by_itself():
    with Played("at 20 stall 50ms\n") as played:
        played.frames(60)
        played.check_log()
        assert [r.camera_state for r in played.records if r.type == wire.EVENT] == [wire.STREAMING]
        stats = played.client.stats()
        assert stats[RESTART] == 0
        assert stats['pinhole_frames_dropped_total{reason="sensor"}'] >= 2


def test_restarts_that_do_not_help_are_followed_by_a_reopening():
    with Played("at 20 freeze\nat 21 freeze\nat 22 freeze\n", "--set",
                "camera.restart_attempts=2") as played:
        # A node that gets no processor may stall before the first frame, and more often.
        while "opening the camera" not in played.camera(wire.STALLED).text:
            pass
        in_a_row = []
        for record in played.records:
            goes_on = record.type == wire.FRAME or record.camera_state == wire.STREAMING
            in_a_row = [] if goes_on else in_a_row + [record]
        assert [r.camera_state for r in in_a_row] == [wire.STALLED] * 3, in_a_row
        played.camera(wire.STREAMING)
        played.frames(10)
        played.check_log()
        stats = played.client.stats()
        assert stats[RESTART] >= 2 and stats[REOPEN] >= 1, (stats[RESTART], stats[REOPEN])


def test_unplugged_camera_comes_back():
    with Played("at 20 unplug 700ms\n") as played:
        played.camera(wire.STREAMING)
        absent = played.camera(wire.ABSENT)
        assert "unplug" in absent.text or "gone" in absent.text, absent.text
        assert played.client.stats()["pinhole_camera_streaming"] == 0
        played.camera(wire.STREAMING)
        frames = played.frames(10)
        assert frames[0].field_flags & wire.RESTARTED
        played.check_log()
        states = [r.camera_state for r in played.records if r.type == wire.EVENT]
        assert states == [wire.STREAMING, wire.ABSENT, wire.STREAMING], states


def test_stream_error_is_answered_at_once():
    with Played("at 20 stream-error\nat 40 stream-error\n") as played:
        for _ in range(3):
            played.camera(wire.STREAMING)
        played.frames(20)
        played.check_log()
        assert played.client.stats()[RESTART] == 2


def test_errors_that_come_back_make_no_storm():
    with Played("at 20 stream-error\nevery 1 stream-error\n", "--set",
                "camera.reopen_interval_ms=200", "--set", "camera.give_up_s=2") as played:
        status = played.node.wait()
        assert status == 3, status
        # In 2 s: at most two actions each 200 ms, and a line or two about each.
        assert len(played.node.log.splitlines()) < 120, played.node.log
        played.node.process.returncode = 0  # as far as the end of `with` is concerned


def test_camera_absent_at_boot_is_waited_for():
    with Played("open-fail 8\n", "--set", "node.name=gate") as played:
        assert "DeviceUserID=gate\n" in played.client.hello.text, played.client.hello
        absent = played.camera(wire.ABSENT)
        assert "open fails" in absent.text, absent.text
        values = played.client.get()
        assert values["TriggerMode"] == "Off" and "ExposureTime" not in values
        assert played.client.stats()["pinhole_camera_streaming"] == 0
        assert "Width\t" in played.client.request(wire.FEATURES).text
        played.client.set(TriggerMode="On")
        try:
            played.client.trigger()
            raise AssertionError("a trigger without a camera was accepted")
        except wire.Refused as refusal:
            assert refusal.code == wire.UNAVAILABLE, refusal.text
            assert "not streaming" in refusal.text, refusal.text
        played.client.set(TriggerMode="Off", Width=160, Height=120)
        played.camera(wire.STREAMING)
        assert played.frames(3)[-1].width == 160
        played.check_log()


def test_failures_to_configure_and_start_at_boot_are_tried_again():
    for script in ("start-fail 3\n", "configure-fail 3\n"):
        with Played(script) as played:
            absent = played.camera(wire.ABSENT)
            assert "fail" in absent.text, absent.text
            played.camera(wire.STREAMING)
            played.frames(3)
            played.check_log()


def test_stride_that_is_too_small_loses_frames_not_the_stream():
    with Played("stride 100\n") as played:
        for _ in range(5):
            lost = played.client.event(wire.FRAME_LOST, played.records)
            assert "stride 100" in lost.text and "320" in lost.text, lost.text
        assert not any(r.type == wire.FRAME for r in played.records)
        played.check_log()
        stats = played.client.stats()
        assert stats['pinhole_frames_dropped_total{reason="invalid"}'] >= 5
        assert stats["pinhole_camera_streaming"] == 1


def test_padded_rows_are_fine():
    with Played("padding 40\n") as played:
        played.frames(10)


def test_torn_frames_are_delivered_and_flagged():
    with Played("every 10 torn\n") as played:
        torn = played.frames(4, lambda frame: frame.field_flags & wire.TORN)
        # When the tenth was dropped, the next one is torn in its place.
        assert all(frame.sensor_sequence % 10 < 5 for frame in torn), torn
        played.check_log()
        assert played.client.stats()["pinhole_frames_torn_total"] >= 4


def test_drops_are_counted_and_seen_in_the_sensor_sequence():
    with Played("at 20 drop 7\n") as played:
        frames = played.frames(40)
        jumps = [b.sensor_sequence - a.sensor_sequence for a, b in zip(frames, frames[1:])]
        assert sum(jump - 1 for jump in jumps) >= 7 and max(jumps) >= 8, jumps
        assert [frame.frame_id for frame in frames] == list(range(1, 41))
        assert played.client.stats()['pinhole_frames_dropped_total{reason="sensor"}'] >= 7


def test_a_stopped_process_is_no_stalled_camera():
    with Node("--set", "camera.stall_timeout_ms=300") as node, wire.Client(node.address) as client:
        client.subscribe()
        client.next_frame()
        for _ in range(2):
            node.process.send_signal(signal.SIGSTOP)
            time.sleep(0.8)
            node.process.send_signal(signal.SIGCONT)
            for _ in range(20):
                client.next_frame()
        stats = client.stats()
        assert stats['pinhole_camera_restarts_total{how="restart"}'] == 0, node.log
        node.wait_log("the process was stopped and goes on")


def test_it_gives_up_with_a_status_of_its_own():
    for script in ("at 20 unplug\n", "open-fail 1000000\n"):
        node = Node(*QUICK, "--set", "camera.give_up_s=1", script=script)
        status = node.wait()
        assert status == 3 and "giving up" in node.log, (status, node.log)
        node.folder.cleanup()


def test_a_slow_camera_is_not_given_up():
    with Node("--set", "camera.framerate=0.5", "--set", "camera.give_up_s=1") as node:
        with wire.Client(node.address) as client:
            client.subscribe(wire.EVERY, 1)
            for _ in range(3):  # the third comes 4 s after the first
                client.next_frame()


if __name__ == "__main__":
    run_cases(globals())
