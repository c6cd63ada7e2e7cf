#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs the fuzzers in $BUILD/fuzzers:  fuzz.sh SECONDS NAME...   F=NAME runs only that one. With SEED=X
# each run tries the same inputs, as far as its time goes; without, others each time.
# Two at a time; each starts from tests/host/fuzz/corpus/NAME and grows a copy of it in $BUILD/corpus, so
# that the checked-in corpus stays small. Findings end up in $BUILD/findings. Each line says how
# much of the sources in the fuzzer's "Reaches:" comment its inputs reach, so that a fuzzer which reaches
# little is seen. Last line: "N passed, N failed".
set -uo pipefail
build=${BUILD:-build/fuzz}
seconds=$1
shift
export LLVM_PROFILE_FILE=/dev/null # but for what coverage() runs
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

mkdir -p "$build/corpus" "$build/findings"
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# What the grown corpus reaches of the files that the fuzzer names.
coverage() {
    local name=$1 folder=$2 profile=$results/$1 files
    read -ra files <<<"$(sed -n 's|^// Reaches: ||p' "tests/host/fuzz/$name.c" | paste -sd' ')"
    LLVM_PROFILE_FILE=$profile.raw "$build/fuzzers/$name" -runs=0 -close_fd_mask=3 "$folder" \
        >/dev/null 2>&1 </dev/null
    llvm-profdata merge -sparse "$profile.raw" -o "$profile.data" &&
        llvm-cov report "$build/fuzzers/$name" -instr-profile="$profile.data" "${files[@]}" |
        awk -v files="${files[*]}" '$1 == "TOTAL" { print $10 " of the lines of " files }'
}

fuzz_one() {
    local name=$1 short=${1#fuzz_} seeds status=0
    seeds=tests/host/fuzz/corpus/$short
    [ -d "$seeds" ] || seeds=tests/host/fuzz/corpus/$name
    mkdir -p "$build/corpus/$short"
    local log=$results/$name.log folders=("$build/corpus/$short")
    [ -d "$seeds" ] && folders+=("$seeds")
    # One input may take 10 s at most and 1 GiB: more is a finding as well.
    "$build/fuzzers/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        ${SEED:+"-seed=$SEED"} -print_final_stats=1 -close_fd_mask=3 -artifact_prefix="$build/findings/$name-" "${folders[@]}" \
        >"$log" 2>&1 </dev/null || status=$?
    local runs
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ "$status" = 0 ] && [ "${runs:-0}" -gt 0 ]; then
        echo "ok      $name: $runs inputs in $seconds s; $(coverage "$name" "$build/corpus/$short")"
        touch "$results/$name.ok"
    else
        echo "FAILED  $name: exit status $status; its output ends:"
        grep -av '^#' "$log" | tail -n 60 | sed 's/^/  | /'
    fi
}

names=()
for name in "$@"; do
    [[ -z ${F:-} || $name == "$F" || $name == "fuzz_$F" || $name == "test_$F" ]] && names+=("$name")
done
# The Python package has no libFuzzer; its mutator prints the same.
fuzz_python() {
    local name=$1 status=0 log=$results/$1.log
    python3 "tests/host/fuzz/$name.py" --seconds "$seconds" >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" = 0 ]; then
        echo "ok      $name: $(tail -n 1 "$log" | sed "s/ played;/ in $seconds s;/")"
        touch "$results/$name.ok"
    else
        echo "FAILED  $name: exit status $status; its output ends:"
        tail -n 60 "$log" | sed 's/^/  | /'
    fi
}

running=0
for name in "${names[@]}"; do
    if [ "$running" -ge 2 ]; then
        wait -n
        running=$((running - 1))
    fi
    if [ -e "tests/host/fuzz/$name.py" ]; then
        fuzz_python "$name" &
    else
        fuzz_one "$name" &
    fi
    running=$((running + 1))
done
wait
passed=$(find "$results" -name '*.ok' | wc -l)
echo "$passed passed, $((${#names[@]} - passed)) failed"
[ "$passed" -gt 0 ] && [ "$passed" = ${#names[@]} ]
