#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make run` does after the build: start the node and the web page, wait for the first picture,
# print the URL. Ctrl-C ends both. RUN_SECONDS=N ends both after N seconds, with exit status 0.
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

# The page gets TERM first, so that it does not report a lost node.
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

# The node writes <N> before each line when its log is not a terminal. People do not need that.
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
wait_for "$node" node_is_up || fail "the node did not start, see its log above"

# A page that others can open asks for a password, which is this run's own.
access=() password="" basic=""
if [[ $address != 127.* && $address != localhost ]]; then
    password=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
    access=(--users "$scratch/users")
    basic="Authorization: Basic $(printf 'pinhole:%s' "$password" | base64)"$'\r\n'
    "$build/pinhole-web" --add-user pinhole --role control "${access[@]}" <<<"$password" ||
        fail "no password could be made for the page"
fi
"$build/pinhole-web" --node "unix:$scratch/pinhole.sock" --listen "$address:$port" "${access[@]}" \
    >"$scratch/web.out" 2>"$scratch/log" </dev/null &
web=$!
page() { url=$(grep -o 'http://[^ ]*' "$scratch/web.out" | head -n 1) && [ -n "$url" ]; }
wait_for "$web" page || fail "the web page did not start, see its log above"

# One JPEG through the whole chain, by HTTP, without needing curl.
place=${url#http://}
place=${place%%/*}
web_port=${place##*:}
picture() {
    local answer
    answer=$({ exec 3<>"/dev/tcp/127.0.0.1/$web_port" &&
        printf 'GET /snapshot HTTP/1.0\r\n%s\r\n' "$basic" >&3 && timeout 5 head -c 400 <&3; } 2>/dev/null |
        tr -d '\0')
    [[ $answer == HTTP/1.?" 200 "* && $answer == *image/jpeg* ]]
}
# The node waits for a camera that is absent. A person who has just typed its name wants to know.
wished_camera_is_absent() {
    [ "$camera" != auto ] && [ $((SECONDS - started)) -ge 5 ] &&
        grep -q '^camera absent' "$scratch/node.log"
}
picture_or_absence() { picture || wished_camera_is_absent; }
started=$SECONDS
wait_for "$web" picture_or_absence ||
    fail "no picture arrived within a minute, see the node's log above"
wished_camera_is_absent && ! picture &&
    fail "CAMERA=$camera: $(sed -n 's/^camera absent: //p' "$scratch/node.log" | tail -n 1)"

model=$("$build/pinholectl" --node "unix:$scratch/pinhole.sock" get DeviceModelName 2>/dev/null)
model=${model#DeviceModelName=}
say ""
# Over SSH the browser is on another machine: the address that SSH came to is one that it can reach.
read -r _ _ ssh_address _ <<<"${SSH_CONNECTION:-}"
[[ ${ssh_address:-} == *:* ]] && ssh_address="" # 0.0.0.0 does not listen on IPv6
say "  Live picture:  http://${place/0.0.0.0/${ssh_address:-$(hostname)}}/"
[ -z "$password" ] || say "  Log in with:   name pinhole, password $password"
if [ -n "${SSH_CONNECTION:-}" ] && [[ $address == 127.* ]]; then
    say "                 only on this machine; you are logged in over SSH, so use instead:"
    say "                 make run LISTEN=0.0.0.0"
fi
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
kill -0 "$node" 2>/dev/null || fail "the node ended, see its log above"
fail "the web page ended, see its log above"
