#!/bin/bash
# SPDX-License-Identifier: MIT
# What QEMU's raspi3b does when its watchdog is started. It is why make check-image starts that board
# without the watchdog's driver, and why nothing about the watchdog can be shown on it.
#
# Seen with Debian 12's QEMU 7.2 (1:7.2+dfsg-7+deb12u18+b3): the period can be set and read back, 16 s
# here. As soon as the watchdog is started, with all of the period left, the machine is reset. Linux
# starts it in the same way, with the same two registers, so systemd's RuntimeWatchdogSec= would restart
# it for ever. The registers are driven through QEMU's own qtest protocol; no processor runs.
# Downloads the packages into a temporary folder; python3 is there. Fails if any of this changes.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
version=1:7.2+dfsg-7+deb12u18+b3
apt-get download -qq "qemu-system-arm=$version" "qemu-system-common=$version"
# Its libraries, as many as this machine lacks.
apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "qemu-system-arm=$version" | grep '^lib[a-z0-9]' | sort -u |
    { xargs dpkg-query -W -f '' 2>&1 || true; } |
    sed -n 's/^dpkg-query: no packages found matching //p' >lacking
xargs -r apt-get download -qq <lacking
for package in *.deb; do dpkg-deb -x "$package" root; done

cat >drive.py <<'END'
import json
import os
import select
import socket
import subprocess

PM_RSTC, PM_WDOG, PASSWORD, START = 0x3F10001C, 0x3F100024, 0x5A000000, 0x20
PERIOD = 0xFFFFF  # of 1/65536 s
root = os.path.abspath("root")
qmp, theirs = socket.socketpair()
with subprocess.Popen(
        [root + "/usr/bin/qemu-system-aarch64", "-M", "raspi3b", "-S", "-display", "none", "-serial", "null",
         "-monitor", "none", "-qtest", "stdio", "-qtest-log", "none",
         "-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "chardev=qmp,mode=control"],
        pass_fds=[theirs.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "LD_LIBRARY_PATH": root + "/usr/lib/x86_64-linux-gnu"}) as qemu:
    messages = qmp.makefile("rw")

    def register(*words):
        print(*words, file=qemu.stdin, flush=True)
        return qemu.stdout.readline().split()

    def event():
        if not select.select([qmp], [], [], 2)[0]:
            return "nothing"
        return json.loads(messages.readline())["event"]

    print(json.loads(messages.readline())["QMP"]["version"]["qemu"])
    print('{"execute": "qmp_capabilities"}', file=messages, flush=True)
    messages.readline()
    register("writel", hex(PM_WDOG), hex(PASSWORD | PERIOD))
    print("period set:", event(), "and", int(register("readl", hex(PM_WDOG))[1], 16) / 65536 // 0.01 / 100, "s")
    register("writel", hex(PM_RSTC), hex(PASSWORD | START))
    print("watchdog started:", event())
    qemu.kill()
END
python3 drive.py >seen

cat >expected <<'END'
{'micro': 22, 'minor': 2, 'major': 7}
period set: nothing and 15.99 s
watchdog started: RESET
END
cat seen
diff expected seen
