#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The page that sets other SDKs beside ours: its lines stand in the examples, the examples build
against the installed header and run against a node, and the recipes for players work."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[".."] * 3))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tests", "host", "support"))
from gateway import Gateway  # noqa: E402
from pinhole_node import BUILD, Node, run_cases  # noqa: E402

EXAMPLES = os.path.join(ROOT, "tools", "examples")
PAGE = open(os.path.join(ROOT, "net", "client", "SDK.md"), encoding="utf-8").read()
LIMIT_S = 120
# Debian's NumPy belongs to Debian's Python, whichever `python3` is first.
PYTHON = next(p for p in ("/usr/bin/python3", sys.executable) if os.path.exists(p))


def address_of(node):
    return "%s:%d" % node.address


def squeeze(text):
    return re.sub(r"\s+", " ", text)


def test_each_line_stands_in_an_example():
    sources = squeeze(" ".join(open(os.path.join(EXAMPLES, name), encoding="utf-8").read()
                               for name in sorted(os.listdir(EXAMPLES))))
    rows = [row for row in PAGE.splitlines() if row.startswith("| ") and "`" in row]
    lines = []
    for row in rows:
        cells = re.split(r"(?<!\\)\|", row)
        lines += re.findall(r"`([^`]+)`", cells[4])
    assert len(rows) >= 25 and len(lines) >= len(rows), (len(rows), len(lines))
    absent = [line for line in lines if squeeze(line) not in sources]
    assert not absent, absent


def stage(folder):
    """What `make install` gives a program: header and library, in folders of their own."""
    for kind in ("include", "lib"):
        os.mkdir(os.path.join(folder, kind))
    shutil.copy(os.path.join(ROOT, "net", "client", "pinhole.h"), os.path.join(folder, "include"))
    library = os.path.join(folder, "lib", "libpinhole.so.1")
    shutil.copy(os.path.join(BUILD, "libpinhole.so.1"), library)
    os.symlink("libpinhole.so.1", os.path.join(folder, "lib", "libpinhole.so"))


def compile_one(folder, name, compiler, *flags):
    source = os.path.join(EXAMPLES, name + ".c")
    checks = ["-fsanitize=address,undefined"] if os.environ.get("SAN") else []
    program = os.path.join(folder, name)
    subprocess.run([*compiler, *flags, "-Wall", "-Wextra", "-Wpedantic", "-Werror", *checks,
                    f"-I{folder}/include", source, f"-L{folder}/lib", f"-Wl,-rpath,{folder}/lib",
                    "-lpinhole", "-lpthread", "-o", program], check=True)
    return program


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT_S,
                          check=False)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout, done.stderr.decode()


def test_examples_in_c():
    compiler = [os.environ.get("CC") or "cc"]
    with tempfile.TemporaryDirectory() as folder, Node("--set", "node.name=gate-7") as node:
        stage(folder)
        programs = {name: compile_one(folder, name, compiler, "-std=c99")
                    for name in ("pull", "callback", "still")}
        out, err = run(programs["callback"], address_of(node), "12")
        frames = [int(n) for n in re.findall(rb"frame (\d+),", out)]
        assert len(frames) == 12 and frames == sorted(set(frames)), (out, err)

        out, err = run(programs["still"], address_of(node))
        assert "gate-7" in err and err.count("image 0") == 2 and "image 2" in err, err
        assert out.count(b"\xff\xd8\xff") >= 4 and out.endswith(b"\xff\xd9")

    with tempfile.TemporaryDirectory() as folder, Node() as node:
        stage(folder)
        program = compile_one(folder, "pull", compiler, "-std=c99")
        done = subprocess.run([program, address_of(node), "5"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False)
        if "without TurboJPEG" in done.stderr:
            return print("not run to its end: " + done.stderr.strip())
        assert done.returncode == 0, done
        assert re.search(r"size 320x240, width \d+ to \d+ by 2", done.stdout), done.stdout
        assert len(re.findall(r"^frame .* exposure \d+ us, gain 1.500", done.stdout, re.M)) >= 3
        assert "mirrored 1, quality 75" in done.stdout, done.stdout
        assert len(re.findall(r"976 bytes a row", done.stdout)) == 5, done.stdout
    return None


def test_header_in_cplusplus():
    if shutil.which("g++") is None:
        return print("not run: g++ is not installed")
    text = ('#include <pinhole.h>\nint main() { pinhole_record r; pinhole_feature f;\n'
            'return pinhole_copy_next(nullptr, 0, nullptr, nullptr, &r) + '
            'pinhole_features(nullptr, &f, 1); }\n')
    subprocess.run(["g++", "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Wold-style-cast",
                    "-Wzero-as-null-pointer-constant", "-Werror", "-fsyntax-only",
                    f"-I{ROOT}/net/client", "-x", "c++", "-"], input=text, text=True, check=True)
    return None


def test_only_prefixed_names_are_exported():
    table = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions",
                            os.path.join(BUILD, "libpinhole.so.1")], stdout=subprocess.PIPE,
                           text=True, check=True).stdout
    names = [line.split()[-1] for line in table.splitlines() if " A " not in line]
    assert len(names) >= 40, names
    wrong = [name for name in names if not re.fullmatch(r"pinhole_\w+@@PINHOLE_0", name)]
    assert not wrong, wrong
    declared = set(re.findall(r"\b(pinhole_\w+)\(", re.sub(
        r"static inline.*?\n}\n", "", open(f"{ROOT}/net/client/pinhole.h", encoding="utf-8").read(),
        flags=re.S).split("#define PINHOLE_API")[1]))
    exported = {name.split("@")[0] for name in names}
    assert exported <= declared, exported - declared


def test_example_in_python():
    if subprocess.run([PYTHON, "-c", "import numpy"], stderr=subprocess.DEVNULL,
                      check=False).returncode != 0:
        return print("not run: python3-numpy is not installed")
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        out = subprocess.run([PYTHON, os.path.join(EXAMPLES, "frames.py"), address_of(node)],
                             stdout=subprocess.PIPE, text=True, cwd=folder, timeout=LIMIT_S,
                             check=True, env=os.environ | {
                                 "PYTHONPATH": os.path.join(ROOT, "tools", "python")}).stdout
        assert len(re.findall(r"\((?:120, 160), 3\) \d+ bytes", out)) == 5, out
        with open(os.path.join(folder, "still.jpg"), "rb") as file:
            assert file.read(3) == b"\xff\xd8\xff"
    return None


PAGES = ("README.md", "net/client/SDK.md", "tools/web/README.md")


def recipes():
    """The commands for players that the pages show, and the programs in Python."""
    commands, programs = [], []
    for page in PAGES:
        with open(os.path.join(ROOT, page), encoding="utf-8") as file:
            text = file.read()
        commands += re.findall(r"^(?:ffplay|mpv|ffmpeg|curl) [^#\n]*http[^#\n]*", text, re.M)
        programs += [f"import cv2\ncapture = {call}\nok, picture = capture.read()\n"
                     for call in re.findall(r"cv2\.VideoCapture\([^)]*\)", text)]
    return [shlex.split(command) for command in commands], programs


# What a machine without a screen needs besides, and what ends an endless stream.
HEADLESS = {
    "ffplay": ([], {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}),
    "mpv": (["--vo=null", "--ao=null", "--frames=20"], {}),
    "ffmpeg": (["-y", "-nostdin", "-loglevel", "error"], {}),
    "curl": (["--fail", "--silent", "--show-error"], {}),
}


def play_for_a_while(command, folder, environment):
    """Until the player's clock runs; what it wrote."""
    path = os.path.join(folder, "ffplay.log")
    with open(path, "wb") as log:
        player = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, env=environment,
                                  stdout=log, stderr=log)
    try:
        for _ in range(LIMIT_S * 10):
            with open(path, encoding="utf-8", errors="replace") as file:
                out = file.read()
            if re.search(r"(?:^|\s)(?:[1-9]\d*\.\d+|0\.\d*[1-9]\d*) (?:M-V|A-V|M-A):", out):
                return out
            assert player.poll() is None, out[-3000:]
            time.sleep(0.1)
        raise AssertionError(out[-3000:])
    finally:
        player.kill()
        player.wait()


def run_pipe(command, reader, folder):
    """A recipe whose output goes on to another program, where that is installed."""
    if shutil.which(reader[0]) is None:
        return
    done = subprocess.run([*command, *HEADLESS[command[0]][0]], cwd=folder, capture_output=True,
                          timeout=LIMIT_S, check=True)
    read = subprocess.run(reader, input=done.stdout, capture_output=True, timeout=LIMIT_S, check=False)
    assert read.returncode == 0 and read.stdout.strip(), (reader, read)


def run_recipe(command, folder):
    if "|" in command:
        bar = command.index("|")
        run_pipe(command[:bar], command[bar + 1:], folder)
        return
    name = command[0]
    arguments, environment = HEADLESS[name]
    environment = os.environ | environment
    if name == "ffplay":
        out = play_for_a_while(command, folder, environment)
        assert "Video: mjpeg" in out and "320x240" in out, out
        return
    if name == "ffmpeg":  # the output's options go before it, the others first
        if "-frames:v" not in command:
            command[-1:-1] = ["-frames:v", "30"]
        command[1:1] = arguments
    else:
        command += arguments
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False, env=environment)
    out = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, (command, out[-3000:])
    if name == "mpv":
        assert "(+) Video" in out and "mjpeg" in out, out
    if name == "ffmpeg":
        count = subprocess.run(
            ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames",
             "-of", "csv=p=0", os.path.join(folder, command[-1])], stdout=subprocess.PIPE,
            text=True, check=True).stdout.strip()
        assert count == "30", count
    if "-o" in command and "snapshot" in " ".join(command):
        with open(os.path.join(folder, command[command.index("-o") + 1]), "rb") as file:
            assert file.read(3) == b"\xff\xd8\xff"


def test_recipes():
    commands, programs = recipes()
    names = {command[0] for command in commands}
    assert names == set(HEADLESS) and len(commands) >= 8 and len(programs) >= 2, commands
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        web = Gateway(address_of(node)).wait_ready()

        def local(text):
            return re.sub(r"(?:127\.0\.0\.1|HOST|raspberrypi\.local):8080", f"127.0.0.1:{web.port}", text)
        has_opencv = subprocess.run([PYTHON, "-c", "import cv2"], stderr=subprocess.DEVNULL,
                                    check=False).returncode == 0
        for program in programs if has_opencv else []:
            program = local(program) + "assert ok and picture.shape == (240, 320, 3), picture\n"
            subprocess.run([PYTHON, "-c", program], check=True, timeout=LIMIT_S)
        if not has_opencv:
            print("not run: python3-opencv is not installed")
        # Those with curl last: one of them switches triggers on, and then few frames come.
        for command in sorted(commands, key=lambda words: words[0] == "curl"):
            if shutil.which(command[0]) is None:
                print(f"not run: {command[0]} is not installed")
                continue
            print("    " + " ".join(command), flush=True)
            run_recipe([local(word) for word in command], folder)
        web.end()


run_cases(globals())
