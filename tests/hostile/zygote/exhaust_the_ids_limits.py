# tries: to use up what the kernel counts by user, so that the next program has none
# right: held
# then: use_of_limits.py
# limits: {"pids": 64, "wall_time_ms": 20000}
import ctypes
import os
import signal
import socket

libc = ctypes.CDLL(None, use_errno=True)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
while libc.sigqueue(os.getpid(), signal.SIGRTMIN, None) == 0:
    pass
pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
pair[0].setblocking(False)
try:
    while True:
        socket.send_fds(pair[0], [b'x'], [0] * 200)
except OSError:
    pass
kept = []
try:
    while True:
        kept.append(os.pipe())
        import fcntl
        fcntl.fcntl(kept[-1][1], 1031, 1 << 20)
except OSError:
    pass
children = 0
try:
    while True:
        if os.fork() == 0:
            signal.pause()
        children += 1
except OSError:
    pass
os.write(1, b'held\n')
os._exit(0)
