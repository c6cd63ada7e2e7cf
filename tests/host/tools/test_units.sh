#!/bin/bash
# SPDX-License-Identifier: MIT
# How much of the system each unit could reach, as systemd itself judges it: 0 is nothing, 10 is all.
# The limits are for Debian 12's systemd: each version asks other questions.
set -uo pipefail
command -v systemd-analyze >/dev/null || {
    echo "skip: systemd-analyze is not installed"
    exit 77
}
[[ $(systemd-analyze --version) == "systemd 252 "* ]] || {
    echo "skip: the limits are for systemd 252"
    exit 77
}
limit=20
status=0
for unit in board/*.service; do
    name=${unit##*/}
    found=$(systemd-analyze security --offline=true --no-pager "$unit" 2>/dev/null |
        sed -n 's/.*Overall exposure level for .*: \([0-9]*\)\.\([0-9]\) .*/\1\2/p')
    [ -n "$found" ] || {
        echo "$name: systemd-analyze says nothing"
        status=1
        continue
    }
    echo "$name: exposure $found tenths, at most $limit"
    [ "$found" -le "$limit" ] || status=1
done
exit $status
