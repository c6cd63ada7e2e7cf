#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keys in the tools: `pinholectl keygen`, and each program at a node that gives nothing without one."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from gateway import Program  # noqa: E402
from keyed_node import KeyedNode, write_key  # noqa: E402
from mqtt import Mosquitto  # noqa: E402
from nats import Server  # noqa: E402
from pinhole_node import BUILD, PATIENCE_S, Node, run_cases, wait_for  # noqa: E402

OK, REFUSED, USAGE = 0, 1, 2


def tool(name, *arguments, home="/nowhere", **environment):
    """Runs a program to its end. HOME is where the user's own key would be."""
    clean = {name: value for name, value in os.environ.items() if name != "XDG_CONFIG_HOME"}
    return subprocess.run([f"{BUILD}/{name}", *arguments], capture_output=True, text=True, check=False,
                          timeout=PATIENCE_S, env={**clean, "HOME": home, **environment})


def is_there(program, server):
    """Whether a program was built, and the server that it needs is installed."""
    there = os.path.exists(f"{BUILD}/{program}") and \
        shutil.which(server, path=os.environ["PATH"] + ":/usr/sbin") is not None
    if not there:
        print(f"not run: no {program} or no {server}")
    return there


def address_of(node):
    return "%s:%d" % node.address


def test_keygen():
    with tempfile.TemporaryDirectory() as home:
        first, second = os.path.join(home, "first"), os.path.join(home, ".config/pinhole/key")
        made = tool("pinholectl", "keygen", first)
        assert (made.returncode, made.stdout) == (OK, first + "\n"), made
        with open(first, encoding="ascii") as file:
            text = file.read()
        assert len(bytes.fromhex(text)) == 32 and text.endswith("\n") and len(text) == 65, text
        assert stat.S_IMODE(os.stat(first).st_mode) == 0o600
        # What is there is never overwritten.
        again = tool("pinholectl", "keygen", first)
        assert again.returncode == REFUSED and "File exists" in again.stderr, again
        with open(first, encoding="ascii") as file:
            assert file.read() == text
        # Without a name it is the user's own, in folders for the user alone.
        assert tool("pinholectl", "keygen", home=home).returncode == OK
        assert stat.S_IMODE(os.stat(os.path.dirname(second)).st_mode) == 0o700
        with open(second, encoding="ascii") as file:
            assert file.read() != text
        other = os.path.join(home, "other")
        assert tool("pinholectl", "keygen", XDG_CONFIG_HOME=other).stdout == f"{other}/pinhole/key\n"
        for arguments in (("a", "b"), ("--no-such",)):
            assert tool("pinholectl", "keygen", *arguments).returncode == USAGE
        for where in ("/nowhere/key", home):
            assert tool("pinholectl", "keygen", where).returncode == REFUSED
        # The node takes it.
        with Node("--set", f"server.control_key_file={first}", "--set", "server.local=none") as node:
            assert tool("pinholectl", "-n", address_of(node), "--key-file", first,
                        "get", "Width").returncode == OK


def test_pinholectl():
    with KeyedNode() as node, tempfile.TemporaryDirectory() as home:
        def ask(*arguments, at=address_of(node)):
            return tool("pinholectl", "-n", at, *arguments, home=home)
        assert "give a key" in ask("get", "Gain").stderr
        wrong = ask("--key-file", node.wrong, "get", "Gain")
        assert wrong.returncode == REFUSED and "fits no key" in wrong.stderr, wrong
        assert ask("--key-file", node.view, "get", "Width").stdout == "320\n"
        denied = ask("set", "--key-file", node.view, "Gain=2")
        assert denied.returncode == REFUSED and "needs the role control" in denied.stderr, denied
        assert ask("set", "--key-file", node.control, "AcquisitionFrameRate=30").returncode == OK
        # The user's own key is for nodes on other machines. 0.0.0.0 is this one under a strange name.
        os.makedirs(f"{home}/.config/pinhole")
        with open(node.control, "rb") as file:
            write_key(f"{home}/.config/pinhole", "key", file.read())
        assert ask("get", "Width", at="0.0.0.0:%d" % node.address[1]).stdout == "320\n"
        assert ask("get", "Width").returncode == REFUSED


def test_an_own_key_does_not_shut_out_from_this_machine():
    with Node() as node, tempfile.TemporaryDirectory() as home:
        assert tool("pinholectl", "keygen", home=home).returncode == OK
        assert tool("pinholectl", "-n", address_of(node), "get", "Width", home=home).returncode == OK
        # Another machine's node has to prove it.
        strange = tool("pinholectl", "-n", "0.0.0.0:%d" % node.address[1], "get", "Width", home=home)
        assert strange.returncode == REFUSED and "fits no key" in strange.stderr, strange


def test_doctor_says_who_may_do_what():
    row = "   0: %s:1D17 0:0 0A 0:0 00:0 0 0 0 4242 1 0\n"
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(f"{root}/proc/net")
        os.makedirs(f"{root}/proc/7/fd")
        with open(f"{root}/proc/7/comm", "w", encoding="ascii") as file:
            file.write("pinhole\n")
        os.symlink("socket:[4242]", f"{root}/proc/7/fd/3")

        def doctor(node, *arguments, listens="00000000"):
            with open(f"{root}/proc/net/tcp", "w", encoding="ascii") as file:
                file.write("header\n" + row % listens)
            return tool("pinholectl", "-n", address_of(node), "doctor", "--root", root, *arguments)
        for role, said in (("none", "without a key they get nothing"),
                           ("view", "without a key they may see\n"),
                           ("control", "without a key they may see, set and trigger")):
            with Node("--set", f"server.anonymous={role}") as node:
                assert said in doctor(node).stdout, doctor(node).stdout
                assert "without a key" not in doctor(node, listens="0100007F").stdout
        with KeyedNode() as node:
            assert "tells nothing without a key" in doctor(node).stdout
            assert "get nothing" in doctor(node, "--key-file", node.view).stdout


def test_recorder():
    with KeyedNode() as node, tempfile.TemporaryDirectory() as folder:
        def record(*arguments):
            return tool("pinhole-rec", "-o", f"{folder}/out", "-c", "jpeg", "--quiet", "--seconds",
                        "1", *arguments, f"gate={address_of(node)}")
        assert "SUBSCRIBE needs the role view" in record().stderr
        assert "fits no key" in record("--node-key-file", node.wrong).stderr
        done = record("--node-key-file", node.view)
        assert done.returncode == OK, done
        assert any(name.endswith(".jpg") for _, _, names in os.walk(f"{folder}/out") for name in names)


def until_said(said, *command):
    """Runs a program until its log has this."""
    program = Program(f"{BUILD}/{command[0]}", *command[1:])
    try:
        wait_for(said, lambda: said in program.err() + program.out())
    finally:
        program.end()


def check_running(node, connected, name, option, *arguments):
    until_said("fits no key", name, option, node.wrong, *arguments)
    until_said(connected, name, option, node.view, *arguments)


def test_gateway():
    with KeyedNode() as node:
        check_running(node, "connected to", "pinhole-web", "--key-file", "--listen", "127.0.0.1:0",
                      "--node", address_of(node))


def test_bridge():
    if not is_there("pinhole-mqtt", "mosquitto"):
        return
    with KeyedNode() as node, Mosquitto() as broker:
        check_running(node, "connected to the node", "pinhole-mqtt", "--node-key-file", "--port",
                      str(broker.port), f"gate={address_of(node)}")


def test_relay():
    if not is_there("pinhole-relay", "nats-server"):
        return
    with KeyedNode() as node, Server() as server:
        check_running(node, "connected to the node", "pinhole-relay", "--node-key-file", "--server",
                      server.url, f"gate={address_of(node)}")


def test_bad_key_files_end_a_program():
    with tempfile.TemporaryDirectory() as folder:
        short = write_key(folder, "short", b"0123456789abcde\n")
        for name, option, *arguments in (
                ("pinholectl", "--key-file", "-n", "127.0.0.1:1", "ping"),
                ("pinhole-web", "--key-file"), ("pinhole-rec", "--node-key-file", "gate=127.0.0.1:1"),
                ("pinhole-mqtt", "--node-key-file", "gate=127.0.0.1:1"),
                ("pinhole-relay", "--node-key-file", "gate=127.0.0.1:1")):
            if not os.path.exists(f"{BUILD}/{name}"):
                continue
            for path, said in ((short, "16 to 128 bytes"), (folder + "/absent", "No such file")):
                done = tool(name, option, path, *arguments)
                assert done.returncode == USAGE and said in done.stderr, (name, done)


if __name__ == "__main__":
    run_cases(globals())
