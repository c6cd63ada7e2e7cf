#!/bin/bash
# SPDX-License-Identifier: MIT
# Boots the image of `make image BOARD=virt` in QEMU and cuts its power; see tests/host/image/check.py.
# The image is made first when there is none. CUTS=50 SEED=7 tools/dev/check-image.sh
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
export BUILD=${BUILD:-build/release} LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
make --no-print-directory "$BUILD/pinholectl" || exit
[ -e build/image/pinhole-virt.img ] || tools/dev/image.sh virt || exit
exec nice -n 15 python3 tests/host/image/check.py
