# tries: to link and move files of the host into places that it can write
# right: held
import os

files = ['/usr/bin/passwd', '/usr/bin/python3', '/etc/passwd', '/proc/self/status', '/dev/null', '/usr/bin/env']
for path in files:
    for place in ('/tmp', '/workspace', '/dev/shm', '/usr/bin', '/etc'):
        for attempt in (lambda: os.link(path, f'{place}/link'), lambda: os.rename(path, f'{place}/moved'),
                        lambda: os.link(f'/proc/self/fd/{fd}', f'{place}/link', follow_symlinks=True)):
            fd = os.open(path, os.O_PATH)
            try:
                attempt()
                raise SystemExit(print(f'breached: {path} is in {place}') or 1)
            except OSError:
                pass
            os.close(fd)
print('held')
