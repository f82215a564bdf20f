# tries: to write anywhere but to its scratch places
# right: held
import os

scratch = ('/workspace', '/tmp', '/dev/shm')
plain = {'/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom', '/dev/tty'}


def breach(what):
    raise SystemExit(print('breached:', what) or 1)


for top, directories, files in os.walk('/'):
    if top in scratch or top == '/proc':
        directories[:] = []
        continue
    if top == '/usr':
        # All of it is one mount.
        if not os.statvfs(top).f_flag & os.ST_RDONLY:
            breach('/usr is mounted for writing')
        directories[:] = []
    try:
        os.close(os.open(top, os.O_TMPFILE | os.O_RDWR))
        breach(f'a file without a name in {top}')
    except OSError:
        pass
    if os.access(top, os.W_OK):
        breach(top)
    for name in files:
        path = os.path.join(top, name)
        if not os.path.islink(path) and path not in plain and os.access(path, os.W_OK):
            breach(path)
for place in ('/', '/usr', '/usr/bin', '/usr/lib', '/etc', '/dev', '/run', '/proc', '/proc/self', '/.soulbox', '/var', '/home'):
    for make in (lambda path: open(path, 'w').close(), os.mkdir, lambda path: os.symlink('x', path), os.mkfifo):
        try:
            make(place + '/soulbox-attack')
            breach(f'made something in {place}')
        except OSError:
            pass
with open('/proc/self/mountinfo') as file:
    for mount in (line.split() for line in file):
        place, options = mount[4], mount[5].split(',')
        if 'ro' not in options and place not in scratch and place not in plain and place not in ('/proc', '/dev'):
            breach(f'{place} is mounted for writing')
        if 'nosuid' not in options and place != '/' and place not in plain:
            breach(f'{place} is mounted with setuid')
for place in scratch:
    open(place + '/soulbox-attack', 'w').close()
print('held')
