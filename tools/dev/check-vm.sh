#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs the trigger's tests on the kernel's simulated GPIO lines and the camera's on a USB camera, in a
# virtual machine without KVM: Debian testing's own kernel and libraries (libgpiod 2, libcamera 0.7),
# the libcameras of Debian 13 (0.4) and 12 (0.0.3) on the same USB camera, and Debian 12's libgpiod 1 on
# the same lines (this kernel lacks the interface that it uses, so a library translates:
# tests/host/support/preload/gpio_v1.c). Root filesystems come from the package mirror and are cached
# (tools/dev/rootfs.sh); the node and the tests are compiled inside them.
# Then the machine starts again with systemd, and the project's units keep their promises there
# (tools/dev/vm/units.sh).
#   PART=NAME only this part: guest, units
#   KEEP=1    leave the guest's log in build/vm.log on success too (a failure always does)
#   TIMEOUT=N seconds for the machine (default 1500)
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "$(id -u)" != 0 ]; then
    echo "check-vm: needs root (it unpacks and enters Debian root filesystems): sudo make check-vm" >&2
    exit 1
fi
base="gcc make pkg-config libc6-dev libjansson-dev libjpeg-dev libinih-dev libcmocka-dev libgpiod-dev nettle-dev"
testing=$(tools/dev/rootfs.sh testing "$base linux-image-amd64 g++ libcamera-dev libcamera-ipa libcrypt-dev libgnutls28-dev libmicrohttpd-dev kmod udev systemd libseccomp2 curl iproute2 busybox-static")
trixie=$(tools/dev/rootfs.sh trixie "$base g++ libcamera-dev libcamera-ipa")
bookworm=$(tools/dev/rootfs.sh bookworm "$base g++ libcamera-dev libcamera-ipa")
work=${XDG_CACHE_HOME:-$HOME/.cache}/pinhole/vm
mkdir -p "$work"
exec 9>"$work/lock"
flock 9

# --- the sources, and what each system makes of them ---------------------------------------------
# Unpacked as new: what was compiled before may be of another checkout.
source=$work/source
mkdir -p "$source"
find "$source" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
git ls-files -co --exclude-standard -z | while IFS= read -rd '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar -c --null --files-from - | tar -xm -C "$source"

compile() { # system, tree, targets...
    local system=$1 tree=$2 log=$work/build-$1.log
    shift 2
    echo "check-vm: compiling for $system"
    # shellcheck disable=SC2016 # expanded by the inner shell
    if ! unshare -m bash -ec '
        tree=$1 source=$2
        shift 2
        mount --make-rprivate /
        mount --bind "$source" "$tree/mnt"
        mount --rbind /dev "$tree/dev"
        mount -t proc proc "$tree/proc"
        mount -t tmpfs tmp "$tree/tmp"
        exec chroot "$tree" env -i PATH=/usr/sbin:/usr/bin HOME=/tmp make -C /mnt "$@"' - \
        "$tree" "$source" -j"$(nproc)" BUILD="build/$system" "$@" >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        echo "check-vm: the build for $system failed" >&2
        exit 1
    fi
}
mapfile -t tests <tools/dev/vm/tests
compile testing "$testing" "${tests[@]/#/build/testing/tests/kernel/}" build/testing/{pinhole,pinholectl,pinhole-web}
usb() { # system: what it needs to use the USB camera
    printf "build/$1/%s\n" pinhole tests/kernel/test_usb_camera tests/kernel/test_usb_camera_outage
}
mapfile -t programs < <(usb trixie)
compile trixie "$trixie" "${programs[@]}"
mapfile -t programs < <(usb bookworm)
compile bookworm "$bookworm" "${programs[@]}" build/bookworm/tests/kernel/test_gpio_sim build/bookworm/tests/gpio_v1.so

# --- disks ---------------------------------------------------------------------------------------
image() { # folder, file, spare MiB
    local size=$(($(du -sm --apparent-size "$1" | cut -f1) * 115 / 100 + $3))
    rm -f "$2"
    mke2fs -q -t ext4 -O ^has_journal -d "$1" "$2" "${size}M"
}
for tree in "$testing" "$trixie" "$bookworm"; do
    [ -e "$tree.img" ] || { image "$tree" "$tree.img.new" 64 && mv "$tree.img.new" "$tree.img"; }
done
image "$source" "$work/source.img" 64

# --- the kernel and what mounts its disks ----------------------------------------------------------
kernel=$(echo "$testing"/usr/lib/modules/*)
initrd=$work/initrd
rm -rf "$initrd"
mkdir -p "$initrd"/{bin,modules}
cp "$testing/usr/bin/busybox" "$initrd/bin/"
cp tools/dev/vm/init "$initrd/init"
chmod +x "$initrd/init"
for module in virtio_pci virtio_blk virtio_rng ext4; do
    modprobe -d "$testing" -S "$(basename "$kernel")" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' | while read -r path; do
    name=$(basename "$path" .xz)
    xz -dc "$path" >"$initrd/modules/$name"
    echo "$name" >>"$initrd/modules/order"
done
(cd "$initrd" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd.img"

# --- the machine -----------------------------------------------------------------------------------
machine() { # part
    exec timeout -k 10 "${TIMEOUT:-1500}" qemu-system-x86_64 -M q35 -cpu qemu64 \
        -accel tcg,thread=multi -smp 2 -m 1536M -nodefaults -no-user-config -display none \
        -serial stdio -no-reboot -kernel "$kernel/vmlinuz" -initrd "$work/initrd.img" \
        -append "console=ttyS0 panic=-1 no_timer_check tsc=reliable mitigations=off $1" \
        -drive file="$testing.img",format=raw,if=virtio,snapshot=on \
        -drive file="$work/source.img",format=raw,if=virtio \
        -drive file="$bookworm.img",format=raw,if=virtio,snapshot=on \
        -drive file="$trixie.img",format=raw,if=virtio,snapshot=on \
        -device virtio-rng-pci </dev/null 9>&- 2>&1
}
# An emulated machine sometimes hangs or panics before its kernel has started; then it is started again.
start() { # part; sets pid
    local attempt waited
    for attempt in 1 2 3; do
        echo "check-vm: starting the machine ($1)"
        : >"$log"
        (machine "$1") >"$log" &
        pid=$!
        trap 'kill $pid 2>/dev/null || true' EXIT
        for ((waited = 0; waited < 120; waited++)); do
            grep -aq '^VM: Linux' "$log" && return
            kill -0 $pid 2>/dev/null || break # a panic ends it
            sleep 1
        done
        echo "check-vm: the machine did not start (attempt $attempt)"
        tail -n 5 "$log"
        kill $pid 2>/dev/null || true
        wait $pid || true
    done
}
mkdir -p build
for part in ${PART:-guest units}; do
    log=$work/$part.log
    start "$part"
    tail -n +1 --pid="$pid" -f "$log" | sed -u 's/\r$//' |
        grep --line-buffered -aE '^VM(-RESULT|-END|:)|^\[  FAILED  \]' || true
    status=0
    wait "$pid" || status=$?
    sed -i 's/\r$//' "$log"
    cp "$log" build/vm.log
    if ! grep -aqx 'VM-END 0' "$log"; then
        # What each failed test wrote, and its machine after it; or the log's end when no test failed.
        awk '{ line[NR] = $0 }
            $1 == "VM-RESULT" { at[++n] = NR; if ($3 != 0) { bad[n] = 1; failed = failed " " $2 } }
            END { at[n + 1] = NR + 1
                for (i = NR > 100 ? NR - 99 : 1; failed == "" && i <= NR; i++) print "  | " line[i]
                for (k = 1; k <= n; k++) for (i = at[k - 1] + 1; bad[k] && i < at[k + 1]; i++)
                    if (i > at[k] - 100 && i < at[k] + 100) print "  | " line[i]
                print "check-vm: failed:" (failed == "" ? " the machine" : failed) }' "$log" >&2
        echo "check-vm: FAILED (status $status); the guest's whole log is in build/vm.log" >&2
        exit 1
    fi
done
[ -n "${KEEP:-}" ] || rm -f build/vm.log
echo "check-vm: passed"
