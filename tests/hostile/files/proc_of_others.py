# tries: to find other processes in /proc, and to read their memory, environment, descriptors and roots
# right: held
# args: ["{host_pid}"]
# neighbour: sleeper.py
import os
import sys
import time

child = os.fork()
if child == 0:
    time.sleep(60)
own = {os.getpid(), child}
parts = '''environ cmdline maps mem stat status root/etc cwd exe fd fd/0 fdinfo/0 ns/pid map_files auxv syscall stack
    wchan task io limits mountinfo cgroup personality pagemap clear_refs oom_score_adj attr/current
    coredump_filter sched comm loginuid uid_map gid_map setgroups timerslack_ns'''.split()
# Its own children are its own; what it can guess of others is 1, the host's pids and all small numbers.
for pid in [1, int(sys.argv[1]), *range(3, 600), 'self/task/1']:
    if pid in own:
        continue
    for part in parts:
        for flags in (os.O_RDONLY, os.O_WRONLY):
            try:
                os.open(f'/proc/{pid}/{part}', flags)
                raise SystemExit(print(f'breached: /proc/{pid}/{part}') or 1)
            except OSError:
                pass
listed = {int(name) for name in os.listdir('/proc') if name.isdigit()}
if listed != own:
    raise SystemExit(print('breached: listed are', listed - own) or 1)
os.kill(child, 9)
print('held')
