# The result is in a variable, since a function's output would cost a process for each call.
fibonacci() {
    local n=$1 sum
    if ((n < 2)); then
        result=$n
        return
    fi
    fibonacci $((n - 1))
    sum=$result
    fibonacci $((n - 2))
    ((result += sum)) || true
}
fibonacci 20
echo "$result"
