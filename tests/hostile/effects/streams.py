# tries: to reach the terminal or the log of the server by its streams
# right: held
import os
import stat
import termios

for fd in (0, 1, 2):
    found = os.fstat(fd)
    if not stat.S_ISFIFO(found.st_mode) or os.isatty(fd):
        raise SystemExit(print(f'breached: descriptor {fd} is no pipe') or 1)
    try:
        termios.tcgetattr(fd)
        raise SystemExit(print(f'breached: descriptor {fd} is a terminal') or 1)
    except termios.error:
        pass
ends = [os.readlink(f'/proc/self/fd/{fd}') for fd in (0, 1, 2)]
if len(set(ends)) != 3:
    raise SystemExit(print(f'breached: streams are the same: {ends}') or 1)
if os.getsid(0) != os.getpid():
    raise SystemExit(print('breached: the session is another one') or 1)
print('held')
