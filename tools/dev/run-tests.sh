#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs the test programs in $BUILD/tests and the scripts tests/host/*/test_*.{sh,py}, two at a time.
#   T=NAME        only those whose name contains NAME
#   TEST_EMULATOR=CMD   only the programs, which CMD runs: they are another machine's
#   TEST_JOBS=N   how many at a time         TEST_TIMEOUT=N   seconds each may take
# One line per program; what a failed one wrote follows it. Each cmocka case counts, a script counts
# as one. A script's exit status 77 means skipped; its last line of output is the reason. Last line:
# "N passed, N failed" with ", N skipped" when there were any.
set -uo pipefail

build=${BUILD:-build/release}
limit=${TEST_TIMEOUT:-600}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export BUILD=$build SAN=${SAN:-} LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:strict_string_checks=1:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}
unset CMOCKA_MESSAGE_OUTPUT CMOCKA_XML_FILE MAKEFLAGS MAKELEVEL MFLAGS

# What there is to run: only programs whose source still exists.
# Scripts first: they run whole nodes and take longest.
tests=()
for script in tests/host/*/test_*.py tests/host/*/test_*.sh; do
    [ -e "$script" ] && [ -z "${TEST_EMULATOR:-}" ] && tests+=("$script")
done
for source in tests/host/*/test_*.c tests/host/fuzz/fuzz_*.c; do
    name=${source#tests/host/}
    name=${name%.c}
    [ -e "$source" ] && [ "$name" != fuzz/fuzz_driver ] && tests+=("$build/tests/$name")
done
chosen=()
for test in "${tests[@]}"; do
    [[ -z ${T:-} || $(basename "$test") == *"$T"* ]] && chosen+=("$test")
done
if [ ${#chosen[@]} = 0 ]; then
    echo "run-tests: nothing is named '${T:-test_*}'" >&2
    echo "0 passed, 1 failed"
    exit 1
fi

# The run's own variables are not the tests' business.
unset T F V CAMERA PORT NODE_PORT LISTEN PINHOLE_NODE

# One test: its output to a file, then "passed failed skipped" and the line about it.
run_one() {
    local test=$1 name log start status=0 corpus
    name=$(basename "$test")
    log=$out/$name.log
    local command=("./$test")
    [[ $test == /* ]] && command=("$test")
    case $name in
    *.py) command=(python3 "$test") ;;
    *.sh) command=(bash "$test") ;;
    fuzz_*)
        corpus=tests/host/fuzz/corpus/${name#fuzz_}
        [ -d "$corpus" ] || corpus=tests/host/fuzz/corpus/$name
        command+=("$corpus")
        ;;
    esac
    [ -z "${TEST_EMULATOR:-}" ] || command=("$TEST_EMULATOR" "${command[@]}")
    start=$EPOCHREALTIME
    timeout --kill-after=10 "$limit" "${command[@]}" >"$log" 2>&1 </dev/null || status=$?
    local took=$(((${EPOCHREALTIME/[.,]/} - ${start/[.,]/}) / 1000))

    local passed=0 failed=0 skipped=0
    if grep -aq '^\[==========\] ' "$log"; then
        passed=$(summed PASSED)
        failed=$(summed FAILED)
        skipped=$(summed SKIPPED)
        # A crash leaves no summary: what was reported before it still counts.
        grep -aqE '^\[  PASSED  \] (.*: )?[0-9]+ test' "$log" || passed=$(grep -ac '^\[       OK \]' "$log")
        [ $status != 0 ] && [ "$failed" = 0 ] && failed=1
    elif [ $status = 0 ]; then
        passed=1
    elif [ $status = 77 ]; then
        skipped=1
    else
        failed=1
    fi
    printf '%s %s %s\n' "$passed" "$failed" "$skipped" >"$out/$name.count"

    # Written at once, so that two tests do not mix their lines.
    {
        local word=ok
        [ "$skipped" != 0 ] && [ "$passed" = 0 ] && word=skip
        [ "$failed" != 0 ] && word=FAILED
        printf '%-7s %-34s %4d.%03d s  %s passed' "$word" "$name" $((took / 1000)) \
            $((took % 1000)) "$passed"
        [ "$failed" = 0 ] || printf ', %s failed' "$failed"
        [ "$skipped" = 0 ] || printf ', %s skipped' "$skipped"
        echo
        if [ "$failed" != 0 ]; then
            case $status in
            124 | 137) echo "  stopped after $limit s; the end of its output:" ;;
            *) echo "  exit status $status; its output:" ;;
            esac
            tail -n 300 "$log" | sed 's/^/  | /'
        elif [ $status = 77 ]; then
            grep -av '^$' "$log" | tail -n 1 | sed -E 's/^(skip(ped)?: *)?/  skipped: /'
        elif [ "$skipped" != 0 ]; then
            # cmocka names the skipped cases after its summary. The reason comes before them.
            grep -aE '^(\[  SKIPPED \] [a-z_0-9]+$|skip)' "$log" | sort -u |
                sed -E 's/^\[  SKIPPED \] /  skipped case: /; s/^skip(ped)?: */  skipped: /'
        fi
    } >"$out/$name.line"
    flock "$out" cat "$out/$name.line"
}
# Sum of the figures in cmocka's closing lines, one a group: "[  PASSED  ] 3 test(s)." and, from
# cmocka 2, "[  FAILED  ] GROUP: 1 test(s), listed below:".
summed() {
    sed -nE "s/^\[ +$1 +\] (.*: )?([0-9]+) test\(s\).*/\2/p" "$log" |
        awk '{n += $1} END {print n + 0}'
}

running=0
for test in "${chosen[@]}"; do
    if [ "$running" -ge "${TEST_JOBS:-2}" ]; then
        wait -n
        running=$((running - 1))
    fi
    run_one "$test" &
    running=$((running + 1))
done
wait

# A program without a count did not get as far as being run.
awk -v expected=${#chosen[@]} '
    {passed += $1; failed += $2; skipped += $3; seen++}
    END {
        failed += expected - seen
        printf "%d passed, %d failed", passed, failed
        if (skipped) printf ", %d skipped", skipped
        print ""
        exit failed != 0
    }' "$out"/*.count
