while IFS= read -r line; do
    if [[ $line =~ ^([0-9]{4})-([0-9]{2})-([0-9]{2})[[:space:]]+(ERROR|WARN)[[:space:]]+(.*)$ ]]; then
        echo "${BASH_REMATCH[3]}.${BASH_REMATCH[2]}.${BASH_REMATCH[1]} ${BASH_REMATCH[4],,}: ${BASH_REMATCH[5]}"
    fi
done
echo 'a1b22c333' | sed -E 's/[0-9]+/<&>/g'
echo 'key=value; other=thing' | grep -oE '[a-z]+=[a-z]+'
