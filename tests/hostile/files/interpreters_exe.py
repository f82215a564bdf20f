# tries: to overwrite the interpreter, the launcher and the shim that all programs of the language share
# right: held
import os
import sys

places = ['/proc/self/exe', sys.executable, os.path.realpath(sys.executable), os.__file__, '/proc/1/exe']
places += [os.path.join('/.soulbox', name) for name in (os.listdir('/.soulbox') if os.path.isdir('/.soulbox') else [])]
with open('/proc/self/maps') as maps:
    places += {line.split()[5] for line in maps if len(line.split()) > 5 and line.split()[5].startswith('/')}
for place in places:
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
        try:
            fd = os.open(place, flags)
            raise SystemExit(print(f'breached: {place} can be opened for writing') or 1)
        except OSError:
            pass
    for change in (lambda: os.unlink(place), lambda: os.rename(place, '/tmp/x'), lambda: os.truncate(place, 0),
                   lambda: os.chmod(place, 0o777), lambda: os.utime(place), lambda: os.link(place, '/tmp/link'),
                   lambda: os.setxattr(place, 'user.x', b'x')):
        try:
            change()
            raise SystemExit(print(f'breached: {place} can be changed') or 1)
        except OSError:
            pass
print('held')
