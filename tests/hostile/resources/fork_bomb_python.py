# tries: to fork without end
# right: timed_out
# limits: {"wall_time_ms": 700, "pids": 32, "memory_bytes": 268435456}
import os

while True:
    try:
        os.fork()
    except OSError:
        pass
