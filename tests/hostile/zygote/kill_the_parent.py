# tries: to end, stop, trace or outrank the process that forked it
# right: held
# then: surroundings.py
import os
import resource
import signal

for pid in (1, os.getppid()):
    for number in signal.valid_signals() | {0}:
        try:
            if pid:
                os.kill(pid, number)
                raise SystemExit(print(f'breached: signal {number} for {pid}') or 1)
        except (PermissionError, ProcessLookupError):
            pass
    for change in (lambda: os.setpriority(os.PRIO_PROCESS, 1, 19), lambda: os.sched_setaffinity(1, {0}),
                   lambda: os.sched_setscheduler(1, os.SCHED_BATCH, os.sched_param(0)),
                   lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0)), lambda: os.setpgid(1, os.getpid()),
                   lambda: signal.pidfd_send_signal(os.pidfd_open(1), signal.SIGKILL)):
        try:
            change()
            raise SystemExit(print(f'breached: {change}') or 1)
        except OSError:
            pass
for group in (-1, 0):
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.kill(group, signal.SIGTERM)
    except OSError:
        pass
print('held')
