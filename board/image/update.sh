#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs a bundle into the root that is not running, and restarts into it, on trial:
#   pinhole-update FILE
[ $# = 1 ] || {
    echo "Usage: pinhole-update FILE.raucb" >&2
    exit 2
}
# RAUC itself would wait 25 s for its service, which is not enough on a busy machine. The Raspberry Pi's
# firmware reads tryboot.txt instead of config.txt after this restart, and after no other.
systemctl start rauc && rauc install "$1" && exec systemctl reboot --reboot-argument="0 tryboot"
