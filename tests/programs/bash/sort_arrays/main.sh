numbers=(42 7 -3 19 7 100)
for (( i = 0; i < ${#numbers[@]}; i++ )); do
    for (( j = 0; j < ${#numbers[@]} - i - 1; j++ )); do
        if (( numbers[j] > numbers[j + 1] )); then
            t=${numbers[j]} numbers[j]=${numbers[j + 1]} numbers[j + 1]=$t
        fi
    done
done
echo "${numbers[*]}"
mapfile -t names < <(printf '%s\n' Zoe adam Bob | sort -f)
echo "${names[@]^^}"
echo "last: ${names[-1]}, slice: ${names[@]:0:2}"
