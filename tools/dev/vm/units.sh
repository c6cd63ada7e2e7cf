#!/bin/bash
# SPDX-License-Identifier: MIT
# The second start of the virtual machine: the project's units under a real systemd. Process 1 runs this
# to install them, and then becomes systemd, which runs this again as a unit ("check"). That says
# "VM-RESULT name status" for each promise of the units, "VM-END" at the end, and powers off.
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
source=/mnt/pinhole
build=$source/build/testing
socket=/run/pinhole/socket
stand_in=uvcvideo:nodrop
units=/etc/systemd/system

# --- as process 1 ---------------------------------------------------------------------------------

prepare() {
    echo "VM: Linux $(uname -r), $(nproc) processors, up $(cut -d' ' -f1 /proc/uptime) s"
    mkdir -p /usr/local/bin /usr/local/lib/pinhole /home/pi/photos /etc/pinhole /etc/default /boot/firmware
    install "$build"/{pinhole,pinholectl,pinhole-web} /usr/local/bin
    install "$source/board/boot/pinhole-boot.sh" /usr/local/lib/pinhole/pinhole-boot
    install -m 644 "$source"/board/pinhole{,-boot,-web}.service $units
    install -D -m 644 "$source/board/sysusers.conf" /etc/sysusers.d/pinhole.conf
    # The switch of a camera's module. There is no such camera, so a module that is there has it.
    sed "s/imx296/${stand_in%:*}/; s/trigger_mode/${stand_in#*:}/g" "$source/board/udev.rules" >/etc/udev/rules.d/60-pinhole.rules
    systemd-sysusers pinhole.conf
    printf '0123456789abcdef\n' >/etc/pinhole/key
    chmod 600 /etc/pinhole/key
    chown _pinhole /etc/pinhole/key
    # A folder of photographs in a home. The first byte is the fuzzer's.
    tail -c +2 "$source/tests/host/fuzz/corpus/replay/yuv420" >/home/pi/photos/1.jpg
    printf '%s\n' '[camera]' 'camera = replay:/home/pi/photos' 'framerate = 5' '[server]' \
        "socket = $socket" 'control_key_file = /etc/pinhole/key' >/etc/pinhole/pinhole.ini
    echo "PINHOLE_WEB_OPTIONS=--node unix:$socket" >/etc/default/pinhole-web
    # In the node's sandbox, what it could open.
    sed 's/^Type=.*/Type=oneshot/; /^WatchdogSec\|^Restart\|^RuntimeDirectory/d' \
        "$source/board/pinhole.service" >$units/probe.service
    mkdir $units/probe.service.d
    printf '%s\n' '[Service]' 'ExecStart=' "ExecStart=/bin/bash $source/tools/dev/vm/units.sh probe" \
        >$units/probe.service.d/probe.conf
    printf '%s\n' '[Service]' 'Type=oneshot' 'StandardOutput=tty' 'StandardError=tty' \
        'TTYPath=/dev/ttyS0' "ExecStart=/bin/bash $source/tools/dev/vm/units.sh check" >$units/check.service
    : >/etc/machine-id
    : >/etc/fstab
    exec /usr/lib/systemd/systemd --unit=check.service --show-status=no
}

# --- in the node's sandbox ------------------------------------------------------------------------

# No driver may answer, but it is not the sandbox that refuses.
probe() {
    local failed=0 why
    for device in /dev/probe-video /dev/probe-media; do
        why=$( (exec 3<>$device) 2>&1) || [[ $why != *'not permitted'* && $why != *denied* ]] || failed=1
        echo "$device: ${why:-opened}"
    done
    (exec 3<>/dev/gpiochip0) || failed=1
    why=$( (exec 3<>/dev/probe-disk) 2>&1) && failed=1
    [[ $why == *'not permitted'* ]] || failed=1
    echo "a disk: $why"
    ls /home/pi/photos || failed=1
    (: >/home/pi/photos/written) 2>&1 && failed=1
    return $failed
}

# --- as a unit ------------------------------------------------------------------------------------

failures=0
run() { # name command...
    local name=$1 status=0 start=$EPOCHSECONDS
    shift
    timeout -k 5 120 bash -c "$*" </dev/null || status=$?
    echo "VM-RESULT units:$name $status $((EPOCHSECONDS - start)) s"
    [ $status = 0 ] && return
    failures=$((failures + 1))
    systemctl status --no-pager pinhole pinhole-web probe
    journalctl -b --no-pager -n 25 -o cat
}
# A promise that the next ones stand on.
need() {
    run "$@"
    [ $failures = 0 ] || end
}
end() {
    echo "VM-END $failures"
    sync
    systemctl poweroff --force --force
    sleep infinity
}
# Some things take a moment on an emulated processor.
until_true() {
    local i
    for ((i = 0; i < 30; i++)); do
        "$@" && return
        sleep 1
    done
    return 1
}
flag() { # wanted: 1 or 0, of the newest frame
    local flags
    flags=$(pinholectl grab --json --new -o /run/frame.jpg --replace 2>/dev/null | sed -n 's/.*"flags": *\([0-9]*\).*/\1/p' | head -n 1)
    [ -n "$flags" ] && [ $((flags & 1)) = "$1" ]
}
gpio_lines() {
    modprobe gpio-sim && mount -t configfs config /sys/kernel/config
    mkdir -p /sys/kernel/config/gpio-sim/pi/bank && echo 1 >/sys/kernel/config/gpio-sim/pi/live &&
        udevadm settle && [ "$(stat -c %G:%a /dev/gpiochip0)" = gpio:660 ]
}
switch_is_ours() {
    [ "$(stat -c %G:%a "/sys/module/${stand_in%:*}/parameters/${stand_in#*:}")" = _pinhole:664 ]
}
synchronised() {
    printf '%s\n' '#include <sys/timex.h>' 'int main(void) {' \
        'struct timex t = {.modes = ADJ_STATUS | ADJ_MAXERROR, .status = STA_PLL};' \
        'return adjtimex(&t) < 0; }' | gcc -o /run/synchronise -xc - && /run/synchronise
}
denied_once() {
    mkdir -p $units/pinhole.service.d
    printf '%s\n' '[Service]' 'ProtectClock=yes' 'SystemCallFilter=' 'SystemCallFilter=@system-service' \
        >$units/pinhole.service.d/denied.conf
    systemctl daemon-reload && systemctl restart pinhole && sleep 5 && until_true flag 0 &&
        [ "$(journalctl -u pinhole -b --no-pager | grep -c 'adjtimex(2) fails')" = 1 ]
}
# A boot partition that is mounted for reading only.
boot_partition() {
    mount -t tmpfs -o size=1M boot /boot/firmware && sed 's/^framerate.*/framerate = 6/' /etc/pinhole/pinhole.ini >/boot/firmware/pinhole.ini &&
        printf '%s\n' '[network]' 'hostname = camera-7' 'address = dhcp' '[ssh]' 'key = ssh-ed25519 AAAA me' '[web]' \
            'listen = 0.0.0.0:8080' 'password = a password' >/boot/firmware/pinhole-network.ini &&
        mount -o remount,ro /boot/firmware
}
was_set_up() {
    set -ex
    grep -x 'framerate = 6' /etc/pinhole/pinhole.ini
    [ "$(cat /proc/sys/kernel/hostname)" = camera-7 ]
    [ "$(stat -c %a /root/.ssh/authorized_keys)" = 600 ]
    [ "$(stat -c %a /run/systemd/network/20-pinhole.network)" = 644 ]
    [ "$(stat -c %a /run/systemd/network)" = 755 ]
    grep ' --users web-users"' /etc/default/pinhole-web
    grep -q 'read this partition' /boot/firmware/pinhole-status.txt
    ! grep NOT /boot/firmware/pinhole-status.txt
    ! touch /boot/firmware/written
}
export -f until_true gpio_lines switch_is_ours flag synchronised denied_once boot_partition was_set_up
export units socket stand_in

check() {
    mknod --mode=660 /dev/probe-video c 81 250 && chgrp video /dev/probe-video
    mknod --mode=666 /dev/probe-disk b 254 0
    run no-driver-is-loaded '! grep -q video4linux /proc/devices'
    need node-starts systemctl start pinhole
    run frameworks-are-loaded grep -q video4linux /proc/devices
    run it-has-its-user "[ \"\$(stat -c %U /proc/\$(systemctl show -P MainPID pinhole))\" = _pinhole ]"
    mknod --mode=660 /dev/probe-media c "$(sed -n 's/ media$//p' /proc/devices | tr -d ' ')" 250 &&
        chgrp video /dev/probe-media
    need gpio-lines-have-their-group gpio_lines
    run devices-and-homes systemctl start probe
    run the-switch-has-its-group "modprobe uvcvideo && until_true switch_is_ours"
    need photographs-in-a-home until_true flag 0
    run clock-is-synchronised synchronised
    run flag-follows-the-clock until_true flag 1
    need gateway-starts systemctl start pinhole-web
    run gateway-has-the-socket until_true curl -fs -o /run/picture.jpg http://127.0.0.1:8080/snapshot
    run its-picture-is-one "[ \"\$(head -c 2 /run/picture.jpg | od -An -tx1)\" = ' ff d8' ]"
    run its-user-is-no-other "[ \"\$(stat -c %u /proc/\$(systemctl show -P MainPID pinhole-web))\" -gt 60000 ]"
    run memory-of-the-worst-case "[ \$(systemctl show -P MemoryMax pinhole-web) -gt $((170 << 20)) ]"
    run watchdog-is-served "sleep 15; [ \$(systemctl show -P NRestarts pinhole) = 0 ]"
    run denied-clock-is-said-once denied_once
    need boot-partition boot_partition
    need settings-are-taken systemctl start pinhole-boot
    run system-is-set-up was_set_up
    end
}

case ${1:-prepare} in
prepare) prepare ;;
probe) probe ;;
check) check ;;
esac
