#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make run` does once everything is built: starts the node and the web page, waits for the
# first picture, prints the URL, and ends both at Ctrl-C. RUN_SECONDS=N ends by itself (exit 0).
set -uo pipefail
# Each child gets a process group of its own, so that Ctrl-C reaches this script alone.
set -m

build=${BUILD:-build/release}
camera=${CAMERA:-auto}
address=${LISTEN:-127.0.0.1}
port=${PORT:-8080}
node_port=${NODE_PORT:-7447}

scratch=$(mktemp -d)
node="" web="" reader="" stopping=""
say() { printf '%s\n' "$*"; }

# Both get TERM, the page first, so that it does not report a node that went away.
end() {
    local status=$?
    trap '' INT TERM
    for pid in $web $node; do
        kill -TERM "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    [ -n "$reader" ] && wait "$reader" 2>/dev/null
    rm -rf "$scratch"
    [ -n "$stopping" ] && say "stopped" && status=0
    exit "$status"
}
trap end EXIT
trap 'stopping=yes; exit 0' INT TERM

fail() {
    say "make run: $*" >&2
    exit 1
}
in_use() {
    [ "$1" != 0 ] && (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
in_use "$port" && fail "port $port is in use; choose another: make run PORT=$((port + 1))"
in_use "$node_port" &&
    fail "port $node_port is in use (another node?); choose another: make run NODE_PORT=$((node_port + 1))"

# The node writes <N> before each line when its log is no terminal; a person does not want that.
mkfifo "$scratch/log"
sed -u 's/^<[0-9]>//' <"$scratch/log" | tee "$scratch/node.log" >&2 &
reader=$!
"$build/pinhole" --camera "$camera" --listen "$address:$node_port" \
    --socket "$scratch/pinhole.sock" 2>"$scratch/log" </dev/null &
node=$!

# Waits for $2 (a command) while process $1 lives; a slow board gets a minute.
wait_for() {
    local pid=$1 tries=0
    shift
    until "$@"; do
        kill -0 "$pid" 2>/dev/null || return 1
        [ $((tries += 1)) -lt 600 ] || return 1
        sleep 0.1
    done
}
node_is_up() { [ -S "$scratch/pinhole.sock" ] && grep -q 'listening on' "$scratch/node.log"; }
wait_for "$node" node_is_up || fail "the node did not start; its own words are above"

"$build/pinhole-web" --node "unix:$scratch/pinhole.sock" --listen "$address:$port" \
    >"$scratch/web.out" 2>"$scratch/log" </dev/null &
web=$!
page() { url=$(grep -o 'http://[^ ]*' "$scratch/web.out" | head -n 1) && [ -n "$url" ]; }
wait_for "$web" page || fail "the web page did not start; its own words are above"

# One JPEG through the whole chain, by HTTP, without needing curl.
place=${url#http://}
place=${place%%/*}
web_port=${place##*:}
picture() {
    local answer
    answer=$({ exec 3<>"/dev/tcp/127.0.0.1/$web_port" &&
        printf 'GET /snapshot HTTP/1.0\r\n\r\n' >&3 && timeout 5 head -c 400 <&3; } 2>/dev/null |
        tr -d '\0')
    [[ $answer == HTTP/1.?" 200 "* && $answer == *image/jpeg* ]]
}
# The node goes on looking for a camera that is absent; whoever just typed its name wants to know.
wished_camera_is_absent() {
    [ "$camera" != auto ] && [ $((SECONDS - started)) -ge 5 ] &&
        grep -q '^camera absent' "$scratch/node.log"
}
picture_or_absence() { picture || wished_camera_is_absent; }
started=$SECONDS
wait_for "$web" picture_or_absence ||
    fail "no picture arrived within a minute; the node's log is above"
wished_camera_is_absent && ! picture &&
    fail "CAMERA=$camera: $(sed -n 's/^camera absent: //p' "$scratch/node.log" | tail -n 1)"

model=$("$build/pinholectl" --node "unix:$scratch/pinhole.sock" get DeviceModelName 2>/dev/null)
model=${model#DeviceModelName=}
say ""
say "  Live picture:  http://${place/0.0.0.0/$(hostname)}/"
# Why this camera: the user's wish, or what the node logged of its own choice.
because=$(sed -n 's/^camera .*, because //p' "$scratch/node.log" | head -n 1)
if [ "$camera" != auto ]; then
    because="CAMERA=$camera"
elif [ -n "$because" ]; then
    because="because $because; CAMERA=replay:FOLDER shows photographs"
else
    because="the first real one found; CAMERA=fake for the drawn picture"
fi
say "  Camera:        ${model:-unknown} ($because)"
say "  Ctrl-C ends it."

if [ -n "${RUN_SECONDS:-}" ]; then
    sleep "$RUN_SECONDS" &
    timer=$!
fi
wait -n "$node" "$web" ${timer:+"$timer"}
if [ -n "${timer:-}" ] && ! kill -0 "$timer" 2>/dev/null; then
    stopping=yes
    exit 0
fi
kill -0 "$node" 2>/dev/null || fail "the node ended; its own words are above"
fail "the web page ended; its own words are above"
