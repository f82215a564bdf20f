# tries: to write to every descriptor that the zygote could have left, and to send it messages
# right: held
# then: surroundings.py
import fcntl
import os
import socket

for fd in range(3, 4096):
    for use in (lambda: os.write(fd, b'\x01' * 64), lambda: os.read(fd, 1), lambda: os.dup(fd),
                lambda: fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK), lambda: os.fstat(fd)):
        try:
            use()
            raise SystemExit(print(f'breached: descriptor {fd} can be used') or 1)
        except OSError:
            pass
for fd in (0, 1, 2):
    try:
        socket.socket(fileno=os.dup(fd)).send(b'\x01' * 64)
        raise SystemExit(print(f'breached: descriptor {fd} is a socket') or 1)
    except OSError:
        pass
print('held')
