# tries: to signal and to stop everybody: its neighbours, the init, all that a pid or a group reaches
# right: held
# neighbour: sleeper.py
import os
import signal
import time

end = time.monotonic() + 0.3
while time.monotonic() < end:
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, 0):
        for pid in [1, -1, os.getppid(), *range(3, 400)]:
            if pid == 0:
                continue
            try:
                os.kill(pid, number)
                raise SystemExit(print(f'breached: {number} was sent to {pid}') or 1)
            except (PermissionError, ProcessLookupError):
                pass
    try:
        signal.pidfd_send_signal(os.pidfd_open(1), signal.SIGKILL)
        raise SystemExit(print('breached: pid 1 by descriptor') or 1)
    except OSError:
        pass
print('held')
