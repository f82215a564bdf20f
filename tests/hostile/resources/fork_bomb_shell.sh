# tries: to fork without end, in a shell
# right: timed_out
# limits: {"wall_time_ms": 700, "pids": 32}
bomb() { bomb | bomb & }
bomb 2>/dev/null
while :; do bomb 2>/dev/null; done
