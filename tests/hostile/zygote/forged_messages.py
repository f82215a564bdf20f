# tries: to forge the messages with which the sandbox tells its end, and so to have succeeded
# right: failed
import os
import socket
import struct

for kind in range(8):
    for size in (8, 16, 24, 32, 64):
        message = struct.pack('<Q', kind) + bytes(size - 8)
        for fd in range(0, 64):
            try:
                os.write(fd, message)
            except OSError:
                pass
            try:
                with socket.socket(fileno=os.dup(fd)) as forged:
                    forged.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack('i', 1))])
            except OSError:
                pass
os._exit(3)
