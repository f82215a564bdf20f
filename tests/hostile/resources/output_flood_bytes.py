# tries: to flood its standard error byte by byte, from many processes
# right: output_limit_exceeded
# limits: {"output_bytes": 65536, "pids": 16, "wall_time_ms": 20000, "memory_bytes": 268435456}
import os

for _ in range(3):
    os.fork()
while True:
    os.write(2, b'\xff')
