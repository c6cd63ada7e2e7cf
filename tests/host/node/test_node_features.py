# SPDX-License-Identifier: MIT
"""Features of a live node: read, set all or nothing, refused by name, a new size without losing
anybody."""

import itertools
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from pinhole_node import Node, run_cases  # noqa: E402
import pinhole_wire as wire  # noqa: E402


def expect_refusal(code, names, request, *arguments, **values):
    try:
        request(*arguments, **values)
    except wire.Refused as refusal:
        assert refusal.code == code, (refusal.code, refusal.text)
        for name in names:
            assert name in refusal.text, refusal.text
        return
    raise AssertionError(f"{arguments} {values} was not refused")


def test_list_get_and_set_agree():
    with Node() as node, wire.Client(node.address) as client:
        rows = [line.split("\t") for line in client.request(wire.FEATURES).text.splitlines()]
        assert all(len(row) == 10 for row in rows), rows
        table = {row[0]: row for row in rows}
        assert len(table) == len(rows)
        values = client.get()
        readable = {name for name, row in table.items() if row[7] in ("rw", "ro")}
        assert set(values) == readable, set(values) ^ readable
        for name in ("Width", "ExposureTime", "TriggerMode", "Gain", "ReverseX"):
            assert values[name] == table[name][1] and client.get(name) == {name: values[name]}
        assert table["TriggerSoftware"][2] == "Command" and table["TriggerSoftware"][7] == "wo"
        assert table["TriggerMode"][8] == "Off|On" and table["ReverseX"][2] == "Boolean"
        # Setting each feature to what it is changes nothing, and is allowed.
        for name, row in table.items():
            if row[7] == "rw" and name not in ("ExposureTime", "Gain"):
                assert client.set(**{name: values[name]}) == {name: values[name]}
        assert client.get() == values


def test_every_node_has_a_serial_number():
    with Node() as node, wire.Client(node.address) as client:
        serial = client.get("DeviceSerialNumber")["DeviceSerialNumber"]
        assert serial
    with Node(camera="auto") as node, wire.Client(node.address) as client:
        assert client.get("DeviceSerialNumber")["DeviceSerialNumber"] == serial
    # What was configured as the camera's id is it.
    with Node(script="at 1000000 freeze\n") as node, wire.Client(node.address) as client:
        path = client.get("DeviceSerialNumber")["DeviceSerialNumber"]
        assert path == os.path.join(node.folder.name, "faults"), path


def test_the_model_does_not_depend_on_how_the_camera_was_named():
    models = set()
    for options in ({"camera": "fake"}, {"camera": "fake:0"}, {"script": "at 1000000 freeze\n"}):
        with Node(**options) as node, wire.Client(node.address) as client:
            client.subscribe()
            client.next_frame()
            models.add(client.get("DeviceModelName")["DeviceModelName"])
    assert models == {"Pinhole fake camera"}, models


def test_a_region_that_the_camera_lacks_is_said():
    with Node("--roi", "0.25,0.25,0.5,0.5") as node:
        node.wait_log(r"no region of interest, camera.roi is ignored")


def test_refusals_name_the_feature():
    with Node() as node, wire.Client(node.address) as client:
        before = client.get()
        expect_refusal(wire.UNKNOWN_FEATURE, ["Colour"], client.get, "Colour")
        expect_refusal(wire.UNKNOWN_FEATURE, ["Colour"], client.set, Colour="red")
        expect_refusal(wire.READ_ONLY, ["DeviceUserID"], client.set, DeviceUserID="me")
        expect_refusal(wire.READ_ONLY, ["DeviceModelName"], client.set, DeviceModelName="me")
        expect_refusal(wire.BAD_VALUE, ["ImageCompressionQuality", "100"], client.set,
                       ImageCompressionQuality=101)
        expect_refusal(wire.BAD_VALUE, ["TriggerMode", "Perhaps"], client.set,
                       TriggerMode="Perhaps")
        expect_refusal(wire.BAD_VALUE, ["ExposureTime"], client.set, ExposureTime="-1")
        expect_refusal(wire.BAD_VALUE, ["ExposureTime"], client.set, ExposureTime="nan")
        expect_refusal(wire.BAD_VALUE, ["Width"], client.set, Width=333)
        expect_refusal(wire.BAD_VALUE, ["trigger.line"], client.set,
                       TriggerSource="Line")
        expect_refusal(wire.BAD_VALUE, ["what"], client.request, wire.SET, b"what is this")
        expect_refusal(wire.BAD_VALUE, ["NUL"], client.request, wire.SET, b"Width=640\0")
        assert client.get() == before


def test_the_exposure_ends_with_the_frame_period():
    def exposure_max(client):
        lines = client.request(wire.FEATURES).text.splitlines()
        (line,) = [line.split("\t") for line in lines if line.startswith("ExposureTime\t")]
        return float(line[5])  # name, value, type, unit, min, max

    with Node() as node, wire.Client(node.address) as client:
        client.set(AcquisitionFrameRate=30)
        assert abs(exposure_max(client) - 1e6 / 30) < 1, exposure_max(client)
        expect_refusal(wire.BAD_VALUE, ["ExposureTime", "33333", "AcquisitionFrameRate"],
                       client.set, ExposureAuto="Off", ExposureTime=500000)
        # One SET may lower the rate and use the time, in either order.
        answer = client.set(ExposureTime=400000, ExposureAuto="Off", AcquisitionFrameRate=2)
        assert answer["ExposureTime"] == "400000", answer
        assert abs(exposure_max(client) - 500000) < 1, exposure_max(client)
        answer = client.set(AcquisitionFrameRate=4, ExposureTime=250000)
        assert answer["ExposureTime"] == "250000", answer


def test_the_order_of_the_lines_does_not_matter():
    with Node() as node, wire.Client(node.address) as client:
        client.set(GainAuto="Continuous")
        assert client.set(Gain=2, GainAuto="Off")["Gain"] == "2"
        client.set(GainAuto="Continuous")
        assert client.set(GainAuto="Off", Gain=3)["Gain"] == "3"


def test_set_is_all_or_nothing():
    with Node() as node, wire.Client(node.address) as client:
        client.subscribe(start=wire.FROM_NEXT)
        before = client.get()
        expect_refusal(wire.READ_ONLY, ["DeviceUserID"], client.set, ImageCompressionQuality=30,
                       Width=640, Height=480, DeviceUserID="x")
        expect_refusal(wire.UNKNOWN_FEATURE, ["Colour"], client.set, ExposureAuto="Off",
                       ExposureTime=3000, Colour=1)
        # Each is allowed alone, but not both together.
        expect_refusal(wire.BAD_VALUE, ["quality_min"], client.set, ImageCompressionQuality=30,
                       ImageCompressionQualityMin=31)
        assert client.get() == before
        assert client.next_frame().width == 320


def test_a_trigger_that_cannot_be_leaves_the_other_lines_undone():
    with Node() as node, wire.Client(node.address) as client:
        client.subscribe()
        client.next_frame()
        before = client.get()
        # The command stands last and is refused first: what it needs is known beforehand.
        expect_refusal(wire.UNAVAILABLE, ["TriggerSoftware", "TriggerMode is Off"], client.set,
                       ImageCompressionQuality=30, ExposureAuto="Off", TriggerSoftware=1)
        assert client.get() == before
        # What decides is the mode after the other lines.
        answer = client.set(TriggerSoftware=1, TriggerMode="On")
        assert answer == {"TriggerMode": "On"}, answer
        frame = client.until(lambda r: r.type == wire.FRAME and r.trigger_id)
        assert frame.trigger_source == 1
        expect_refusal(wire.UNAVAILABLE, ["TriggerSoftware"], client.set, TriggerMode="Off",
                       TriggerSoftware=1)
        assert client.get("TriggerMode") == {"TriggerMode": "On"}


def test_camera_controls_show_in_frames_and_events():
    with Node() as node, wire.Client(node.address) as client, wire.Client(node.address) as other:
        client.subscribe(start=wire.FROM_NEXT)
        answer = other.set(ExposureAuto="Off", ExposureTime=2500, ImageCompressionQuality=55)
        assert answer["ExposureTime"] == "2500" and answer["ExposureAuto"] == "Off", answer
        seen = []
        client.until(lambda r: r.type == wire.FRAME and r.exposure_us == 2500 and r.quality == 55,
                     seen)
        told = {}
        for record in seen:
            if record.type == wire.EVENT and record.kind == wire.FEATURES_EVENT:
                told.update(record.lines)
        assert told == answer, told
        # Many changes are few records: the log they fill is everybody's.
        names = ("TriggerDelay", "TriggerDivider", "TriggerHoldOff", "TriggerTimerPeriod",
                 "AcquisitionBurstFrameCount", "ImageCompressionQuality", "ExposureTime")
        answer = other.set(**{name: "2" if name != "ExposureTime" else "1250" for name in names
                              if name != "ImageCompressionQuality"}, ImageCompressionQuality=54)
        seen = []
        client.until(lambda r: r.type == wire.FRAME and r.quality == 54, seen)
        events = [r for r in seen if r.type == wire.EVENT and r.kind == wire.FEATURES_EVENT]
        told = {}
        for record in events:
            told.update(record.lines)
        assert told == answer and len(events) <= 3, (len(events), told)


def test_a_new_size_keeps_sequences_and_subscribers():
    with Node() as node, wire.Client(node.address) as client:
        client.subscribe(start=wire.FROM_NEXT)
        last = client.next_frame()
        for width, height in ((640, 480), (1456, 1088), (64, 64), (320, 240)):
            answer = client.set(Width=width, Height=height)
            assert answer == {"Width": str(width), "Height": str(height)}, answer
            records = []
            frame = client.until(lambda r: r.type == wire.FRAME and r.width == width, records)
            assert frame.height == height and frame.field_flags & wire.RESTARTED
            for record in records:  # the log goes on without a hole
                assert record.sequence == last.sequence + 1, (last, record)
                last = record
            assert any(r.type == wire.EVENT and r.kind == wire.CAMERA and
                       r.camera_state == wire.RECONFIGURED for r in records)
        restarts = client.stats()['pinhole_camera_restarts_total{how="reconfigure"}']
        assert restarts == 4, restarts


def flip(address, sizes, ended):
    """Changes the picture's width as fast as the node takes it."""
    try:
        with wire.Client(address) as client:
            for width in itertools.cycle(sizes):
                if ended.is_set():
                    return
                client.set(Width=width)
    except (OSError, EOFError):
        pass  # the node ended first


def test_those_who_flip_the_size_leave_frames_to_others():
    ended = threading.Event()
    with Node("--framerate", "30") as node, wire.Client(node.address) as honest:
        threads = [threading.Thread(target=flip, args=(node.address, ("640", "1280"), ended))
                   for _ in range(14)]
        honest.subscribe(policy=wire.EVERY, start=wire.FROM_NEXT)
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        try:
            for _ in range(150):
                honest.next_frame()
        finally:
            ended.set()
        # Counted by the node, and only so many in the time that it really took.
        restarts = honest.stats()['pinhole_camera_restarts_total{how="reconfigure"}']
        assert 4 <= restarts <= 6 + (time.monotonic() - begin), restarts
    for thread in threads:
        thread.join()


def test_a_size_that_the_camera_refuses_is_undone():
    with Node() as node, wire.Client(node.address) as client:
        client.subscribe(start=wire.FROM_NEXT)
        client.set(ExposureAuto="Off", ExposureTime=4000)
        before = client.get()
        expect_refusal(wire.BAD_VALUE, ["32x32"], client.set, Width=32, Height=32,
                       ImageCompressionQuality=33, AcquisitionFrameRate=20, TriggerMode="On",
                       ExposureTime=3000)
        assert client.get() == before
        # Frames from before, then those of the stream that was started again as it was.
        frame = client.until(lambda r: r.type == wire.FRAME and r.field_flags & wire.RESTARTED)
        assert (frame.width, frame.height) == (320, 240)
        frame = client.until(lambda r: r.type == wire.FRAME and r.exposure_us == 4000)
        assert frame.quality > 33


def test_what_clients_set_outlives_the_camera():
    script = "at 60 unplug 300ms\n"
    with Node("--shutter", "1000", "--gain", "1.5", "--set", "camera.reopen_interval_ms=50",
              script=script) as node, wire.Client(node.address) as client:
        client.subscribe()
        client.until(lambda r: r.type == wire.FRAME and r.exposure_us == 1000)
        client.set(ExposureTime=3000, GainAuto="Continuous")
        client.set(Width=160, Height=120)
        values = client.get("ExposureTime", "ExposureAuto", "GainAuto")
        assert values == {"ExposureTime": "3000", "ExposureAuto": "Off",
                          "GainAuto": "Continuous"}, values
        client.event(wire.CAMERA, camera_state=wire.ABSENT)
        client.event(wire.CAMERA, camera_state=wire.STREAMING)
        assert client.get(*values) == values
        client.until(lambda r: r.type == wire.FRAME and r.exposure_us == 3000 and r.width == 160)


def test_features_of_a_camera_that_is_gone_are_unavailable():
    with Node("--set", "camera.give_up_s=0",
              script="at 10 unplug 3600s\n") as node, wire.Client(node.address) as client:
        client.subscribe()
        client.event(wire.CAMERA, camera_state=wire.ABSENT)
        # The fake camera has the first two, others the third.
        for name, value in (("ExposureTime", 500), ("GainAuto", "Off"), ("LensPosition", 1)):
            expect_refusal(wire.UNAVAILABLE, [name, "not there"], client.get, name)
            expect_refusal(wire.UNAVAILABLE, [name, "not there"], client.set, **{name: value})
        expect_refusal(wire.UNKNOWN_FEATURE, ["Colour"], client.get, "Colour")
        expect_refusal(wire.UNKNOWN_FEATURE, ["Colour"], client.set, Colour=1)
        assert client.get("Width", "DeviceModelName")["Width"] == "320"
        before = client.get()
        expect_refusal(wire.UNAVAILABLE, ["ExposureTime"], client.set, ImageCompressionQuality=33,
                       ExposureTime=500)
        assert client.get() == before
    # A camera that is there and lacks a control is another matter.
    with Node() as node, wire.Client(node.address) as client:
        client.subscribe()
        client.next_frame()
        expect_refusal(wire.UNKNOWN_FEATURE, ["LensPosition"], client.get, "LensPosition")


def test_frame_rate_changes_without_a_restart():
    with Node() as node, wire.Client(node.address) as client:
        client.subscribe(start=wire.FROM_NEXT)
        client.set(AcquisitionFrameRate=200)
        client.until(lambda r: r.type == wire.FRAME and r.frame_duration_us == 5000)
        client.set(AcquisitionFrameRate=25)
        client.until(lambda r: r.type == wire.FRAME and r.frame_duration_us == 40000)
        stats = client.stats()
        assert stats['pinhole_camera_restarts_total{how="reconfigure"}'] == 0


def test_the_frame_rate_reads_as_it_is_in_force():
    # The fake camera makes at most 240 frames/s.
    with Node("--framerate", "500") as node, wire.Client(node.address) as client:
        client.subscribe()
        client.next_frame()
        assert client.get("AcquisitionFrameRate") == {"AcquisitionFrameRate": "240"}
        assert client.set(AcquisitionFrameRate=100) == {"AcquisitionFrameRate": "100"}
        assert client.set(AcquisitionFrameRate=1000) == {"AcquisitionFrameRate": "240"}
        told = client.until(lambda r: r.type == wire.EVENT and r.kind == wire.FEATURES_EVENT and
                            r.lines["AcquisitionFrameRate"] != "100")
        assert told.lines == {"AcquisitionFrameRate": "240"}
        rows = client.request(wire.FEATURES).text.splitlines()
        assert [row.split("\t")[1] for row in rows
                if row.startswith("AcquisitionFrameRate\t")] == ["240"]


if __name__ == "__main__":
    run_cases(globals())
