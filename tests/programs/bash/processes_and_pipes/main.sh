# Background jobs, wait for each, their exit codes, a named pipe, a trap, and process substitution.
trap 'echo cleaned up' EXIT
pids=()
for code in 0 3 7; do
    (exit "$code") & pids+=($!)
done
for pid in "${pids[@]}"; do
    wait "$pid"
    echo "ended with $?"
done
mkfifo channel
seq 1 100 >channel &
awk '{ sum += $1 } END { print "sum", sum }' channel
wait
printf "a\nb\n" | diff - <(printf "a\nc\n") || echo "differ: $?"
false | true
echo "${PIPESTATUS[*]}"
{ sh -c 'kill -TERM $$'; } 2>/dev/null
echo "killed: $?"
yes | head -1
