# tries: to use what the kernel counts by user, as much as is its own
# right: held
import ctypes
import os
import signal
import socket

libc = ctypes.CDLL(None, use_errno=True)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
print('signals', sum(libc.sigqueue(os.getpid(), signal.SIGRTMIN, None) == 0 for _ in range(200)))
pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
socket.send_fds(pair[0], [b'x'], [0, 1, 2])
print('descriptors', len(socket.recv_fds(pair[1], 1, 3)[1]))
pipes = [os.pipe() for _ in range(100)]
print('pipes', len(pipes))
children = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0)
    children.append(child)
print('children', sum(os.waitpid(child, 0)[1] == 0 for child in children))
print('held')
