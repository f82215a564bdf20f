# tries: to fill its disk and to work on there
# right: held
# limits: {"disk_bytes": 1048576}
import errno

count = 0
try:
    for number in range(10_000):
        with open(f'/tmp/{number}', 'wb') as file:
            file.write(b'x' * 4096)
        count += 1
except OSError as error:
    if error.errno != errno.ENOSPC:
        raise
if count * 4096 > 1 << 20:
    raise SystemExit(print(f'breached: {count} files') or 1)
print('held')
