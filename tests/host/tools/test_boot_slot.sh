#!/bin/bash
# SPDX-License-Identifier: MIT
# Which root the firmware starts: each step of an update as RAUC asks for it, on a folder instead of
# the boot partition. A start that is not confirmed finds config.txt as it was.
set -uo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PINHOLE_BOOT=$work/boot WORK=$work
mkdir -p "$work"/{bin,boot/a} "$work"/70696e68-0{2,3}/boot

# Instead of mounting: a line, and for a root its files.
cat >"$work/bin/mount" <<'END'
#!/bin/sh
echo "$2" >>"$WORK/mounts"
[ "$2" != ro ] || cp -r "$WORK/${3##*/}/boot" "$4"
END
cat >"$work/bin/umount" <<'END'
#!/bin/sh
rm -r "$1/boot"
END
chmod +x "$work"/bin/*
PATH=$work/bin:$PATH

fail() {
    echo "line ${BASH_LINENO[0]}: $*"
    head "$work"/boot/*.txt
    exit 1
}
slot() { sh board/image/boot-slot.sh "$@" 2>"$work/errors"; }
says() { # words, command...
    local wanted=$1
    shift
    [ "$(slot "$@")" = "$wanted" ] || fail "$* does not say $wanted: $(cat "$work/errors")"
}
does() { slot "$@" || fail "$* failed: $(cat "$work/errors")"; }
refuses() { # sentence, command...
    local sentence=$1
    shift
    cp -r "$work/boot" "$work/before"
    ! slot "$@" || fail "$* was not refused"
    grep -qF -e "$sentence" "$work/errors" || fail "$* says: $(cat "$work/errors")"
    diff -r "$work/boot" "$work/before" || fail "$* changed something"
    rm -r "$work/before"
}
# It is one letter, in the file that was there, below one sector.
changed() { # file, letter
    [ "$(cmp -l "$work/$1" "$work/boot/$1" | wc -l)" = 1 ] || fail "$1 has more changes than one byte"
    grep -qx "os_prefix=$2/" "$work/boot/$1" || fail "$1 does not name $2"
    [ "$(stat -c %i "$work/boot/$1")" = "$(cat "$work/$1.inode")" ] || fail "$1 is another file"
}
remember() {
    for name in config.txt tryboot.txt; do
        cp "$work/boot/$name" "$work/$name"
        stat -c %i "$work/boot/$name" >"$work/$name.inode"
    done
}
same() { cmp "$work/$1" "$work/boot/$1" || fail "$1 has changed"; }

[ "$(stat -c %s board/image/config.txt)" -lt 512 ] || fail "config.txt does not fit into a sector"
for name in config.txt tryboot.txt; do
    cp board/image/config.txt "$work/boot/$name"
done
for number in 2 3; do
    for name in vmlinuz initrd.img bcm2837-rpi-3-b.dtb; do
        echo "$name $number" >"$work/70696e68-0$number/boot/$name"
    done
    cp board/image/virt/cmdline.txt "$work/70696e68-0$number/boot/"
done

# A new image: A is the root, B is empty.
says A get-primary
says good get-state A
says bad get-state B
refuses "slot A is the one that every start takes" set-state A bad
refuses "slot B is not complete" set-state B good
refuses "unknown: set-primary C" set-primary C

# An update into B. It is ready once its kernel is on the boot partition, and only to be tried.
remember
touch "$work/boot/FSCK0000.REC"
does set-state B bad
does set-primary B
[ ! -e "$work/boot/FSCK0000.REC" ] || fail "what a check saved fills the partition"
same config.txt
changed tryboot.txt b
says A get-primary
says good get-state B
for name in vmlinuz initrd.img bcm2837-rpi-3-b.dtb; do
    grep -qx "$name 3" "$work/boot/b/$name" || fail "b/$name is of another root"
done
diff <(sed 's/-02 /-03 /; s/slot=A/slot=B/' board/image/virt/cmdline.txt) "$work/boot/b/cmdline.txt" ||
    fail "B's command line is of another root"

# The node delivers: B stays.
remember
does set-state B good
same tryboot.txt
changed config.txt b
says B get-primary

# An update into A that is cut while it is written: A is not complete, and B is started.
remember
does set-state A bad
says bad get-state A
refuses "slot A is not complete" set-state A good
refuses "slot B is the one that every start takes" set-state B bad

# A root without all its parts is never tried.
mv "$work/70696e68-02/boot/initrd.img" "$work/"
: >"$work/mounts"
! slot set-primary A || fail "tried without its initramfs"
[ "$(tail -n 1 "$work/mounts")" = remount,ro ] || fail "the boot partition stays writable"
says bad get-state A
mv "$work/initrd.img" "$work/70696e68-02/boot/"
: >"$work/mounts"
does set-primary A
[ "$(paste -sd' ' "$work/mounts")" = "remount,rw ro remount,ro" ] || fail "mounts: $(cat "$work/mounts")"
cmp board/image/virt/cmdline.txt "$work/boot/a/cmdline.txt" || fail "A's command line is of another root"
same config.txt
changed tryboot.txt a

# The root that is ready to be tried is written again: nobody tries it meanwhile.
does set-state A bad
same tryboot.txt
says bad get-state A

# A partition that names nothing is not guessed at.
sed -i 's/^os_prefix/#&/' "$work/boot/config.txt"
refuses "do not name a slot" get-primary
