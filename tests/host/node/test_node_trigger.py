# SPDX-License-Identifier: MIT
"""Triggers of the real node: each has frames or an event, and is counted once."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from pinhole_node import Node, run_cases  # noqa: E402
import pinhole_wire as wire  # noqa: E402

ON = ("--trigger-mode", "On")
NAMES = {"matched": wire.MATCHED, "missed": wire.MISSED, "overrun": wire.OVERRUN,
         "failed": wire.FAILED}


def triggers(stats, source="software"):
    """Outcomes as the metrics have them."""
    return {name: int(stats[f'pinhole_triggers_total{{source="{source}",outcome="{name}"}}'])
            for name in NAMES}


class Account:
    """What a subscriber was told of each trigger."""

    def __init__(self):
        self.frames, self.outcomes, self.records = {}, {}, []

    def note(self, record):
        self.records.append(record)
        if record.type == wire.FRAME:
            self.frames.setdefault(record.trigger_id, []).append(record)
        elif record.kind == wire.TRIGGER_EVENT:
            for trigger in range(record.first, record.last + 1):
                assert trigger not in self.outcomes, record
                self.outcomes[trigger] = record.outcome

    def settle(self, client, ids):
        """Reads until every one of these triggers has had its answer."""
        deadline = time.monotonic() + wire.SILENCE_S
        while not ids <= set(self.frames) | set(self.outcomes):
            self.note(client.next())
            assert time.monotonic() < deadline, ids - set(self.frames) - set(self.outcomes)

    def check(self, ids, stats, source="software"):
        """Frames and events account for each trigger exactly once, and the metrics agree."""
        assert not set(self.frames) & set(self.outcomes)
        assert set(self.frames) | set(self.outcomes) == ids
        counted = {name: sum(outcome == value for outcome in self.outcomes.values())
                   for name, value in NAMES.items()}
        counted["matched"] += len(self.frames)
        assert triggers(stats, source) == counted, (triggers(stats, source), counted)


def test_each_software_trigger_has_its_frame():
    with Node(*ON) as node, wire.Client(node.address) as client:
        client.subscribe(start=1)
        account, ids = Account(), set()
        client.event(wire.CAMERA, camera_state=wire.STREAMING)
        for i in range(20):
            trigger = client.trigger()
            assert trigger == i + 1
            ids.add(trigger)
            account.settle(client, ids)
            frame, = account.frames[trigger]
            assert frame.trigger_source == 1 and frame.burst_index == 0
            assert frame.exposure_delta_ns == (frame.timestamp_ns - frame.exposure_us * 1000
                                               - frame.edge_ns)
            assert frame.exposure_delta_ns >= 0  # exposed after the trigger, not before
        account.check(ids, client.stats())
        assert client.stats()['pinhole_frames_dropped_total{reason="untriggered"}'] > 0
        assert client.set(TriggerSoftware=1) == {}
        account.settle(client, {21})


def test_a_storm_of_triggers_is_accounted_for():
    with Node(*ON, "--set", "server.command_rate=1000") as node:
        with wire.Client(node.address) as client:
            client.subscribe(start=1)
            client.event(wire.CAMERA, camera_state=wire.STREAMING)
            account, count = Account(), 600
            for tag in range(1, count + 1):
                client.send(wire.TRIGGER, tag=tag)
            ids = set()
            while len(ids) < count:
                message = client.receive()
                if not message.is_reply:
                    account.note(message)
                else:
                    assert message.type == wire.TRIGGER, message
                    ids.add(int.from_bytes(message.data, "little"))
            assert ids == set(range(1, count + 1))
            account.settle(client, ids)
            stats = client.stats()
            account.check(ids, stats)
            assert triggers(stats)["overrun"] > 0 and triggers(stats)["matched"] > 0


def test_bursts_and_frames_from_before():
    with Node(*ON, "--set", "trigger.burst_frames=3", "--set",
              "trigger.pretrigger_frames=4") as node, wire.Client(node.address) as client:
        client.subscribe(start=1)
        client.event(wire.CAMERA, camera_state=wire.STREAMING)
        account = Account()
        for trigger in (1, 2, 3):
            time.sleep(0.3)  # lets frames be held
            assert client.trigger() == trigger
            while not any(f.burst_index == 2 for f in account.frames.get(trigger, [])):
                account.note(client.next())
            frames = account.frames[trigger]
            before = [frame.burst_index for frame in frames if frame.burst_index < 0]
            assert [frame.burst_index for frame in frames] == [*before, 0, 1, 2], frames
            assert before and before == list(range(-len(before), 0)) and len(before) <= 4
            for a, b in zip(frames, frames[1:]):
                assert b.sequence == a.sequence + 1 and b.timestamp_ns > a.timestamp_ns
                assert a.trigger_source == 1 and a.edge_ns == b.edge_ns
            for frame in frames:
                assert (frame.exposure_delta_ns < 0) == (frame.burst_index < 0), frame
        account.check({1, 2, 3}, client.stats())


def test_timer_triggers_in_time():
    with Node(*ON, "--trigger-source", "Timer", "--set", "trigger.timer_period_ms=100") as node:
        with wire.Client(node.address) as client:
            client.subscribe(start=1)
            account = Account()
            account.settle(client, set(range(1, 11)))
            edges = [account.frames[i][0].edge_ns for i in account.frames]
            assert all(account.frames[i][0].trigger_source == 2 for i in account.frames)
            for a, b in zip(edges, edges[1:]):
                # Ticks stand on the grid of the period, whatever else the machine does.
                assert (b - a) % 100_000_000 == 0 and b > a, edges
            # Software triggers work beside it.
            software = client.trigger()
            account.settle(client, {software})
            assert account.frames[software][0].trigger_source == 1


def test_triggers_in_an_outage_are_told():
    script = "at 30 freeze\nat 100 unplug 500ms\n"
    with Node(*ON, "--set", "camera.stall_timeout_ms=500", "--set",
              "camera.reopen_interval_ms=100", script=script) as node:
        with wire.Client(node.address) as client:
            client.subscribe(wire.EVERY, 1)
            account, ids, refused, restarts = Account(), set(), 0, 0
            deadline = time.monotonic() + wire.SILENCE_S
            while restarts < 3:  # at boot, after the freeze, after the unplugging
                assert time.monotonic() < deadline
                try:
                    ids.add(client.trigger())
                except wire.Refused as refusal:
                    assert refusal.code == wire.UNAVAILABLE, refusal.text
                    refused += 1
                for record in client.records:
                    account.note(record)
                    restarts += (record.type == wire.EVENT and record.kind == wire.CAMERA and
                                 record.camera_state == wire.STREAMING)
                client.records.clear()
                time.sleep(0.01)
            account.settle(client, ids)
            last = client.trigger()  # comes alone, so it has a frame
            ids.add(last)
            account.settle(client, ids)
            stats = client.stats()
            account.check(ids, stats)
            outcomes = triggers(stats)
            assert outcomes["failed"] + outcomes["missed"] > 0 and refused > 0, outcomes
            assert outcomes["matched"] > 10 and last in account.frames, outcomes


def test_timer_triggers_while_the_camera_is_away_fail():
    with Node(*ON, "--trigger-source", "Timer", "--set", "trigger.timer_period_ms=50", "--set",
              "camera.reopen_interval_ms=100", script="at 40 unplug 600ms\n") as node:
        with wire.Client(node.address) as client:
            client.subscribe(wire.EVERY, 1)
            account = Account()
            account.settle(client, set(range(1, 31)))
            last = max(set(account.frames) | set(account.outcomes))
            account.settle(client, set(range(1, last + 1)))
            assert wire.FAILED in account.outcomes.values(), account.outcomes
            assert last in account.frames or 30 in account.frames, (last, account.frames.keys())


def test_a_frame_that_does_not_fit_is_told_with_its_trigger():
    with Node("--set", "jpeg.quality_min=75", "--set", "jpeg.frame_bytes_max=16K", *ON) as node:
        with wire.Client(node.address) as client:
            client.subscribe(start=1)
            client.event(wire.CAMERA, camera_state=wire.STREAMING)
            account = Account()
            client.trigger()
            account.settle(client, {1})
            assert len(account.frames[1][0].data) <= 16384
            client.set(TestPattern="Noise")
            client.trigger()
            account.settle(client, {1, 2})
            assert account.outcomes == {2: wire.FAILED}, account.outcomes
            lost, = (r for r in account.records
                     if r.type == wire.EVENT and r.kind == wire.FRAME_LOST)
            assert (lost.first, lost.last) == (2, 2) and "16384" in lost.text, lost
            failed = next(r for r in account.records
                          if r.type == wire.EVENT and r.kind == wire.TRIGGER_EVENT)
            assert failed.sensor_sequence == lost.sensor_sequence
            client.set(TestPattern="Off")
            client.trigger()
            account.settle(client, {1, 2, 3})
            stats = client.stats()
            account.check({1, 2, 3}, stats)
            assert stats['pinhole_frames_dropped_total{reason="size"}'] == 1
            # Without triggers the stream goes on as well.
            client.set(TriggerMode="Off", TestPattern="Noise")
            for _ in range(3):
                client.event(wire.FRAME_LOST)
            client.set(TestPattern="Off")
            client.next_frame()


def test_no_trigger_while_the_mode_is_off():
    with Node() as node, wire.Client(node.address) as client:
        for request in (client.trigger, lambda: client.set(TriggerSoftware=1)):
            try:
                request()
                raise AssertionError("a trigger was accepted")
            except wire.Refused as refusal:
                assert refusal.code == wire.UNAVAILABLE and "TriggerMode" in refusal.text


def test_pretrigger_can_be_switched_off_while_a_frame_is_encoded_for_it():
    large = ("--set", "camera.width=1280", "--set", "camera.height=960", "--set",
             "jpeg.frame_bytes_max=1M", "--set", "store.memory=32M")
    with Node(*ON, *large, "--set", "trigger.pretrigger_frames=8") as node:
        with wire.Client(node.address) as client:
            client.subscribe(start=1)
            client.event(wire.CAMERA, camera_state=wire.STREAMING)
            for _ in range(60):
                client.set(PretriggerFrameCount=0)
                time.sleep(0.005)
                client.set(PretriggerFrameCount=8)
                time.sleep(0.03)
            client.trigger()
            assert client.next_frame().trigger_id == 1


def test_restarts_of_the_stream_do_not_start_the_timer_anew():
    # A restart each half second, a tick each second.
    with Node(*ON, "--trigger-source", "Timer", "--set", "trigger.timer_period_ms=1000",
              script="every 30 stream-error\n") as node:
        with wire.Client(node.address) as client:
            client.subscribe(start=1)
            account = Account()
            account.settle(client, {1, 2, 3})


if __name__ == "__main__":
    run_cases(globals())
