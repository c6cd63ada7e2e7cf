#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The project's own rules for its sources, checked by `make lint`:

  includes  who may include whom, and which file may include which third-party header
  size      a source file over 600 lines is a warning: is it still one thing?
  licence   an SPDX line on top of every source and script
  headers   every declaration in a header of hal/, net/ and app/ has a comment
  comments  /** */ on what is declared, // inside functions and on top of files
  sizeof    parentheses are for types: sizeof x, sizeof(struct x)
  booleans  the name of a bool begins like a predicate: is_, has_, can_, ...

The rule that needs a compiler is in dialect.query. `lint-rules.py` checks the checkout;
`lint-rules.py --self-test` shows that each rule can fail.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

SOURCES = tuple(f"{top}/**/*.{end}" for top in ("hal", "net", "app", "board", "tools", "tests/host")
                for end in ("c", "h", "cpp", "hpp"))
DEFINITIONS = ("app/**/*.def", "net/**/*.def", "hal/**/*.def", "tools/**/*.def")
SCRIPTS = tuple(f"{top}/**/*.{end}" for top in ("tools", "tests/host", "board")
                for end in ("sh", "py", "js", "css", "html")) + (".ci/run", "Makefile") + DEFINITIONS
LINES_MAX = 600
PREDICATES = ("is are was were has have had can may must should will does did wants needs knows said says"
              " announces holds keeps uses takes frees waits shows").split()
# Terms of the field: a line's level, and options that rpicam-apps and libgpiod name so.
BOOLEANS = {"level", "active_low", "hflip", "vflip"}

# What is not the project's own, not here and not in the table of rooms is an unknown dependency.
LIBC = re.compile(
    r"^(assert|ctype|dirent|dlfcn|endian|errno|fcntl|fenv|float|fnmatch|ftw|getopt|glob|grp|ifaddrs|inttypes"
    r"|libgen|limits|link|locale|malloc|math|netdb|poll|pthread|pwd|sched|semaphore|setjmp|signal|spawn"
    r"|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|syscall"
    r"|termios|threads|time|ucontext|unistd|wchar)\.h$"
    r"|^(arpa|linux|net|netinet|sys|asm|bits)/|^(arm_neon|emmintrin|immintrin|tmmintrin|x86intrin)\.h$")
# C++'s library, for the one C++ file; tests of the C API from C++ do not exist.
LIBCXX = re.compile(r"^[a-z_]+$")


def rooms(root):
    """The table of rooms in CONTRIBUTING.md: folder -> (globs of own headers, of libraries')."""
    table = {}
    for line in read(root / "CONTRIBUTING.md").splitlines():
        cells = [re.findall(r"`([^`]+)`", cell) for cell in line.split("|")]
        if len(cells) == 6 and cells[1] and cells[1][0].endswith("/"):
            table[cells[1][0].rstrip("/")] = (cells[3], cells[4])
    return table


def room_of(path, table):
    """The innermost room that holds the file, or None."""
    return next((str(folder) for folder in path.parents if str(folder) in table), None)


def is_given(header, globs):
    """Does one of the globs name the header? A glob that ends in "/" means the headers in that
    folder; a star stops at a "/"."""
    return any(re.fullmatch(re.escape(glob + "*" * glob.endswith("/")).replace(r"\*", "[^/]*")
                            if glob != "*" else ".*", header) for glob in globs)


def check_includes(root):
    table = rooms(root)
    for path in files(root, SOURCES + DEFINITIONS):
        room = room_of(path, table)
        if room is None:
            yield f"{path}:1: its folder is not in CONTRIBUTING.md's table of rooms"
            continue
        own, libraries = table[room]
        for number, line in enumerate(read(root / path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not match:
                continue
            where, header = f"{path}:{number}", match.group(2)
            if match.group(1) == '"':
                if not (root / header).exists():
                    yield f'{where}: "{header}" is not a path from the root'
                elif room_of(Path(header), table) != room and not is_given(header, own):
                    yield f'{where}: {room}/ may not include "{header}"'
            elif not is_given(header, libraries) and not LIBC.match(header) and not (
                    path.suffix in (".cpp", ".hpp") and LIBCXX.match(header)):
                yield f"{where}: {room}/ may not include <{header}>"


def check_size(root):
    for path in files(root, SOURCES):
        lines = read(root / path).count("\n")
        if lines > LINES_MAX:
            yield f"{path}: {lines} lines, over {LINES_MAX}"


def check_licence(root):
    for path in files(root, SOURCES + SCRIPTS):
        if not any("SPDX-License-Identifier: MIT" in line
                   for line in read(root / path).splitlines()[:4]):
            yield f"{path}:1: no SPDX-License-Identifier line"


def check_headers(root):
    """A declaration is a line at the left margin that starts a prototype, struct, enum or extern.
    It has a comment when there is one before it, on it or inside it, or when it follows without an
    empty line on a declaration that has one (a comment may speak for a group)."""
    for path in files(root, ("hal/**/*.h", "net/**/*.h", "app/**/*.h")):
        text = read(root / path)
        covered, inside = False, False
        lines = text.splitlines()
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                covered = covered and line.startswith("#")
                continue
            stripped = line.strip()
            if inside:  # the rest of a multi-line declaration or comment
                inside = not closed(stripped, inside)
                continue
            if stripped.startswith("//") or stripped.startswith("/*"):
                covered = True
                inside = "*/" if stripped.startswith("/*") and "*/" not in stripped else False
                continue
            if re.match(r'extern "C"|[})]', line):
                covered = False
                continue
            end = number - 1
            if re.match(r"(typedef )?(struct|enum|union)\b[^;(]*\{", line) and "}" not in line:
                while not lines[end].startswith("}"):
                    end += 1
            else:
                while end + 1 < len(lines) and not re.search(r"[;{}]\s*(//.*|/\*.*)?$", lines[end]):
                    end += 1
            body = "\n".join(lines[number - 1:end + 1])
            if "/*" in body or "//" in body:
                covered = True
            elif not covered and not re.match(r"\s|struct \w+;|static inline", line):
                yield f"{path}:{number}: no comment says what this is: {stripped}"
            if end > number - 1:
                inside = lines[end].strip()


def closed(stripped, until):
    return until in stripped if until == "*/" else stripped == until


def check_comments(root):
    """Outside of functions a comment before a declaration, or behind it on its line, is /** */.
    A comment on top of a file, before an empty line or before #if may be //."""
    for path in files(root, SOURCES):
        if path.suffix in (".cpp", ".hpp"):
            continue
        lines = read(root / path).splitlines()
        inside = ""  # a function's body, a type's or a table's
        number = 0
        while number < len(lines):
            line, first = without_strings(lines[number]), number
            place = f"{path}:{first + 1}"
            if line == "{":
                inside = "function"
            elif not inside and re.match(r"(typedef |static |const )*(struct|enum|union)\b[^=;()]*\{\s*(/.*)?$", line):
                inside = "type"
            elif not inside and re.match(r"(?!extern \"C)\S.*\{\s*(//.*)?$", line):
                inside = "table"
            elif line.startswith("}"):
                inside = ""
            code, mark = re.match(r"(.*?)(//|/\*\*?|$)", line).groups()
            if mark.startswith("/*"):
                if inside == "function" or mark == "/*":
                    yield f"{place}: {'inside a function // is' if inside == 'function' else '/** */ is'} wanted"
                while "*/" not in lines[number]:
                    number += 1
            elif mark and inside in ("", "type"):
                while code.strip() == "" and re.match(r"\s*//", (lines + [""])[number + 1]):
                    number += 1
                behind = code.strip() and not re.match(r"#(?!\s*define)|}|extern \"C", code)
                before = (first > 2 or inside) and not code.strip() and "clang-format" not in line and re.match(
                    r"(?!\s*$|#(?!\s*define)|}|extern \"C|\s*/[*/])", (lines + [""])[number + 1])
                if behind or before:
                    yield f"{place}: a declaration's comment is /** */"
            number += 1


def check_sizeof(root):
    # Types are keywords, end in _t, or come from elsewhere with a capital or a scope.
    types = r"(struct|union|enum|const|unsigned|char|int|void|double|float|bool|long|short)\b|\w+_t\b|[A-Z]|\w+::|wire_##"
    for path in files(root, SOURCES):
        for number, line in enumerate(read(root / path).splitlines(), 1):
            for match in re.finditer(r"\bsizeof\(([^(#])", line):
                if not re.match(types, line[match.start(1):]):
                    yield f"{path}:{number}: sizeof with parentheses around an expression"


def check_booleans(root):
    for path in files(root, SOURCES):
        for number, line in enumerate(read(root / path).splitlines(), 1):
            line = re.sub(r"//.*|/\*.*", "", without_strings(line))
            line = re.sub(r"(= *!*[\w.>-]*)\(.*\)", r"\1", line)  # what is called to get a value
            for match in re.finditer(r"\bbool \*?(\w+)((?: *(?:= *[^,;]*)?, *\w+\b)*) *([),;=\[:]|$)", line):
                several = re.findall(r", *(\w+)", match.group(2)) if match.group(3) in "=;" else []
                for name in [match.group(1)] + several:
                    if not set(name.split("_")) & set(PREDICATES) and name not in BOOLEANS | {"member", "key"}:
                        yield f"{path}:{number}: {name} is a bool without a prefix"


def without_strings(line):
    return re.sub(r'"(?:\\.|[^"\\])*"', lambda match: '"' * len(match.group()), line)


def files(root, globs):
    seen = set()
    for glob in globs:
        for path in sorted(root.glob(glob)):
            if path.is_file() and path not in seen and "__pycache__" not in path.parts:
                seen.add(path)
                yield path.relative_to(root)


def read(path):
    return path.read_text(encoding="utf-8")


RULES = {"includes": check_includes, "size": check_size, "licence": check_licence,
         "headers": check_headers, "comments": check_comments, "sizeof": check_sizeof,
         "booleans": check_booleans}
WARNINGS = {"size"}

# Per rule: a small tree that breaks it, and how many faults it must find there.
SPDX = "// SPDX-License-Identifier: MIT\n"
BAD = [
    ("includes", 1, {"hal/a.c": '#include "net/wire.h"\n', "net/wire.h": ""}),
    ("includes", 1, {"net/wire.c": '#include "hal/base.h"\n', "hal/base.h": ""}),
    ("includes", 1, {"net/server/a.c": '#include "hal/camera.h"\n', "hal/camera.h": ""}),
    ("includes", 1, {"net/client/a.c": '#include "hal/os/log.h"\n', "hal/os/log.h": ""}),
    ("includes", 1, {"app/jpeg/a.c": '#include "app/rate.h"\n', "app/rate.h": ""}),
    ("includes", 0, {"app/a.c": '#include "app/jpeg/b.h"\n', "app/jpeg/b.h": ""}),
    ("includes", 1, {"app/a.c": '#include "net/client/pinhole.h"\n', "net/client/pinhole.h": ""}),
    ("includes", 1, {"tools/ctl/a.c": '#include "app/config/config.h"\n', "app/config/config.h": ""}),
    ("includes", 0, {"tools/ctl/a.c": '#include "net/client/pinhole.h"\n', "net/client/pinhole.h": ""}),
    ("includes", 1, {"app/a.c": '#include "config.h"\n', "app/config.h": ""}),
    ("includes", 1, {"app/rate.c": "#include <jpeglib.h>\n"}),
    ("includes", 0, {"hal/replay/jpeg.c": "#include <jpeglib.h>\n#include <stdio.h>\n"}),
    ("includes", 1, {"net/server/a.c": "#include <ini.h>\n"}),
    ("includes", 1, {"hal/os/a.c": "#include <libcamera/camera.h>\n"}),
    ("includes", 0, {"hal/libcamera/a.cpp": "#include <libcamera/camera.h>\n#include <vector>\n"}),
    ("includes", 1, {"tools/web/a.c": "#include <curl/curl.h>\n"}),
    ("includes", 1, {"tools/attic/a.c": ""}),
    ("size", 1, {"app/a.c": "\n" * 601}),
    ("size", 0, {"app/a.c": "\n" * 600}),
    ("licence", 2, {"app/a.c": "int x;\n", "tools/a.sh": "#!/bin/sh\n", "hal/b.c": SPDX}),
    ("headers", 1, {"app/a.h": "#include <stdio.h>\n\nint a(void);\n"}),
    ("headers", 1, {"app/a.h": "/** this */\nint a(void);\n\nint b(int x,\n      int y);\n"}),
    ("headers", 1, {"net/a.h": "struct a {\n    int x;\n};\n"}),
    ("headers", 0, {"net/a.h": "struct a {\n    int x; /**< pixels */\n};\n\n/** b\n * b */\nint b(\n"
                               "    int x);\nint c(void);\n\nint d(void); /**< d */\n"}),
    ("comments", 1, {"app/a.c": "\n\n\n// Does this.\nint a(void)\n{\n    return 1; // yes\n}\n"}),
    ("comments", 1, {"app/a.c": "int a(void)\n{\n    return 1; /* yes */\n}\n"}),
    ("comments", 1, {"app/a.c": "int a(void)\n{\n    /** yes */\n    return 1;\n}\n"}),
    ("comments", 1, {"app/a.h": "/* Does this. */\nint a(void);\n"}),
    ("comments", 2, {"app/a.h": "struct a {\n    int x; // pixels\n    // both\n    int y, z;\n};\n"}),
    ("comments", 0, {"app/a.h": SPDX + "// On top.\n#define A 1\n\n// --- part ---\n\n/** a\n * b */\n"
                                "struct a {\n    const char *x; /**< a \"//\" */\n};\n"}),
    ("sizeof", 3, {"app/a.c": "a(sizeof(x), sizeof(*x), sizeof(x.y));\n"}),
    ("sizeof", 0, {"app/a.c": "a(sizeof x, sizeof *x, sizeof(struct x), sizeof(uint8_t), sizeof(struct x *));\n"}),
    ("booleans", 3, {"app/a.h": "bool ready;\nint a(int x, bool on);\nbool is_up, down;\n"}),
    ("booleans", 0, {"app/a.h": "bool a(bool is_on, bool level);\nbool was_up = f(a, b), has_more;\n"}),
]


def self_test():
    wrong = 0
    for rule, expected, tree in BAD:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy("CONTRIBUTING.md", folder)
            for name, text in tree.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            found = list(RULES[rule](Path(folder)))
            if len(found) != expected:
                print(f"self-test: rule {rule} found {len(found)} faults, not {expected}, in {tree}:",
                      *found, sep="\n  ")
                wrong += 1
    print(f"self-test: {len(BAD) - wrong} of {len(BAD)} samples judged rightly")
    return wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test() else 0
    is_clean = True
    for name, rule in RULES.items():
        for fault in rule(Path(".")):
            is_clean = is_clean and name in WARNINGS
            print(f"{'warning: ' * (name in WARNINGS)}{fault} [{name}]")
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
