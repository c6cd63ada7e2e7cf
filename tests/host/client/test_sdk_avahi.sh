#!/bin/bash
# SPDX-License-Identifier: MIT
# A node that Avahi announces by the service file is found, and opened by its name. Own network,
# mount and process namespaces with a bus and an Avahi daemon of their own: nothing of the machine's
# is touched or heard.
set -euo pipefail

if [ "${1:-}" != inside ]; then
    for program in unshare ip dbus-daemon avahi-daemon "${CC:-cc}"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null ||
            { echo "skip: $program is not installed"; exit 77; }
    done
    grep -aq avahi_service_browser_new "$BUILD/libpinhole.so.1" ||
        { echo "skip: libpinhole was built without Avahi"; exit 77; }
    [ -d /etc/avahi/services ] || { echo "skip: there is no /etc/avahi/services"; exit 77; }
    spaces=(unshare --net --mount --pid --fork --kill-child)
    "${spaces[@]}" ip link set lo up 2>/dev/null ||
        { echo "skip: not allowed to make namespaces here"; exit 77; }
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    folder=$folder "${spaces[@]}" bash "$0" inside
    exit
fi

export PATH=$PATH:/usr/sbin:/sbin
cat >"$folder/bus.conf" <<X
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=$folder/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/></policy></busconfig>
X
printf '%s\n' '[server]' host-name=pinholetest allow-interfaces=lo use-ipv6=no '[publish]' \
    publish-workstation=no >"$folder/avahi.conf"
ip link set lo up
ip link set lo multicast on
ip route add 224.0.0.0/4 dev lo
mount --bind board/avahi /etc/avahi/services
mount -t tmpfs tmpfs /run
mkdir -p /run/avahi-daemon

export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$folder/bus
dbus-daemon --config-file="$folder/bus.conf" --nofork --nopidfile >"$folder/log" 2>&1 &
for ((i = 0; i < 300; i++)); do
    [ -S "$folder/bus" ] && break
    sleep 0.1
done
avahi-daemon --no-drop-root --no-chroot --no-rlimits -f "$folder/avahi.conf" >>"$folder/log" 2>&1 &
for ((i = 0; i < 600; i++)); do
    grep -q 'successfully established' "$folder/log" && break
    sleep 0.1
done
grep -q 'successfully established' "$folder/log" || { cat "$folder/log"; exit 1; }

# On the port that the service file names; this network has no other node.
"$BUILD/pinhole" --camera fake --listen 0.0.0.0:7447 --set node.name=gate-7 \
    --set server.anonymous=view 2>"$folder/node.log" &
cat >"$folder/find.c" <<'X'
#include <pinhole.h>
#include <stdio.h>
int main(void)
{
    struct pinhole_node nodes[4];
    struct pinhole *camera;
    int count = 0;
    for (int tries = 0; tries < 20 && count < 1; tries++)
        count = pinhole_enumerate(nodes, 4, NULL, 3000);
    printf("%d %s %s announced %d\n", count, nodes[0].address, nodes[0].id, nodes[0].is_announced);
    int result = pinhole_open(&camera, "id:gate-7", NULL);
    printf("open %d %s\n", result, pinhole_error(camera));
    pinhole_close(camera);
    return 0;
}
X
checks=()
[ -n "${SAN:-}" ] && checks=(-fsanitize="address,undefined")
"${CC:-cc}" "${checks[@]}" "$folder/find.c" -Inet/client -L"$BUILD" -Wl,-rpath,"$(realpath "$BUILD")" \
    -lpinhole -o "$folder/find"
# What comes from elsewhere must not stand in for the announcement.
env -u PINHOLE_NODES "$folder/find" | tee "$folder/found"
grep -qx '1 127.0.0.1:7447 gate-7 announced 1' "$folder/found"
grep -qx 'open 0 ' "$folder/found"
