#!/bin/bash
# SPDX-License-Identifier: MIT
# Boots the image of `make image BOARD=virt` in QEMU and cuts its power, updates it, and lets it run for a
# day of its own time; see check.py, update.py and day.py in tests/host/image. The image is made first
# when there is none.
#   CUTS=50 UPDATE_CUTS=20 HOURS=24 SEED=7 tools/dev/check-image.sh [check|update|day]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
export BUILD=${BUILD:-build/release} LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
make --no-print-directory "$BUILD/pinholectl" || exit
[ -e build/image/pinhole-virt.img ] || tools/dev/image.sh virt || exit
for part in ${1:-check update day}; do
    nice -n 15 python3 "tests/host/image/$part.py" || exit
done
