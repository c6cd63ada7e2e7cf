#!/bin/bash
# SPDX-License-Identifier: MIT
# The node on libcamera's virtual cameras (tests/host/kernel/virtual.yaml installed, nothing else running):
#   tests/host/kernel/libcamera_node.sh BUILD
# Run by tools/dev/check-libcamera.sh, as root.
set -uo pipefail
build=${1:?usage: libcamera_node.sh BUILD}
yaml=/usr/share/libcamera/pipeline/virtual/virtual.yaml
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$work"' EXIT
failed=0 node=""

say() { printf '%s\n' "$*"; }
expect() {
    local what=$1
    shift
    if "$@"; then
        say "ok: $what"
        return
    fi
    say "NOT ok: $what"
    failed=$((failed + 1))
    tail -n 25 "$work"/*.log 2>/dev/null
}
# Until a command succeeds, at most 90 seconds and no longer than the node lives.
soon() {
    local tries=0
    until "$@"; do
        [ -z "$node" ] || kill -0 "$node" 2>/dev/null || return 1
        [ $((tries += 1)) -lt 450 ] || return 1
        sleep 0.2
    done
}
has() { grep -qs -e "$2" "$1"; }
count() { grep -c -e "$2" "$1"; }
ctl() { "$build/pinholectl" --node "unix:$work/socket" "$@"; }

# start PROGRAM OPTION...: a node with its log in $work/node.log
start() {
    local program=$1
    shift
    rm -f "$work/socket"
    "$program" --listen 127.0.0.1:0 --socket "$work/socket" "$@" 2>"$work/node.log" &
    node=$!
    soon test -S "$work/socket"
}
stop() {
    kill "$node" 2>/dev/null
    wait "$node"
    node=""
}
frames() { timeout 60 "$build/pinholectl" --node "unix:$work/socket" watch --count "$1" >/dev/null 2>&1; }
counter() {
    local name value
    ctl stats | while read -r name value; do
        [ "$name" != "$1" ] || printf '%d\n' "${value%.*}"
    done
}
counted() { [ "$(counter "$1")" -ge "$2" ]; }

# --- what a user does ---------------------------------------------------------------------------

"$build/pinhole" --list-cameras >"$work/list.log" 2>&1
expect "both cameras are listed" has "$work/list.log" "Bars0.*Pinhole test bars"
expect "the second too" has "$work/list.log" "Photos1.*Pinhole photographs"

for camera in Bars0:bars 0:bars "test bars:bars" Photos1:photographs 1:photographs photographs:photographs; do
    start "$build/pinhole" --camera "libcamera:${camera%:*}" --width 1280 --height 720
    expect "'${camera%:*}' streams" soon frames 5
    expect "'${camera%:*}' is the right one" grep -q "${camera#*:}" <(ctl get DeviceModelName)
    stop
done

run() { # as make run does, without make: everything is built
    rm -f "$work/run.log"
    env -u CAMERA BUILD="$build" PORT=0 NODE_PORT=0 RUN_SECONDS=300 "$@" tools/run.sh >"$work/run.log" 2>&1 &
    runner=$!
    soon has "$work/run.log" "Ctrl-C ends it" 2>/dev/null || return
    url=$(grep -o 'http://[^ ]*' "$work/run.log" | head -n 1)
}
expect "make run without CAMERA starts" run
expect "and takes the real camera, and says why" has "$work/run.log" "Camera: *Pinhole test bars.*real"
kill "$runner"
wait
expect "make run CAMERA=libcamera starts" run CAMERA=libcamera
expect "the page is served" grep -q "<html" <(curl -s --max-time 60 "$url")
curl -s --max-time 60 "${url%/}/stream" | head -c 2000000 >"$work/stream"
parts=$(grep -ac boundarydonotcross "$work/stream")
expect "its stream flows ($parts pictures)" test "$parts" -ge 10
node_url=$(sed -n 's/.*listening on tcp //p' "$work/run.log" | head -n 1)
"$build/pinholectl" --node "$node_url" watch --count 60 >"$work/watch.log" 2>&1
expect "pinholectl watch shows it: $(head -n 1 "$work/watch.log")" has "$work/watch.log" "fps"
kill "$runner"
wait

# --- changes while it streams -------------------------------------------------------------------

start "$build/pinhole" --camera libcamera:Bars0 --width 1280 --height 720
expect "before changes: frames" soon frames 5
ctl watch -s 60 >"$work/watch.log" 2>&1 &
watch=$!
expect "the rate is changed" ctl set AcquisitionFrameRate=60
expect "without a restart" test "$(counter 'pinhole_camera_restarts_total{how="reconfigure"}')" = 0
expect "the size is changed" ctl set Width=640 Height=360
expect "subscribers are told of it" soon has "$work/watch.log" "reconfigured.*Width=640"
expect "and get frames" soon frames 30
expect "as one restart" test "$(counter 'pinhole_camera_restarts_total{how="reconfigure"}')" = 1
expect "a size it lacks becomes one it has" ctl set Width=644 Height=360
expect "which shows" grep -q "1920" <(ctl get Width)
expect "still frames" soon frames 5
kill "$watch"
stop

# --- two nodes want one camera ------------------------------------------------------------------

start "$build/pinhole" --camera libcamera:Bars0
expect "a first node streams" soon frames 3
"$build/pinhole" --camera libcamera:0 --listen 127.0.0.1:0 2>"$work/second.log" &
second=$!
sleep 5
expect "the second is told who has the camera" has "$work/second.log" "Bars0 is taken by process $node"
expect "and says it once" test "$(count "$work/second.log" "is taken by")" = 1
stop
expect "and gets it when the first has ended" soon has "$work/second.log" "camera streaming"
kill "$second"
wait "$second"

# --- recovery, with the faults in the backend and everything else as it is ----------------------

# faulty SCRIPT: a node that suffers it, watched by a subscriber
faulty() {
    PINHOLE_LIBCAMERA_FAULTS=$1 start "$build/tests/pinhole-faulty" --camera libcamera:Bars0 \
        --framerate 60 --set camera.reopen_interval_ms=200
    ctl watch -s 60 >"$work/watch.log" 2>&1 &
    watch=$!
}
recovered() { # how it was recovered, what the subscriber was told
    expect "$3: frames come again" soon frames 30
    expect "$3: counted" soon counted "pinhole_camera_restarts_total{how=\"$1\"}" 1
    expect "$3: subscribers were told" soon has "$work/watch.log" "$2"
    kill "$watch"
    stop
}
faulty "cancel@90x4"
expect "cancelled requests: noticed" soon has "$work/node.log" "camera stalled"
recovered restart "stalled" "cancelled requests"
faulty "silence@90x8"
expect "silence: noticed" soon has "$work/node.log" "camera stalled"
recovered restart "stalled" "silence"
faulty "halt@180"
expect "libcamera stops by itself: noticed" soon has "$work/node.log" "camera stalled"
recovered restart "stalled" "libcamera stops by itself"

faulty "unplug@90,absent@2x4"
expect "unplugged: noticed" soon has "$work/node.log" "camera absent"
expect "unplugged: frames come again" soon frames 30
expect "unplugged: subscribers were told" soon has "$work/watch.log" "absent"
expect "unplugged: said once" test "$(count "$work/node.log" "camera absent")" = 1
kill "$watch"
stop

faulty "start@1x3"
expect "a start that fails: told" soon has "$work/node.log" "does not start"
expect "a start that fails: frames come in the end" soon frames 30
kill "$watch"
stop

# The file is hidden from this node alone: other tests may be using it.
printf '%s\n' '#!/bin/bash' "exec unshare --mount --propagation unchanged bash -c 'mount --bind \\
    /dev/null $yaml && exec \"\$@\"' blind $build/pinhole \"\$@\"" >"$work/blind"
chmod +x "$work/blind"
start "$work/blind" --camera libcamera:Bars0
expect "absent at boot: said" soon has "$work/node.log" "sees no camera"
expect "absent at boot: state is served" counted pinhole_camera_streaming 0
sleep 3
expect "absent at boot: said once" test "$(count "$work/node.log" "sees no camera")" = 1
stop

faulty "absent@1x8"
expect "absent at boot: frames come once it is there" soon frames 5
expect "absent at boot: until then said once" test "$(count "$work/node.log" "camera absent")" = 1
kill "$watch"
stop

say "$failed failed"
[ "$failed" = 0 ]
