#!/bin/bash
# SPDX-License-Identifier: MIT
# Settings on the boot partition: good ones are used and kept, bad ones are named with file and line
# and change nothing, and the partition is written only when there is something new to say.
set -uo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PINHOLE=$PWD/${BUILD:-build/release}/pinhole
export PINHOLE_WEB=$PINHOLE-web
boot=$work/boot root=$work/root
mkdir -p "$boot" "$root/usr/share/pinhole/avahi" "$root/etc/pinhole"
cp board/avahi/pinhole.service "$root/usr/share/pinhole/avahi/"

fail() {
    echo "line ${BASH_LINENO[0]}: $*"
    echo "--- status"
    cat "$boot/pinhole-status.txt"
    echo "--- root"
    (cd "$root" && grep -r . .)
    exit 1
}
run() {
    sh board/boot/pinhole-boot.sh "$boot" "$root" >"$work/out" 2>&1 || fail "status $?: $(cat "$work/out")"
}
status() { # what the status file says, without its carriage returns
    tr -d '\r' <"$boot/pinhole-status.txt"
}
says() { status | grep -qF -e "$1" || fail "the status lacks: $1"; }
has() { grep -qxF -e "$2" "$root/$1" || fail "$1 lacks: $2"; }
lacks() { ! grep -qsF -e "$2" "$root/$1" || fail "$1 has: $2"; }

# Nothing there.
run
says "pinhole.ini: is not on this partition."
says "pinhole.ini: the defaults are in use."

# The files of the image as they are, with the line ends and the mark of a Windows editor.
for name in pinhole pinhole-network; do
    (printf '\xEF\xBB\xBF' && sed 's/$/\r/' "board/boot/$name.ini") >"$boot/$name.ini"
done
run
says "pinhole.ini: good, in use."
says "pinhole-network.ini: good, in use."
cmp "$boot/pinhole.ini" "$root/etc/pinhole/pinhole.ini" || fail "it is not used"
has run/systemd/network/20-pinhole.network DHCP=yes
has etc/avahi/services/pinhole.service "    <port>7447</port>"
[ ! -e "$root/root/.ssh/authorized_keys" ] || fail "there is a key that nobody gave"

# Nothing new to say: nothing is written.
touch -d 2001-01-01 "$boot/pinhole-status.txt"
run
[ "$(stat -c %Y "$boot/pinhole-status.txt")" = "$(date -d 2001-01-01 +%s)" ] || fail "written again"

# A mistake: named with file and line, the last good one stays.
good=$(cat "$root/etc/pinhole/pinhole.ini")
printf '[server]\r\nlisten = 0.0.0.0:7447\r\n[jpeg]\r\nqualty = 80\r\n' >"$boot/pinhole.ini"
rm "$root/etc/pinhole/pinhole.ini" # as after a start with an overlay in memory
run
says "pinhole.ini: NOT used. pinhole.ini:4: there is no key 'qualty' in [jpeg]"
says "pinhole.ini: the last good one stays in use."
says "pinhole-network.ini: good, in use."
[ "$(cat "$root/etc/pinhole/pinhole.ini")" = "$good" ] || fail "the last good one is not in use"

# A program that cannot judge is no judge.
PINHOLE=/nowhere/pinhole run
says "pinhole.ini: NOT used."

# Windows hides the ending.
mv "$boot/pinhole.ini" "$boot/pinhole.ini.txt"
run
says "pinhole.ini: is there as pinhole.ini.txt."
says "pinhole.ini: the last good one stays in use."
rm "$boot/pinhole.ini.txt"

# A node on loopback is not announced; one on another port is, with that port.
printf '[server]\nlisten = 127.0.0.1:7447\n' >"$boot/pinhole.ini"
run
[ ! -e "$root/etc/avahi/services/pinhole.service" ] || fail "announced, though only on loopback"
printf '[server]\nlisten = 0.0.0.0:7500\n' >"$boot/pinhole.ini"
run
has etc/avahi/services/pinhole.service "    <port>7500</port>"

# Everything that the network file can say.
key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB you@laptop"
cat >"$boot/pinhole-network.ini" <<INI
[network]
hostname = line-1
address = 192.168.1.20/24
gateway = 192.168.1.1
dns=192.168.1.2
ntp = 192.168.1.1 time.example.org
[web]
listen = 0.0.0.0:8080
password = page "word" $
anonymous = view
[ssh]
key = $key
[broker]
host = 127.0.0.1
port = 1
username = line 1
password = se;cr et
INI
run
says "pinhole-network.ini: good, in use."
links=run/systemd/network/20-pinhole.network
for line in 'Name=en* eth*' Address=192.168.1.20/24 Gateway=192.168.1.1 DNS=192.168.1.2; do
    has $links "$line"
done
lacks $links DHCP
has etc/hostname line-1
has run/systemd/timesyncd.conf.d/pinhole.conf "NTP=192.168.1.1 time.example.org"
has etc/default/pinhole-web 'PINHOLE_WEB_OPTIONS="--listen 0.0.0.0:8080 --users web-users --anonymous view"'
grep -q '^pinhole:control:\$y\$' "$root/etc/credstore/web-users" || fail "the page has no user"
lacks etc/credstore/web-users word
has root/.ssh/authorized_keys "$key"
has etc/credstore/mqtt-password "se;cr et"
for line in '[broker]' 'host = 127.0.0.1' 'port = 1' 'username = line 1' '[node line-1]' 'address = 127.0.0.1:7500'; do
    has etc/pinhole/mqtt.ini "$line"
done
bridge=${BUILD:-build/release}/pinhole-mqtt
[ ! -x "$bridge" ] || "$bridge" --config "$root/etc/pinhole/mqtt.ini" --seconds 1 >"$work/out" 2>&1 ||
    fail "the bridge refuses its settings: $(cat "$work/out")"
[ "$(stat -c %a "$root/root/.ssh/authorized_keys" "$root/root/.ssh" "$root/var/lib/pinhole/boot/pinhole-network.ini" \
    "$root/etc/credstore/mqtt-password" "$root/etc/credstore/web-users" | paste -sd' ')" = "600 700 600 600 600" ] || fail "others may read it"

# A page for others needs a decision who may do what; on loopback it needs none.
cp "$boot/pinhole-network.ini" "$work/network.ini"
rm "$root/etc/default/pinhole-web"
printf '[web]\nlisten = 0.0.0.0:8080\n' >"$boot/pinhole-network.ini"
run
says "web.listen is NOT used: it needs web.password or web.anonymous."
[ ! -e "$root/etc/default/pinhole-web" ] || fail "the page is open to everybody"
printf '[web]\nlisten = 127.0.0.1:8081\n' >"$boot/pinhole-network.ini"
run
has etc/default/pinhole-web 'PINHOLE_WEB_OPTIONS="--listen 127.0.0.1:8081"'
mv "$work/network.ini" "$boot/pinhole-network.ini"
run

# Wi-Fi: name and password reach wpa_supplicant as bytes, whatever is in them.
mkdir "$work/bin"
cat >"$work/bin/wpa_passphrase" <<'SH'
#!/bin/sh
read -r phrase
printf 'network={\n\tssid="%s"\n\t#psk="%s"\n\tpsk=%s\n}\n' "$1" "$phrase" 0123abcd
SH
chmod +x "$work/bin/wpa_passphrase"
printf '[wifi]\nssid = Halle "3" = Süd\npassword = geheim"geheim\ncountry = DE\naddress = 10.0.0.5/8\n' \
    >"$boot/pinhole-network.ini"
PATH=$work/bin:$PATH run
says "pinhole-network.ini: good, in use."
wifi=etc/wpa_supplicant/wpa_supplicant-wlan0.conf
has $wifi "    ssid=$(printf 'Halle "3" = Süd' | od -An -v -tx1 | tr -d ' \n')"
has $wifi "    psk=0123abcd"
lacks $wifi geheim
has run/systemd/network/20-pinhole-wifi.network Address=10.0.0.5/8

printf '[broker]\nhost = 127.0.0.1\nport = 8883\n' >"$boot/pinhole-network.ini"
run
says "pinhole-network.ini: good, in use."
has etc/pinhole/mqtt.ini "port = 8883"

# Each fault has its sentence with file and line, and the last good file stays as it was.
cp "$root/var/lib/pinhole/boot/pinhole-network.ini" "$work/last"
refused() { # sentence, lines of the file
    printf '%s\n' "${@:2}" >"$boot/pinhole-network.ini"
    run
    says "pinhole-network.ini: NOT used. pinhole-network.ini:$1"
    cmp "$work/last" "$root/var/lib/pinhole/boot/pinhole-network.ini" || fail "the last good one is gone"
}
refused "2: there is no section [netwrk]" "; a comment" "[netwrk]"
refused "2: there is no key 'adress' in [network]" "[network]" "adress = dhcp"
refused "1: 'address' stands before any [section]" "address = dhcp"
refused "2: neither a [section], nor key = value, nor a comment" "[network]" "address"
refused "3: network.address stands twice; first in line 2" "[network]" "address = dhcp" "address = dhcp"
for address in 192.168.1.20 192.168.1.256/24 192.168.1.20/33 192.168.1/24 "1.2.3.4/8 x"; do
    refused "2: network.address = $address: it takes dhcp, or an address" "[network]" "address = $address"
done
refused "2: network.gateway = router: it takes an address" "[network]" "gateway = router"
refused "2: network.hostname = a b: it takes letters" "[network]" "hostname = a b"
refused "2: wifi.password = ...: it takes 8 to 63 bytes" "[wifi]" "password = short"
refused "2: wifi.ssid needs wifi.country" "[wifi]" "ssid = x"
refused "2: web.listen = example.org:80: it takes ADDRESS:PORT" "[web]" "listen = example.org:80"
refused '2: web.listen = 0.0.0.0:80" --x: it takes ADDRESS:PORT' "[web]" 'listen = 0.0.0.0:80" --x'
for port in 650000 1e3; do
    refused "2: broker.port = $port" "[broker]" "port = $port" "host = x"
done
refused "2: broker.port = 65536: it takes 0 to 65535" "[broker]" "port = 65536" "host = x"
refused "2: broker.host = a b: it takes a host name" "[broker]" "host = a b"
refused "2: broker.username needs broker.host" "[broker]" "username = x"
refused "2: ssh.key = AAAA: it takes a public key" "[ssh]" "key = AAAA"
printf '[network]\n\001' >"$boot/pinhole-network.ini"
run
says "pinhole-network.ini:2: there is a control character"
head -c 100000 /dev/urandom >"$boot/pinhole-network.ini"
run
says "pinhole-network.ini: NOT used."
says "pinhole-network.ini: the last good one stays in use."

# A partition that takes nothing: the settings are used all the same, and the log tells.
rm "$boot/pinhole-network.ini"
ln -s "$work/nowhere/file" "$boot/pinhole-status.new"
sh board/boot/pinhole-boot.sh "$boot" "$root" >"$work/out" 2>&1
[ $? = 1 ] || fail "the status is another"
grep -qF "pinhole-network.ini: is not on this partition." "$work/out" || fail "$(cat "$work/out")"
grep -qxF "pinhole-status.txt could not be written in $boot" "$work/out" || fail "$(cat "$work/out")"
exit 0
