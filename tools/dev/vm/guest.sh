#!/bin/bash
# SPDX-License-Identifier: MIT
# Process 1 of the virtual machine: makes a simulated GPIO chip that looks like a Pi's, runs the
# tests on it, says "VM-RESULT name status" for each, "VM-END" at the end, and powers off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8
cd /mnt/pinhole || exec busybox poweroff -f

mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /dev/shm /dev/pts && mount -t tmpfs shm /dev/shm
mount -t configfs configfs /sys/kernel/config 2>/dev/null
ip link set lo up
echo "VM: Linux $(uname -r), $(nproc) processors, up $(cut -d' ' -f1 /proc/uptime) s"

# "pinctrl-bcm2711" with GPIO0..GPIO57, like a Pi 4.
make_chip() {
    modprobe gpio-sim || return
    mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config || return
    local bank=/sys/kernel/config/gpio-sim/pi/bank0 i
    mkdir -p $bank
    echo 58 >$bank/num_lines
    echo pinctrl-bcm2711 >$bank/label
    for ((i = 0; i < 58; i++)); do
        mkdir $bank/line$i
        echo GPIO$i >$bank/line$i/name
    done
    echo 1 >/sys/kernel/config/gpio-sim/pi/live || return
    PINHOLE_GPIO_SIM=/sys/devices/platform/$(cat /sys/kernel/config/gpio-sim/pi/dev_name)/$(cat $bank/chip_name)
    export PINHOLE_GPIO_SIM
}

# A bus for the USB camera of tests/host/support/usb_camera.h, and udev, for which libcamera waits.
# libcamera names such a camera after its controller's node in the firmware's tables. This controller
# has none, so the root of /sys gets one.
make_usb_bus() {
    local entry
    modprobe -a vhci-hcd uvcvideo && /usr/lib/systemd/systemd-udevd --daemon || return
    mkdir /tmp/sys && mount -t tmpfs sys /tmp/sys || return
    for entry in /sys/*; do
        mkdir "/tmp$entry" && mount --rbind "$entry" "/tmp$entry" || return
    done
    mkdir /tmp/sys/firmware_node && echo '\_SB_.PCI0.XHC_' >/tmp/sys/firmware_node/path
    mount --move /tmp/sys /sys
}

# A camera of libcamera that needs no hardware.
mount -t tmpfs tmp /usr/share/libcamera/pipeline/virtual
cp tests/host/kernel/virtual.yaml /usr/share/libcamera/pipeline/virtual/
export PINHOLE_TEST_VIRTUAL=1 BUILD=build/testing

# See tests/host/kernel/test_trigger_gpio_sim.c; the storm there switches it on again.
echo 0 >/sys/devices/system/cpu/cpu1/online

failures=0
# The emulator shares its processors, and a device that is played here then comes late. What fails twice
# has failed; the first failure stays in the log.
run() { # name command...
    local name=$1 try status start
    shift
    for try in 1 2; do
        status=0 start=$EPOCHSECONDS
        echo "VM-RUN $name, try $try"
        timeout -k 5 "${LIMIT:-500}" "$@" </dev/null || status=$?
        echo "VM-RESULT $name $status $((EPOCHSECONDS - start)) s"
        [ $status != 0 ] || return
    done
    failures=$((failures + 1))
}

make_chip
run chip test -d "$PINHOLE_GPIO_SIM"
make_usb_bus
run usb test -w /sys/devices/platform/vhci_hcd.0/attach
while read -r test; do
    run "$test" "build/testing/tests/kernel/$test"
done <tools/dev/vm/tests

# Another Debian's programs on this kernel, below /mnt: name, disk.
mount_system() {
    local root=/mnt/$1 folder
    mkdir "$root" && mount -t ext4 -o ro "$2" "$root" || return
    for folder in dev sys proc run; do
        mount --rbind /$folder "$root/$folder" || return
    done
    mount -t tmpfs tmp "$root/tmp" && mount --bind /mnt/pinhole "$root/mnt"
}

mount_system bookworm /dev/vdc
mount_system trixie /dev/vdd

# The same lines through Debian 12's libgpiod 1, whose kernel interface this kernel lacks.
run libgpiod1 chroot /mnt/bookworm env -C /mnt LD_PRELOAD=/mnt/build/bookworm/tests/gpio_v1.so \
    build/bookworm/tests/kernel/test_gpio_sim

# The same USB camera through older libcameras.
for system in trixie bookworm; do
    for test in test_usb_camera test_usb_camera_outage; do
        run "$system:$test" chroot /mnt/$system env -C /mnt BUILD=build/$system \
            "build/$system/tests/kernel/$test"
    done
done

echo "VM-END $failures"
sync
busybox poweroff -f
