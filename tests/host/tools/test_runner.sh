#!/bin/bash
# SPDX-License-Identifier: MIT
# The test runner itself: it counts cmocka's cases and scripts, lists skips, shows and reports
# failures, crashes and hangs, and never calls nothing at all a success.
set -euo pipefail
runner=$PWD/tools/dev/run-tests.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p tests/host/unit built/tests/unit
export BUILD=built T='' TEST_TIMEOUT=2

program() { # NAME SHELL-TEXT: a compiled test's stand-in
    touch "tests/host/unit/$1.c"
    printf '#!/bin/bash\n%s\n' "$2" >"built/tests/unit/$1"
    chmod +x "built/tests/unit/$1"
}
# expect NAME LAST-LINE STATUS TEXT: what the runner says of the tests there are now
expect() {
    local status=0
    "$runner" >out 2>&1 || status=$?
    if [ "$(tail -n 1 out)" != "$2" ] || [ "$status" != "$3" ] || ! grep -qF -e "$4" out; then
        echo "$1: expected '$2', status $3 and '$4'; got status $status and:"
        cat out
        exit 1
    fi
    rm -f tests/host/unit/* built/tests/unit/*
}

program test_good 'echo "[==========] Running 3 test(s)."; echo "[  PASSED  ] 3 test(s)."'
printf 'exit 0\n' >tests/host/unit/test_script.sh
expect passes "4 passed, 0 failed" 0 "test_good"

program test_bad 'echo "[==========] Running 3 test(s)."; echo "the reason"
echo "[  PASSED  ] 2 test(s)."; echo "[  FAILED  ] 1 test(s), listed below:"; exit 1'
printf 'exit 0\n' >tests/host/unit/test_script.sh
expect fails "3 passed, 1 failed" 1 "  | the reason"

# cmocka 2 names the group in its summary.
program test_new 'echo "[==========] g: Running 3 test(s)."; echo "[  PASSED  ] 1 test(s)."
echo "[  SKIPPED ] g: 1 test(s), listed below:"; echo "[  SKIPPED ] one"
echo "[  FAILED  ] g: 1 test(s), listed below:"; echo "[  FAILED  ] two"; exit 1'
expect cmocka2 "1 passed, 1 failed, 1 skipped" 1 "exit status 1"

program test_crash 'echo "[==========] Running 3 test(s)."; echo "[       OK ] one"; kill -SEGV $$'
expect crashes "1 passed, 1 failed" 1 "exit status 139"

# All cases passed and yet the sanitizer, say, ended it with an error.
program test_leak 'echo "[==========] Running 1 test(s)."; echo "[  PASSED  ] 1 test(s)."; exit 1'
expect leaks "1 passed, 1 failed" 1 "exit status 1"

program test_hang 'echo "last words"; sleep 60'
expect hangs "0 passed, 1 failed" 1 "  | last words"

printf 'echo "no such device here"; exit 77\n' >tests/host/unit/test_skip.sh
printf 'exit 0\n' >tests/host/unit/test_script.sh
expect skips "1 passed, 0 failed, 1 skipped" 0 "skipped: no such device here"

touch tests/host/unit/test_not_built.c
expect missing "0 passed, 1 failed" 1 "test_not_built"

expect nothing "0 passed, 1 failed" 1 "nothing is named"
