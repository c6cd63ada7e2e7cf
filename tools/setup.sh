#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs the Debian packages that a make target needs:  tools/setup.sh run|test|lint|...
# Says nothing and takes some 20 ms when all of them are there. PINHOLE_SETUP=skip trusts the caller.
set -euo pipefail

# --- the lists: what each purpose needs, and what it merely wants (a backend or a test more) -----
build="gcc g++ libc6-dev libcrypt-dev libgnutls28-dev make pkg-config libjpeg-dev libinih-dev libjansson-dev libmicrohttpd-dev nettle-dev"
build_wants="libcamera-dev libcamera-ipa libgpiod-dev libturbojpeg0-dev libavahi-client-dev libmosquitto-dev
  libnats-dev libsqlite3-dev"
test="binutils curl libcmocka-dev libjpeg-turbo-progs procps python3"
test_wants="chromium chromium-driver faketime ffmpeg gstreamer1.0-plugins-base gstreamer1.0-plugins-good jq
  libavformat-dev mosquitto mosquitto-clients mpv nats-server openssl python3-numpy python3-opencv python3-paho-mqtt
  python3-pil python3-prometheus-client python3-selenium systemd valgrind"
# Debian's nginx starts a server on port 80, and stunnel4 has a service, too: not on a machine where
# somebody works.
[ -z "${CI:-}" ] || test_wants+=" nginx stunnel4"
lint="clang-format-19 clang-tidy-19 cppcheck libcmocka-dev mypy pyflakes3 python3 shellcheck"
fuzz="clang libclang-rt-dev llvm libcmocka-dev"
mirror="ca-certificates mmdebstrap"
packaging="debhelper dh-python dpkg-dev libavcodec-dev libavformat-dev libavutil-dev"
image="arch-test make dosfstools e2fsprogs fdisk mtools openssl qemu-user-static rauc squashfs-tools zstd $mirror"
vm="cpio e2fsprogs kmod qemu-system-x86 xz-utils"

purpose=${1:-run}
case $purpose in
run) needs="$build python3" wants=$build_wants ;;
test | bench) needs="$build $test" wants="$build_wants $test_wants" ;;
lint) needs="$build $lint" wants=$build_wants ;;
size) needs="$build binutils" wants=$build_wants ;;
fuzz) needs="$build $fuzz" wants="" ;;
deb) needs="$build $build_wants $packaging" wants="" ;;
check-deb) needs="arch-test make iproute2 qemu-user-static $mirror" wants="" ;;
check-arm) needs="make $mirror" wants="" ;;
check-mqtt) needs="$build $mirror libmosquitto-dev mosquitto mosquitto-clients nats-server rabbitmq-server" wants="python3-paho-mqtt" ;;
check-fleet) needs="$build $mirror e2fsprogs libnats-dev nats-server python3" wants="libavformat-dev" ;;
image) needs=$image wants="" ;;
check-image) needs="$build $image cpio openssh-client python3 qemu-system-arm" wants="" ;;
check-libcamera) needs="$build $mirror" wants="" ;;
check-vm) needs="$build $mirror $vm" wants="" ;;
*)
    echo "setup: no such purpose: $purpose" >&2
    exit 2
    ;;
esac
[ "${PINHOLE_SETUP:-}" = skip ] && exit 0

# Another system: its packages have other names, so ask for the libraries instead.
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    absent=""
    for library in libjpeg inih jansson libmicrohttpd gnutls nettle $([ "$purpose" = test ] && echo cmocka); do
        pkg-config --exists "$library" 2>/dev/null || absent="$absent $library"
    done
    if [ -n "$absent" ]; then
        echo "setup: this is not a Debian system; pkg-config does not find:$absent" >&2
        echo "setup: please install these with their headers (Debian's names: $needs)" >&2
        exit 1
    fi
    exit 0
fi

# Which of the named packages are not installed?
missing() {
    local have
    have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
    local package
    for package in "$@"; do
        grep -qxF -e "installed $package" <<<"$have" || printf '%s ' "$package"
    done
}

# shellcheck disable=SC2086 # lists of words
lacking=$(missing $needs)
# A package that this system does not offer was noted the last time; do not ask again each run.
noted=${XDG_CACHE_HOME:-$HOME/.cache}/pinhole/not-offered
wanting=""
if [ -n "$wants" ]; then
    # shellcheck disable=SC2086
    wanting=$(missing $wants)
    if [ -n "$wanting" ] && [ -f "$noted" ] && [ -z "$(find "$noted" -mtime +6)" ]; then
        # shellcheck disable=SC2086
        wanting=$(printf '%s\n' $wanting | grep -vxF -f "$noted" | tr '\n' ' ' || true)
    fi
fi
[ -z "$lacking$wanting" ] && exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    elif command -v sudo >/dev/null && [ -t 0 ] && [ -t 2 ]; then
        echo "setup: needs to install: $lacking$wanting- sudo asks for your password" >&2
        as_root=(sudo)
    elif [ -z "$lacking" ]; then
        echo "setup: going on without: $wanting(not root, and no sudo)" >&2
        exit 0
    else
        {
            echo "setup: packages are missing, and this is neither root nor able to use sudo."
            echo "setup: as root, please run:"
            echo "    apt-get update && apt-get install --no-install-recommends $lacking$wanting"
        } >&2
        exit 1
    fi
fi

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
        -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" </dev/null
}
install() {
    apt install --no-install-recommends "$@" >"$log" 2>&1
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Lists that are absent or a week old name versions that the mirror no longer has.
lists=$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -7 2>/dev/null || true)
if [ -z "$lists" ]; then
    echo "setup: apt-get update" >&2
    apt update >"$log" 2>&1 || { cat "$log" >&2; }
fi

# Leave out what no source offers.
offered=""
for package in $wanting; do
    if apt-cache show "$package" >/dev/null 2>&1; then
        offered="$offered$package "
    else
        echo "setup: not offered by this system, going on without: $package" >&2
        mkdir -p "${noted%/*}"
        echo "$package" >>"$noted"
    fi
done
[ -z "$lacking$offered" ] && exit 0

echo "setup: installing $lacking$offered" >&2
# shellcheck disable=SC2086
if ! install $lacking $offered; then
    echo "setup: trying once more with fresh package lists" >&2
    apt update >"$log" 2>&1 || true
    if ! install $lacking $offered; then
        # What is merely wanted must not keep the rest from working.
        if [ -n "$lacking" ] && ! install $lacking; then
            cat "$log" >&2
            echo "setup: could not install: $lacking" >&2
            echo "setup: please run: apt-get update && apt-get install $lacking" >&2
            exit 1
        fi
        for package in $offered; do
            install "$package" || echo "setup: going on without $package" >&2
        done
    fi
fi
