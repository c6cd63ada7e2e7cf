#!/bin/bash
# SPDX-License-Identifier: MIT
# Holds the node against app/size.budget:  size-check.sh OBJECT...  (the node's own C objects, each
# with the .su file that -fstack-usage wrote beside it). Prints what there is and what is allowed;
# exit 1 when something is above. A frame without a bound known at compile time (alloca, variable
# arrays) is never allowed; gcc calls those "dynamic", and "dynamic,bounded" where only arguments of
# calls come and go.
set -euo pipefail
budget=${BUDGET:-app/size.budget}
stack_files=("${@/%.o/.su}")
for file in "${stack_files[@]}"; do
    [ -e "$file" ] || { echo "size: $file is missing; build without SAN" >&2; exit 1; }
done

allowed() {
    local value
    value=$(awk -v key="$1" '$1 == key {print $2}' "$budget")
    [ -n "$value" ] || { echo "size: $budget has no line '$1'" >&2; exit 1; }
    echo "$value"
}
over=0
compare() {
    local limit word=ok
    limit=$(allowed "$1")
    [ "$2" -le "$limit" ] || { word=OVER over=1; }
    printf '%-5s %-12s %9d of %9d bytes\n' "$word" "$1" "$2" "$limit"
}

# text includes read-only data, as size(1) counts.
read -r text data bss < <(size "$@" | awk 'NR > 1 {t += $1; d += $2; b += $3} END {print t, d, b}')
compare text "$text"
compare data "$data"
compare bss "$bss"
# .su: "file:line:column:function <TAB> bytes <TAB> static|dynamic[,bounded]"
compare stack_frame "$(cut -f 2 "${stack_files[@]}" | sort -n | tail -n 1)"

echo "largest stack frames:"
cat "${stack_files[@]}" | sort -t $'\t' -k 2,2nr |
    awk -F '\t' 'NR <= 10 {printf "  %6d  %s\n", $2, $1}'
if grep -h $'\tdynamic$' "${stack_files[@]}"; then
    echo "OVER  these frames have no bound"
    over=1
fi
exit "$over"
