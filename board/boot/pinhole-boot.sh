#!/bin/sh
# SPDX-License-Identifier: MIT
# Takes settings from the boot partition, which every computer with a card reader can edit:
#   pinhole-boot [BOOT-FOLDER [ROOT]]
# pinhole.ini has the node's settings, pinhole-network.ini those of network, page and access. A good
# file is used, and kept as the last good one. With a bad or absent file the last good one stays in
# use. The verdict is written to pinhole-status.txt beside them, only when it has changed.
# Runs once at boot, before the network and the node. Its exit status is 0 unless it could not work.
set -u
export LC_ALL=C.UTF-8

root=${2:-}
boot=${1:-}
if [ -z "$boot" ]; then
    boot=/boot/firmware
    [ -d "$boot" ] || boot=/boot
fi
pinhole=${PINHOLE:-pinhole}
web=${PINHOLE_WEB:-pinhole-web}
kept=$root/var/lib/pinhole/boot
verdict=$(mktemp)
trap 'rm -f "$verdict" "$verdict".*' EXIT

say() { # words...: a line of the status file
    printf '%s\r\n' "$*" >>"$verdict"
}

# Writes stdin to a file in one step, so that a power cut leaves the old text or the new one.
put() { # mode, file
    mkdir -p "${2%/*}" && cat >"$2.new" && chmod "$1" "$2.new" && sync -f "$2.new" && mv "$2.new" "$2"
}

# --- judging ------------------------------------------------------------------------------------

# Prints nothing when the file is good, else the sentence with its name and line.
judge_node() { # file
    sentence=$("$pinhole" --config "$1" --check-config 2>&1) ||
        printf '%s\n' "${sentence:-pinhole cannot check it}" |
        sed "s|^pinhole: ||; s|$1|pinhole.ini|g" | head -n 1
}

# Prints "section.key=value" for each setting, or "!sentence" for the first fault.
parse_network() { # file
    awk '
        function fault(text) { printf "!pinhole-network.ini:%d: %s\n", NR, text; failed = 1; exit }
        function is_address(text, bits,    parts, n, i) {
            n = split(text, parts, "/")
            if (bits && (n != 2 || parts[2] !~ /^[0-9]+$/ || parts[2] < 1 || parts[2] > 32)) return 0
            if (!bits && n != 1) return 0
            if (parts[1] !~ /^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$/) return 0
            split(parts[1], parts, ".")
            for (i = 1; i <= 4; i++) if (length(parts[i]) > 3 || parts[i] > 255) return 0
            return 1
        }
        function are_names(text,    parts, n, i) {
            n = split(text, parts, " ")
            for (i = 1; i <= n; i++) if (parts[i] !~ /^[A-Za-z0-9][A-Za-z0-9.:-]*$/) return 0
            return n > 0
        }
        function check(name, value) {
            if (name == "network.hostname" &&
                (value !~ /^[A-Za-z0-9][A-Za-z0-9-]*$/ || length(value) > 63))
                return "letters, digits and hyphens, at most 63"
            if ((name == "network.address" || name == "wifi.address") && value != "dhcp" && !is_address(value, 1))
                return "dhcp, or an address with its prefix length such as 192.168.1.20/24"
            if ((name == "network.gateway" || name == "network.dns" || name == "wifi.gateway" || name == "wifi.dns") &&
                !is_address(value, 0))
                return "an address such as 192.168.1.1"
            if (name == "network.ntp" && !are_names(value)) return "host names or addresses"
            if (name == "wifi.ssid" && length(value) > 32) return "at most 32 bytes"
            if (name == "wifi.password" && (length(value) < 8 || length(value) > 63)) return "8 to 63 bytes"
            if (name == "wifi.country" && value !~ /^[A-Z][A-Z]$/) return "two capital letters such as DE"
            if (name == "web.listen" && value !~ /^([0-9.]+|\[[0-9a-fA-F:.]+\]):[0-9]+$/)
                return "ADDRESS:PORT such as 0.0.0.0:8080"
            if (name == "web.password" && (length(value) < 8 || length(value) > 128)) return "8 to 128 bytes"
            if (name == "web.anonymous" && value != "view" && value != "control") return "view or control"
            if (name == "ssh.key" && value !~ /^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp[0-9]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+\/=]+( .*)?$/)
                return "a public key such as ssh-ed25519 AAAA... name"
            if (name == "broker.host" && (value ~ / / || !are_names(value))) return "a host name or an address"
            if (name == "broker.port" && (value !~ /^[0-9]+$/ || value + 0 > 65535)) return "0 to 65535"
            if (name == "broker.username" && value ~ /;/) return "a name without a semicolon"
            if (name == "console.password" && length(value) < 8) return "at least 8 bytes"
            return ""
        }
        BEGIN {
            split("network.hostname network.address network.gateway network.dns network.ntp " \
                  "wifi.ssid wifi.password wifi.country wifi.address wifi.gateway wifi.dns " \
                  "broker.host broker.port broker.username broker.password " \
                  "web.listen web.password web.anonymous ssh.key console.password", list, " ")
            for (i in list) { known[list[i]] = 1; split(list[i], pair, "."); sections[pair[1]] = 1 }
        }
        {
            sub(/\r$/, "")
            if (NR == 1) sub(/^\357\273\277/, "")
            if (/[\001-\010\013-\037\177]/) fault("there is a control character; this is no text file")
            gsub(/^[ \t]+|[ \t]+$/, "")
        }
        /^($|[;#])/ { next }
        /^\[.*\]$/ {
            section = substr($0, 2, length($0) - 2)
            if (!(section in sections)) fault("there is no section [" section "]")
            next
        }
        !/=/ { fault("neither a [section], nor key = value, nor a comment") }
        {
            key = $0; sub(/[ \t]*=.*/, "", key)
            value = $0; sub(/^[^=]*=[ \t]*/, "", value)
            name = section "." key
            if (section == "") fault("\047" key "\047 stands before any [section]")
            if (!(name in known)) fault("there is no key \047" key "\047 in [" section "]")
            if (name in set) fault(name " stands twice; first in line " set[name])
            set[name] = NR
            if (value == "") next
            wanted = check(name, value)
            if (wanted != "") fault(name " = " (name ~ /password/ ? "..." : value) ": it takes " wanted)
            values[name] = value
        }
        END {
            if (failed) exit
            if (("wifi.password" in values) && !("wifi.ssid" in values))
                { NR = set["wifi.password"]; fault("wifi.password needs wifi.ssid") }
            if (("wifi.ssid" in values) && !("wifi.country" in values))
                { NR = set["wifi.ssid"]; fault("wifi.ssid needs wifi.country, for the channels that are legal there") }
            for (name in values)
                if (name ~ /^broker\./ && !("broker.host" in values))
                    { NR = set[name]; fault(name " needs broker.host") }
            for (name in values) print name "=" values[name]
        }' "$1"
}
judge_network() { # file
    parse_network "$1" | sed -n '/^!/{s/^!//p;q;}'
}

# Says what became of a file, and keeps it when it is good.
consider() { # name, judge
    file=$boot/$1 last=$kept/$1
    if [ ! -e "$file" ] && [ -e "$file.txt" ]; then
        say "$1: is there as $1.txt. Remove the .txt from its name (Windows hides such endings)."
    elif [ ! -e "$file" ]; then
        say "$1: is not on this partition."
    else
        # Judge a copy: the verdict and what is kept are of the same bytes.
        cp "$file" "$verdict.copy"
        sentence=$($2 "$verdict.copy")
        if [ -z "$sentence" ]; then
            say "$1: good, in use."
            cmp -s "$verdict.copy" "$last" || put 600 "$last" <"$verdict.copy" || {
                say "$1: could not be kept in $kept."
                return 1
            }
            return 0
        fi
        say "$1: NOT used. $sentence"
    fi
    if [ -e "$last" ]; then
        say "$1: the last good one stays in use."
    else
        say "$1: the defaults are in use."
    fi
}

# --- using --------------------------------------------------------------------------------------

use_node() {
    [ -e "$kept/pinhole.ini" ] || return 0
    cmp -s "$kept/pinhole.ini" "$root/etc/pinhole/pinhole.ini" ||
        put 644 "$root/etc/pinhole/pinhole.ini" <"$kept/pinhole.ini"
    announce "$(node_listen)"
}

# ADDRESS:PORT of the node, as it is when pinhole.ini says nothing, too.
node_listen() {
    set --
    [ ! -e "$kept/pinhole.ini" ] || set -- --config "$kept/pinhole.ini"
    "$pinhole" "$@" --print-config | sed -n 's/^listen = //p'
}

# Avahi tells the network of a node that the network can reach, and of no other.
announce() { # ADDRESS:PORT
    service=$root/etc/avahi/services/pinhole.service template=$root/usr/share/pinhole/avahi/pinhole.service
    case $1 in
    '' | 127.* | '[::1]'*) rm -f "$service" ;;
    *) [ ! -e "$template" ] || sed "s/7447/${1##*:}/" "$template" | put 644 "$service" ;;
    esac
}

# The value of a setting, empty when it is not set.
get() { # section.key
    sed -n "s/^$1=//p" "$verdict.settings"
}

link() { # interfaces, section: a file of systemd-networkd
    address=$(get "$2.address")
    printf '[Match]\nName=%s\n\n[Network]\n' "$1"
    if [ "${address:-dhcp}" = dhcp ]; then
        printf 'DHCP=yes\n'
    else
        printf 'Address=%s\n' "$address"
    fi
    gateway=$(get "$2.gateway") dns=$(get "$2.dns")
    printf '%s' "${gateway:+Gateway=$gateway
}" "${dns:+DNS=$dns
}"
    # Without a DHCP server the node is reachable all the same, as NAME.local.
    printf 'LinkLocalAddressing=yes\n'
}

# What is in quotes for wpa_supplicant would end at a quote; hexadecimal digits are taken as bytes.
hex() {
    printf %s "$1" | od -An -v -tx1 | tr -d ' \n'
}
wifi() {
    printf 'ctrl_interface=/run/wpa_supplicant\ncountry=%s\nnetwork={\n    ssid=%s\n    scan_ssid=1\n' \
        "$(get wifi.country)" "$(hex "$(get wifi.ssid)")"
    if [ -n "$(get wifi.password)" ]; then
        # The passphrase is for wpa_passphrase to hash; its own output would hold it as a comment.
        printf '    psk=%s\n}\n' "$(get wifi.password | wpa_passphrase "$(get wifi.ssid)" |
            sed -n 's/^[[:space:]]*psk=\([0-9a-f]*\)$/\1/p')"
    else
        printf '    key_mgmt=NONE\n}\n'
    fi
}

# Options of the page. Its unit takes the users from /etc/credstore.
page() {
    users="" name=web-users anonymous=$(get web.anonymous)
    if [ -n "$(get web.password)" ]; then
        get web.password | "$web" --add-user pinhole --role control --users "$root/etc/credstore/$name" >&2 &&
            users=$name
    fi
    printf 'PINHOLE_WEB_OPTIONS="--listen %s%s%s"\n' "$(get web.listen)" "${users:+ --users $users}" \
        "${anonymous:+ --anonymous $anonymous}"
}

# The bridge's unit starts when there are settings for it.
bridge() {
    hostname=$(get network.hostname) listen=$(node_listen)
    case $listen in
    0.0.0.0:* | '[::]':*) listen=127.0.0.1:${listen##*:} ;;
    esac
    for key in host port username; do
        value=$(get "broker.$key")
        [ -z "$value" ] || printf '%s = %s\n' "$key" "$value"
    done
    printf '\n[node %s]\naddress = %s\n' "${hostname:-camera}" "$listen"
}

use_network() {
    [ -e "$kept/pinhole-network.ini" ] || return 0
    parse_network "$kept/pinhole-network.ini" >"$verdict.settings"
    links=$root/run/systemd/network
    link 'en* eth*' network | put 644 "$links/20-pinhole.network"
    if [ -n "$(get wifi.ssid)" ]; then
        link 'wl*' wifi | put 644 "$links/20-pinhole-wifi.network"
        wifi | put 600 "$root/etc/wpa_supplicant/wpa_supplicant-wlan0.conf"
    fi
    hostname=$(get network.hostname)
    if [ -n "$hostname" ]; then
        echo "$hostname" | put 644 "$root/etc/hostname"
        [ -n "$root" ] || hostname "$hostname"
    fi
    [ -z "$(get network.ntp)" ] || printf '[Time]\nNTP=%s\n' "$(get network.ntp)" |
        put 644 "$root/run/systemd/timesyncd.conf.d/pinhole.conf"
    case $(get web.listen)/$(get web.password)$(get web.anonymous) in
    /*) ;;
    127.*/* | '[::1]'*/* | */?*) page | put 644 "$root/etc/default/pinhole-web" ;;
    *) say "pinhole-network.ini: web.listen is NOT used: it needs web.password or web.anonymous." ;;
    esac
    if [ -n "$(get ssh.key)" ]; then
        get ssh.key | put 600 "$root/root/.ssh/authorized_keys"
        chmod 700 "$root/root/.ssh"
    fi
    if [ -n "$(get broker.host)" ]; then
        { echo '[broker]' && bridge; } | put 644 "$root/etc/pinhole/mqtt.ini"
        [ -z "$(get broker.password)" ] || get broker.password | put 600 "$root/etc/credstore/mqtt-password"
    fi
    password=$(get console.password)
    case $password in
    '') ;;
    \$*) printf 'root:%s\n' "$password" | chpasswd --encrypted ${root:+--root "$root"} ;;
    *) printf 'root:%s\n' "$password" | chpasswd ${root:+--root "$root"} ;;
    esac
}

# --- telling ------------------------------------------------------------------------------------

# The partition is mounted for reading only, except for this moment.
tell() {
    cmp -s "$verdict" "$boot/pinhole-status.txt" && return 0
    was_read_only=no
    if ! touch "$boot/pinhole-status.new" 2>/dev/null; then
        mount -o remount,rw "$boot" && was_read_only=yes
    fi
    cp "$verdict" "$boot/pinhole-status.new" && sync -f "$boot/pinhole-status.new" &&
        mv "$boot/pinhole-status.new" "$boot/pinhole-status.txt" && sync -f "$boot/pinhole-status.txt"
    status=$?
    [ $was_read_only = no ] || mount -o remount,ro "$boot"
    return $status
}

status=0
say "Pinhole $("$pinhole" --version | sed -n 's/^pinhole //p') read this partition at its last start."
consider pinhole.ini judge_node || status=1
consider pinhole-network.ini judge_network || status=1
use_node || status=1
use_network || status=1
tr -d '\r' <"$verdict"
tell || {
    echo "pinhole-status.txt could not be written in $boot"
    status=1
}
exit $status
