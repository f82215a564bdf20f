tr -cs '[:alpha:]' '\n' | tr '[:upper:]' '[:lower:]' | sort | uniq -c | sort -k1,1nr -k2 | head -3 |
while read -r count word; do
    echo "$word: $count"
done
