#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Python package against real nodes: frames, arrays, features, triggers, cut links, restarts."""

import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

# Debian's NumPy, OpenCV and Pillow belong to Debian's Python, whichever `python3` is first.
DEBIANS = "/usr/bin/python3"
if os.path.realpath(sys.executable) != os.path.realpath(DEBIANS) and os.path.exists(DEBIANS):
    os.execv(DEBIANS, [DEBIANS, *sys.argv])

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[".."] * 3))
PACKAGE = os.path.join(ROOT, "tools", "python")
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(ROOT, "tests", "host", "support"), PACKAGE]
import pinhole  # noqa: E402
import fake_node  # noqa: E402
from cut_proxy import CutProxy  # noqa: E402
from pinhole_node import Node, run_cases  # noqa: E402
import pinhole_wire as wire  # noqa: E402

PHOTOS = os.environ.get("PINHOLE_PHOTOS", "")
PATIENCE_S = 60


def address_of(node):
    return "%s:%d" % node.address


def djpeg(jpeg, *options):
    """The picture as libjpeg-turbo's own program decodes it: columns, rows, bytes."""
    out = subprocess.run(["djpeg", *options], input=jpeg, stdout=subprocess.PIPE, check=True).stdout
    _, columns, rows, _ = out[:40].split(None, 4)[:4]
    return int(columns), int(rows), out


def check_arrays(frame):
    """Every byte order and some scales are what djpeg makes of the same JPEG."""
    columns, rows, ppm = djpeg(frame.jpeg, "-rgb")
    array = frame.array
    assert array.shape == (rows, columns, 3) == (frame.height, frame.width, 3), array.shape
    pixels = ppm[-columns * rows * 3:]
    assert array.tobytes() == pixels
    assert frame.decode("bgr")[:, :, ::-1].tobytes() == pixels
    rgba = frame.decode("rgba")
    assert rgba[:, :, :3].tobytes() == pixels and rgba[:, :, 3].min() == 255
    assert frame.decode("bgra")[:, :, 2::-1].tobytes() == pixels
    assert frame.decode("grey").tobytes() == djpeg(frame.jpeg, "-grayscale")[2][-columns * rows:]
    for numerator, denominator in ((1, 2), (3, 8), (1, 8), (2, 1)):
        columns, rows, ppm = djpeg(frame.jpeg, "-rgb", "-scale", f"{numerator}/{denominator}")
        scaled = frame.decode("rgb", (numerator, denominator))
        assert scaled.shape == (rows, columns, 3), (scaled.shape, rows, columns)
        assert scaled.tobytes() == ppm[-columns * rows * 3:]


def has(module):
    return subprocess.run([sys.executable, "-c", f"import {module}"], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def test_frames_and_fields():
    with Node() as node, pinhole.Camera(address_of(node), policy="every") as camera:
        assert camera.model and camera.boot_id
        last = None
        for frame in camera:
            assert frame.jpeg[:2] == b"\xff\xd8" and frame.jpeg[-2:] == b"\xff\xd9"
            assert (frame.width, frame.height) == (320, 240) and frame.boot_id == camera.boot_id
            assert frame.skipped == 0 and frame.exposure_us > 0 and frame.gain > 0
            if last is not None:
                assert frame.frame_id == last.frame_id + 1
                assert frame.timestamp_ns > last.timestamp_ns
            if last is not None and frame.frame_id > 20:
                break
            last = frame


def test_arrays_are_turbojpegs():
    if not has("numpy"):
        return print("not run: python3-numpy is not installed")
    with Node() as node, pinhole.Camera(address_of(node)) as camera:
        frame = camera.frame(PATIENCE_S)
        check_arrays(frame)
        for bad in (("yuv", (1, 1)), ("rgb", (3, 1)), ("rgb", (1, 3)), ("rgb", (1, 0))):
            try:
                frame.decode(*bad)
                raise AssertionError(f"{bad} was taken")
            except ValueError:
                pass
        frame.jpeg = frame.jpeg[:len(frame.jpeg) // 2]
        try:
            frame.decode()
            raise AssertionError("half a JPEG was taken")
        except ValueError:
            pass
    return None


def test_other_decoders():
    """Without libturbojpeg, OpenCV or Pillow serve."""
    if not has("numpy"):
        return print("not run: python3-numpy is not installed")
    from pinhole import _jpeg
    with Node() as node, pinhole.Camera(address_of(node)) as camera:
        frame = camera.frame(PATIENCE_S)
    import numpy
    for name, function in (("cv2", _jpeg._by_opencv), ("PIL.Image", _jpeg._by_pillow)):
        if not has(name):
            print(f"not run: {name} is not installed")
            continue
        module = _jpeg._module(name)
        for pixels in ("grey", "rgb", "bgr", "rgba", "bgra"):
            ours = frame.decode(pixels).astype(int)
            theirs = function(module, numpy, frame.jpeg, pixels).astype(int)
            # Each has its own libjpeg; grey may be made from the colours.
            assert ours.shape == theirs.shape and abs(ours - theirs).max() <= 4, (name, pixels)
    return None


def test_photographs():
    if not os.path.isdir(PHOTOS):
        return print(f"not run: no photographs in PINHOLE_PHOTOS={PHOTOS}")
    if not has("numpy"):
        return print("not run: python3-numpy is not installed")
    with Node("--format", "MJPEG", "--set", "jpeg.frame_bytes_max=2M", camera=f"replay:{PHOTOS}",
              small=False) as node, pinhole.Camera(address_of(node), policy="every") as camera:
        files = {open(os.path.join(PHOTOS, name), "rb").read() for name in os.listdir(PHOTOS)
                 if name.endswith(".jpg")}
        seen = set()
        for frame in camera:
            assert frame.jpeg in files, "not one of the photographs"
            if frame.jpeg not in seen:
                check_arrays(frame)
            seen.add(frame.jpeg)
            if len(seen) >= 4:
                return None


def test_features():
    with Node() as node, pinhole.Camera(address_of(node)) as camera:
        assert camera.Width == 320 and isinstance(camera.Width, int)
        assert isinstance(camera.features["Gain"], float)
        assert camera.features["ReverseX"] is False
        info = camera.features.info("AcquisitionFrameRate")
        assert info.type == "Float" and info.min <= 60 <= info.max and info.writable
        camera.AcquisitionFrameRate = 25.5
        assert camera.AcquisitionFrameRate == 25.5
        camera.features["ReverseX"] = True
        assert camera.ReverseX is True
        assert "Off" in camera.features.info("ExposureAuto").choices
        camera.features.set(ExposureAuto="Off", ExposureTime=5000)
        assert camera.ExposureTime == 5000 and camera.ExposureAuto == "Off"
        assert "DeviceModelName" in list(camera.features) and len(camera.features) > 10
        assert "TriggerSoftware" not in list(camera.features)
        for wrong, error in ((lambda: camera.features["Nothing"], KeyError),
                             (lambda: camera.Nothing, AttributeError),
                             (lambda: camera.features.__setitem__("Width", "wide"), ValueError),
                             (lambda: camera.features.__setitem__("AcquisitionFrameRate", -1),
                              pinhole.BadValue),
                             (lambda: camera.features.__setitem__("DeviceModelName", "x"),
                              pinhole.ReadOnly),
                             (camera.trigger, pinhole.Unavailable)):
            try:
                wrong()
                raise AssertionError("this was taken")
            except error as caught:
                assert str(caught), repr(caught)
        assert not hasattr(camera, "Nothing") and not hasattr(camera, "nothing")
        assert camera.ping() >= 0
        assert "pinhole_frames_captured_total" in camera.stats()
        # While subscribed the list is kept, and asked for anew when another client changes something.
        camera.frame(PATIENCE_S)
        with pinhole.Camera(address_of(node)) as other:
            other.features["AcquisitionFrameRate"] = 30
        deadline = time.monotonic() + PATIENCE_S
        while camera.features.info("AcquisitionFrameRate").value != "30":
            assert time.monotonic() < deadline, "the change did not come"


def test_trigger():
    with Node("--set", "trigger.mode=On", "--set", "trigger.source=Software") as node, \
            pinhole.Camera(address_of(node), policy="every", from_sequence="next") as camera:
        camera.start()
        wanted = camera.trigger()
        frame = camera.frame(PATIENCE_S)
        assert frame.trigger_id == wanted and frame.trigger_source == 1, frame.trigger_id
        assert frame.edge_ns > 0
        wanted = camera.trigger(frames=3)
        burst = [camera.frame(PATIENCE_S) for _ in range(3)]
        assert [f.trigger_id for f in burst] == [wanted] * 3
        assert [f.burst_index for f in burst] == [0, 1, 2]


def count_records(camera, cut, cuts, per_link):
    """Follows a log over cuts; each sequence must come once or be in a GAP."""
    expected, names = 0, []
    for number in range(cuts + 1):
        for _ in range(per_link):
            record = camera.next(PATIENCE_S)
            assert record is not None, "nothing came"
            if isinstance(record, pinhole.Event):
                names.append(record.name)
                if record.kind >= pinhole.EventKind.DISCONNECTED:
                    continue
            first, last = record.sequence, record.sequence
            if isinstance(record, pinhole.Event) and record.name == "GAP":
                first, last = record.first, record.last
            assert not expected or first == expected, (first, expected, record)
            expected = last + 1
        if number < cuts:
            cut()
    return names


def test_cut_links_resume():
    with Node() as node:
        proxy = CutProxy(node.address)
        with pinhole.Camera(proxy.address, policy="every") as camera:
            names = count_records(camera, proxy.cut, 8, 40)
            assert "GAP" not in names, names
            assert names.count("DISCONNECTED") >= 7 <= names.count("RECONNECTED"), names
        proxy.close()


def test_break_before_the_first_record():
    """What passes while the link is down is not lost, though nothing had come yet."""
    with Node("--framerate", "5") as node:
        proxy = CutProxy(node.address)
        with pinhole.Camera(proxy.address, policy="every", from_sequence="next") as camera, \
                pinhole.Camera(address_of(node), policy="every", from_sequence="next") as witness:
            camera.start()
            proxy.is_open = False
            proxy.cut()
            witness.start()
            first = witness.frame(PATIENCE_S)
            witness.frame(PATIENCE_S)
            proxy.is_open = True
            frame = camera.frame(PATIENCE_S)
            assert frame.sequence <= first.sequence, (frame.sequence, first.sequence)
        proxy.close()


def break_link(proxy):
    """A camera whose link is broken, and its last frame before that."""
    camera = pinhole.Camera(proxy.address, policy="latest")
    last = camera.frame(PATIENCE_S)
    proxy.is_open = False
    proxy.cut()
    while not any(event.name == "DISCONNECTED" for event in camera.events):
        record = camera.next(PATIENCE_S)
        assert record is not None, "the break was not seen"
        last = record if isinstance(record, pinhole.Frame) else last
    return camera, last


def change_features(node, count):
    """Makes so many FEATURES events; returns their sequences and that of a frame behind them."""
    with pinhole.Camera(address_of(node), policy="every", from_sequence="next") as other:
        other.start()
        for number in range(count):
            other.features["AcquisitionFrameRate"] = 200 + number
        changes = []
        while len(changes) < count:
            record = other.next(PATIENCE_S)
            assert record is not None, changes
            if isinstance(record, pinhole.Event) and record.name == "FEATURES":
                changes.append(record.sequence)
        return changes, other.frame(PATIENCE_S).sequence


def test_latest_misses_no_event():
    """What happens while the link is down is told before the newest frame."""
    with Node() as node:
        proxy = CutProxy(node.address)
        camera, last = break_link(proxy)
        changes, newest = change_features(node, 3)
        proxy.is_open = True
        frame = camera.frame(PATIENCE_S)
        assert frame.sequence >= newest
        assert [e.sequence for e in camera.events if e.name == "FEATURES"] == changes, camera.events
        assert frame.skipped == frame.frame_id - last.frame_id - 1 > 0
        camera.close()
        proxy.close()


def test_latest_is_told_of_events_that_are_gone():
    with Node("--set", "store.memory=4M") as node:
        proxy = CutProxy(node.address)
        camera, last = break_link(proxy)
        (changed,), _ = change_features(node, 1)
        while True:
            with wire.Client(node.address) as other:
                if other.hello.sequence_oldest > changed:
                    break
            time.sleep(0.05)
        proxy.is_open = True
        frame = camera.frame(PATIENCE_S)
        gap, = (event for event in camera.events if event.name == "GAP")
        assert gap.first == last.sequence + 1 and gap.last >= changed, gap
        # Of the records in the gap one is no frame; behind it all are.
        assert frame.frame_id - last.frame_id == frame.sequence - last.sequence - 1
        assert frame.skipped == frame.sequence - gap.last - 1
        camera.close()
        proxy.close()


def test_latest_counts_what_is_skipped_beside_a_late_gap():
    """Wherever in the log the link breaks and the GAP stands: what is in it is not skipped, the
    other frames are."""
    from pinhole import _position, _records

    def record(message, read, **fields):
        layout, names = wire.FIELDS[message]
        values = {"fixed_bytes": struct.calcsize(layout), "format": 1, **fields}
        return read(struct.pack(layout, *(values.get(name, 0) for name in names.split())))

    def event(kind, sequence, first=0):
        return record(wire.EVENT, _records.read_event, kind=kind, sequence=sequence, first=first,
                      last=sequence)

    def frame(sequence):
        return record(wire.FRAME, _records.read_frame, sequence=sequence,
                      frame_id=sequence)

    position = _position.Position(_position.Wish(_position.LATEST), 0, 30)
    log = [frame(30), event(wire.CAMERA, 33), None, event(wire.CAMERA, 35),
           event(wire.GAP, 50, first=36), frame(53)]
    for each in log:
        if each is None:
            position.resume()
        else:
            assert list(position.accept(each)) == [each]
    assert log[-1].skipped == 5, log[-1].skipped  # 31, 32, 34, 51, 52
    assert (log[-1].lost.start, log[-1].lost.stop) == (31, 53), log[-1].lost


def test_node_says_where_a_subscription_begins():
    from pinhole import _link, _position
    with Node("--set", "trigger.mode=On", "--set", "trigger.source=Software") as node, \
            pinhole.Camera(address_of(node), policy="every") as camera:
        camera.trigger()  # so that the log is not empty
        camera.frame(PATIENCE_S)
        for policy in (_position.EVERY, _position.LATEST):
            for asked, wanted in ((5, 5), (_position.FROM_NEXT, None)):
                wish = _position.Wish(policy, from_sequence=asked)
                reply = camera._link.request(_link.SUBSCRIBE, _position.pack(wish, 0, asked))
                assert len(reply) == 8, reply
                start = int.from_bytes(reply, "little")
                assert wanted in (None, start), (asked, start)
        # Nothing came in between: the frame of the next trigger is the record that was promised.
        camera._link.position = _position.Position(wish, camera.boot_id, start)
        camera._link.records.clear()
        camera.trigger()
        record = camera.next(PATIENCE_S)
        assert record is not None and record.sequence == start, (record, start)


def test_node_restarts():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "node")
        with Node("--socket", path, "--listen", "", listen=None) as node:
            camera = pinhole.Camera("unix:" + path, policy="every")
            last = [camera.frame(PATIENCE_S) for _ in range(5)][-1]
            boot = camera.boot_id
        while camera.next(PATIENCE_S) is not None:
            if camera.events and camera.events[-1].name == "DISCONNECTED":
                break
        with Node("--socket", path, "--listen", "", listen=None) as node:
            frame = camera.frame(PATIENCE_S)
            assert frame.boot_id != boot and camera.boot_id == frame.boot_id
            event = next(e for e in camera.events if e.name == "BOOT")
            assert event.first > last.sequence
            camera.close()
            del node


def test_without_reconnecting():
    with Node() as node:
        proxy = CutProxy(node.address)
        camera = pinhole.Camera(proxy.address, reconnect=False)
        camera.frame(PATIENCE_S)
        proxy.is_open = False
        proxy.cut()
        try:
            while True:
                camera.frame(PATIENCE_S)
        except ConnectionError:
            pass
        proxy.close()


class Scripted:
    """A node that plays a script to each connection, the last one for ever."""

    def __init__(self, *scripts, log_end=11):
        self.log_end, self.frames = log_end, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._run, args=(scripts,), daemon=True).start()

    def _run(self, scripts):
        for number in range(100):
            link = self.listener.accept()[0]
            try:
                link.sendall(fake_node.message(fake_node.HELLO, struct.pack(
                    "<HBBIQIHHQQQQII", 64, 1, 1, 4096, 7, 1 << 20, 4, 200, 3, self.log_end, 0, 0, 0,
                    0) + b"DeviceUserID=ga\x1b[2Jte\n"))
                scripts[min(number, len(scripts) - 1)](self, link)
                while link.recv(4096):
                    pass
            except OSError:
                pass
            link.close()

    @staticmethod
    def expect(link, kind):
        header = link.recv(16, socket.MSG_WAITALL)
        assert header[5] == kind, header
        tag, length = int.from_bytes(header[12:16], "little"), int.from_bytes(header[8:12], "little")
        return tag, link.recv(length, socket.MSG_WAITALL) if length else b""

    def take_subscribe(self, link, greets=True):
        if greets:
            self.expect(link, fake_node.PING)
        tag, payload = self.expect(link, fake_node.SUBSCRIBE)
        link.sendall(fake_node.message(fake_node.SUBSCRIBE, struct.pack("<Q", 3), tag, 1))
        return struct.unpack_from("<Q", payload, 16)[0]


def event_bytes(kind, sequence, first, last, text=b""):
    return fake_node.message(fake_node.EVENT, struct.pack(
        "<HBBBBHQQQQQQQII", 72, kind, 0, 0, 0, 0, 7, sequence, 0, 0, first, last, 0, 0, 0) + text)


def await_event(camera, name):
    while True:
        record = camera.next(PATIENCE_S)
        assert record is not None, f"no {name}"
        if isinstance(record, pinhole.Event) and record.name == name:
            return record


def test_a_hung_node_is_told():
    def hung(node, link):
        node.take_subscribe(link)
        node.expect(link, fake_node.PING)

    with pinhole.Camera(Scripted(hung).address, silence=0.1) as camera:
        assert "does not answer PING" in await_event(camera, "DISCONNECTED").text
    with pinhole.Camera(Scripted(hung).address, silence=0.1, reconnect=False) as camera:
        try:
            camera.next(PATIENCE_S)
            raise AssertionError("a hung node was not noticed")
        except TimeoutError as why:
            assert "does not answer PING" in str(why)


def test_a_frame_that_drips_is_silence():
    def drip(node, link):
        node.take_subscribe(link)
        for byte in fake_node.message(fake_node.FRAME, bytes(900)):
            link.sendall(bytes([byte]))
            time.sleep(0.01)

    with pinhole.Camera(Scripted(drip).address, silence=0.1) as camera:
        assert "nothing but" in await_event(camera, "DISCONNECTED").text


def test_a_quiet_node_is_not_a_hung_one():
    def quiet(node, link):
        node.take_subscribe(link)
        tag, _ = node.expect(link, fake_node.PING)
        link.sendall(fake_node.message(fake_node.PING, b"", tag, 1))
        link.sendall(event_bytes(3, 3, 0, 0, b"still here"))

    with pinhole.Camera(Scripted(quiet).address, silence=2, reconnect=False) as camera:
        assert camera.next(PATIENCE_S).text == "still here"


def test_records_that_cannot_be_end_the_link():
    def far(node, link):
        node.take_subscribe(link)
        link.sendall(event_bytes(1, 1 << 40, 4, 1 << 40))

    with pinhole.Camera(Scripted(far).address, policy="every") as camera:
        text = await_event(camera, "DISCONNECTED").text
        assert "record 1099511627776 came, but the log ended at 11" in text, text


def test_a_position_beyond_the_log_is_given_up():
    starts = []

    def first(node, link):
        node.take_subscribe(link)
        link.sendall(event_bytes(1, 2000, 3, 2000))
        link.shutdown(socket.SHUT_WR)

    def second(node, link):
        starts.append(node.take_subscribe(link, greets=False))
        link.sendall(event_bytes(3, 3, 0, 0, b"from its beginning"))

    with pinhole.Camera(Scripted(first, second).address, policy="every") as camera:
        assert await_event(camera, "GAP").last == 2000
        assert "log is shorter" in await_event(camera, "RECONNECTED").text
        assert await_event(camera, "CAMERA").text == "from its beginning"
    assert starts == [3], starts


def test_text_from_a_node_is_safe_to_print():
    def rude(node, link):
        node.take_subscribe(link)
        link.sendall(event_bytes(3, 3, 0, 0, "a\x1b]0;b\x07c\x9bd\r<3>e".encode()))
        tag, _ = node.expect(link, fake_node.TRIGGER)
        link.sendall(fake_node.message(fake_node.ERROR, struct.pack("<HHI", 8, 10, 0) +
                                       b"no\x1b[1m\nway", tag, 1))

    with pinhole.Camera(Scripted(rude).address) as camera:
        assert camera.id == "ga [2Jte", camera.id
        assert await_event(camera, "CAMERA").text == "a ]0;b c d <3>e"
        try:
            camera.trigger()
            raise AssertionError("the refusal is missing")
        except pinhole.Unavailable as why:
            assert str(why) == "no [1m way", str(why)


def test_finding():
    with Node("--set", "node.name=gate-7") as one, Node("--set", "node.name=gate-8") as two:
        silent = "127.0.0.1:1"
        nodes = pinhole.enumerate_nodes([address_of(one), silent, address_of(two),
                                         address_of(one).replace("127.0.0.1", "localhost")], 20)
        assert [n.id for n in nodes if n.id.startswith("gate-")] == ["gate-7", "gate-8"], nodes
        assert all(n.model and n.version and n.boot_id for n in nodes), nodes
        os.environ["PINHOLE_NODES"] = f"{address_of(one)}, {address_of(two)}"
        with pinhole.Camera("id:gate-8") as camera:
            assert camera.id == "gate-8"
        try:
            pinhole.Camera("id:gate-9")
            raise AssertionError("found what is not there")
        except ConnectionError as error:
            assert "gate-9" in str(error)
        del os.environ["PINHOLE_NODES"]


def test_a_name_server_that_does_not_answer():
    """It holds up nobody beyond the time-out, and is asked once however many wait for it."""
    gate, asked, usual = threading.Event(), [], socket.getaddrinfo

    def stuck(host, *rest, **more):
        if host == "node.test":
            asked.append(host)
            gate.wait(PATIENCE_S)
            host = "127.0.0.1"
        elif host == "nobody.test":
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return usual(host, *rest, **more)

    socket.getaddrinfo = stuck
    try:
        with Node() as node:
            address = "node.test:%d" % node.address[1]
            for _ in range(2):
                try:
                    pinhole.Camera(address, timeout=0.1)
                    raise AssertionError("the name was not waited for")
                except TimeoutError as error:
                    assert "node.test" in str(error), error
            assert not [n for n in pinhole.enumerate_nodes([address], 0.1) if n.address == address]
            assert len(asked) == 1 and not gate.is_set(), asked
            gate.set()
            with pinhole.Camera(address, timeout=PATIENCE_S) as camera:
                assert camera.model
            try:
                pinhole.Camera("nobody.test", timeout=PATIENCE_S)
                raise AssertionError("a name was found that nobody has")
            except socket.gaierror:
                pass
    finally:
        gate.set()
        socket.getaddrinfo = usual


def test_standard_library_alone():
    """Frames come where NumPy is not installed; an array says what is missing."""
    program = ("import sys; sys.modules['numpy'] = None\n"
               "import pinhole\n"
               "frame = pinhole.Camera(sys.argv[1]).frame(60)\n"
               "assert len(frame.jpeg) > 100\n"
               "try: frame.array\n"
               "except ImportError as error: print(error)\n")
    with Node() as node:
        done = subprocess.run([sys.executable, "-c", program, address_of(node)], check=True,
                              stdout=subprocess.PIPE, text=True,
                              env=os.environ | {"PYTHONPATH": PACKAGE})
    assert "NumPy" in done.stdout, done.stdout


def test_types():
    if shutil.which("mypy") is None:
        return print("not run: mypy is not installed")
    with tempfile.TemporaryDirectory() as cache:
        subprocess.run(["mypy", "--strict", "--cache-dir", cache, os.path.join(PACKAGE, "pinhole")],
                       check=True)
    return None


def test_installs():
    """pip installs from the folder, without a network."""
    if not all(map(has, ("pip", "setuptools", "wheel"))):
        return print("not run: python3-pip with setuptools and wheel is not installed")
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "source"), os.path.join(folder, "target")
        shutil.copytree(PACKAGE, source)
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
                        "--no-build-isolation", "--disable-pip-version-check", "--root-user-action",
                        "ignore", "--target", target, source], check=True, cwd=folder)
        where = subprocess.run([sys.executable, "-c", "import pinhole; print(pinhole.__file__)"],
                               check=True, stdout=subprocess.PIPE, text=True, cwd=folder,
                               env=os.environ | {"PYTHONPATH": target}).stdout
        assert where.startswith(target), where
        assert os.path.exists(os.path.join(target, "pinhole", "py.typed"))
    return None


run_cases(globals())
