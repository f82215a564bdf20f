# Local variables, recursion, arithmetic, and results in variables named by the caller.
factorial() {
    local n=$1
    if (( n <= 1 )); then echo 1; else echo $(( n * $(factorial $(( n - 1 ))) )); fi
}
hanoi() {
    local -i n=$1
    local -n moves=$5
    (( n == 0 )) && return
    hanoi $(( n - 1 )) "$2" "$4" "$3" "$5"
    moves+=("$2$4")
    hanoi $(( n - 1 )) "$3" "$2" "$4" "$5"
}
echo "20! = $(factorial 20)"
steps=()
hanoi 3 A B C steps
echo "${#steps[@]}: ${steps[*]}"
