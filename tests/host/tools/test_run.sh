#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make run` starts: it prints a URL that answers with a picture, says which camera and why,
# ends node and page when told to, and names the cause and the way out when it cannot start.
set -uo pipefail
work=$(mktemp -d)
script="" node=""
unset SSH_CONNECTION LISTEN
trap 'kill $script $node 2>/dev/null; wait; rm -rf "$work"' EXIT
export BUILD=${BUILD:-build/release} PORT=0 NODE_PORT=0

fail() {
    echo "$*"
    tail -n 40 "$work"/*.out
    exit 1
}
# wait_for FILE PATTERN: a minute, for slow machines
wait_for() {
    local tries=0
    until grep -qE -e "$2" "$1" 2>/dev/null; do
        [ $((tries += 1)) -lt 600 ] || fail "'$2' did not appear"
        sleep 0.1
    done
}

tools/run.sh >"$work/run.out" 2>&1 &
script=$!
wait_for "$work/run.out" 'Ctrl-C ends it'
url=$(sed -n 's/^ *Live picture: *//p' "$work/run.out")
grep -q '^  Camera: .* (because\|^  Camera: .* (the first real one' "$work/run.out" ||
    fail "it does not say why it took this camera"
curl --silent --show-error --fail --max-time 60 -o "$work/picture.jpg" "${url}snapshot" ||
    fail "no picture from ${url}snapshot"
[ "$(head -c 3 "$work/picture.jpg" | od -An -tx1 | tr -d ' ')" = ffd8ff ] || fail "that is no JPEG"

children=$(pgrep -P "$script" -f 'pinhole')
[ "$(wc -w <<<"$children")" -ge 2 ] || fail "node and page are not its children"
kill -TERM "$script"
status=0
wait "$script" || status=$?
script=""
[ $status = 0 ] || fail "told to end, it ended with status $status"
for pid in $children; do
    kill -0 "$pid" 2>/dev/null && fail "process $pid is left behind"
done

grep -q 'password' "$work/run.out" && fail "it asks for a password on loopback"
grep -q 'SSH' "$work/run.out" && fail "it speaks of SSH on the machine's own terminal"

# Over SSH a browser cannot reach a page on loopback. With LISTEN=0.0.0.0 it can, at SSH's address;
# that is tried in a network of its own, where root or a user may make one.
ssh_run() {
    env SSH_CONNECTION='192.0.2.7 50022 192.0.2.1 22' LISTEN="$1" CAMERA=fake RUN_SECONDS=0.1 "${@:2}" tools/run.sh
}
ssh_run 127.0.0.1 >"$work/ssh.out" 2>&1 || fail "it does not run over SSH"
grep -q 'make run LISTEN=0.0.0.0' "$work/ssh.out" || fail "no word of LISTEN over SSH"
own_network=(unshare --map-root-user --net bash -c 'ip link set lo up && exec "$@"' --)
if "${own_network[@]}" true 2>/dev/null; then
    ssh_run 0.0.0.0 "${own_network[@]}" >"$work/open.out" 2>&1 || fail "it does not run with LISTEN=0.0.0.0"
    grep -q 'Live picture: *http://192\.0\.2\.1:[0-9]*/$' "$work/open.out" || fail "not SSH's address"
    grep -Eq 'Log in with: *name pinhole, password [0-9a-f]{16}$' "$work/open.out" || fail "open without a password"
    grep -q 'logged in over SSH' "$work/open.out" && fail "LISTEN is asked for although it is given"
fi

# A port that a node has: the message names it and the variable that chooses another.
"$BUILD/pinhole" --camera fake --listen 127.0.0.1:0 2>"$work/node.out" &
node=$!
wait_for "$work/node.out" 'listening on tcp'
taken=$(sed -n 's/.*listening on tcp .*:\([0-9]*\)$/\1/p' "$work/node.out")
for variable in PORT NODE_PORT; do
    env "$variable=$taken" tools/run.sh >"$work/taken.out" 2>&1 && fail "$variable=$taken: no error"
    grep -q "port $taken is in use.* $variable=" "$work/taken.out" ||
        fail "$variable=$taken: not a word of the cause and the way out"
done

CAMERA=replay:$work/nothing tools/run.sh >"$work/absent.out" 2>&1 && fail "absent folder: no error"
grep -q "folder $work/nothing: No such file" "$work/absent.out" && grep -q '^make run: ' "$work/absent.out" ||
    fail "absent folder: not a word of the cause"
exit 0
