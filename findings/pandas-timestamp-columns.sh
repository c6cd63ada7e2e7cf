#!/bin/bash
# SPDX-License-Identifier: MIT
# What pandas.read_json() makes of JSON lines with 64-bit nanoseconds. It is why the recorder's sidecars
# have times as text, under names that do not begin with "timestamp".
#
# Seen with Debian 12's python3-pandas 1.5.3+dfsg-2, by its default arguments and lines=True:
#   {"timestamp_ns":5632659833519}                   becomes the date 2148-06-28 (monotonic time)
#   {"ns":1795762671095747449}, then {"other":1}     becomes 1795762671095747328 (121 ns less)
#   {"captured":"5632.659833519s"}, then {"other":1} stays as it is; to_timedelta() gives every digit
# Downloads the packages into a temporary folder. Fails if any of this changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq python3-pandas=1.5.3+dfsg-2 python3-pandas-lib=1.5.3+dfsg-2 \
    python3-numpy=1:1.24.2-1+deb12u1 python3-dateutil python3-tz python3-six \
    libblas3 liblapack3 libgfortran5 libquadmath0
for package in *.deb; do dpkg-deb -x "$package" root; done
library=$folder/root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH=$library:$library/blas:$library/lapack
export PYTHONPATH=$folder/root/usr/lib/python3/dist-packages

cat >expected <<'END'
pandas 1.5.3
timestamp_ns: 2148-06-28 19:43:53.519000
ns: 1795762671095747328
captured: 5632.659833519s 5632659833519
END
/usr/bin/python3 - >seen <<'END'
import io
import pandas


def read(text):
    return pandas.read_json(io.StringIO(text), lines=True)


print("pandas", pandas.__version__)
print("timestamp_ns:", read('{"timestamp_ns":5632659833519}\n').timestamp_ns[0])
print("ns:", int(read('{"ns":1795762671095747449}\n{"other":1}\n').ns[0]))
captured = read('{"captured":"5632.659833519s"}\n{"other":1}\n').captured[0]
print("captured:", captured, pandas.to_timedelta(captured).value)
END
cat seen
diff expected seen
