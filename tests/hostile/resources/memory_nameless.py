# tries: to take memory by files without a name, which no file system limits
# right: out_of_memory
# limits: {"memory_bytes": 50331648, "disk_bytes": 1048576}
import mmap
import os
import signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
kept = []
while True:
    fd = os.memfd_create('x')
    for _ in range(4):
        try:
            os.write(fd, bytes(1 << 18))
        except OSError:
            break
    kept.append(fd)
    kept.append(mmap.mmap(-1, 1 << 20))
    kept[-1].write(b'x' * (1 << 20))
