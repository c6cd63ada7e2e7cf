#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs once at each start. A root that is only tried becomes the one that every start takes when the
# node has delivered a picture, within two minutes after the node was first started. Otherwise the
# machine restarts, with the root that it had before.
set -u
node_s=120 all_s=600
boot_slot=/usr/lib/pinhole/boot-slot

slot=$(sed -n 's/.*rauc\.slot=\([AB]\).*/\1/p' /proc/cmdline)
# Without a boot partition that can be read nobody knows, and nothing is to be done.
primary=$($boot_slot get-primary) || exit 0
[ "$primary" != "$slot" ] || exit 0
echo "pinhole: root $slot is on trial, $primary is the one to go back to"

setting() { # key of [server]
    pinhole --print-config | sed -n "s/^$1 = //p"
}
ask() { # command of pinholectl...
    node=$(setting socket) key=$(setting view_key_file)
    node=${node:+unix:$node}
    node=${node:-$(setting listen | sed 's/^0\.0\.0\.0:/127.0.0.1:/; s/^\[::\]:/127.0.0.1:/')}
    key=${key:-$(setting control_key_file)}
    pinholectl --timeout 20 --node "$node" ${key:+--key-file "$key"} "$@"
}
# A node that waits for a trigger says that it left out the camera's frames.
delivers() {
    ask grab --replace -o /run/pinhole-trial.jpg ||
        ask stats | grep -q '^pinhole_frames_dropped_total{reason="untriggered"} [1-9]'
}
uptime_s() {
    cut -d. -f1 /proc/uptime
}

go_back() { # why
    echo "pinhole: $1, going back to root $primary"
    systemctl reboot || reboot --force
    exit
}

deadline=$all_s is_started=no
until delivers >/dev/null 2>&1; do
    now=$(uptime_s)
    if [ $is_started = no ] && [ "$(systemctl show --property ActiveState --value pinhole)" != inactive ]; then
        is_started=yes
        [ $((now + node_s)) -ge $deadline ] || deadline=$((now + node_s))
    fi
    [ "$now" -lt $deadline ] || go_back "no picture in time"
    sleep 2
done
# RAUC itself would wait 25 s for its service, which is not enough on a busy machine.
for _ in 1 2 3; do
    systemctl start rauc && rauc status mark-good && echo "pinhole: root $slot stays" && exit
    sleep 5
done
go_back "it could not be made to stay"
