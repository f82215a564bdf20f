#!/bin/bash
# Revenue of each region, with awk for the fractions and an associative array for the counts.
declare -A lines
while IFS=, read -r region product units price; do
    [[ $region == region ]] && continue
    (( lines[$region]++ ))
done <data/sales.csv
for region in $(printf '%s\n' "${!lines[@]}" | sort); do
    revenue=$(awk -F, -v region="$region" '$1 == region { sum += $3 * $4 } END { printf "%.2f", sum }' data/sales.csv)
    printf '%-6s %2d %8s\n' "$region" "${lines[$region]}" "$revenue"
done
