#!/bin/bash
# SPDX-License-Identifier: MIT
# `make lint`: every check runs, the first words of each failure say which; exit 1 when any failed.
# Last line: "N passed, N failed".
set -uo pipefail
export LC_ALL=C.UTF-8
passed=0 failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
shopt -s nullglob globstar

# What runs at a user's; the analyzers do not know that cmocka's assertions do not return.
# Examples are compiled as a user's programs, against an installed library.
c_files=()
for file in {hal,net,app,tools}/**/*.c; do
    [[ $file == */examples/* ]] || c_files+=("$file")
done
formatted=({hal,net,app,tools,tests/host}/**/*.[ch] hal/libcamera/*.{cpp,hpp})
test_files=(tests/host/**/*.c)
shell_files=({tools,tests/host,board}/**/*.sh .ci/run)
python_files=({tools,tests/host}/**/*.py)

check() {
    local name=$1
    shift
    local start=$EPOCHREALTIME
    if "$@" >"$scratch/out" 2>&1; then
        passed=$((passed + 1))
        printf 'ok      %-14s' "$name"
    else
        failed=$((failed + 1))
        printf 'FAILED  %-14s' "$name"
    fi
    printf ' %6d ms\n' $(((${EPOCHREALTIME/[.,]/} - ${start/[.,]/}) / 1000))
    # All of a failed check's words, and what merely warns.
    if [ "$failed" != "${before:=0}" ]; then
        sed 's/^/  | /' "$scratch/out"
    else
        sed -n 's/^warning: /  | &/p' "$scratch/out"
    fi
    before=$failed
}

# One version judges, since versions differ in details; both Debian 12 and 13 package this one.
format() {
    # One line a place is enough to find it; `clang-format-19 -i FILE` mends it.
    clang-format-19 --dry-run -Werror "${formatted[@]}" 2>"$scratch/format" ||
        { grep -a ': error: ' "$scratch/format"; return 1; }
}
# The formatter must not have been taught to accept anything.
format_self() {
    printf 'int  a ( void ){return 1 ;}\n' >"$scratch/bad.c"
    cp .clang-format "$scratch/"
    ! clang-format-19 --dry-run -Werror "$scratch/bad.c"
}

# Which of the two libgpiod backends can be parsed depends on the version installed here.
parsable() {
    local gpiod file
    gpiod=$(pkg-config --modversion libgpiod 2>/dev/null)
    for file in "$@"; do
        case $file in
        hal/gpio/gpiod1.c) [[ $gpiod == 1.* ]] && echo "$file" ;;
        hal/gpio/gpiod2.c) [[ $gpiod == 2.* ]] && echo "$file" ;;
        *) echo "$file" ;;
        esac
    done
}
flags=(--extra-arg-before=-std=c11 --extra-arg=-I. --extra-arg=-D_GNU_SOURCE=
    "--extra-arg=-DPINHOLE_VERSION=\"lint\"")
tidy() { # clang-tidy's options...; files on the standard input
    xargs -P "$(nproc)" -n 4 clang-tidy-19 --quiet "$@" >"$scratch/tidy" 2>&1 && return 0
    # The analyzer's way to a finding is long; `clang-tidy-19 FILE -- -I. -D_GNU_SOURCE` shows it.
    grep -a ': error: \|: warning: ' "$scratch/tidy" || cat "$scratch/tidy"
    return 1
}
tidy_c() { parsable "${c_files[@]}" | tidy "${flags[@]}"; }
# Where libcamera's headers are installed; as in the build they are system headers.
tidy_cpp() {
    local headers
    headers=$(pkg-config --cflags libcamera 2>/dev/null) || return 0
    read -ra headers <<<"${headers//-I/-isystem}"
    printf '%s\n' hal/libcamera/*.cpp |
        tidy --extra-arg-before=-std=gnu++20 --extra-arg=-I. "${headers[@]/#/--extra-arg=}"
}
tidy_self() {
    printf '#include <string.h>\nint f(char *a);\nint f(char *a)\n{\n    char *b = 0;\n    return memcmp(a, "x", 1) + *b;\n}\n' \
        >"$scratch/bad.c"
    cp .clang-tidy "$scratch/"
    ! clang-tidy-19 --quiet "$scratch/bad.c" -- -std=c11
}

# The tests' dialect is the same. Matches in a library's own header are not ours.
pointers() {
    printf '%s\n' "$@" | xargs -P "$(nproc)" -n 80 clang-query-19 -f tools/dev/dialect.query \
        "${flags[@]}" --extra-arg=-Inet/client >"$scratch/pointers" 2>&1
    ! grep -aE ': (fatal )?error: |^[0-9]+:[0-9]+: Error |: "pointer" binds here' "$scratch/pointers"
}
pointers_self() {
    printf 'int f(char *a, char **b);\nint f(char *a, char **b)\n{\n    while (a && !*b)\n        a++;\n    return a ? 1 : 0;\n}\n' \
        >"$scratch/bad.c"
    ! pointers "$scratch/bad.c" >"$scratch/found" && [ "$(grep -c binds "$scratch/found")" = 3 ]
}

cpp_check() {
    # uninitvar is left to clang-tidy: cppcheck 2.17 stumbles over f(buffer, fill(buffer)).
    # cppcheck 2.10 does not parse `on ? (struct a){0} : b` (internalAstError).
    cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --language=c -j "$(nproc)" \
        --enable=warning,performance,portability --max-configs=4 \
        --suppress={missingIncludeSystem,unknownMacro,uninitvar,ctuuninitvar,internalAstError} \
        --suppress={normalCheckLevelMaxBranches,toomanyconfigs} \
        -I. -D_GNU_SOURCE= '-DPINHOLE_VERSION="lint"' "$@"
}
cpp_check_self() {
    printf 'int f(void);\nint f(void)\n{\n    int a[2];\n    a[2] = 0;\n    return a[1];\n}\n' \
        >"$scratch/bad.c"
    ! cpp_check "$scratch/bad.c"
}

shell() { shellcheck --severity=warning "${shell_files[@]}"; }
shell_self() {
    printf '#!/bin/sh\nrm -rf $1/*; cd $x\n[ $a == b ]\n' >"$scratch/bad.sh"
    ! shellcheck --severity=warning "$scratch/bad.sh"
}

python() {
    [ ${#python_files[@]} = 0 ] && return 0
    pyflakes3 "${python_files[@]}" || return 1
    for file in "${python_files[@]}"; do
        python3 - "$file" <<'PY' || return 1
import sys
compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1], "exec")
PY
    done
    # The package is typed throughout; scripts need not be.
    local package=(tools/python/*/__init__.py)
    [ ${#package[@]} = 0 ] || mypy --strict --no-error-summary --cache-dir="$scratch/mypy" \
        "$(dirname "${package[0]}")"
}
python_self() {
    printf 'import os\nprint(undefined)\n' >"$scratch/bad.py"
    ! pyflakes3 "$scratch/bad.py"
}

rules() { python3 tools/dev/lint-rules.py; }
circles() { python3 tools/dev/circles.py; }
circles_self() { python3 tools/dev/circles.py --self-test; }
sentences() { python3 tools/dev/sentences.py --longest 5; }
sentences_self() { python3 tools/dev/sentences.py --self-test; }
commits() { python3 tools/dev/commits.py; }
commits_self() { python3 tools/dev/commits.py --self-test; }
rules_self() { python3 tools/dev/lint-rules.py --self-test; }

check format format
check format-self format_self
check rules rules
check rules-self rules_self
check circles circles
check circles-self circles_self
check sentences sentences
check sentences-self sentences_self
check commits commits
check commits-self commits_self
check shellcheck shell
check shell-self shell_self
check python python
check python-self python_self
mapfile -t parsable_files < <(parsable "${c_files[@]}" "${test_files[@]}")
check pointers pointers "${parsable_files[@]}"
check pointers-self pointers_self
check cppcheck cpp_check "${c_files[@]}"
check cppcheck-self cpp_check_self
check clang-tidy tidy_c
check tidy-c++ tidy_cpp
check tidy-self tidy_self

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
