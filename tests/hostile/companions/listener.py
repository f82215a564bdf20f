# tries: to be reached by another sandbox, on loopback and on an abstract unix socket
# right: held
import select
import socket
import time

abstract = socket.socket(socket.AF_UNIX)
abstract.bind('\0soulbox-listener')
abstract.listen()
loopback = socket.create_server(('0.0.0.0', 45678))
end = time.monotonic() + 0.7
while (left := end - time.monotonic()) > 0:
    ready, _, _ = select.select([abstract, loopback], [], [], left)
    if ready:
        raise SystemExit(print('breached: somebody came') or 1)
print('held')
