#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The long part of pinhole-mqtt's tests, for `make check-mqtt`:
    check.py [PART...]       default: all parts, see PARTS at the end
Real brokers of this system's packages, on loopback. One line a check, with what was measured; last
line "N passed, N failed". MQTT_SEED repeats the random moments of a run."""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
from contextlib import ExitStack

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
import pinhole_wire as wire  # noqa: E402
from cut_proxy import CutProxy  # noqa: E402
from mqtt import (PERSISTENT, Bridge, Mosquitto, Nats, RabbitMQ, Subscriber, ROOT,  # noqa: E402
                  frame_header)
from pinhole_node import Node, cpu_s, free_port, wait_for  # noqa: E402

SEED = int(os.environ.get("MQTT_SEED", time.time_ns() % 1000000))


def address_of(node):
    return f"127.0.0.1:{node.address[1]}"


# --- outages ------------------------------------------------------------------------------------

class Outages:
    """Breaks the broker, the bridge and the network between them at random moments, one at a time."""

    def __init__(self, broker, bridge, proxy, each):
        self.broker, self.bridge, self.proxy = broker, bridge, proxy
        self.plan = [self.kill_broker, self.kill_bridge, self.cut] * each
        self.chance = random.Random(SEED)
        self.chance.shuffle(self.plan)
        self.is_over, self.error = False, None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            for action in self.plan:
                time.sleep(self.chance.uniform(0.2, 2.2))
                action()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error
        self.is_over = True

    def kill_broker(self):
        self.broker.kill()
        time.sleep(self.chance.uniform(0, 0.6))
        self.broker.start()

    def kill_bridge(self):
        self.bridge.kill()
        time.sleep(self.chance.uniform(0, 0.6))
        self.bridge.start()

    def cut(self):
        self.proxy.is_open = False
        self.proxy.cut()
        time.sleep(self.chance.uniform(0, 0.6))
        self.proxy.is_open = True


def trigger_thousand(node, count, until):
    """`count` triggers or as many as it takes until the outages are over. Their ids."""
    with wire.Client(node.address) as client:
        ids = []
        while len(ids) < count or not until():
            try:
                ids.append(client.trigger())
            except wire.Refused:
                pass  # too many wait for their frames
            time.sleep(0.05)
        return ids


def judge_outages(ids, sink):
    """What the subscriber has, after duplicates by (boot, sequence) are removed."""
    outcomes, pictures, doubles = {}, {}, 0
    gaps = [m.json for m in sink.of("/event") if m.json["event"] in ("GAP", "REFUSED")]
    seen = set()
    for message in sink.of("/trigger"):
        key = message.json["boot_id"], message.json["sequence"]
        doubles += key in seen
        if key in seen:
            continue
        seen.add(key)
        for identifier in range(message.json["trigger_id"], message.json["trigger_last"] + 1):
            outcomes.setdefault(identifier, []).append(message.json["outcome"])
    for message in sink.of("/frame"):
        facts = message.properties[38]
        pictures.setdefault(int(facts["trigger_id"]), {})[facts["boot_id"], facts["sequence"]] = \
            message.payload
        assert len(message.payload) == int(facts["bytes"])
    missing = [i for i in ids if i not in outcomes]
    twice = [i for i, found in outcomes.items() if len(found) != 1]
    bare = [i for i, found in outcomes.items()
            if found == ["MATCHED"] and len(pictures.get(i, {})) != 1]
    return missing, twice, bare, gaps, doubles, outcomes


def part_outages():
    """1,000 triggers while broker, bridge and network break 20 times each."""
    print(f"  MQTT_SEED={SEED}")
    with Mosquitto(PERSISTENT, root=ROOT) as broker, \
            Node("--set", "trigger.mode=On", "--set", "store.memory=256M") as node, \
            Subscriber(broker.port, "pinhole/cam/#", version=5, clean=False) as sink:
        proxy = CutProxy(("127.0.0.1", broker.port))
        with Bridge(int(proxy.address.split(":")[1]), "--policy", "every", "--reconnect-max-s", "1",
                    f"cam={address_of(node)}") as bridge:
            wait_for("a start", lambda: "starting with the newest" in bridge.log and
                     "connected to the node" in bridge.log)
            time.sleep(1)
            outages = Outages(broker, bridge, proxy, 20)
            ids = trigger_thousand(node, 1000, lambda: outages.is_over)
            assert outages.error is None, outages.error
            try:
                wait_for("every outcome", lambda: not judge_outages(ids, sink)[0] and
                         not judge_outages(ids, sink)[2], 60)
            except AssertionError:
                pass
            missing, twice, bare, gaps, doubles, outcomes = judge_outages(ids, sink)
            assert not missing and not twice and not bare and not gaps, \
                f"missing {missing}, twice {twice}, without picture {bare}, gaps {gaps}\n{bridge.log}"
            kinds = {name: sum(found == [name] for found in outcomes.values())
                     for name in sorted({found[0] for found in outcomes.values()})}
            print(f"  {len(ids)} triggers, outcomes {kinds}, 20 kills of the broker, 20 of the "
                  f"bridge, 20 cuts: none missing, none twice; {doubles} duplicates were removed")
        proxy.close()


def part_evicted():
    """The broker is away for longer than the node can hold: what is gone is told, number by number."""
    with Mosquitto(PERSISTENT, root=ROOT) as broker, \
            Node(*LARGE, "--set", "jpeg.quality=95", small=False) as node, \
            Subscriber(broker.port, "pinhole/cam/#", version=5, clean=False) as sink, \
            Bridge(broker.port, "--policy", "every", "--reconnect-max-s", "1",
                   f"cam={address_of(node)}") as bridge:
        sink.wait("/frame/meta", 10)
        broker.kill()
        with wire.Client(node.address) as client:
            client.subscribe(policy=wire.EVERY)
            held = client.next().sequence
            wait_for("the store to turn over twice", lambda: client.next().sequence > held + 1000)
        broker.start()
        sink.wait("/event")
        sink.wait("/frame/meta", len(sink.of("/frame/meta")) + 40)
        gaps = [m.json for m in sink.of("/event") if m.json["event"] == "GAP"]
        gone = {n for gap in gaps for n in range(gap["first"], gap["last"] + 1)}
        came = {m.json["sequence"] for ending in ("/frame/meta", "/trigger", "/event")
                for m in sink.of(ending) if m.json.get("event") != "GAP"}
        unknown = set(range(min(came), max(came))) - came - gone
        # What was on its way when the broker was killed may have arrived: the bridge cannot know.
        assert gone and not unknown and len(gone & came) <= 8, \
            (gaps, sorted(unknown), sorted(gone & came), bridge.log)
        print(f"  {len(came)} records arrived, {len(gone)} were gone and are in {len(gaps)} GAP, none "
              f"is in neither; {len(gone & came)} had arrived and the bridge could not know")


# --- cost ---------------------------------------------------------------------------------------

LARGE = ("--set", "camera.width=1920", "--set", "camera.height=1080", "--set",
         "camera.framerate=30", "--set", "jpeg.frame_bytes_max=1M", "--set", "store.memory=64M")


def part_stalled():
    """The broker is stopped for 60 s at 30 frames/s of some 200 KB, under both QoS of `latest`."""
    with Mosquitto() as broker, Node(*LARGE, "--set", "jpeg.quality=95", small=False) as node, \
            Subscriber(broker.port, "pinhole/+/frame", version=5) as sink, \
            Bridge(broker.port, "--qos", "0", f"zero={address_of(node)}") as zero, \
            Bridge(broker.port, "--qos", "1", f"one={address_of(node)}") as one:
        bridges = {"zero": zero, "one": one}
        for name in bridges:
            sink.wait(f"/{name}/frame", 60)
        before = {name: bridge.resident_bytes() for name, bridge in bridges.items()}
        sizes = [len(m.payload) for m in sink.of("/frame")]
        broker.pause()
        peak = dict(before)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for name, bridge in bridges.items():
                peak[name] = max(peak[name], bridge.resident_bytes())
            time.sleep(0.2)
        count = len(sink.of("/frame"))
        resumed = time.time()
        broker.resume()
        wait_for("pictures of both", lambda: all(
            len([m for m in sink.of(f"/{name}/frame")[-40:] if m.received > resumed and
                 age_of(m) < 1]) >= 20 for name in bridges))
        print(f"  pictures of {sum(sizes) // len(sizes)} bytes")
        for name in bridges:
            later = [m for m in sink.messages[count:] if m.topic.endswith(f"/{name}/frame")]
            old = [m for m in later if age_of(m) > 1]
            fresh = [m for m in later if age_of(m) <= 1]
            print(f"  QoS {'01'[name == 'one']}: memory {before[name] >> 10} KiB before, at most "
                  f"{peak[name] >> 10} KiB; after SIGCONT {len(old)} picture that was on its way, "
                  f"then fresh: oldest of the next 20 is {max(map(age_of, fresh[:20])):.2f} s")
            assert peak[name] <= 16 << 20 and len(old) <= 1, (peak, len(old))
            assert later.index(fresh[0]) == len(old)
        assert not [line for line in node.log.splitlines() if "slow" in line or "lost" in line or
                    "dropped" in line], node.log


def metrics(bridge, name):
    """Sum of a counter over the bridge's nodes."""
    url = bridge.wait_log(r"metrics on (http://\S+)").group(1)
    with urllib.request.urlopen(url, timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(line.split()[-1]) for line in lines
               if line.startswith(f"pinhole_mqtt_{name}{{"))


def age_of(message):
    return message.received - int(message.properties[38]["realtime_ns"]) / 1e9


def bare_loop(folder, *arguments):
    """CPU time a frame of publish_loop.c with these arguments, in microseconds."""
    program = os.path.join(folder, "publish_loop")
    if not os.path.exists(program):
        subprocess.run(["cc", "-O2", "-I.", "-o", program, "tests/host/mqtt/publish_loop.c",
                        "net/wire.c", "-lmosquitto"], check=True)
    done = subprocess.run([program, *map(str, arguments)], stdout=subprocess.PIPE, text=True,
                          timeout=300, check=True)
    return float(done.stdout)


def one_picture(node):
    with wire.Client(node.address) as client:
        client.subscribe(policy=wire.LATEST)
        while (record := client.next()).type != wire.FRAME:
            pass
        return record.data


def sent_with_it(broker, node):
    """What a bridge sends with a picture: its user properties, and the length of its meta text."""
    with Subscriber(broker.port, "pinhole/+/frame/#", version=5) as sink, \
            Bridge(broker.port, f"cam={address_of(node)}"):
        picture, meta = sink.wait("/cam/frame")[0], sink.wait("/cam/frame/meta")[0]
        return [f"{name}={value}" for name, value in picture.properties[38].items()], len(meta.payload)


def bridge_us(broker, node, qos, seconds):
    """CPU time a frame of a bridge, in microseconds, and how many frames it sent."""
    with Bridge(broker.port, "--qos", str(qos), f"cam={address_of(node)}", "--state-interval-s",
                "86400", "--metrics-listen", "127.0.0.1:0") as bridge:
        wait_for("pictures", lambda: metrics(bridge, "frames_published_total") >= 10)
        used, counted = cpu_s(bridge.process.pid), metrics(bridge, "frames_published_total")
        time.sleep(seconds)
        used = cpu_s(bridge.process.pid) - used
        counted = metrics(bridge, "frames_published_total") - counted
        return used / counted * 1e6, counted


def part_cpu():
    """CPU of the bridge a 1080p frame, beside bare loops of mosquitto_publish_v5() that take turns
    with it: of the bytes that the bridge sends too, a picture of the node with its properties and a
    text; of the picture alone; of a picture that is in memory."""
    seconds, rate, rounds = 4, 30, 8
    for qos in (0, 1):
        with Mosquitto("max_inflight_messages 0\n") as broker, Node(*LARGE, small=False) as node, \
                tempfile.TemporaryDirectory() as folder:
            picture = one_picture(node)
            properties, text = sent_with_it(broker, node)
            size, path = len(picture), os.path.join(folder, "picture")
            with open(path, "wb") as file:
                file.write(picture)
            turns = []
            for _ in range(rounds):
                mine, counted = bridge_us(broker, node, qos, seconds)
                of_node = "node", broker.port, counted, qos, node.address[1]
                turns.append((mine, bare_loop(folder, *of_node, text, *properties), bare_loop(folder, *of_node, 0),
                              bare_loop(folder, "file", broker.port, counted, qos, path, size, rate)))
            print(f"  QoS {qos}, {size} bytes, us a frame in {rounds} turns:")
            names = "bridge", "same bytes", "picture alone", "picture in memory"
            # Of the two of a turn, because the machine's neighbours slow both.
            ratios = [sorted(turn[0] / turn[i] for turn in turns) for i in range(len(names))]
            for name, column, of_turns in zip(names, zip(*turns), ratios):
                print(f"    {name:17} median {statistics.median(column):.0f}: bridge "
                      f"{statistics.median(of_turns):.2f} x ({of_turns[0]:.2f} to {of_turns[-1]:.2f})",
                      flush=True)
            assert statistics.median(ratios[1]) <= 1.25, "a copy or a wake-up too many"


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def run_many(count, bridges, seconds=30):
    """`count` simulated nodes through that many bridges. What they cost while pictures come."""
    latencies = []

    def note(message):
        latencies.append(age_of(message))

    nodes = subprocess.Popen([sys.executable, "tests/host/mqtt/many_nodes.py", str(count), "40000",
                              "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    addresses = [f"n{i}={a}" for i, a in enumerate(nodes.stdout.readline().split())]
    with Mosquitto() as broker, ExitStack() as stack, \
            Subscriber(broker.port, "pinhole/+/frame", version=5, qos=0, keep=False) as sink:
        share = count // bridges
        running = [stack.enter_context(Bridge(broker.port, *addresses[i * share:(i + 1) * share]))
                   for i in range(bridges)]
        wait_for("pictures of all", lambda: len(sink.counts) == count, 120)
        pids = [bridge.process.pid for bridge in running]
        sink.on_message = note
        used, start = cpu_s(*pids), time.monotonic()
        time.sleep(seconds)
        used, took = cpu_s(*pids) - used, time.monotonic() - start
        memory = sum(bridge.resident_bytes() for bridge in running)
        sink.on_message = None
    nodes.stdin.close()
    nodes.wait(30)
    assert len(latencies) > 0.8 * count * seconds, len(latencies)
    return (f"{len(latencies) / took:.0f} pictures/s, {used / took * 100:.1f} % of a core, "
            f"{memory / 2**20:.1f} MiB private memory, latency median "
            f"{percentile(latencies, 0.5) * 1e3:.1f} ms, p99 {percentile(latencies, 0.99) * 1e3:.1f} ms")


def part_many():
    """200 nodes of one picture of 40 KB a second: through one bridge, and through 200."""
    for bridges in (1, 200):
        print(f"  200 nodes, {bridges} bridge(s): {run_many(200, bridges)}", flush=True)


def run_tests(script):
    """A script of `make test`, with the cases that wait for time to pass."""
    done = subprocess.run([sys.executable, f"tests/host/mqtt/{script}"], text=True,
                          env=os.environ | {"PINHOLE_MQTT_LONG": "1"}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    for line in done.stdout.splitlines():
        if line.startswith(("ok", "FAIL", "not ")):
            print(f"  {line}", flush=True)
    assert done.returncode == 0, done.stdout


def part_receivers():
    """Photographs at mosquitto_sub, Python and MicroPython's interface; Home Assistant's messages."""
    run_tests("test_mqtt_examples.py")
    run_tests("test_mqtt_discovery.py")


def part_refusals():
    """What brokers refuse, what networks do, and what settings may not be."""
    run_tests("test_mqtt_refusals.py")
    run_tests("test_mqtt.py")


# --- brokers ------------------------------------------------------------------------------------

NAMES = ("line 1.5/a+b#c", "cam_1", "Käse $x*")
LEVELS = ("line_201_2e5_2fa_2bb_23c", "cam__1", "K_c3_a4se_20_24x_2a")


def show_bytes(broker, spoken):
    """Under each policy every name's pictures arrive byte for byte, on the same topics."""
    with Node("--set", "camera.framerate=20", "--set", "store.memory=64M") as node, \
            wire.Client(node.address) as client:
        for policy in ("latest", "every"):
            arguments = [f"{name}={address_of(node)}" for name in NAMES]
            with Subscriber(broker.port, "pinhole/#", qos=1) as sink, \
                    Bridge(broker.port, "--policy", policy, "--qos", "1", "--payload", "header",
                           "--client-id", f"p{policy}", *arguments) as bridge:
                bridge.wait_log(f"connected to the broker .*, MQTT {spoken}")
                for level in LEVELS:
                    sink.wait(f"pinhole/{level}/frame", 20)
                seen = {}
                for message in sink.of("/frame"):
                    fields, jpeg = frame_header(message.payload)
                    seen[fields["sequence"]] = jpeg
                client.subscribe(policy=wire.EVERY, start=min(seen))
                compared = 0
                while compared < len(seen):
                    record = client.next()
                    if record.type == wire.FRAME and record.sequence in seen:
                        assert record.data == seen[record.sequence], record.sequence
                        compared += 1
                    assert record.sequence <= max(seen), (record.sequence, compared, len(seen))
                topics = {m.topic.split("/")[1] for m in sink.of("/frame")}
                assert topics == set(LEVELS), topics
                log = bridge.log
        return log


def show_goes_on(broker):
    """The position survives the bridge, at this broker."""
    with Node("--set", "camera.framerate=20", "--set", "store.memory=64M") as node, \
            Subscriber(broker.port, "pinhole/on/#", clean=False) as sink, \
            Bridge(broker.port, "--policy", "every", f"on={address_of(node)}") as bridge:
        sink.wait("/position", 3)
        bridge.kill()
        time.sleep(0.5)
        bridge.start()
        bridge.wait_log("going on behind record")
        sink.wait("/frame/meta", len(sink.of("/frame/meta")) + 40)
        records = {m.json["sequence"] for ending in ("/frame/meta", "/event", "/trigger")
                   for m in sink.of(ending)}
        missing = set(range(min(records), max(records))) - records
        assert not missing, sorted(missing)


def show_broker(name, broker, spoken):
    log = show_bytes(broker, spoken)
    show_goes_on(broker)
    said = [line for line in log.splitlines() if "no MQTT 5" in line]
    print(f"  {name}: MQTT {spoken}, pictures byte for byte under both policies, names reversible, "
          f"position kept; fall-back said {len(said)} x", flush=True)
    assert len(said) == (spoken != "5"), log


def part_brokers():
    """mosquitto, RabbitMQ and NATS of this release, each with pictures under both policies."""
    versions = {"mosquitto": "5", "RabbitMQ": os.environ.get("MQTT_RABBITMQ_SPEAKS", "3.1.1"),
                "NATS": os.environ.get("MQTT_NATS_SPEAKS", "3.1.1")}
    for kind in (Mosquitto, Nats, RabbitMQ):
        name = {"Nats": "NATS"}.get(kind.__name__, kind.__name__)
        name = name.lower() if name == "Mosquitto" else name
        with kind(PERSISTENT if kind is Mosquitto else "", root=ROOT) as broker:
            show_broker(name, broker, versions[name])


# --- clusters -----------------------------------------------------------------------------------

def show_cluster(name, members):
    """Records go in at one member and come out at another, while the first is killed with -9 and
    started again three times."""
    chance = random.Random(SEED)
    with Node("--set", "camera.framerate=10", "--set", "store.memory=128M") as node, \
            Subscriber(members[1].port, "pinhole/cam/#", client_id="far", clean=False) as sink, \
            Bridge(members[0].port, "--policy", "every", "--reconnect-max-s", "1",
                   f"cam={address_of(node)}") as bridge:
        sink.wait("/frame/meta", 10)
        for _ in range(3):
            time.sleep(chance.uniform(1, 3))
            members[0].kill()
            time.sleep(chance.uniform(0.5, 2))
            members[0].start()
            sink.wait("/frame/meta", len(sink.of("/frame/meta")) + 20, 120)
        sink.wait("/frame/meta", len(sink.of("/frame/meta")) + 20, 120)
        records = {m.json["sequence"] for ending in ("/frame/meta", "/event", "/trigger")
                   for m in sink.of(ending) if m.json.get("event") != "GAP"}
        gaps = [m.json for m in sink.of("/event") if m.json["event"] == "GAP"]
        missing = set(range(min(records), max(records))) - records
        print(f"  {name}: {len(records)} records through a member killed 3 times: {len(missing)} "
              f"missing, {len(gaps)} gaps told", flush=True)
        assert not missing and not gaps, (sorted(missing), gaps, bridge.log)


def part_clusters():
    """RabbitMQ of two nodes, NATS of three servers."""
    ports = [free_port() for _ in range(3)]
    with ExitStack() as stack:
        servers = [stack.enter_context(Nats(name=f"s{i}", cluster=port, root=ROOT, wait=False,
                                            routes=[p for p in ports if p != port]))
                   for i, port in enumerate(ports)]
        for server in servers:
            server.wait_listening()
        show_cluster("NATS, three servers", servers)
    with RabbitMQ(root=ROOT) as one, RabbitMQ(root=ROOT, epmd=one.epmd) as two:
        two.control("stop_app")
        two.control("join_cluster", one.name)
        two.control("start_app")
        two.wait_listening()
        show_cluster("RabbitMQ, two nodes", [two, one])


PARTS = {name[5:]: part for name, part in list(globals().items()) if name.startswith("part_")}


def main():
    chosen = sys.argv[1:] or list(PARTS)
    passed = failed = 0
    for name in chosen:
        start = time.monotonic()
        try:
            PARTS[name]()
            passed += 1
            print(f"ok      {name} ({time.monotonic() - start:.0f} s)", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print(f"FAILED  {name} ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
