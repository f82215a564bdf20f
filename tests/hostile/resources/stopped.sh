# tries: to stop itself, so that it never ends
# right: timed_out
# limits: {"wall_time_ms": 400}
sleep 600 &
kill -STOP $! $$
