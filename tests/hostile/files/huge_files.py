# tries: to make files larger than its disk limit: sparse, reserved, by writing far beyond their end
# right: held
# limits: {"disk_bytes": 8388608, "memory_bytes": 67108864}
import errno
import os
import signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
most = 8 << 20
for place in ('/workspace', '/tmp', '/dev/shm'):
    fd = os.open(place + '/huge', os.O_CREAT | os.O_RDWR)
    for attempt in (lambda: os.ftruncate(fd, most + 1), lambda: os.ftruncate(fd, 1 << 62), lambda: os.pwrite(fd, b'x', most + 1),
                    lambda: os.pwrite(fd, b'x', 1 << 40), lambda: os.posix_fallocate(fd, 0, 1 << 40)):
        try:
            attempt()
            raise SystemExit(print(f'breached: {os.fstat(fd).st_size} bytes in {place}') or 1)
        except OSError as error:
            if error.errno not in (errno.EFBIG, errno.ENOSPC):
                raise
    os.unlink(place + '/huge')
written = 0
try:
    for number in range(100):
        written += os.write(os.open(f'/tmp/{number}', os.O_CREAT | os.O_WRONLY), bytes(1 << 20))
except OSError:
    pass
if written > most:
    raise SystemExit(print(f'breached: {written} bytes') or 1)
print('held')
